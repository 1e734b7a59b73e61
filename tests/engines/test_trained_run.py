from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from scripts.engines.trained_run import load_runs
from scripts.errors import InputError, ModelError
from scripts.evaluation.calibration import calibrate
from scripts.io.digest import file_sha256
from scripts.networks.denoising_unet import DenoisingUNet
from scripts.uncertainty.unet_mapper import UNetMapper
from tests.small_networks import small_mapper, small_vae
from tests.split_files import write_split

INPUTS = {"modalities": ["t1ce"], "field_of_view": 240.0}


def make_run(folder: Path, heads: int = 2, resume: bool = True, seen: tuple[str, ...] = ("p1",)) -> Path:
    folder.mkdir()
    network = small_vae(heads=heads)
    torch.save(network.state_dict(), folder / "model.pt")
    settings = {**network.arguments, **INPUTS, "seed": 7, "split": write_split(folder, seen)}
    if resume:
        torch.save({"fingerprint": settings}, folder / "resume.pt")
    return folder


@pytest.fixture
def test_split(tmp_path: Path) -> Path:
    """Return the split whose test patient, p9, is measured."""
    (tmp_path / "test").mkdir()
    write_split(tmp_path / "test", test=("p9",))
    return tmp_path / "test" / "split.json"


@pytest.fixture
def load(test_split: Path):
    arguments = {"like": small_mapper(samples=3), "alpha": 0.5, "inputs": INPUTS, "test_patients": ["p9"]}
    arguments["split_file"] = str(test_split)
    return lambda folders, **options: load_runs(folders, **arguments | options)


def test_each_run_has_the_network_its_folder_describes(tmp_path, load) -> None:
    folders = [make_run(tmp_path / "two"), make_run(tmp_path / "four", heads=4)]
    two, four = load([str(folder) for folder in folders])
    assert (two.name, four.name) == ("two", "four")
    assert (two.mapper.arguments["heads"], four.mapper.arguments["heads"]) == (2, 4)
    assert (two.seed, len(two.mapper.latent_draws)) == (7, 3)
    assert two.calibration is None
    assert two.no_calibration == "no calibration file calibration.json beside the weights"
    named = load({"small": str(folders[0]), "large": str(folders[1])})
    assert [run.name for run in named] == ["small", "large"]


@pytest.mark.parametrize("ablated", [{}, {"use_epistemic": False}, {"use_aleatoric": False}])
def test_a_run_is_measured_as_it_was_calibrated_unless_told_otherwise(tmp_path, ablated, load) -> None:
    folder = make_run(tmp_path / "run")
    own = small_mapper(samples=2, score="nll", seed=5, **ablated)
    calibration = calibrate(
        [0.0, 1.0],
        [0.1, 0.9],
        ["a", "b"],
        [[0.0, 1.0]],
        weights_sha256=file_sha256(folder / "model.pt"),
        alpha=0.25,
        **INPUTS,
        **own.settings(),
        source="made up",
    )
    (folder / "calibration.json").write_text(json.dumps(calibration.to_json()))
    (run,) = load([str(folder)])
    assert run.mapper.settings() == own.settings()
    assert (run.mapper.epistemic_weight, run.mapper.aleatoric_weight) == (
        own.epistemic_weight,
        own.aleatoric_weight,
    )
    assert (run.alpha, run.score_name, run.no_calibration) == (0.25, "nll, alpha 0.25", "")
    assert run.calibration == calibration
    (run,) = load([str(folder)], as_calibrated=False)
    assert run.mapper.settings() == small_mapper(samples=3).settings()
    assert run.calibration is None
    assert (
        f"calibrated for score {own.settings()['score']} (given uncertainty_weighted)" in run.no_calibration
    )
    for damaged in ("{", "[]"):
        (folder / "calibration.json").write_text(damaged)
        with pytest.raises(InputError, match="expected a calibration, found something else"):
            load([str(folder)])


def test_a_unet_is_told_by_its_settings(tmp_path, load) -> None:
    folder = make_run(tmp_path / "run")
    network = DenoisingUNet(image_size=32, unet_channels=(8,) * 6)
    torch.save(network.state_dict(), folder / "model.pt")
    torch.save({"fingerprint": {**network.arguments, **INPUTS}}, folder / "resume.pt")
    (run,) = load([str(folder)])
    assert isinstance(run.mapper, UNetMapper)
    assert run.mapper.arguments == network.arguments


def test_weights_alone_take_the_network_of_the_config(tmp_path, load) -> None:
    (run,) = load([str(make_run(tmp_path / "plain", resume=False))])
    assert run.seed is None
    with pytest.raises(ModelError, match="do not fit the network of the config"):
        load([str(make_run(tmp_path / "other", heads=4, resume=False))])


def test_test_patients_that_were_seen_in_training_are_refused(tmp_path, load) -> None:
    with pytest.raises(
        InputError, match="no test patient among those .* found 1, p9 first; give .*--split_file"
    ):
        load([str(make_run(tmp_path / "leak", seen=("p1", "p9")))])


def test_a_test_volume_that_was_seen_under_another_name_is_refused(tmp_path, load, test_split) -> None:
    folder = make_run(tmp_path / "leak", seen=("alias",))
    test_split.write_text(test_split.read_text().replace("voxels of p9", "voxels of alias"))
    with pytest.raises(InputError, match="no test patient among those .* found 1, p9 first"):
        load([str(folder)])
    assert load([str(folder)], test_patients=["p8"])[0].patients_known


def test_it_is_said_whether_a_run_can_be_known_not_to_have_seen_them(tmp_path, load, test_split) -> None:
    folder = make_run(tmp_path / "run")
    assert load([str(folder)])[0].patients_known
    (folder / "split.json").unlink()
    assert not load([str(folder)])[0].patients_known
    write_split(folder, ("p2",))  # drawn later
    assert not load([str(folder)])[0].patients_known
    state = torch.load(folder / "resume.pt", weights_only=True)
    state["fingerprint"]["split"] = file_sha256(test_split)  # trained on the very split, kept elsewhere
    torch.save(state, folder / "resume.pt")
    assert load([str(folder)])[0].patients_known


def test_patients_behind_the_weights_a_run_started_from_count_as_seen(tmp_path, load) -> None:
    folder = make_run(tmp_path / "run")
    state = torch.load(folder / "resume.pt", weights_only=True)
    state["fingerprint"]["initial_weights"] = {"sha256": "0", "patients": ["p8", "p9"], "volumes": []}
    torch.save(state, folder / "resume.pt")
    assert load([str(folder)], test_patients=["p7"])[0].patients_known
    with pytest.raises(InputError, match="no test patient among those .* found 1, p9 first"):
        load([str(folder)])
    state["fingerprint"]["initial_weights"]["patients"] = None
    torch.save(state, folder / "resume.pt")
    assert not load([str(folder)])[0].patients_known


def test_other_data_settings_and_names_are_refused(tmp_path, load) -> None:
    folder = str(make_run(tmp_path / "run"))
    with pytest.raises(InputError, match=r"trained with modalities \['flair'\], found one with \['t1ce'\]"):
        load([folder], inputs={"modalities": ["flair"]})
    with pytest.raises(InputError, match="folders of trained runs with different names"):
        load([folder, folder])
    with pytest.raises(InputError, match="folders of trained runs"):
        load([])
