"""A convolution with bias and ReLU whose gradients do not wait for the bias."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable


class ConvolutionReLU(nn.Module):
    """``relu(convolution(x) + bias)``: the same as PyTorch's layers in a row.

    PyTorch's CPU kernel sums the gradient of a bias over a channels-last map in bfloat16 in twice the time of
    all other gradients of the convolution. Here it is one product of a matrix with a vector of ones.

    Args:
        convolution: without a bias.
    """

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        if convolution.bias is not None:
            raise ValueError("Expected a convolution without bias, got one with; pass bias=False.")
        self.convolution = convolution
        self.bias = nn.Parameter(torch.zeros(convolution.out_channels))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the map (B, C', H', W') of ``image`` (B, C, H, W)."""
        convolved = self.convolution(image)
        return _BiasReLU.apply(convolved, self.bias.to(convolved.dtype))


class _BiasReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, convolved: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - PyTorch's
        # In place: a convolution does not need its output again, and fresh memory costs more than the sum.
        output = convolved.add_(bias[:, None, None]).relu_()
        ctx.mark_dirty(output)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401 - as above
        (output,) = ctx.saved_tensors
        # A linear layer gives its gradient in another layout than the map's, which costs more than this copy.
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        passed = torch.ops.aten.threshold_backward(gradient, output, 0)
        rows = passed.permute(0, 2, 3, 1).reshape(-1, passed.shape[1])
        return passed, rows.new_ones(len(rows)) @ rows
