import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import Normalize
from PIL import Image

from scripts.report.panels import Panel
from scripts.report.sprites import COLUMNS, SHADES, draw_scale, draw_sprite, outline


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(int)


@pytest.mark.parametrize("overlay", [False, True])
@pytest.mark.parametrize("count", [1, COLUMNS, COLUMNS + 1])
def test_sprite_holds_every_slice_in_its_place_and_colours(count, overlay):
    planes = list(np.random.default_rng(0).uniform(-0.5, 2, (count, 4, 5)).astype(np.float32))
    planes[-1][0, 0] = 0
    scale = Normalize(-0.2, 1.5)
    shade = np.abs(np.diff(pixels(draw_scale("inferno"))[0], axis=0)).max()
    found = pixels(draw_sprite(planes, Panel("", "", "inferno", overlay), scale))
    assert found.shape == (4 * (2 if count > COLUMNS else 1), 5 * COLUMNS, 4)
    for index, plane in enumerate(planes):
        row, column = 4 * (index // COLUMNS), 5 * (index % COLUMNS)
        part = np.clip((plane - scale.vmin) / (scale.vmax - scale.vmin), 0, 1)
        expected = 255 * colormaps["inferno"](part)
        expected[..., 3] = 255 * np.sqrt(part) if overlay else 255
        expected[plane == 0] = 0
        difference = np.abs(found[row : row + 4, column : column + 5] - expected)
        assert difference[..., :3].max() <= shade
        assert difference[..., 3].max() <= 12  # a root is steep at 0: half a shade of 255
    assert found[..., 3].reshape(-1, 4, COLUMNS, 5)[-1, :, (count - 1) % COLUMNS + 1 :].max(initial=0) == 0


def test_scale_runs_from_low_to_high():
    found = pixels(draw_scale("viridis"))
    assert found.shape == (1, SHADES, 4)
    expected = 255 * colormaps["viridis"](np.array([0.0, 1.0]))
    assert np.abs(found[0, [0, -1]] - expected).max() <= 1


def test_outline_follows_every_edge_between_mask_and_rest():
    mask = np.random.default_rng(1).uniform(size=(7, 9)) > 0.6
    mask[0, 0] = mask[-1, -1] = True  # at the rim, too
    found = set()
    for step in outline(mask).split("M")[1:]:
        start, kind, end = step.partition("H" if "H" in step else "V")
        x, y = map(int, start.split())
        along = range(x, int(end)) if kind == "H" else range(y, int(end))
        found |= {(kind, at, y) if kind == "H" else (kind, x, at) for at in along}
    expected = set()
    for row, column in np.argwhere(mask):
        for kind, other, edge in (
            ("H", (row - 1, column), (column, row)),
            ("H", (row + 1, column), (column, row + 1)),
            ("V", (row, column - 1), (column, row)),
            ("V", (row, column + 1), (column + 1, row)),
        ):
            inside = 0 <= other[0] < 7 and 0 <= other[1] < 9
            if not (inside and mask[other]):
                expected.add((kind, *edge))
    assert found == expected


def test_outline_of_nothing_is_empty():
    assert outline(np.zeros((3, 3), bool)) == ""
