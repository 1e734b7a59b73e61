"""Exact softmax attention for one CPU thread, in blocks that stay in its cache."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable

LARGEST_EXPONENT = 90.0
"""Bound on exponents up to which no maximum is looked for: 2**127 overflows, in float32 and in bfloat16."""

BLOCK_BYTES = 2**19
"""Weights in one block: what a core's cache holds beside the products' other sides."""

NARROWEST_BYTES = 128
"""A row of a block: products and the maximum are only fast over rows that fill several vector registers."""


def worth_blocks(positions: int, keys: int, device: torch.device) -> bool:
    """Return whether :func:`blocked_attention` is the faster one for that many queries and keys.

    It is on one thread; PyTorch's kernel shares its work among many with less waiting.
    """
    return positions * keys >= 2**16 and device.type == "cpu" and torch.get_num_threads() == 1


def blocked_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    largest_exponent: float = LARGEST_EXPONENT,
    block_bytes: int = BLOCK_BYTES,
) -> torch.Tensor:
    """Return softmax attention, (B, H, d, N): positions last, as a feature map has them.

    PyTorch's fused CPU kernel spends its time on products of matrices with d columns and on exp: with
    heads of 4 or 8 dimensions this takes less than half as long, and a third with its gradients. Weights
    are laid out keys first, which suits thin matrices, and are powers of two, which are cheaper than
    powers of e. The maximum is only looked for when it matters: by Cauchy-Schwarz |q||k| bounds every
    exponent, and while that is far from overflow the quotient is the same without it.

    Where gradients are wanted all is float32, under mixed precision too: weights that are rounded to
    bfloat16 make gradients that are 2 % off.

    Args:
        query: (B, H, d, N).
        key: (B, H, d, M).
        value: (B, H, d, M).
        largest_exponent: bound up to which the maximum is left out.
        block_bytes: weights in one block.
    """
    if torch.is_grad_enabled() and any(one.requires_grad for one in (query, key, value)):
        query, key, value = query.float(), key.float(), value.float()
    with torch.autocast("cpu", enabled=False):
        return _BlockedAttention.apply(query, key, value, largest_exponent, block_bytes)


class _BlockedAttention(torch.autograd.Function):
    """A block of queries is a block of columns."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - PyTorch's
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        largest_exponent: float,
        block_bytes: int,
    ) -> torch.Tensor:
        batch, heads, size, positions = query.shape
        query, scale = query.contiguous(), math.log2(math.e) / math.sqrt(size)
        # (B, H, M, d). The factor goes to the keys: they may be few.
        rows = (key * scale).transpose(-1, -2).contiguous()
        shifted = bool(_longest(query, dim=2) * _longest(rows, dim=3) > largest_exponent)
        # A row of ones sums the weights in the same product.
        summed = torch.cat((value, torch.ones_like(value[:, :, :1])), dim=2)
        sums = query.new_empty((batch, heads, size + 1, positions))
        maxima = query.new_zeros((batch, heads, 1, positions))
        columns = max(
            NARROWEST_BYTES // query.element_size(),
            block_bytes // (query.element_size() * heads * rows.shape[2]),
        )
        for image in range(batch):
            for start in range(0, positions, columns):
                part = slice(start, start + columns)
                weights = torch.bmm(rows[image], query[image, :, :, part])
                if shifted:
                    maxima[image, :, :, part] = weights.amax(dim=1, keepdim=True)
                    weights -= maxima[image, :, :, part]
                sums[image, :, :, part] = torch.bmm(summed[image], weights.exp2_())
        output = sums[:, :, :size] / sums[:, :, size:]
        ctx.save_for_backward(query, rows, value, output, sums[:, :, size:].log2() + maxima)
        ctx.scale, ctx.columns = scale, columns
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401 - as above
        with torch.autocast("cpu", enabled=False):
            found = _gradients(ctx.columns, gradient.contiguous(), *ctx.saved_tensors)
        # Keys were scaled for powers of two; the derivative of 2**x brings a factor ln 2.
        factors = (math.log(2), ctx.scale * math.log(2), 1.0)
        return (*(one * factor for one, factor in zip(found, factors, strict=True)), None, None)


def _longest(vectors: torch.Tensor, dim: int) -> torch.Tensor:
    """Return the length of the longest vector."""
    return vectors.square().sum(dim=dim).amax().sqrt()


def _gradients(
    columns: int,
    gradient: torch.Tensor,
    query: torch.Tensor,
    rows: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    log_sum: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return gradients (B, H, d, .) for query, key and value, without the constant factors of the logits."""
    ones = torch.ones_like(rows[..., :1])
    # One more dimension subtracts the normaliser, and the gradients' weighted mean, in the products.
    key_and_one = torch.cat((rows, ones), dim=-1)
    value_and_one = torch.cat((value.transpose(-1, -2), ones), dim=-1)
    normalised = torch.cat((query, -log_sum), dim=2)
    centred = torch.cat((gradient, -(gradient * output).sum(dim=2, keepdim=True)), dim=2)
    key = rows.transpose(-1, -2).contiguous()
    for_query, for_key, for_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(key)
    for image in range(query.shape[0]):
        for start in range(0, query.shape[-1], columns):
            part = slice(start, start + columns)
            weights = torch.bmm(key_and_one[image], normalised[image, :, :, part]).exp2_()
            for_value[image] += torch.bmm(gradient[image, :, :, part], weights.transpose(1, 2))
            weights *= torch.bmm(value_and_one[image], centred[image, :, :, part])
            for_query[image, :, :, part] = torch.bmm(key[image], weights)
            for_key[image] += torch.bmm(query[image, :, :, part], weights.transpose(1, 2))
    return for_query, for_key, for_value
