"""Other networks that are trained: the same commands, splits and report as the Bayesian VAE."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest

from tests.bundle.commands import Ended, WarmCommands

pytestmark = pytest.mark.slow

BASELINES = {
    "baseline_vae": (),
    "baseline_autoencoder": (),
    "baseline_aeu": (),
    "baseline_denoising": ("--unet_channels=[8,8,8,8,8,8]",),
    "lesion": ("--widths=[8,8]", "--attention_heads=2"),
}
REPORT = "['configs/train.yaml','configs/report.yaml']"
# What a baseline's own config sets is not to be set again.
OWN = ("--samples", "--encoder_attention", "--decoder_attention")


def options_for(tiny_options: tuple[str, ...], folder: Path) -> list[str]:
    kept = [option for option in tiny_options if not option.startswith(OWN)]
    return [*kept, f"--output_dir={folder}"]


@pytest.fixture(scope="module")
def trained(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The output folder of a tiny training of each baseline, on one split."""
    root = tmp_path_factory.mktemp("baselines")
    for name, more in BASELINES.items():
        configs = f"['configs/train.yaml','configs/{name}.yaml']"
        split = f"--split_file={root / 'split.json'}"
        options = (*options_for(tiny_options, root / name), split, *more)
        commands.run("run", "training", "--config_file", configs, *options).check()
    return {name: root / name for name in BASELINES}


def test_report_measures_all_of_them_with_their_own_networks(
    commands: WarmCommands,
    trained: dict[str, Path],
    tiny_run: tuple[Path, Ended],
    tiny_options: tuple[str, ...],
    tmp_path: Path,
) -> None:
    runs = {name: str(folder) for name, folder in trained.items()} | {"bayesian": str(tiny_run[0])}
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
    assert {row["run"] for row in tables["attention"]} == {"bayesian", "lesion"}


def test_a_training_does_not_go_on_with_other_lesions(
    commands: WarmCommands, trained: dict[str, Path], tiny_options: tuple[str, ...]
) -> None:
    configs = "['configs/train.yaml','configs/lesion.yaml']"
    split = f"--split_file={trained['lesion'].parent / 'split.json'}"
    options = (*options_for(tiny_options, trained["lesion"]), split, *BASELINES["lesion"])
    before = (trained["lesion"] / "resume.pt").read_bytes()
    ended = commands.run("run", "training", "--config_file", configs, *options, "--lesion_share=0.5")
    assert ended.code == 2
    assert "'share': 0.5" in ended.error
    assert (trained["lesion"] / "resume.pt").read_bytes() == before
    commands.run("run", "training", "--config_file", configs, *options).check()


def test_mlflow_gets_the_losses_that_a_network_has(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    configs = "['configs/train.yaml','configs/lesion.yaml']"
    options = (*options_for(tiny_options, tmp_path / "run"), *BASELINES["lesion"], "--tracking=mlflow")
    commands.run("run", "training", "--config_file", configs, *options).check()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'run' / 'mlruns.db'}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    assert {"batch_loss", "batch_lesion_loss", "batch_reconstruction_loss"} <= run.data.metrics.keys()
    assert "batch_kl" not in run.data.metrics


@pytest.mark.parametrize("name", BASELINES)
def test_each_is_evaluated_by_the_ordinary_command(
    commands: WarmCommands, trained: dict[str, Path], tiny_options: tuple[str, ...], name: str
) -> None:
    configs = f"['configs/train.yaml','configs/{name}.yaml','configs/evaluate.yaml']"
    split = f"--split_file={trained[name].parent / 'split.json'}"
    options = (*options_for(tiny_options, trained[name]), split, *BASELINES[name], f"--configuration={name}")
    commands.run("run", "evaluating", "--config_file", configs, *options, "--bootstrap_samples=10").check()
    rows = json.loads((trained[name] / "evaluation" / "metrics.json").read_text())
    assert name in {row["configuration"] for row in rows}
