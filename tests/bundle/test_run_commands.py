"""Training, evaluation and inference as users start them, from anywhere."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from scripts.data.phantom import generate_cohort
from scripts.evaluation.calibration import Calibration
from scripts.io.digest import file_sha256
from scripts.report.results import append_rows, read_rows
from tests.bundle.commands import BUNDLE, Ended, WarmCommands
from tests.bundle.conftest import TINY_NETWORK

EVALUATION = "['configs/train.yaml','configs/evaluate.yaml']"
TRAINED = {"model.pt", "calibration.json", "history.csv", "training.png", "resume.pt", "split.json"}
EVALUATED = {"slices.csv", "metrics.csv", "metrics.json", "detection.png"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_training_leaves_weights_thresholds_and_its_history(tiny_run: tuple[Path, Ended]) -> None:
    folder = tiny_run[0]
    assert names(folder) >= TRAINED
    weights = torch.load(folder / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
    calibration = Calibration.from_json(json.loads((folder / "calibration.json").read_text()))
    assert calibration.weights_sha256 == file_sha256(folder / "model.pt")


def test_training_does_not_go_on_with_other_lesions(
    commands: WarmCommands, tiny_run: tuple[Path, Ended], tiny_options: tuple[str, ...]
) -> None:
    before = (tiny_run[0] / "resume.pt").read_bytes()
    options = ("--config_file", "configs/train.yaml", *tiny_options, f"--output_dir={tiny_run[0]}")
    ended = commands.run("run", "training", *options, "--lesion_share=0.5")
    assert ended.code == 2
    assert "'lesion_share': 0.5" in ended.error
    assert (tiny_run[0] / "resume.pt").read_bytes() == before


def test_evaluation_writes_what_it_says(evaluated: tuple[Path, Ended]) -> None:
    folder, ended = evaluated
    assert names(folder) == EVALUATED
    assert "position  (no model)" in ended.out
    rows = json.loads((folder / "metrics.json").read_text())
    assert {row["configuration"] for row in rows} == {"tiny", "trivial", "pca"}
    model = next(row for row in rows if row["score"] == "lesion, peak, 6 mm")
    assert 0 <= model["auroc_balanced"] <= 1
    assert model["epochs"] == 1
    assert len(pd.read_csv(folder / "metrics.csv")) == len(rows)
    slices = pd.read_csv(folder / "slices.csv")
    assert len(slices) >= model["slices_normal"] + model["slices_abnormal"]
    assert slices["patient"].nunique() == model["patients_test"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--seed=1", "expected a run trained with seed 1, found one with 0; give --seed 0"),
        (
            "--drop_rate=0.5",
            "expected a run trained with drop_rate 0.5, found one with 0.1; give",
        ),
    ],
)
def test_evaluation_refuses_to_call_the_weights_of_one_setting_those_of_another(
    commands: WarmCommands,
    tiny_run: tuple[Path, Ended],
    tiny_options: tuple[str, ...],
    given: str,
    words: str,
) -> None:
    options = ["--config_file", EVALUATION, *tiny_options, f"--output_dir={tiny_run[0]}", given]
    ended = commands.run("run", "evaluating", *options)
    assert ended.code == 2
    assert words in ended.error


def test_evaluation_on_another_set_leaves_out_patients_that_were_trained_on(
    commands: WarmCommands, evaluated: tuple[Path, Ended], tiny_options: tuple[str, ...], tiny_cohort: Path
) -> None:
    """On the set itself they are the patients of its test side: every figure is that of the evaluation."""
    folder = evaluated[0]
    configs = "['configs/train.yaml','configs/evaluate.yaml','configs/transfer.yaml']"
    options = ["--config_file", configs, *tiny_options, f"--output_dir={folder.parent}"]
    other = [
        f"--test_dir={tiny_cohort}",
        "--bootstrap_samples=20",
        "--configuration=tiny",
        "--test_name=other",
    ]
    commands.run("run", "evaluating", *options, *other, "--configuration=tiny").check()
    rows = json.loads((folder.parent / "evaluation_other" / "metrics.json").read_text())
    expected = json.loads((folder / "metrics.json").read_text())
    assert {row["dataset"] for row in rows} == {f"other from {tiny_cohort.name}"}
    assert [row | {"dataset": None} for row in rows] == [row | {"dataset": None} for row in expected]


def test_evaluation_looks_at_the_training_of_the_weights_that_are_given(
    commands: WarmCommands, tiny_run: tuple[Path, Ended], tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    shutil.copy(tiny_run[0] / "model.pt", tmp_path)
    state = torch.load(tiny_run[0] / "resume.pt", weights_only=True)
    torch.save(state | {"fingerprint": state["fingerprint"] | {"seed": 5}}, tmp_path / "resume.pt")
    options = ["--config_file", EVALUATION, *tiny_options, f"--output_dir={tiny_run[0]}"]
    ended = commands.run("run", "evaluating", *options, f"--weights={tmp_path / 'model.pt'}")
    assert ended.code == 2
    assert f"{tmp_path}: expected a run trained with seed 0, found one with 5" in ended.error


def test_scores_that_an_evaluation_no_longer_has_leave_the_results_file(
    commands: WarmCommands, evaluated: tuple[Path, Ended], tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    measured = json.loads((evaluated[0] / "metrics.json").read_text())
    results, other_seed = tmp_path / "detection.csv", {"seed": 1, "split_seed": 1}
    append_rows(results, [measured[0] | {"score": "renamed"}, measured[0] | other_seed])
    options = ["--config_file", EVALUATION, *tiny_options, f"--output_dir={evaluated[0].parent}"]
    options += ["--bootstrap_samples=20", "--configuration=tiny", f"--results_file={results}"]
    commands.run("run", "evaluating", *options).check()
    found = [(row["seed"], row["score"]) for row in read_rows(results)]
    expected = [("" if row["seed"] is None else str(row["seed"]), row["score"]) for row in measured]
    assert found == [("1", measured[0]["score"]), *expected]


def test_evaluation_without_lesions_gives_no_figures_but_reasons(
    commands: WarmCommands, tiny_run: tuple[Path, Ended], tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    cohort = tmp_path / "healthy"
    generate_cohort(
        cohort, 6, tumour_fraction=0, modalities=["t1ce"], resolution_mm=4, slice_mm=8, progress=False
    )
    options = [
        "--config_file",
        EVALUATION,
        *tiny_options,
        f"--dataset_dir={cohort}",
        "--bootstrap_samples=20",
    ]
    weights = tmp_path / "weights"  # alone, as the bundle's own: of unknown patients
    weights.mkdir()
    (weights / "model.pt").write_bytes((tiny_run[0] / "model.pt").read_bytes())
    options += [f"--model_dir={weights}", f"--output_dir={tmp_path / 'out'}", f"--cache_dir={tmp_path}"]
    options += ["--bootstrap_samples=20"]
    ended = commands.run("run", "evaluating", *options)
    assert ended.code == 2
    assert "Expected the split that the weights were trained with" in ended.error
    ended = commands.run("run", "evaluating", *options, "--split#make=true").check()
    assert "does not tell whose scans it was trained on" in ended.error + ended.out
    assert "Not defined: auroc_balanced" in ended.out
    rows = json.loads((tmp_path / "out" / "evaluation" / "metrics.json").read_text())
    for row in rows:
        assert row["auroc_balanced"] is None
        assert row["ap_balanced"] is None
        assert row["slices_abnormal"] == 0
        assert "abnormal" in str(row["undefined"])


def test_inference_uses_what_training_left(
    commands: WarmCommands, tiny_run: tuple[Path, Ended], tiny_cohort: Path, tmp_path: Path
) -> None:
    # The zoo's plain `run`, from the repository root, on one file, with relative paths.
    scan = tiny_cohort / "Phantom_002" / "Phantom_002_t1ce.nii.gz"
    ended = commands.run(
        "run",
        "--config_file",
        "bundle/configs/inference.json",
        f"--model_dir={os.path.relpath(tiny_run[0], BUNDLE.parent)}",
        f"--dataset_dir={os.path.relpath(scan, BUNDLE.parent)}",
        f"--output_dir={os.path.relpath(tmp_path / 'maps', BUNDLE.parent)}",
        *TINY_NETWORK,
        cwd=BUNDLE.parent,
    ).check()
    assert "1 scans, 0 failed" in ended.out
    folder = tmp_path / "maps" / "Phantom_002"
    result = json.loads((folder / "Phantom_002_result.json").read_text())
    assert result["status"] == "ok"
    assert result["weights_sha256"] == file_sha256(tiny_run[0] / "model.pt")
    assert result["calibration"]["source"].startswith("lesion-free validation slices")
    assert (folder / "Phantom_002_mask.nii.gz").exists()


@pytest.mark.slow
def test_plain_run_trains_from_another_folder_by_absolute_path(
    commands: WarmCommands, tiny_run: tuple[Path, Ended], tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    # The same data and seed as the fixture's, which was tracked: neither place nor tracking changes a bit.
    options = ("--config_file", str(BUNDLE / "configs" / "train.yaml"), *tiny_options)
    commands.run("run", *options, f"--output_dir={tmp_path / 'run'}", cwd=tmp_path).check()
    assert names(tmp_path) == {"run"}
    assert names(tmp_path / "run") == TRAINED
    assert file_sha256(tmp_path / "run" / "model.pt") == file_sha256(tiny_run[0] / "model.pt")


def test_runs_where_the_package_is_not_installed_if_told_the_bundle_root(
    commands: WarmCommands, random_model: Path, tiny_cohort: Path, tmp_path: Path
) -> None:
    arguments = (
        "run",
        "inference",
        "--config_file",
        str(BUNDLE / "configs" / "inference.json"),
        f"--model_dir={random_model}",
        f"--dataset_dir={tiny_cohort / 'Phantom_001'}",
        f"--output_dir={tmp_path / 'maps'}",
        *TINY_NETWORK,
    )
    untold = commands.run(*arguments, cwd=tmp_path, installed=False)
    assert "No module named 'scripts'" in untold.err
    commands.run(*arguments, f"--bundle_root={BUNDLE}", cwd=tmp_path, installed=False).check()
    assert (tmp_path / "maps" / "Phantom_001" / "Phantom_001_anomaly.nii.gz").exists()
