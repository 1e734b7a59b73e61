from __future__ import annotations

import pytest
from monai.bundle import ConfigParser

from scripts.engines.value_ranges import RANGES, check_ranges
from scripts.errors import InputError
from tests.bundle.commands import BUNDLE

CONFIGS = ("train.yaml", "bayesian_vae.yaml", "inference.json", "calibrate.yaml", "baseline_denoising.yaml")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("samples", 0, "1 or more for --samples, got 0"),
        ("batch_size", 0, "1 or more for --batch_size, got 0"),
        ("epochs", 0, "1 or more for --epochs, got 0"),
        ("learning_rate", -1, "a number above 0 for --learning_rate, got -1"),
        ("field_of_view", -240.0, "a number above 0 for --field_of_view, got -240.0"),
        ("alpha", 2, "a share from 0 to 1 for --alpha, got 2"),
        ("lesion_share", 65, "a share from 0 to 1 for --lesion_share, got 65"),
        ("pixel_quantile", 99.5, "a share above 0 and below 1 for --pixel_quantile, got 99.5"),
        ("drop_rate", 1.0, "a share from 0 to below 1 for --drop_rate, got 1.0"),
        ("slice_smoothing", -6, "0 or more for --slice_smoothing, got -6"),
        ("samples", float("nan"), "1 or more for --samples, got nan"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(key: str, value: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_ranges({"other": -1, key: value})


@pytest.mark.parametrize(("key", "value"), [("heads", 0), ("alpha", 0), ("alpha", 1), ("slice_smoothing", 0)])
def test_an_end_of_a_range_is_in_it(key: str, value: float) -> None:
    check_ranges({key: value})


@pytest.mark.parametrize("name", CONFIGS)
def test_the_configs_own_values_are_in_range(name: str) -> None:
    check_ranges(ConfigParser.load_config_file(str(BUNDLE / "configs" / name)))


def test_what_is_computed_or_no_number_is_not_looked_at() -> None:
    check_ranges({"val_interval": "$min(20, @epochs)", "samples": None, "alpha": True})


def test_every_range_is_of_a_key_that_a_config_has() -> None:
    files = (BUNDLE / "configs").rglob("*.*")
    known = set()
    for file in files:
        if file.suffix in (".yaml", ".json") and file.name != "metadata.json":
            known |= set(ConfigParser.load_config_file(str(file)))
    assert set(RANGES) <= known
