"""The NIfTI files of the catalogue of inputs, generated: what is wrong with each, and what must happen."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from scripts.errors import BundleError, InputError
from tests.heads import make_head, rotation, scan_affine

SHAPE, SPACING = (40, 46, 36), (5.0, 5.0, 4.5)
HEAD = make_head(SHAPE, SPACING)
AFFINE = scan_affine(SHAPE, SPACING)
HEADER = 352


@dataclass(frozen=True)
class Input:
    """One generated file of the catalogue, named ``<number>-<what>``."""

    id: str
    make: Callable[[Path], object]
    check: str | None = None
    """The check that speaks up."""
    level: str = "refusal"
    says: str = ""
    """A pattern of its finding and remedy."""
    suffix: str = ".nii.gz"
    kind: type[BundleError] = InputError

    @property
    def refused(self) -> bool:
        return self.check is not None and self.level == "refusal"

    def write(self, folder: Path) -> Path:
        path = folder / f"{self.id}{self.suffix}"
        self.make(path)
        return path


def image(values: np.ndarray = HEAD, affine: np.ndarray | None = AFFINE) -> nibabel.Nifti1Image:
    made = nibabel.Nifti1Image(values, affine)
    made.header.set_xyzt_units("mm", "sec")
    return made


def save(values: np.ndarray = HEAD, affine: np.ndarray = AFFINE) -> Callable[[Path], object]:
    return lambda path: nibabel.save(image(values, affine), path)


def with_header(change: Callable[[nibabel.Nifti1Image], object]) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        made = image()
        change(made)
        nibabel.save(made, path)

    return make


def raw_header(**fields: object) -> Callable[[Path], object]:
    """Save a good scan and write header fields past nibabel, which would mend them."""

    def make(path: Path) -> None:
        made = image()
        made.set_sform(AFFINE, 1)
        content = bytearray(made.to_bytes())
        header = np.frombuffer(content, dtype=made.header.template_dtype, count=1)
        for name, value in fields.items():
            header[name] = value
        path.write_bytes(gzip.compress(bytes(content)) if path.suffix == ".gz" else bytes(content))

    return make


def with_voxels(change: Callable[[np.ndarray], object]) -> Callable[[Path], object]:
    values = HEAD.copy()
    change(values)
    return save(values)


def cut(share: float) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        nibabel.save(image(), path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return make


def damaged(path: Path) -> None:
    """A compressed file with one wrong byte in its checksum: every voxel can be read."""
    content = bytearray(gzip.compress(image().to_bytes()))
    content[-5] ^= 0xFF
    path.write_bytes(content)


def without_codes(made: nibabel.Nifti1Image) -> None:
    made.set_sform(None, 0)
    made.set_qform(None, 0)


def moved_qform(made: nibabel.Nifti1Image) -> None:
    moved = AFFINE.copy()
    moved[:3, 3] += [3, 4, 0]
    made.set_sform(AFFINE, 1)
    made.set_qform(moved, 1)


def other_pixdim(made: nibabel.Nifti1Image) -> None:
    made.set_sform(AFFINE, 1)
    made.set_qform(AFFINE, 0)
    made.header["pixdim"][1:4] = 1, 1, 1


def sheared(degrees: float) -> np.ndarray:
    """Return the affine of slices that are shifted backwards by this angle, as a tilted gantry does."""
    affine = AFFINE.copy()
    affine[1, 2] = np.tan(np.deg2rad(degrees)) * SPACING[2]
    return affine


def broken_inside(values: np.ndarray) -> None:
    values[14:26, 16:30, 12:24] = np.nan


def broken_outside(values: np.ndarray) -> None:
    values[values == 0] = np.nan


def few_broken(values: np.ndarray) -> None:
    values[20, 23, 18], values[21, 23, 18] = np.nan, np.inf


COLOURS = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
THICK = make_head((40, 46, 6), (5, 5, 25))
SMALL_FIELD = make_head(SHAPE, (2, 2, 2), (30, 36, 30))

INPUTS = (
    Input("00-good", save()),
    Input("01-missing", lambda path: path.symlink_to(path.parent / "gone"), "readable", says="no such file"),
    Input("01-loop", lambda path: path.symlink_to(path), "readable", says="check path and permissions"),
    Input("02-empty", lambda path: path.write_bytes(b""), "magic", says="not a NIfTI file, but an empty"),
    Input(
        "02-html", lambda path: path.write_bytes(b"<html>" * 99), "magic", says="not a NIfTI file, but HTML"
    ),
    Input("02-text", lambda path: path.write_text("no scan here\n" * 99), "magic", says="but text"),
    Input(
        "02-dicom", lambda path: path.write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 500), "magic", says="DICOM"
    ),
    Input("03-truncated", cut(0.6), "size", says=f"it has \\d+ of {HEADER + HEAD.nbytes} bytes"),
    Input("03-truncated-plain", cut(0.6), "size", says=f"of {HEADER + HEAD.nbytes} bytes", suffix=".nii"),
    Input("03-checksum", damaged, "size", says="damaged file .*CRC"),
    Input(
        "04-plain-named-gz", lambda path: path.write_bytes(image().to_bytes()), "suffix", "warning", "is not"
    ),
    Input(
        "04-gz-named-plain",
        lambda path: path.write_bytes(gzip.compress(image().to_bytes())),
        "suffix",
        "warning",
        "which is compressed",
        ".nii",
    ),
    Input(
        "05-absurd", raw_header(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]), "size", says="claims 108000000000"
    ),
    Input("05-absurd-plain", raw_header(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1]), "size", suffix=".nii"),
    Input(
        "05-negative", raw_header(dim=[3, 40, -46, 36, 1, 1, 1, 1]), "dimensions", says="expected a volume"
    ),
    Input("06-few-nan", with_voxels(few_broken), "finite", "warning", "2 voxels .* 2 of them inside"),
    Input("06-background-nan", with_voxels(broken_outside), "finite", "warning", "0 of them inside"),
    Input("06-nan-in-brain", with_voxels(broken_inside), "finite", says="expected finite intensities"),
    Input("06-all-nan", save(np.full(SHAPE, np.nan, np.float32)), "finite", says="found none"),
    Input("07-zero", save(np.zeros(SHAPE, np.float32)), "content", says="no image content.*only the value 0"),
    Input("07-constant", save(np.full(SHAPE, 7, np.float32)), "content", says="only the value 7"),
    Input("07-two-values", save((HEAD > 0).astype(np.uint8)), "content", says="2 different values"),
    Input("08-negative", save(HEAD - 150), "negative", "warning", "of the voxels are negative"),
    Input(
        "10-series",
        save(np.stack([HEAD] * 3, axis=-1)),
        "dimensions",
        says="4-D file with 3; .*--volume i .0 to 2",
    ),
    Input("11-one-volume", save(HEAD[..., None])),
    Input("11-trailing-ones", save(HEAD[..., None, None])),
    Input(
        "12-vector", save(np.stack([HEAD] * 3, axis=-1)[..., None, :]), "dimensions", says="vectors of shape"
    ),
    Input("12-colours", save(COLOURS), "data_type", says="found colours .R, G, B"),
    Input("12-complex", save(HEAD.astype(np.complex64)), "data_type", says="found complex64"),
    Input("13-flat", save(HEAD[..., 18]), "dimensions", says="single slice.*--single_slice true"),
    Input("13-one-slice", save(HEAD[..., 18:19]), "dimensions", says="single slice"),
    Input(
        "14-thick", save(THICK, scan_affine((40, 46, 6), (5, 5, 25))), "slices", "warning", "6 slices 25 mm"
    ),
    Input(
        "15-matrix",
        save(HEAD[::2, ::2], scan_affine((20, 23, 36), (10, 10, 4.5))),
        "field_of_view",
        says="20 x 23",
    ),
    Input("15-field", save(SMALL_FIELD, scan_affine(SHAPE, (2, 2, 2))), "field_of_view", says="80 x 92 mm"),
    Input("17-oblique", save(HEAD, rotation(12, 9) @ AFFINE)),
    Input("18-sheared", save(HEAD, sheared(12)), "shear", "warning", "12 degrees off a right angle"),
    Input(
        "19-no-form",
        with_header(without_codes),
        "origin",
        says="neither sform nor qform.*--assume_identity true",
    ),
    Input(
        "20-forms-differ",
        with_header(moved_qform),
        "sform_qform",
        "warning",
        "up to 5 mm apart; the sform is used",
    ),
    Input(
        "21-pixdim",
        with_header(other_pixdim),
        "pixdim",
        "warning",
        "5 x 5 x 4.5 mm is not the header's 1 x 1 x 1",
    ),
    Input("22-nan-affine", raw_header(srow_x=[np.nan] * 4), "affine", says="invertible affine, found sform"),
    Input("22-zero-affine", raw_header(srow_x=[0] * 4, srow_y=[0] * 4), "affine", says="invertible affine"),
    Input(
        "22-zero-pixdim",
        raw_header(pixdim=[1, 5, 0, 4.5, 1, 1, 1, 1]),
        "voxel_size",
        says="found pixdim .5.0, 0.0",
    ),
    Input("22-unknown-form", raw_header(sform_code=77, qform_code=0), "fields", says="sform_code 77"),
    Input("22-negative-form", raw_header(sform_code=-1, qform_code=0), "fields", says="sform_code -1"),
    Input("22-nan-intercept", raw_header(scl_slope=1, scl_inter=np.nan), "fields", says="scl_inter nan"),
    Input("22-nan-offset", raw_header(vox_offset=np.nan), "fields", says="vox_offset nan", suffix=".nii"),
    Input("22-zero-offset", raw_header(vox_offset=0), "fields", says="vox_offset 0", suffix=".nii"),
    Input("22-zero-offset-gz", raw_header(vox_offset=0), "fields", says="vox_offset 0"),
    Input("22-qfac-0", raw_header(sform_code=0, qform_code=1, pixdim=[0, 5, 5, 4.5, 1, 1, 1, 1])),
    Input("22-qfac-0-beside-sform", raw_header(qform_code=1, pixdim=[0, 5, 5, 4.5, 1, 1, 1, 1])),
    Input("22-negative-pixdim", raw_header(pixdim=[1, 5, -5, 4.5, 1, 1, 1, 1]), "voxel_size", says="-5"),
    Input(
        "23-metres", with_header(lambda made: made.header.set_xyzt_units("meter")), "unit", says="unit meter"
    ),
    Input(
        "23-microns",
        with_header(lambda made: made.header.set_xyzt_units("micron")),
        "unit",
        says="unit micron",
    ),
    Input(
        "23-thousandth",
        save(HEAD, np.diag([1e-3, 1e-3, 1e-3, 1]) @ AFFINE),
        "unit",
        says="found 0.005 x 0.005",
    ),
    Input(
        "25-axes",
        save(HEAD[::-1], AFFINE @ np.diag([-1, 1, 1, 1])),
        "axes",
        "note",
        "axes run to LAS; left and",
    ),
    Input("37-padding", save(HEAD + 350)),
    Input("52-späce d. v1.2", save(HEAD * 2), suffix=".NII.GZ"),
)
"""Further ones need options, several files or a machine of another kind: see the tests beside."""
