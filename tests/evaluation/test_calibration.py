from __future__ import annotations

import json
from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.errors import InputError
from scripts.evaluation.calibration import Calibration, calibrate, normal_quantile_threshold

SETTINGS = {
    "weights_sha256": "ab" * 32,
    "modalities": ["t1ce"],
    "field_of_view": 240.0,
    "score": "nll",
    "alpha": 0.5,
    "samples": 5,
    "seed": 0,
    "noise": "normal",
    "region": "foreground",
    "pooling": "mean",
    "slice_smoothing": 0.0,
}


class Score(StrEnum):
    NLL = "nll"


def make(**changes) -> Calibration:
    generator = np.random.default_rng(0)
    slices = {
        "slice_scores": generator.random(200),
        "levels": generator.random(200),
        "patients": np.arange(200) % 8,
        "pixel_values": (generator.random((10, 10)) for _ in range(200)),
    }
    return calibrate(**(slices | SETTINGS | {"source": "phantom, t1ce, validation"} | changes))


@pytest.mark.case(40)
@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1), st.floats(0.01, 0.99))
def test_threshold_leaves_at_most_the_stated_share_above(values, quantile):
    threshold = normal_quantile_threshold(values, quantile)
    assert threshold in values
    assert np.mean(np.array(values) > threshold) <= 1 - quantile
    lower = [value for value in values if value < threshold]
    if lower:  # the next lower value would let more through, up to one rank
        assert np.sum(np.array(values) > max(lower)) > (1 - quantile) * (len(values) - 1) - 1e-9


def test_calibration_holds_thresholds_counts_and_origin():
    scores = np.arange(1, 101) / 100
    pixels = [np.arange(1, 1001) / 1000, np.zeros(0)]
    result = make(
        slice_scores=scores,
        levels=np.full(100, 0.5),
        patients=["a"] * 60 + ["b"] * 40,
        pixel_values=iter(pixels),
    )
    assert result.slice_threshold == 0.96
    assert result.pixel_threshold == pytest.approx(0.991, rel=5e-4)
    assert (result.slices, result.patients) == (100, 2)
    assert (result.slice_quantile, result.pixel_quantile) == (0.95, 0.99)
    assert result.source == "phantom, t1ce, validation"
    assert result.created.endswith("+00:00")


def test_permuting_slices_changes_nothing():
    generator = np.random.default_rng(4)
    scores, levels, pixels = generator.random(50), generator.random(50), generator.random((50, 30))
    patients = np.arange(50) % 5
    order = generator.permutation(50)
    first = make(
        slice_scores=scores, levels=levels, patients=patients, pixel_values=pixels, created="2026-01-01"
    )
    second = make(
        slice_scores=scores[order],
        levels=levels[order],
        patients=patients[order],
        pixel_values=pixels[order],
        created="2026-01-01",
    )
    assert first == second


def test_json_round_trip_is_exact_and_strict():
    calibration = make()
    text = json.dumps(calibration.to_json(), allow_nan=False)
    assert Calibration.from_json(json.loads(text)) == calibration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("seed"), r"missing \['seed'\], unknown \[\]"),
        (lambda data: data.update(beta=1), r"missing \[\], unknown \['beta'\]"),
        (lambda data: data["normal_range"][0].pop("median"), r"normal_range: missing \['median'\]"),
        (lambda data: data.update(pixel_threshold=None), "finite number for pixel_threshold .*, got None"),
        (lambda data: data.update(slice_threshold=float("nan")), "finite number for slice_threshold"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason(change, message):
    data = make().to_json()
    change(data)
    with pytest.raises(InputError, match=message):
        Calibration.from_json(data)


def test_only_the_calibrated_settings_match():
    calibration = make()
    assert calibration.matches(**SETTINGS) is None
    assert calibration.matches(**(SETTINGS | {"score": Score.NLL})) is None
    assert calibration.matches(**(SETTINGS | {"field_of_view": 240})) is None
    assert type(make(score=Score.NLL).score) is str


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"alpha": 0.7}, "calibrated for alpha 0.5 (given 0.7); calibrate these settings first"),
        ({"modalities": ["flair"]}, "modalities t1ce (given flair)"),
        ({"field_of_view": 300.0}, "field_of_view 240.0 (given 300.0)"),
        ({"samples": 10}, "samples 5 (given 10)"),
        ({"seed": 3}, "seed 0 (given 3)"),
        ({"noise": "sobol"}, "noise normal (given sobol)"),
        ({"region": "image"}, "region foreground (given image)"),
        ({"pooling": "peak"}, "pooling mean (given peak)"),
        ({"slice_smoothing": 6.0}, "slice_smoothing 0.0 (given 6.0)"),
        ({"score": "squared_error"}, "score nll (given squared_error)"),
        ({"weights_sha256": "cd" * 32}, "weights abababababab (given cdcdcdcdcdcd)"),
        ({"samples": 10, "alpha": 0.0}, "samples 5 (given 10), alpha 0.5 (given 0.0)"),
    ],
)
def test_other_settings_have_no_threshold(change, reason):
    assert reason in make().matches(**(SETTINGS | change))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slice_scores": [], "levels": [], "patients": []}, "lesion-free validation slices"),
        ({"pixel_values": []}, "at least one pixel"),
        ({"levels": [0.5]}, "a level and a patient per slice score, got 200 scores, 1 levels"),
        ({"levels": np.full(200, 1.5)}, "levels from 0 to 1, got 1.5"),
        ({"pixel_quantile": 99}, "quantile to lie strictly between 0 and 1, got 99"),
    ],
)
def test_wrong_input_is_refused_with_its_reason(changes, message):
    with pytest.raises(InputError, match=message):
        make(**changes)
