"""The scope gate on the whole route: who is mapped, who is not, and what is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose

from scripts import BUNDLE_ROOT
from scripts.data.datalist import find_scans
from scripts.data.preprocessing import NormalizeForegroundd, ResampleInPlaned
from scripts.data.slices import ExtractSlicesd, SliceCache
from scripts.engines.scope_gate import ScopeGate, find_scope, measure_scan
from scripts.engines.scoping import measure_scope
from scripts.errors import InputError, ScopeError
from scripts.evaluation.scope import ScopeStatistics, fit_scope
from scripts.io.atomic import write_json
from scripts.io.digest import file_sha256
from tests import people
from tests.heads import save_scan
from tests.inference_route import NETWORK, Inferred, infer, make_mapper, make_model
from tests.properties.conftest import lean_writer

__all__ = ["lean_writer"]

TRAINED_ON = range(16)
ODD = {
    "26-stripped": people.person(30, stripped=True),
    "29-inverted": people.inverted(31),
    "30-tomography": people.computed_tomography(32),
    "30-bottle": people.bottle(33),
    "30-knee": people.knee(34),
}
LIKE = {
    "29-other-person": people.person(40),
    "30-another": people.person(41),
    "34-large-tumour": people.person(42, tumour_mm=32),
    "09-scaled": people.person(43) * np.float32(0.001) - np.float32(2),
}


def slices_of(folder: Path) -> SliceCache:
    config = ConfigParser()
    config.read_config(str(BUNDLE_ROOT / "configs" / "train.yaml"))
    transform = config.get_parsed_content("train#preprocessing")
    return SliceCache(find_scans(folder, "t1ce"), transform, None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random network, and the statistics of sixteen people."""
    folder = make_model(tmp_path_factory.mktemp("scope") / "model")
    cohort = folder.parent / "cohort"
    for seed in TRAINED_ON:
        save_scan(cohort / f"p{seed:02d}.nii.gz", people.person(seed), people.AFFINE)
    measure(folder, cohort)
    return folder


def measure(model: Path, cohort: Path) -> ScopeStatistics | None:
    weights, statistics = str(model / "model.pt"), str(model / "scope.json")
    return measure_scope(make_mapper(), weights, slices_of(cohort), statistics, "made-up people", 240.0)


def map_one(folder: Path, model: Path, name: str, values: np.ndarray, **options: object) -> Inferred:
    save_scan(folder / "scans" / f"{name}.nii.gz", values, people.AFFINE)
    return infer(folder / "scans", folder / "maps", model, **options)


def result(folder: Path, case: str) -> dict:
    return json.loads((folder / "maps" / case / f"{case}_result.json").read_text())


@pytest.mark.parametrize("name", LIKE)
def test_scans_of_the_training_kind_are_mapped(tmp_path: Path, model: Path, name: str) -> None:
    run = map_one(tmp_path, model, name, LIKE[name])
    (finding,) = (one for one in run.results[name].findings if one["check"] == "scope")
    assert finding["level"] == "note"
    assert finding["numbers"]["p"] >= 0.01
    assert "the 16 training scans (made-up people)" in finding["finding"]


@pytest.mark.parametrize("name", ODD)
def test_others_are_refused_with_the_number_that_says_why(tmp_path: Path, model: Path, name: str) -> None:
    with pytest.raises(
        ScopeError, match=f"{name}: expected a scan like .* out of scope, p = .*--scope warn"
    ) as error:
        map_one(tmp_path, model, name, ODD[name])
    assert error.value.exit_code == 3
    found = result(tmp_path, name)
    assert (found["status"], found["exit_code"]) == ("failed", 3)
    (finding,) = (one for one in found["findings"] if one["check"] == "scope")
    assert finding["level"] == "refusal"
    assert finding["numbers"]["p"] < 0.01
    first = finding["numbers"]["furthest"][0]
    assert abs(first["value"] - first["mean"]) > 2 * first["deviation"]
    assert f"{first['name']} {first['value']:.3g}" in found["reason"]
    assert not list((tmp_path / "maps" / name).glob("*.nii.gz"))


def test_warn_maps_and_marks(tmp_path: Path, model: Path) -> None:
    run = map_one(tmp_path, model, "30-knee", ODD["30-knee"], scope="warn")
    (finding,) = (one for one in run.results["30-knee"].findings if one["check"] == "scope")
    assert finding["level"] == "warning"
    assert "out of scope, p = " in finding["finding"]
    assert run.values("30-knee").any()


def test_off_does_not_look(tmp_path: Path, model: Path) -> None:
    run = map_one(tmp_path, model, "30-knee", ODD["30-knee"], scope="off")
    assert "scope" not in [one["check"] for one in run.results["30-knee"].findings]


def test_what_was_mapped_unseen_is_not_taken_for_examined(tmp_path: Path, model: Path) -> None:
    map_one(tmp_path, model, "30-knee", ODD["30-knee"], scope="off")
    with pytest.raises(InputError, match="they are of other settings: scope"):
        map_one(tmp_path, model, "30-knee", ODD["30-knee"])


