"""The ablation as a user types it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from mlflow import MlflowClient
from monai.utils import path_to_sqlite_uri

from scripts.data.phantom import generate_cohort
from tests.bundle.commands import WarmCommands

ABLATION = ("run", "ablation", "--config_file", "['configs/train.yaml','configs/ablation.yaml']")
SIDES = "--split_fractions=[0.125,0.125,0.75]"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def without(options: tuple[str, ...], *names: str) -> list[str]:
    return [option for option in options if not option.startswith(names)]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--only=[no_mirrors]", "Expected variants out of full, no_mirror, no_attention"),
        ("--variants#no_mirror#mirrors=false", "did you mean --variants#no_mirror#mirror?"),
    ],
)
def test_a_misspelt_variant_is_an_error(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path, option: str, message: str
) -> None:
    ended = commands.run(*ABLATION, *tiny_options, f"--output_dir={tmp_path}", option)
    assert ended.code == 2
    assert message in ended.error


@pytest.mark.slow
def test_modalities_in_the_data_are_variants_and_units_are_nested_runs(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    cohort = tmp_path / "cohort"
    coarse = {"resolution_mm": 4, "slice_mm": 8, "progress": False}
    # A tumour in everyone: an interval needs five patients with abnormal slices, of the six of the test.
    generate_cohort(cohort, subjects=8, tumour_fraction=1, modalities=["t1ce", "flair"], **coarse)
    options = (
        *without(tiny_options, "--dataset_dir", "--split_fractions"),
        SIDES,
        f"--dataset_dir={cohort}",
        f"--output_dir={tmp_path / 'run'}",
        f"--results_dir={tmp_path / 'results'}",
        "--bootstrap_samples=20",
        "--seeds=[0]",
        "--only=[modality_flair,modality_t1ce_flair,pooling_mean]",
    )
    commands.run(*ABLATION, *options).check()
    rows = rows_of(tmp_path / "results" / "ablation.csv")
    assert {row["variant"]: row["modality"] for row in rows} == {
        "full": "t1ce",
        "pooling_mean": "t1ce",
        "modality_flair": "flair",
        "modality_t1ce_flair": "t1ce+flair",
    }
    differences = {row["variant"]: row for row in rows_of(tmp_path / "results" / "ablation_differences.csv")}
    for name in ("modality_flair", "modality_t1ce_flair", "pooling_mean"):
        row = differences[name]
        assert (row["modality"], row["undefined"], row["patients_test"]) == ("t1ce", "", "6")
        assert float(row["auroc_matched_difference_low"]) <= float(row["auroc_matched_difference_high"])
    client = MlflowClient(path_to_sqlite_uri(tmp_path / "run" / "mlruns.db"))
    experiment = client.get_experiment_by_name("brain_mri_anomaly")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (run.info for run in runs if "mlflow.parentRunId" not in run.data.tags)
    nested = {run.info.run_name: run.data for run in runs if run.info.run_id != parent.run_id}
    assert parent.run_name == "ablation"
    assert all(run.info.status == "FINISHED" for run in runs)
    assert nested.keys() == {f"{row['variant']}-0" for row in rows}
    for row in rows:
        data = nested[f"{row['variant']}-0"]
        assert data.tags["mlflow.parentRunId"] == parent.run_id
        assert data.params["variant"] == row["variant"]
        assert data.metrics["auroc_matched"] == pytest.approx(float(row["auroc_matched"]), rel=1e-5)


@pytest.mark.slow
def test_another_network_is_ablated_by_the_same_command(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    """With a variant in a file of one's own, which nothing but the config knows."""
    network = tmp_path / "noise.yaml"
    network.write_text(
        f"config_files: [train.yaml, bayesian_vae.yaml, baseline_denoising.yaml, ablation.yaml, {network}]\n"
        "variants: {full: {}, less_noise: {noise_deviation: 0.05}}\n"
        "paper_auroc: {}\n"
    )
    configs = [f"configs/{name}.yaml" for name in ("train", "bayesian_vae", "baseline_denoising", "ablation")]
    options = (
        *without(tiny_options, "--samples", "--split_fractions"),
        SIDES,
        f"--output_dir={tmp_path / 'run'}",
        "--unet_channels=[8,8,8,8,8,8]",
        "--bootstrap_samples=20",
        "--seeds=[0,1]",
        "--configuration=denoising_unet",
    )
    commands.run("run", "ablation", "--config_file", str([*configs, str(network)]), *options).check()
    rows = rows_of(tmp_path / "run" / "ablation_differences.csv")
    assert [(row["variant"], row["configuration"], row["score"], row["paper_auroc"]) for row in rows] == [
        ("full", "denoising_unet", "squared_error", ""),
        ("less_noise", "denoising_unet", "squared_error", ""),
    ]
    assert float(rows[1]["auroc_balanced_difference"]) != 0


@pytest.mark.slow
def test_monais_own_tracking_is_refused(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    ended = commands.run(*ABLATION, *tiny_options, f"--output_dir={tmp_path}", "--tracking", "mlflow")
    assert ended.code == 2
    assert "Expected no --tracking" in ended.error
