"""Group norm whose ONNX graph is as exact as the network itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class GroupNorm(nn.GroupNorm):
    """PyTorch's group norm; in an ONNX graph, mean and variance are taken row by row.

    PyTorch exports its own as an InstanceNormalization, for which ONNX Runtime adds up a group's thousands of
    pixels one after the other: maps were off by 0.0002 of their largest value.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - PyTorch's name
        """Return the norm of ``input`` (B, C, H, W), of that shape."""
        if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript skips this condition alone
            if torch.compiler.is_exporting():
                return self._by_rows(input)
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    @torch.jit.unused
    def _by_rows(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - as above
        batch, _, height, width = input.shape
        centred = input.reshape(batch, self.num_groups, -1, height, width)
        centred = centred - _mean(centred)
        normal = centred * torch.rsqrt(_mean(centred.square()) + self.eps)
        return normal.reshape(input.shape) * self.weight[:, None, None] + self.bias[:, None, None]


def _mean(groups: torch.Tensor) -> torch.Tensor:
    """Return the mean (B, G, 1, 1, 1) of groups (B, G, C, H, W), by rows, columns and channels."""
    return groups.mean(dim=4, keepdim=True).mean(dim=3, keepdim=True).mean(dim=2, keepdim=True)
