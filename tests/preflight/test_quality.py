"""Noise, ghosting and shading, each added to the same head."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, ornt_transform

from scripts.preflight.battery import examine
from scripts.preflight.quality_checks import Quality, measure_quality
from tests import people

HEAD = people.person(0)
RNG = np.random.default_rng(0)


def noisy(deviation: float) -> np.ndarray:
    return np.abs(HEAD + RNG.normal(0, deviation, HEAD.shape)).astype(np.float32)


def ghosted(share: float) -> np.ndarray:
    """Add the head shifted by half the field of view along the second axis, as motion does."""
    return HEAD + np.float32(share) * np.roll(HEAD, HEAD.shape[1] // 2, axis=1)


def shaded(ratio: float) -> np.ndarray:
    """Multiply with a ramp from left to right, as a coil on one side does."""
    ramp = ratio ** np.linspace(-0.5, 0.5, HEAD.shape[0])
    return (HEAD * ramp[:, None, None]).astype(np.float32)


def quality(values: np.ndarray) -> Quality:
    return measure_quality(values, people.SPACING)


def test_each_number_grows_with_its_own_cause() -> None:
    plain = quality(HEAD)
    assert plain.noise < 0.02
    assert plain.ghosting < 0.01
    assert plain.shading < 1.6
    assert quality(noisy(20)).noise > 3 * plain.noise
    assert quality(ghosted(0.3)).ghosting > 5 * plain.ghosting
    assert quality(ghosted(0.3)).ghosting == pytest.approx(2 * quality(ghosted(0.15)).ghosting, rel=0.2)
    assert quality(shaded(6)).shading > 1.5 * plain.shading


def test_scale_and_offset_do_not_matter() -> None:
    np.testing.assert_allclose(
        list(vars(quality(HEAD * np.float32(3) - np.float32(900))).values()),
        list(vars(quality(HEAD)).values()),
        rtol=1e-3,
    )


@pytest.mark.parametrize(
    ("values", "level"),
    [(HEAD, "note"), (noisy(40), "warning"), (ghosted(0.4), "warning"), (shaded(8), "warning")],
    ids=["35-good", "35-noise", "35-ghosting", "35-shading"],
)
@pytest.mark.parametrize("codes", ["RAS", "PIR"])
def test_poor_scans_are_read_with_a_warning_and_the_numbers(
    tmp_path: Path, values: np.ndarray, level: str, codes: str
) -> None:
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    nibabel.save(nibabel.Nifti1Image(values, people.AFFINE).as_reoriented(turn), tmp_path / "scan.nii.gz")
    found = examine([tmp_path / "scan.nii.gz"])
    (report,) = (one for one in found.reports if one.check == "quality")
    assert report.level == level
    assert found.voxels is not None
    expected = vars(quality(values))
    assert {name: report.numbers[name] for name in expected} == pytest.approx(expected, rel=1e-4)
