"""Attention of a network against its own weights, row by row, and a network told where to look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from scripts.engines.attention_maps import LayerAttention, attention_layers, attention_of
from scripts.engines.attention_section import attention_rows, attention_section, boundary_answer
from scripts.engines.run_tables import Measured
from scripts.evaluation.attention_mass import lesion_boundary
from tests.engines.test_run_tables import make_measured
from tests.small_networks import small_images, small_mapper


@pytest.fixture(scope="module")
def measured() -> Measured:
    return make_measured()


def test_layers_have_the_names_of_what_they_follow() -> None:
    mapper = small_mapper(encoder_attention=(3, 1), decoder_attention=(2,))
    assert list(attention_layers(mapper)) == ["encoder 1", "encoder 3", "decoder 2"]


def test_received_attention_is_the_mean_row_of_queries_on_the_head() -> None:
    mapper, images = small_mapper(), small_images(5)
    layers = attention_of(mapper, images, batch_size=2)
    inputs = {}
    for name, layer in attention_layers(mapper).items():
        layer.register_forward_pre_hook(lambda _, given, name=name: inputs.update({name: given[0]}))
    with torch.no_grad():
        mapper.decode(mapper.encode(images)[0])
    for found in layers:
        layer, image = attention_layers(mapper)[found.name], inputs[found.name]
        size = image.shape[-1]
        weights = layer.attention_weights(image, size**2).double().numpy()
        for index in range(len(images)):
            cells = (images[index, 0] > 0).double().reshape(size, 32 // size, size, 32 // size)
            share = cells.mean(dim=(1, 3)).flatten().numpy()
            for head in range(2):
                row = (share[:, None] * weights[index, head]).sum(axis=0) / share.sum()
                np.testing.assert_allclose(found.received[index, head].ravel(), row, rtol=1e-4)
    assert all((layer.entropy > 0).all() and (layer.entropy <= 1).all() for layer in layers)


def looks_at(measured: Measured, regions: np.ndarray) -> LayerAttention:
    """Return a layer of two heads: one evenly everywhere, one only at the regions (N, X, Y)."""
    count, size = len(regions), regions.shape[1]
    even = np.full((count, size, size), 1 / size**2)
    there = regions + 1e-6
    there = there / there.sum(axis=(1, 2), keepdims=True)
    return LayerAttention("made up", np.stack([even, there], axis=1), np.tile([1.0, 0.3], (count, 1)))


def test_a_head_that_looks_at_boundaries_is_found_and_an_even_one_is_indifferent(measured) -> None:
    boundaries = np.stack([lesion_boundary(mask) for mask in measured.masks]) & measured.foreground
    layer = looks_at(measured, boundaries.astype(float))
    even, there, both = attention_rows(measured, [layer])
    everything = attention_rows(measured, [layer, layer])[-1]
    assert even["boundary_ratio"] == pytest.approx(1)
    assert even["mirrored_ratio"] == pytest.approx(1)
    assert there["boundary_mass"] == pytest.approx(1, abs=1e-3)
    assert there["boundary_ratio_low"] > 2
    assert there["mirrored_ratio"] < 0.1
    assert there["boundary_to_mirrored_low"] > 10
    assert even["boundary_to_mirrored"] == pytest.approx(1)
    assert both["boundary_ratio"] == pytest.approx((1 + there["boundary_ratio"]) / 2)
    assert (both["layer"], both["head"], everything["layer"]) == ("made up", "all", "all")
    assert (even["entropy_normal"], there["entropy_abnormal"]) == pytest.approx((1.0, 0.3))
    size = f"{everything['boundary_to_mirrored'] - 1:.0%}"
    assert boundary_answer([everything]).endswith(f"Does a lesion's boundary draw attention? {size} more.")


def test_section_has_a_row_for_each_head_and_pictures_of_both_classes(measured) -> None:
    section = attention_section(measured)
    (table,) = section.tables
    # 2 encoder and 2 decoder layers: two heads and their mean each, and one row over all.
    assert len(table.rows) == 4 * 3 + 1
    assert [row["keys"] for row in table.rows[:3]] == [16, 16, 16]
    assert [picture.title for picture in section.pictures] == [
        "What attention looks at, by layer",
        "What the heads of encoder 1 look at",
    ]
    assert "lesion boundaries get" in section.text


def test_without_lesions_or_attention_the_section_says_so(measured) -> None:
    test = replace(measured.test, masks=0 * measured.test.masks, facts=measured.test.facts.assign(label=0))
    section = attention_section(replace(measured, test=test))
    assert section.text.startswith("No slice shows a lesion")
    assert section.tables[0].rows[0]["boundary_ratio"] is None
    mapper = small_mapper(encoder_attention=(), decoder_attention=())
    plain = replace(measured, run=replace(measured.run, mapper=mapper))
    assert attention_section(plain).text == "This network has no attention."