def test_the_level_is_a_setting(tmp_path: Path, model: Path) -> None:
    p = float(
        map_one(tmp_path, model, "a", LIKE["29-other-person"]).results["a"].findings[-1]["numbers"]["p"]
    )
    with pytest.raises(ScopeError):
        map_one(tmp_path / "strict", model, "a", LIKE["29-other-person"], scope_level=min(0.99, p * 1.01))
    with pytest.raises(InputError, match="between 0 and 1 for --scope_level, got 1.5"):
        ScopeGate("none", level=1.5)
    with pytest.raises(InputError, match="Expected a scope out of refuse, warn, off"):
        ScopeGate("none", action="ignore")


def test_statistics_of_other_weights_are_not_used(tmp_path: Path, model: Path) -> None:
    other = make_model(tmp_path / "other", seed=1)
    shutil.copy(model / "scope.json", other)
    run = map_one(tmp_path, other, "30-knee", ODD["30-knee"])
    (finding,) = (one for one in run.results["30-knee"].findings if one["check"] == "scope")
    assert finding["level"] == "warning"
    assert "the scope is not checked: scope.json is of weights" in finding["finding"]
    assert "no scope.json beside" in str(find_scope(str(tmp_path / "scope.json"), "ab"))


def test_damaged_statistics_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "scope.json", {"scans": 3})
    with pytest.raises(InputError, match="scope.json: expected scope statistics, found something else"):
        find_scope(str(tmp_path / "scope.json"), "ab")


def test_too_few_training_scans_leave_no_statistics(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    for seed in range(9):
        save_scan(tmp_path / "cohort" / f"p{seed}.nii.gz", people.person(seed), people.AFFINE)
    (model / "scope.json").write_text("{}")
    assert measure(model, tmp_path / "cohort") is None
    assert not (model / "scope.json").exists()


def test_statistics_are_bound_to_the_weights(model: Path) -> None:
    statistics = json.loads((model / "scope.json").read_text())
    assert statistics["weights_sha256"] == file_sha256(model / "model.pt")
    assert statistics["scans"] == len(TRAINED_ON)
    assert len(statistics["latent_mean"]) == NETWORK["widths"][-1]


def test_a_scan_on_a_gpu_is_brought_to_the_cpu_to_find_its_slices(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.rand((1, 128, 128, 4), generator=torch.Generator().manual_seed(0))
    gate = ScopeGate(find_scope(str(model / "scope.json"), file_sha256(model / "model.pt")))
    brought: list[int] = []
    original = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda one: brought.append(one.data_ptr()) or original(one))
    assert gate.examine(image, make_mapper(), "cpu") is not None
    assert image.data_ptr() in brought


def test_an_image_without_brain_is_left_to_the_inferer(model: Path) -> None:
    statistics = find_scope(str(model / "scope.json"), file_sha256(model / "model.pt"))
    mapper = make_mapper()
    assert ScopeGate(statistics).examine(torch.zeros((1, 128, 128, 4)), mapper, "cpu") is None


def test_shipped_statistics_are_of_the_shipped_weights() -> None:
    models = BUNDLE_ROOT / "models"
    assert not isinstance(find_scope(str(models / "scope.json"), file_sha256(models / "model.pt")), str)


@pytest.mark.case(26)
def test_a_whole_head_is_refused_by_weights_for_stripped_ones(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    cohort = tmp_path / "cohort"
    for seed in TRAINED_ON:
        save_scan(cohort / f"p{seed:02d}.nii.gz", people.person(seed, stripped=True), people.AFFINE)
    measure(model, cohort)
    map_one(tmp_path / "stripped", model, "stripped", people.person(50, stripped=True))
    with pytest.raises(ScopeError, match="out of scope"):
        map_one(tmp_path / "whole", model, "whole", people.person(51))


@pytest.mark.case(31)
def test_swapped_modalities_are_named() -> None:
    mapper = make_mapper(in_channels=2)
    steps = Compose([ResampleInPlaned("image"), NormalizeForegroundd("image"), ExtractSlicesd("image")])

    def slices(seed: int, *, swapped: bool = False) -> torch.Tensor:
        values = [people.person(seed), people.inverted(seed)]
        volume = torch.from_numpy(np.stack(values[::-1] if swapped else values))
        image = MetaTensor(volume, affine=torch.from_numpy(people.AFFINE))
        return steps({"image": image, "case": "a", "patient": "a"})["images"]

    measured = [measure_scan(slices(seed), mapper, 240.0, "cpu") for seed in range(20)]
    profiles, latents = zip(*measured, strict=True)
    statistics = fit_scope(profiles, latents, weights_sha256="ab", source="two channels")
    gate = ScopeGate(statistics, modalities=["t1ce", "t2"])
    right, wrong = gate.judge(slices(40), mapper, "cpu"), gate.judge(slices(41, swapped=True), mapper, "cpu")
    assert right is not None
    assert right.level == "note"
    assert wrong is not None
    assert wrong.level == "refusal"
    assert wrong.remedy == "its files look like t2, t1ce, not t1ce, t2"
