"""Other networks that are trained: the same commands, splits and report as the default one."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest

from tests.bundle.commands import Ended, WarmCommands

pytestmark = pytest.mark.slow

BASELINES = {
    "bayesian_vae": ("--latent_size=16", "--encoder_attention=[4]", "--decoder_attention=[]"),
    "baseline_vae": ("--latent_size=16",),
    "baseline_autoencoder": ("--latent_size=16",),
    "baseline_aeu": ("--latent_size=16",),
    "baseline_denoising": ("--unet_channels=[8,8,8,8,8,8]",),
}
REPORT = "['configs/train.yaml','configs/report.yaml']"


def options_for(tiny_options: tuple[str, ...], folder: Path) -> list[str]:
    # What a baseline's own config sets is not to be set again.
    kept = [option for option in tiny_options if not option.startswith("--samples")]
    return [*kept, f"--output_dir={folder}"]


def configs_for(name: str, *more: str) -> str:
    """Return the config files of one of them: the Bayesian VAE's own, and what changes it."""
    names = ["train", *dict.fromkeys(("bayesian_vae", name)), *more]
    return str([f"configs/{one}.yaml" for one in names])


@pytest.fixture(scope="module")
def trained(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The output folder of a tiny training of each baseline, on one split."""
    root = tmp_path_factory.mktemp("baselines")
    for name, more in BASELINES.items():
        split = f"--split_file={root / 'split.json'}"
        options = (*options_for(tiny_options, root / name), split, *more)
        commands.run("run", "training", "--config_file", configs_for(name), *options).check()
    return {name: root / name for name in BASELINES}


def test_report_measures_all_of_them_with_their_own_networks(
    commands: WarmCommands,
    trained: dict[str, Path],
    tiny_run: tuple[Path, Ended],
    tiny_options: tuple[str, ...],
    tmp_path: Path,
) -> None:
    runs = {name: str(folder) for name, folder in trained.items()} | {"lesion": str(tiny_run[0])}
    split = f"--split_file={trained['baseline_vae'].parent / 'split.json'}"
    options = (
        f"--runs={json.dumps(runs)}".replace('"', "'"),
        split,
        "--bootstrap_samples=10",
        "--pictures=1",
    )
    ended = commands.run(
        "run", "report", "--config_file", REPORT, *options_for(tiny_options, tmp_path), *options
    ).check()
    assert "Traceback" not in ended.err
    tables = json.loads((tmp_path / "report" / "report.json").read_text())["tables"]
    measured = {row["run"]: row for row in tables["detection"] if row["score"] == "squared_error"}
    assert measured.keys() == runs.keys()
    scores = {name: row["auroc_balanced"] for name, row in measured.items()}
    assert len(set(scores.values())) == len(scores), scores
    # Fixed variances leave nothing to be uncertain about.
    for name in ("baseline_autoencoder", "baseline_aeu", "baseline_denoising"):
        epistemic = [row["epistemic"] for row in tables["slices"] if row["run"] == name]
        assert max(epistemic) < 1e-6, name
    assert {row["run"] for row in tables["attention"]} == {"bayesian_vae", "lesion"}


def test_mlflow_gets_the_losses_that_a_network_has(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    options = (*options_for(tiny_options, tmp_path / "run"), *BASELINES["bayesian_vae"], "--tracking=mlflow")
    commands.run("run", "training", "--config_file", configs_for("bayesian_vae"), *options).check()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'run' / 'mlruns.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    assert {"batch_loss", "batch_kl", "train_kl", "val_elbo", "beta"} <= run.data.metrics.keys()
    assert "batch_lesion_loss" not in run.data.metrics


@pytest.mark.parametrize("name", BASELINES)
def test_each_is_evaluated_by_the_ordinary_command(
    commands: WarmCommands, trained: dict[str, Path], tiny_options: tuple[str, ...], name: str
) -> None:
    configs = configs_for(name, "evaluate")
    split = f"--split_file={trained[name].parent / 'split.json'}"
    options = (*options_for(tiny_options, trained[name]), split, *BASELINES[name], f"--configuration={name}")
    commands.run("run", "evaluating", "--config_file", configs, *options, "--bootstrap_samples=10").check()
    rows = json.loads((trained[name] / "evaluation" / "metrics.json").read_text())
    assert name in {row["configuration"] for row in rows}
