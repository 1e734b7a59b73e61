from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from scripts import BUNDLE_ROOT
from scripts.engines.overrides import plain_settings, read_overrides
from scripts.errors import InputError

TRAINING = ("train.yaml", "bayesian_vae.yaml")


@pytest.fixture(scope="module", autouse=True)
def read_files_once() -> Iterator[None]:
    """Parse each YAML file once: it takes most of the time of these tests."""
    load = functools.cache(ConfigParser.load_config_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigParser, "load_config_file", lambda path, **_: copy.deepcopy(load(str(path))))
        yield


def workflow(*files: str, run_id: str = "run", tracking: str | None = None, **given: Any) -> ConfigWorkflow:
    """Return the workflow of config files with overrides, as MONAI's command makes it."""
    paths = [str(BUNDLE_ROOT / "configs" / name) for name in files]
    return ConfigWorkflow(paths, logging_file=False, run_id=run_id, tracking=tracking, **given)


def read(*files: str, run_id: str = "run", **given: Any) -> dict[str, Any]:
    """Return the config of ``files`` with overrides, after they were read."""
    made = workflow(*files, run_id=run_id, **given)
    read_overrides(*files, workflow=made)
    return made.parser.get()


@pytest.mark.case(64)
@pytest.mark.parametrize(
    ("key", "closest"),
    [
        ("epoch", "epochs"),
        ("datset_dir", "dataset_dir"),
        ("train#dataloader#batchsize", "train#dataloader#batch_size"),
        ("network_def#dropoutt", "network_def#dropout"),
        ("optimizer#wieght_decay", "optimizer#weight_decay"),
        ("validate#handlers#0#queris", "validate#handlers#0#queries"),
        ("split#frctions", "split#fractions"),
    ],
)
def test_key_that_nothing_reads_is_refused_with_the_closest(key: str, closest: str) -> None:
    with pytest.raises(InputError, match=f"got --{key}, which nothing reads; did you mean --{closest}\\?"):
        read(*TRAINING, **{key: 1})


def test_an_override_file_may_name_a_new_component_of_a_mapping() -> None:
    """The files named are those every run has; a further one brings its own metric."""
    made = workflow("train.yaml", "bayesian_vae.yaml", "evaluate.yaml")
    read_overrides("train.yaml", "evaluate.yaml", workflow=made)
    assert set(made.parser.get()["validate"]["key_metric"]) == {"val_elbo"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train#trainer#max_epochs", 3),
        ("train#dataloader#num_workers", 1),
        ("network_def#channels", [8, 8, 8, 8]),  # an argument that the config leaves alone
        ("optimizer#eps", 1e-6),  # of the library's class
        ("train#handlers#2#interval", 5),
        ("validate#evaluator#mode", "eval"),  # of a base class, behind **kwargs
    ],
)
def test_key_that_something_reads_is_kept(key: str, value: object) -> None:
    made = workflow(*TRAINING, **{key: value})
    read_overrides(*TRAINING, workflow=made)
    assert made.parser[key] == value


def test_key_of_another_file_is_refused_without_that_file() -> None:
    assert read(*TRAINING, "evaluate.yaml", bootstrap_samples=10)["bootstrap_samples"] == 10
    with pytest.raises(InputError, match="--bootstrap_samples"):
        read(*TRAINING, bootstrap_samples=10)


@pytest.mark.case(64)
@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("epochs", "many", "a whole number"),
        ("epochs", 1.5, "a whole number"),
        ("epochs", True, "a whole number"),
        ("epochs", [3], "a whole number"),
        ("learning_rate", "fast", "a number"),
        ("amp", "maybe", "true or false"),
        ("amp", 2, "true or false"),
        ("split_fractions", 0.5, "a list"),
        ("split_fractions", ["a", "b", "c"], "a list"),
        ("encoder_attention", 2, "a list"),
        ("modalities", 3, "a list"),
        ("train#dataloader#num_workers", "two", "a whole number"),
    ],
)
def test_value_of_another_type_is_refused(key: str, value: object, expected: str) -> None:
    with pytest.raises(InputError, match=f"Expected {expected}.* for --{key}, got "):
        read(*TRAINING, **{key: value})


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        ("amp", "true", True),
        ("amp", "False", False),
        ("amp", 1, True),
        ("key_grid", "null", None),
        ("patient_aliases", "none", None),
        ("epochs", 1e3, 1000),
        ("learning_rate", 1, 1),
        ("learning_rate", "$10 ** -3", "$10 ** -3"),
        ("epochs", "@beta_epochs", "@beta_epochs"),
        ("encoder_attention", (2,), [2]),
        ("modalities", "flair", "flair"),  # one word for a list of words
        ("layout", "none", "none"),  # a word where the config has a word
        ("dataset_dir", 2021, "2021"),  # a folder with a number for a name
    ],
)
def test_value_is_read_in_the_type_of_the_config(key: str, value: object, result: object) -> None:
    found = read(*TRAINING, **{key: value})[key]
    assert found == result
    assert type(found) is type(result)


def test_words_inside_nested_settings_are_read() -> None:
    found = read(*TRAINING, **{"train#trainer#amp": "false", "train#dataloader#drop_last": "false"})
    assert found["train"]["trainer"]["amp"] is False
    assert found["train"]["dataloader"]["drop_last"] is False


def test_none_that_monai_drops_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "--key_grid", "None", "--split-file=None"])
    found = read(*TRAINING)
    assert found["key_grid"] is None
    assert found["split_file"] is None


def test_name_to_run_must_exist() -> None:
    with pytest.raises(InputError, match="got 'trainnig'; did you mean training\\?"):
        read(*TRAINING, run_id="trainnig")


def test_keys_of_tracking_are_known_only_with_tracking(tmp_path: Path) -> None:
    made = workflow(*TRAINING, tracking="mlflow", run_name="first", output_dir=str(tmp_path))
    read_overrides(*TRAINING, workflow=made)
    with pytest.raises(InputError, match="--run_name"):
        read(*TRAINING, run_name="first")


def test_tracking_of_inference_is_no_wrong_value(tmp_path: Path) -> None:
    made = workflow("inference.json", tracking="mlflow", output_dir=str(tmp_path))
    read_overrides("inference.json", workflow=made)
    assert [one["_target_"] for one in made.parser["handlers"]] == ["MLFlowHandler"]


def test_plain_settings_are_all_values_that_nothing_computes(tmp_path: Path) -> None:
    given = {"output_dir": str(tmp_path), "tracking_uri": "http://name:secret@host"}
    settings = plain_settings(workflow(*TRAINING, tracking="mlflow", **given))
    assert settings["output_dir"] == str(tmp_path)
    assert settings["norm"] == ["group", {"num_groups": 8}]
    assert settings["epochs"] == 20
    assert not {"dataset_dir", "network_def", "run", "finalize", "tracking_uri", "run_name"} & settings.keys()
    several = plain_settings(workflow("train.yaml", "multi_gpu_train.yaml"))
    assert "rank" not in several  # a component there


def test_the_home_folder_is_meant_by_its_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = workflow("inference.json", output_dir="~/maps")
    read_overrides("inference.json", workflow=made)
    assert made.parser["output_dir"] == str(tmp_path / "maps")


def test_outside_a_workflow_nothing_happens() -> None:
    read_overrides(*TRAINING)
    assert plain_settings() == {}
