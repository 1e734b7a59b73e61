from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor, get_track_meta
from monai.transforms import (
    Compose,
    LoadImaged,
    MapTransform,
    Orientationd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
)

from scripts import BUNDLE_ROOT
from scripts.data import slices
from scripts.data.augmented_slices import AugmentedSlices
from scripts.data.preprocessing import NormalizeForegroundd, ResampleInPlaned
from scripts.data.slices import ExtractSlicesd, MeasureLesiond, SliceDataset
from scripts.errors import InputError
from tests.heads import make_head, save_scan, scan_affine

SHAPE, SPACING = (24, 28, 9), (8.0, 8.0, 14.0)
AFFINE = scan_affine(SHAPE, SPACING)


class CountLoads(MapTransform):
    """Writes down every scan that passes."""

    seen: list[str] = []  # noqa: RUF012 - what passed, over all pipelines of a test

    def __call__(self, data: dict) -> dict:
        self.seen.append(data["case"])
        return dict(data)


@pytest.fixture(autouse=True)
def loads() -> list[str]:
    CountLoads.seen.clear()
    return CountLoads.seen


def pipeline(size: int = 32, upper: float = 99.5) -> Compose:
    both = {"keys": ["image", "label"], "allow_missing_keys": True}
    return Compose(
        [
            CountLoads("image"),
            LoadImaged(**both, image_only=True, ensure_channel_first=True),
            Orientationd(**both, axcodes="RAS", labels=None),
            MeasureLesiond("label"),
            ResampleInPlaned("image", size=size, label_keys="label"),
            NormalizeForegroundd("image", upper=upper),
            ExtractSlicesd("image"),
        ]
    )


def write_image(folder: Path, case: str, brighter: float = 0.0) -> str:
    head = make_head(SHAPE, SPACING)
    head[8:12, 8:12, 3:5] += brighter
    return str(save_scan(folder / f"{case}.nii.gz", head, AFFINE))


