"""What may change in a scan, or in how it is run, without changing what is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.transforms import Compose
from scipy.ndimage import binary_dilation

from scripts.data.foreground import upper_head
from scripts.data.preprocessing import NormalizeForegroundd, ResampleInPlaned
from tests.heads import as_image, make_head, save_scan, scan_affine
from tests.inference_route import Inferred, infer, make_model

SHAPE, SPACING = (34, 39, 9), (5.0, 5.5, 16.0)
HEAD = make_head(SHAPE, SPACING)
AFFINE = scan_affine(SHAPE, SPACING)
NEAR = AFFINE @ np.diag([1, 1, 0.5, 1])  # all slices within the 75 mm whose intensities are measured
UPPER = slice(4, 9)
_, y, z = np.indices(SHAPE)
FACE = (z < UPPER.start) & (y > SHAPE[1] // 2)
SCALES = {"x4": (4.0, 0.0), "tiny": (0.003, 0.0), "offset": (1.0, 350.0), "hounsfield": (3.7, -1024.0)}
MAPS = ("total_uncertainty", "anomaly", "epistemic", "aleatoric")
ORDER = [4, 0, 7, 2, 8, 1, 6, 3, 5]
PADS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "one side": ((0, 12), (0, 0)),
    "all round": ((10, 10), (8, 8)),
    "askew": ((1, 17), (22, 3)),
}
FIRST, LAST = (1, 2), (32, 34)


def padded(pad: tuple, background: float = 0.0) -> np.ndarray:
    return np.pad(HEAD, (*pad, (0, 0)), constant_values=0) + np.float32(background)


def moved(voxels: tuple[int, int]) -> np.ndarray:
    """Return the affine of a volume that starts this many voxels before the first one."""
    affine = AFFINE.copy()
    affine[:2, 3] -= np.array(voxels) * SPACING[:2]
    return affine


@pytest.fixture(scope="module")
def runs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Inferred:
    folder = tmp_path_factory.mktemp("invariances")
    scans = folder / "scans"
    save_scan(scans / "plain.nii.gz", HEAD, AFFINE)
    for name, (scale, offset) in SCALES.items():
        save_scan(scans / f"{name}.nii.gz", HEAD * np.float32(scale) + np.float32(offset), AFFINE)
    save_scan(scans / "defaced.nii.gz", np.where(FACE, 0, HEAD), AFFINE)
    for name, pad in PADS.items():
        save_scan(scans / f"{name}.nii.gz", padded(pad), moved((pad[0][0], pad[1][0])))
    save_scan(scans / "padded offset.nii.gz", padded(PADS["askew"], 350.0), moved((1, 22)))
    cropped = HEAD[FIRST[0] : LAST[0] + 1, FIRST[1] : LAST[1] + 1]
    save_scan(scans / "cropped.nii.gz", cropped, moved((-FIRST[0], -FIRST[1])))
    return infer(scans, folder / "maps", model)


def case(name: str) -> str:
    return name.replace(" ", "_")


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * np.nanmax(np.abs(expected)))


@pytest.mark.case(9)
@pytest.mark.parametrize("name", SCALES)
def test_scale_and_offset_change_neither_scores_nor_maps(runs, name):
    np.testing.assert_allclose(runs.scores(name), runs.scores("plain"), rtol=1e-4)
    for kind in MAPS:
        assert_close(runs.values(name, kind), runs.values("plain", kind))
    assert (runs.values(name, "mask") != runs.values("plain", "mask")).mean() < 1e-3


@pytest.mark.parametrize("name", SCALES)
def test_the_reconstruction_has_the_scale_and_offset_of_the_scan(runs, name):
    scale, offset = SCALES[name]
    scored = np.isfinite(runs.scores("plain"))
    expected = runs.values("plain", "reconstruction") * scale + offset
    actual = runs.values(name, "reconstruction")
    # Outside the field of view, where nothing is known, it is 0 in every scan; all of this scan is inside.
    np.testing.assert_allclose(actual[..., scored], expected[..., scored], rtol=1e-4, atol=3e-3 * scale)
    assert not actual[..., ~scored].any()


def test_slices_that_are_not_scored_are_empty_in_every_map(runs):
    scored = np.isfinite(runs.scores("plain"))
    assert scored.sum() == 7
    near = binary_dilation(HEAD > 0, np.ones((3, 3, 1)))  # linear interpolation reaches the next voxel
    for kind in (*MAPS, "mask"):
        values = runs.values("plain", kind)
        assert not values[..., ~scored].any()
        assert values[..., scored].any(axis=(0, 1)).all()
        assert not values[~near].any()


def test_without_smoothing_a_slice_is_scored_by_itself(model, tmp_path):
    for name, order in (("near", slice(None)), ("shuffled", ORDER)):
        save_scan(tmp_path / "scans" / f"{name}.nii.gz", HEAD[..., order], NEAR)
    alone = infer(tmp_path / "scans", tmp_path / "alone", model, slice_smoothing=0.0)
    np.testing.assert_allclose(alone.scores("shuffled"), alone.scores("near")[ORDER], rtol=1e-4)
    for kind in MAPS:
        assert_close(alone.values("shuffled", kind), alone.values("near", kind)[..., ORDER])
    smoothed = infer(tmp_path / "scans", tmp_path / "smoothed", model)
    for kind in ("total_uncertainty", "epistemic", "aleatoric"):
        np.testing.assert_array_equal(smoothed.values("near", kind), alone.values("near", kind))
    assert np.ptp(smoothed.scores("near")[1:8]) < np.ptp(alone.scores("near")[1:8])


@pytest.mark.case(36)
def test_without_its_face_a_head_has_the_same_maps_and_scores_above(runs):
    assert upper_head(HEAD, SPACING) == UPPER
    np.testing.assert_array_equal(runs.scores("defaced")[UPPER], runs.scores("plain")[UPPER])
    for kind in (*MAPS, "mask"):
        defaced, plain = runs.values("defaced", kind), runs.values("plain", kind)
        np.testing.assert_array_equal(defaced[..., UPPER], plain[..., UPPER])
    for below in (1, 2, 3):
        assert runs.scores("defaced")[below] != runs.scores("plain")[below]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_batch_size_changes_nothing(runs, model, tmp_path, batch_size):
    scans = save_scan(tmp_path / "scans" / "plain.nii.gz", HEAD, AFFINE).parent
    other = infer(scans, tmp_path / "maps", model, batch_size=batch_size)
    np.testing.assert_allclose(other.scores("plain"), runs.scores("plain"), rtol=1e-4, atol=1e-5)
    for kind in MAPS:
        np.testing.assert_allclose(
            other.values("plain", kind), runs.values("plain", kind), rtol=1e-4, atol=1e-5, err_msg=kind
        )


@pytest.mark.parametrize("background", [0.0, 350.0, -1024.0])
def test_the_reconstruction_is_in_the_units_of_the_scan(tmp_path, background):
    half = make_model(tmp_path / "model", constant=0.5)
    scans = save_scan(tmp_path / "scans" / "plain.nii.gz", HEAD + np.float32(background), AFFINE).parent
    values = infer(scans, tmp_path / "maps", half).values("plain", "reconstruction")
    steps = Compose([ResampleInPlaned("image"), NormalizeForegroundd("image")])
    ((low, high),) = steps({"image": as_image(HEAD + background, SPACING)})["image"].meta["intensity_range"]
    assert background < low < high < background + 300
    assert values[17, 19, 4] == pytest.approx((low + high) / 2, abs=0.01)
    assert values[0, 0, 4] == pytest.approx(background, abs=1e-3)
    assert values[17, 19, 0] == 0


@pytest.mark.case(37)
@pytest.mark.parametrize("name", [*PADS, "padded offset"])
def test_background_around_the_scan_changes_nothing(runs, name):
    np.testing.assert_allclose(runs.scores(case(name)), runs.scores("plain"), rtol=1e-3)
    start = [pad[0] for pad in PADS["askew" if name == "padded offset" else name]]
    for kind in MAPS:
        values = runs.values(case(name), kind)
        inner = values[start[0] : start[0] + SHAPE[0], start[1] : start[1] + SHAPE[1]]
        assert_close(inner, runs.values("plain", kind), 1e-3)
        assert np.count_nonzero(inner) == np.count_nonzero(values)


def test_far_background_may_be_cropped(runs):
    np.testing.assert_allclose(runs.scores("cropped"), runs.scores("plain"), rtol=1e-3)
    for kind in MAPS:
        values = runs.values("plain", kind)[FIRST[0] : LAST[0] + 1, FIRST[1] : LAST[1] + 1]
        assert_close(runs.values("cropped", kind), values, 1e-3)
