from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from scripts.report import synthetic_lesions_figure
from scripts.report.synthetic_lesions_figure import ABLATIONS, draw_lesions, paint_rows
from tests.small_networks import small_images

SLICES = small_images(3, size=48)


def test_every_row_shows_each_slice_and_the_first_no_lesion() -> None:
    rows = paint_rows(SLICES, seed=0)
    assert list(rows) == ["no lesion", *ABLATIONS]
    assert all(len(row) == len(SLICES) for row in rows.values())
    assert not any(mask.any() for _, mask in rows["no lesion"])
    assert all(mask.any() for _, mask in rows["all parts"])
    assert len(draw_lesions(rows).axes) == len(SLICES) * len(rows)


def test_each_ablation_changes_the_picture() -> None:
    rows = paint_rows(small_images(8, size=48), seed=0)
    whole = np.stack([image for image, _ in rows["all parts"]])
    for title in list(ABLATIONS)[1:]:
        assert not np.array_equal(whole, np.stack([image for image, _ in rows[title]])), title


def test_command_writes_a_small_picture(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def slices(count: int, seed: int) -> torch.Tensor:
        return small_images(count, size=48, seed=seed)

    monkeypatch.setattr(synthetic_lesions_figure, "phantom_slices", slices)
    path = tmp_path / "lesions.png"
    assert synthetic_lesions_figure.main([str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert path.stat().st_size < 300_000
    with Image.open(path) as picture:
        assert len(picture.convert("RGB").getcolors(64)) > 2


def test_a_place_that_cannot_be_written_to_is_one_sentence(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(synthetic_lesions_figure, "phantom_slices", lambda *_: SLICES)
    assert synthetic_lesions_figure.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_phantom_slices_are_normalised_heads() -> None:
    slices = synthetic_lesions_figure.phantom_slices(2, seed=0)
    assert slices.shape == (2, 1, 128, 128)
    assert slices.min() == 0
    assert slices.max() <= 1
    assert ((slices > 0).float().mean(dim=(1, 2, 3)) > 0.1).all()