def write_mask(folder: Path, case: str, where: slice) -> str:
    """Write a lesion of 12 x 64 mm^2 on the slices ``where``, and one voxel on slice 2."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[10:14, 12:15, where] = 1
    return str(save_scan(folder / f"{case}_seg.nii", mask, AFFINE))


def scan(folder: Path, case: str, lesion: slice | None = None) -> dict:
    record = {"case": case, "patient": f"patient {case}", "image": write_image(folder, case)}
    return record if lesion is None else {**record, "label": write_mask(folder, case, lesion)}


@pytest.fixture
def scans(tmp_path: Path) -> list[dict]:
    """Two scans of nine brain slices: lesions on three of the first, none in the second."""
    return [scan(tmp_path, "a", slice(4, 7)), scan(tmp_path, "b", slice(0, 0))]


def test_every_brain_slice_of_every_scan_is_there(scans):
    dataset = SliceDataset(scans, pipeline())
    n = len(dataset)
    assert n == len(dataset.facts) == len(dataset.images) == len(dataset.masks)
    assert dataset.facts.groupby("case").size().tolist() == [n // 2, n // 2]
    assert dataset.facts.index.tolist() == list(range(n))
    assert dataset.images.shape == (n, 1, 32, 32)
    areas = dataset.facts.set_index(["case", "slice"])["lesion_mm2"]
    assert areas["a"][areas["a"] > 0].to_dict() == {4: 768.0, 5: 768.0, 6: 768.0}
    assert (areas["b"] == 0).all()
    assert (dataset.masks[:, 0].any(dim=2).any(dim=1).numpy() == (dataset.facts["label"] == 1)).all()


def test_an_item_is_a_slice_with_its_facts(scans):
    dataset = SliceDataset(scans, pipeline())
    row = int(np.flatnonzero(dataset.facts["label"] == 1)[1])
    item = dataset[row]
    assert set(item) == {"image", "mask", "label", "level", "index"}
    assert torch.equal(item["image"], dataset.images[row])
    assert torch.equal(item["mask"], dataset.masks[row])
    assert (item["label"], item["level"], item["index"]) == (1, dataset.facts["level"][row], row)


def test_normal_leaves_every_slice_with_lesion_out(scans):
    everything = SliceDataset(scans, pipeline())
    normal = SliceDataset(scans, pipeline(), select="normal")
    keep = (everything.facts["lesion_mm2"] == 0).to_numpy()
    assert len(normal) == keep.sum() == len(everything) - 3
    assert torch.equal(normal.images, everything.images[torch.tensor(keep)])
    assert not normal.masks.any()
    assert normal.facts.index.tolist() == list(range(len(normal)))


def test_a_subset_has_the_slices_that_are_kept(scans):
    plain = SliceDataset(scans, pipeline())
    keep = np.arange(len(plain)) % 2 == 1
    part = plain.subset(keep)
    assert torch.equal(part[1]["image"], plain.images[3])
    assert part.facts["slice"].tolist() == plain.facts["slice"][keep].tolist()
    assert torch.equal(part.masks, plain.masks[torch.tensor(keep)])


def test_augmentation_is_of_items_and_leaves_the_slices_as_they_are(scans):
    plain = SliceDataset(scans, pipeline())
    before = plain.images.clone()
    flipped = AugmentedSlices(plain, Compose([RandFlipd("image", prob=1.0, spatial_axis=0)]))
    assert torch.equal(flipped[3]["image"], plain.images[3].flip(1))
    assert {key: flipped[3][key] for key in ("label", "level", "index")} == {
        key: plain[3][key] for key in ("label", "level", "index")
    }
    assert torch.equal(flipped[3]["mask"], plain.masks[3])
    assert torch.equal(plain.images, before)
    assert len(flipped) == len(plain)


def test_augmentation_works_on_plain_tensors_and_ends_with_metadata_as_they_were(scans):
    settings = {"prob": 1.0, "rotate_range": 0.2, "scale_range": 0.1, "padding_mode": "zeros"}
    augment = Compose([RandAffined("image", **settings), RandGaussianNoised("image", prob=1.0)])
    slices = SliceDataset(scans, pipeline())
    augment.set_random_state(0)
    expected = augment({"image": slices.images[2]})["image"]
    augment.set_random_state(0)
    found = AugmentedSlices(slices, augment)[2]["image"]
    assert isinstance(expected, MetaTensor)
    assert type(found) is torch.Tensor
    assert torch.equal(found, expected.as_tensor())

    with pytest.raises(RuntimeError, match="applying transform"):
        AugmentedSlices(slices, Compose([RandAffined("other", **settings)]))[2]
    assert get_track_meta()


# --- cache --------------------------------------------------------------------------------------------


def test_a_volume_is_loaded_once(scans, loads):
    dataset = SliceDataset(scans, pipeline())
    for index in range(len(dataset)):
        dataset[index]
    assert loads == ["a", "b"]


def test_the_cache_serves_the_second_data_set(scans, tmp_path, loads):
    first = SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    second = SliceDataset(scans[::-1], pipeline(), str(tmp_path / "cache"), select="normal")
    assert loads == ["a", "b"]
    keep = second.facts["case"].to_numpy() == "b"
    assert torch.equal(second.images[keep], first.images[(first.facts["case"] == "b").to_numpy()])
    assert second.facts["level"].dtype == first.facts["level"].dtype == np.float64


def test_the_cache_holds_no_code(scans, tmp_path):
    SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 2
    for file in files:
        assert set(torch.load(file, weights_only=True)) == {"images", "masks", "facts"}


@pytest.mark.parametrize("change", [{"size": 40}, {"upper": 98.0}])
def test_another_transform_argument_makes_slices_anew(scans, tmp_path, loads, change):
    first = SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    second = SliceDataset(scans, pipeline(**change), str(tmp_path / "cache"))
    assert loads == ["a", "b"] * 2
    assert first.images.shape != second.images.shape or not torch.equal(first.images, second.images)


def test_another_version_of_the_code_makes_slices_anew(scans, tmp_path, loads, monkeypatch):
    SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    monkeypatch.setattr(slices, "_code_hash", lambda: "another")
    SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    assert loads == ["a", "b"] * 2


def test_a_rewritten_image_is_loaded_again(scans, tmp_path, loads):
    first = SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    write_image(tmp_path, "b", brighter=40.0)
    second = SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    assert loads == ["a", "b", "b"]
    same = (first.images == second.images).flatten(1).all(dim=1).numpy()
    assert same[(first.facts["case"] == "a").to_numpy()].all()
    assert not same.all()


def test_a_rewritten_mask_is_loaded_again(scans, tmp_path, loads):
    first = SliceDataset(scans, pipeline(), str(tmp_path / "cache"), select="normal")
    before = Path(scans[0]["label"]).stat()
    write_mask(tmp_path, "a", slice(3, 7))
    os.utime(scans[0]["label"], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert Path(scans[0]["label"]).stat().st_size == before.st_size
    second = SliceDataset(scans, pipeline(), str(tmp_path / "cache"), select="normal")
    assert loads == ["a", "b", "a"]
    assert len(second) == len(first) - 1


@pytest.mark.parametrize("keep", [0, 10, 3000])
def test_a_file_cut_short_is_made_anew(scans, tmp_path, loads, caplog, keep):
    first = SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    broken = sorted((tmp_path / "cache").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:keep])
    second = SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    assert len(loads) == 3
    assert torch.equal(first.images, second.images)
    SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    assert len(loads) == 3


def test_a_failing_scan_keeps_its_reason(scans, tmp_path):
    scans[1] = {**scans[1], "image": str(save_scan(tmp_path / "c.nii.gz", np.zeros(SHAPE), AFFINE))}
    with pytest.raises(RuntimeError) as failure:
        SliceDataset(scans, pipeline(), str(tmp_path / "cache"))
    assert "c.nii.gz: expected a head brighter than its border" in str(failure.value.__cause__)


# --- scans without masks ------------------------------------------------------------------------------


def test_scans_without_masks_have_unknown_slices(tmp_path):
    facts = SliceDataset([scan(tmp_path, "a")], pipeline()).facts
    assert (facts["label"] == -1).all()
    assert facts["lesion_mm2"].isna().all()


def test_no_mask_is_no_proof_of_health(tmp_path):
    with pytest.raises(InputError, match="2 of 2 scans have no mask; .* --assume_normal true"):
        SliceDataset([scan(tmp_path, "a"), scan(tmp_path, "b")], pipeline(), select="normal")


def test_scans_without_masks_are_normal_when_the_user_says_so(tmp_path):
    unmasked = [scan(tmp_path, "a"), scan(tmp_path, "b")]
    everything = SliceDataset(unmasked, pipeline(), str(tmp_path / "cache"))
    normal = SliceDataset(unmasked, pipeline(), str(tmp_path / "cache"), select="normal", assume_normal=True)
    assert len(normal) == len(everything)
    assert (normal.facts["label"] == 0).all()
    assert normal.facts["lesion_mm2"].isna().all()
    assert normal[0]["label"] == 0


def test_a_mask_has_the_last_word(tmp_path, scans, caplog):
    mixed = [*scans, scan(tmp_path, "c")]
    normal = SliceDataset(mixed, pipeline(), select="normal", assume_normal=True)
    assert normal.facts.groupby("case").size().to_dict() == {"a": 6, "b": 9, "c": 9}
    assert "no mask" not in caplog.text
    careful = SliceDataset(mixed, pipeline(), select="normal")
    assert careful.facts.groupby("case").size().to_dict() == {"a": 6, "b": 9}
    assert "Leaving out 1 of 3 scans, which have no mask" in caplog.text


def test_nothing_but_lesions_is_refused(tmp_path):
    with pytest.raises(InputError, match="Expected normal brain slices in 1 scans, found none"):
        SliceDataset([scan(tmp_path, "a", slice(0, 9))], pipeline(), select="normal")


@pytest.mark.parametrize("assumed", [False, True])
@pytest.mark.parametrize(
    ("files", "parts"),
    [
        (("train",), ("train", "validate")),
        *((("train", name), ("train", "test")) for name in ("evaluate", "report", "ablation")),
    ],
)
def test_the_configs_hand_the_key_to_every_set_of_slices(files, parts, assumed):
    config = ConfigParser()
    config.read_config([str(BUNDLE_ROOT / "configs" / f"{name}.yaml") for name in files])
    assert config["assume_normal"] is False
    config["assume_normal"] = assumed
    for part in parts:
        reference = config[f"{part}#dataset#assume_normal"]
        assert config.get_parsed_content(reference.removeprefix("@")) is assumed


def test_the_source_of_every_own_transform_is_in_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: read.append(self.name) or original(self))
    slices._code_hash()
    wanted = {
        "foreground",
        "preprocessing",
        "slices",
        "straightening",
        "content",
        "geometry",
        "loading",
        "brain_mask",
    }
    assert {f"{name}.py" for name in wanted} <= set(read)
