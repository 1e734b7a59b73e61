"""The picture of synthetic lesions in the docs: the same lesions in one phantom, whole and part by part."""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from monai.transforms import Compose
from PIL import Image

from scripts.data.lesion_ranges import LesionPart, LesionRanges
from scripts.data.phantom import generate_cohort
from scripts.data.preprocessing import NormalizeForegroundd, ResampleInPlaned
from scripts.data.synthetic_lesions import RandSyntheticLesiond
from scripts.errors import BundleError
from scripts.io.atomic import atomic_path
from scripts.preflight.loading import LoadScand
from scripts.report.page import draw_png
from scripts.report.panels import MARK, Plane, axial_plane, head_box

COLUMNS = 5
LEVELS = (0.4, 0.75)
"""Lowest and highest slice shown, in parts of the phantom's height."""
SHOWN = LesionRanges(
    radius=(3.0, 20.0),
    strength=(0.8, 1.0),
    contrast=(0.2, 0.68),
    ring_share=0.6,
    patch_share=0.4,
    mass_effect=(0.35, 0.35),
    mass_effect_share=0.8,
)
"""Plainer than the defaults, so that each part is seen in a few lesions."""
COLOURS = 64
"""Of the picture's palette: it halves the file."""

ABLATIONS: dict[str, frozenset[LesionPart]] = {
    "all parts": frozenset(LesionPart),
    "no mass effect": frozenset(LesionPart) - {LesionPart.MASS_EFFECT},
    "no foreign patches": frozenset(LesionPart) - {LesionPart.PATCH},
    "no ring": frozenset(LesionPart) - {LesionPart.RING},
    "intensity only": frozenset({LesionPart.INTENSITY}),
}
"""Rows below the first, which has no lesion."""


def phantom_slices(count: int, seed: int) -> torch.Tensor:
    """Return slices of one phantom without a tumour, normalised as in training, (count, 1, 128, 128)."""
    steps = Compose([LoadScand("image"), ResampleInPlaned("image"), NormalizeForegroundd("image")])
    with tempfile.TemporaryDirectory() as folder:
        (name,) = generate_cohort(folder, 1, 0.0, seed, ["t1ce"], progress=False)
        volume = steps({"image": str(Path(folder) / name / f"{name}_t1ce.nii.gz")})["image"].as_tensor()
    levels = np.linspace(*LEVELS, count) * volume.shape[-1]
    return volume[..., levels.astype(int)].permute(3, 0, 1, 2)


def paint_rows(slices: torch.Tensor, seed: int) -> dict[str, list[tuple[Plane, Plane]]]:
    """Return the pairs of slice and mask of each row, by title; a column has the same draws in each row."""
    empty = torch.zeros_like(slices[0])
    rows = {"no lesion": [_planes(one, empty) for one in slices]}
    for title, parts in ABLATIONS.items():
        transform = RandSyntheticLesiond("image", prob=1.0, ranges=SHOWN, parts=sorted(parts))
        transform.set_random_state(seed)
        painted = [transform({"image": one}) for one in slices]
        rows[title] = [_planes(one["image"], one["lesion"]) for one in painted]
    return rows


def draw_lesions(rows: dict[str, list[tuple[Plane, Plane]]]) -> Figure:
    """Draw rows of slices, each with the outline of its mask."""
    columns = max(len(row) for row in rows.values())
    box = head_box([image for row in rows.values() for image, _ in row])
    figure = Figure(figsize=(1.4 * columns + 0.2, 1.65 * len(rows) + 0.4), layout="constrained")
    figure.suptitle("Synthetic lesions in a synthetic head: nobody's scan", fontsize=9)
    for axes, (title, row) in zip(
        figure.subplots(len(rows), columns, squeeze=False), rows.items(), strict=True
    ):
        axes[0].set_ylabel(title, fontsize=8)
        for axis, (image, mask) in zip(axes, row, strict=True):
            axis.set(xticks=[], yticks=[])
            axis.imshow(image[box], "gray", vmin=0, vmax=1)
            if mask.any():
                axis.contour(mask[box], [0.5], colors=MARK, linewidths=0.6)
    return figure


def _planes(image: torch.Tensor, mask: torch.Tensor) -> tuple[Plane, Plane]:
    # The transform takes (C, X, Y); axial_plane takes a volume of slices.
    return axial_plane(image[0, ..., None].numpy(), 0), axial_plane(mask[0, ..., None].numpy(), 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the picture; return the exit code, 0 or that of the error."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.report.synthetic_lesions_figure",
        description="Draw the same synthetic lesions in a phantom with all their parts and without some.",
    )
    parser.add_argument("png", type=Path, metavar="PNG", help="the picture")
    parser.add_argument("--seed", type=int, default=2, help="of phantom and lesions (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        figure = draw_lesions(paint_rows(phantom_slices(COLUMNS, options.seed), options.seed))
        with atomic_path(options.png) as temporary:
            Image.open(io.BytesIO(draw_png(figure))).convert("RGB").quantize(COLOURS).save(temporary, "png")
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(options.png)
    return 0


if __name__ == "__main__":
    sys.exit(main())
