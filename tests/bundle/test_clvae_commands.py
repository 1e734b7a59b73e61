"""The CL-VAE's commands as a user types them, on scikit-learn's digits and on files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.bundle.commands import BUNDLE, Ended, WarmCommands

TRAINING = ("--config_file", "configs/clvae/train.yaml")
EVALUATION = ("--config_file", "['configs/clvae/train.yaml','configs/clvae/evaluate.yaml']")
BENCHMARK = ("--config_file", "['configs/clvae/train.yaml','configs/clvae/benchmark.yaml']")
INFERENCE = ("--config_file", "configs/clvae/inference.json")


@pytest.fixture(scope="module")
def trained(commands: WarmCommands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("clvae") / "ensemble"
    options = ("--dataset=digits", "--epochs=2", "--members=2", f"--output_dir={folder}")
    return folder, commands.run("run", "training", *TRAINING, *options).check()


def test_training_leaves_members_metrics_and_pictures(trained: tuple[Path, Ended]) -> None:
    folder, ended = trained
    assert {path.name for path in folder.glob("member_*")} == {
        f"member_0{seed}.{suffix}" for seed in (0, 1) for suffix in ("pt", "csv")
    }
    assert {path.name for path in (folder / "evaluation").iterdir()} == {
        "metrics.json",
        "latent.png",
        "scores.png",
    }
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text())
    assert metrics["members"] == 2
    assert metrics["normal"] == metrics["anomalous"] == 178
    for name, value in metrics["auroc"].items():
        assert f"{name:22} {value:7.3f}" in ended.out


def test_members_that_are_done_are_kept_and_further_ones_added(
    commands: WarmCommands, trained: tuple[Path, Ended], tmp_path: Path
) -> None:
    folder = trained[0]
    before = (folder / "member_00.pt").stat().st_mtime_ns
    options = ("--epochs=2", "--members=3", f"--output_dir={folder}", f"--evaluation_dir={tmp_path}")
    commands.run("run", "training", *TRAINING, *options).check()
    assert (folder / "member_00.pt").stat().st_mtime_ns == before
    assert (folder / "member_02.pt").exists()
    (folder / "member_02.pt").unlink()


def test_another_setting_does_not_continue_an_ensemble(
    commands: WarmCommands, trained: tuple[Path, Ended], tmp_path: Path
) -> None:
    images, labels = load_digits().images.astype(np.uint8), load_digits().target
    arrays = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    np.savez(tmp_path / "other.npz", **arrays)
    other_set = ("--epochs=2", "--dataset=other", f"--data_file={tmp_path / 'other.npz'}")
    for options in (("--epochs=3",), ("--epochs=2", "--split_seed=1"), other_set):
        ended = commands.run("run", "training", *TRAINING, *options, f"--output_dir={trained[0]}")
        assert ended.code == 2, options
        assert "give another --output_dir" in ended.error


def test_evaluation_with_another_merge(
    commands: WarmCommands, trained: tuple[Path, Ended], tmp_path: Path
) -> None:
    options = (f"--output_dir={trained[0]}", f"--evaluation_dir={tmp_path}", "--merge=scores")
    commands.run("run", "evaluating", *EVALUATION, *options).check()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    first = json.loads((trained[0] / "evaluation" / "metrics.json").read_text())
    assert (first["merge"], metrics["merge"]) == ("classes", "scores")
    assert metrics["auroc"]["latent_divergence"] != first["auroc"]["latent_divergence"]
    assert metrics["auroc"]["reconstruction_error"] == first["auroc"]["reconstruction_error"]
    wrong = commands.run("run", "evaluating", *EVALUATION, *options, "--anomaly=class:1")
    assert wrong.code == 2
    assert "expected an ensemble trained for digits, class 1, found one for digits, class 0" in wrong.error
    parted = commands.run("run", "evaluating", *EVALUATION, *options, "--split_seed=1")
    assert parted.code == 2
    assert "expected an ensemble trained on the training images of digits, class 0" in parted.error


def test_own_images_are_scored_from_a_folder_and_from_a_file_alike(
    commands: WarmCommands, trained: tuple[Path, Ended], tmp_path: Path
) -> None:
    pixels = (load_digits().images[:12] * 15.9375).astype(np.uint8)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"digit_{number:02d}.png")
    np.savez(tmp_path / "images.npz", images=pixels)
    tables = []
    for given in (folder, tmp_path / "images.npz"):
        options = (
            f"--model_dir={trained[0]}",
            f"--images={given}",
            f"--output_file={tmp_path / 'scores.csv'}",
        )
        commands.run("run", "inference", *INFERENCE, *options).check()
        tables.append(pd.read_csv(tmp_path / "scores.csv"))
    assert tables[0]["anomaly_score"].is_monotonic_decreasing
    assert set(tables[0]["image"]) == {f"digit_{number:02d}.png" for number in range(12)}
    numbers = [column for column in tables[0] if column != "image"]
    pd.testing.assert_frame_equal(tables[0][numbers], tables[1][numbers])
    confidences = tables[0][[f"confidence_{label}" for label in range(1, 10)]]
    assert confidences.to_numpy().min() >= 0
    assert confidences.to_numpy().max() <= 1


@pytest.mark.parametrize(
    "kind",
    ["--prior=learned", "--prior=standard", "--stack=[[8,1],[8,2]]", "--latent_size=12", "--anomaly=blur:2"],
)
def test_every_kind_of_network_and_anomaly_trains_an_epoch(
    commands: WarmCommands, tmp_path: Path, kind: str
) -> None:
    ended = commands.run("run", "training", *TRAINING, "--epochs=1", f"--output_dir={tmp_path}", kind)
    assert "combined" in ended.check().out


def test_the_benchmark_runs_every_entry_on_the_digits(commands: WarmCommands, tmp_path: Path) -> None:
    options = ("--epochs=1", "--members=1", "--models=null", "--latent_sizes=[2]", f"--output_dir={tmp_path}")
    commands.run("run", "benchmark", *BENCHMARK, *options, "--anomalies=['class:0']").check()
    with (tmp_path / "clvae.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["model"], row["configuration"]) for row in rows} == {
        ("clvae", "published"),
        ("clvae", "matched"),
        ("clvae", "wide"),
        ("clvae", "style"),
        ("clvae", "learned"),
        ("clvae", "latent_2"),
        ("vae", "published"),
        ("vae", "matched"),
        ("cnn", "published"),
        ("cnn_features", "wide"),
        ("pca", "published"),
        ("one_class_svm", "default"),
        ("isolation_forest", "default"),
        ("deep_svdd", "default"),
    }
    assert all(0 <= float(row["auroc"]) <= 1 for row in rows)
    assert (tmp_path / "mlruns.db").exists()


def test_a_misspelt_key_names_the_closest(commands: WarmCommands) -> None:
    ended = commands.run("run", "training", *TRAINING, "--member=3")
    assert ended.code == 2
    assert "did you mean --members?" in ended.error


@pytest.mark.parametrize("place", ["bundle/configs/clvae/train.yaml", None])
def test_training_runs_from_the_repository_and_by_absolute_path(
    commands: WarmCommands, tmp_path: Path, place: str | None
) -> None:
    config = place or str(BUNDLE / "configs" / "clvae" / "train.yaml")
    options = ("--epochs=1", f"--output_dir={tmp_path / 'ensemble'}")
    cwd = tmp_path if place is None else BUNDLE.parent
    commands.run("run", "training", "--config_file", config, *options, cwd=cwd).check()
    assert (tmp_path / "ensemble" / "member_00.pt").exists()
