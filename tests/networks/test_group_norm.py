"""Group norm, and the way that it is computed in an ONNX graph."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from scripts.networks.group_norm import GroupNorm


def make(groups: int, channels: int) -> tuple[GroupNorm, torch.Tensor]:
    torch.manual_seed(0)
    norm = GroupNorm(groups, channels).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm, torch.randn(3, channels, 6, 5, dtype=torch.float64) * 4 + 2


@pytest.mark.parametrize(("groups", "channels"), [(1, 4), (2, 4), (4, 4), (8, 32)])
def test_rows_give_what_pytorchs_norm_gives(groups: int, channels: int) -> None:
    norm, image = make(groups, channels)
    plain = nn.GroupNorm(groups, channels).double()
    plain.load_state_dict(norm.state_dict())
    assert torch.equal(norm(image), plain(image))
    assert torch.allclose(norm._by_rows(image), plain(image), rtol=1e-12, atol=1e-12)


def test_an_exported_graph_takes_rows() -> None:
    norm, image = make(2, 4)
    program = torch.export.export(norm, (image,))
    names = {str(node.target) for node in program.graph.nodes}
    assert any("mean" in name for name in names)
    assert not any("group_norm" in name for name in names)
    assert torch.allclose(program.module()(image), norm(image), rtol=1e-12, atol=1e-12)
    assert torch.equal(torch.jit.script(norm)(image), norm(image))
