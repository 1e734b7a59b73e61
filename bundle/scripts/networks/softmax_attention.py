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


def worth_blocks(tokens: torch.Tensor, context: torch.Tensor) -> bool:
    """Return whether :func:`blocked_attention` is the faster one for (B, N, C) over (B, M, C) tokens.

    It is on one thread; PyTorch's kernel shares its work among many with less waiting.
    """
    large = tokens.shape[1] * context.shape[1] >= 2**16
    return large and tokens.device.type == "cpu" and torch.get_num_threads() == 1


def blocked_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    largest_exponent: float = LARGEST_EXPONENT,
    block_bytes: int = BLOCK_BYTES,
) -> torch.Tensor:
    """Return ``softmax(query @ key^T / sqrt(d)) @ value``, (B, H, N, d).

    PyTorch's fused CPU kernel spends its time on products of matrices with d columns and on exp: with
    heads of 4 or 8 dimensions this takes less than half as long, and a third with its gradients. Weights
    are laid out keys first, which suits thin matrices, and are powers of two, which are cheaper than
    powers of e. The maximum is only looked for when it matters: by Cauchy-Schwarz |q||k| bounds every
    exponent, and while that is far from overflow the quotient is the same without it.

    Where gradients are wanted all is float32, under mixed precision too: weights that are rounded to
    bfloat16 make gradients that are 2 % off.

    Args:
        query: (B, H, N, d).
        key: (B, H, M, d).
        value: (B, H, M, d).
        largest_exponent: bound up to which the maximum is left out.
        block_bytes: weights in one block.
    """
    if torch.is_grad_enabled() and any(one.requires_grad for one in (query, key, value)):
        query, key, value = query.float(), key.float(), value.float()
    with torch.autocast("cpu", enabled=False):
        return _BlockedAttention.apply(query, key, value, largest_exponent, block_bytes)


class _BlockedAttention(torch.autograd.Function):
    """All tensors are held as (B, H, d, N): a block of queries is a block of columns."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - PyTorch's
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        largest_exponent: float,
        block_bytes: int,
    ) -> torch.Tensor:
        scale = math.log2(math.e) / math.sqrt(query.shape[-1])
        query = query * scale
        bound = torch.linalg.vector_norm(query, dim=-1).amax() * torch.linalg.vector_norm(key, dim=-1).amax()
        shifted = bool(bound > largest_exponent)
        batch, heads, positions, size = query.shape
        query = query.transpose(-1, -2).contiguous()
        # A row of ones sums the weights in the same product.
        summed = torch.cat((value, torch.ones_like(value[..., :1])), dim=-1).transpose(-1, -2).contiguous()
        sums = query.new_empty((batch, heads, size + 1, positions))
        maxima = query.new_zeros((batch, heads, 1, positions))
        columns = max(
            NARROWEST_BYTES // query.element_size(),
            block_bytes // (query.element_size() * heads * key.shape[2]),
        )
        for image in range(batch):
            for start in range(0, positions, columns):
                part = slice(start, start + columns)
                weights = torch.bmm(key[image], query[image, :, :, part])
                if shifted:
                    maxima[image, :, :, part] = weights.amax(dim=1, keepdim=True)
                    weights -= maxima[image, :, :, part]
                sums[image, :, :, part] = torch.bmm(summed[image], weights.exp2_())
        output = sums[:, :, :size] / sums[:, :, size:]
        ctx.save_for_backward(query, key, value, output, sums[:, :, size:].log2() + maxima)
        ctx.scale, ctx.columns = scale, columns
        return output.transpose(-1, -2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401 - as above
        with torch.autocast("cpu", enabled=False):
            gradient = gradient.transpose(-1, -2).contiguous()
            found = _gradients(ctx.columns, gradient, *ctx.saved_tensors)
        # Queries were scaled for powers of two; the derivative of 2**x brings a factor ln 2.
        factors = (ctx.scale * math.log(2), math.log(2), 1.0)
        gradients = [one.transpose(-1, -2) * factor for one, factor in zip(found, factors, strict=True)]
        return (*gradients, None, None)


def _gradients(
    columns: int,
    gradient: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    log_sum: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return gradients (B, H, d, .) for query, key and value, without the constant factors of the logits."""
    ones = torch.ones_like(key[..., :1])
    # One more dimension subtracts the normaliser, and the gradients' weighted mean, in the products.
    key_and_one, value_and_one = torch.cat((key, ones), dim=-1), torch.cat((value, ones), dim=-1)
    normalised = torch.cat((query, -log_sum), dim=2)
    centred = torch.cat((gradient, -(gradient * output).sum(dim=2, keepdim=True)), dim=2)
    transposed_key = key.transpose(-1, -2).contiguous()
    for_query = torch.empty_like(query)
    for_key, for_value = torch.zeros_like(transposed_key), torch.zeros_like(transposed_key)
    for image in range(query.shape[0]):
        for start in range(0, query.shape[-1], columns):
            part = slice(start, start + columns)
            weights = torch.bmm(key_and_one[image], normalised[image, :, :, part]).exp2_()
            for_value[image] += torch.bmm(gradient[image, :, :, part], weights.transpose(1, 2))
            weights *= torch.bmm(value_and_one[image], centred[image, :, :, part])
            for_query[image, :, :, part] = torch.bmm(transposed_key[image], weights)
            for_key[image] += torch.bmm(query[image, :, :, part], weights.transpose(1, 2))
    return for_query, for_key, for_value
