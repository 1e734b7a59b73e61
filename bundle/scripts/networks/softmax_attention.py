"""Exact softmax attention for one CPU thread, in blocks that stay in its cache."""

from __future__ import annotations

import math

import torch


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
    largest_exponent: float = 90.0,
    block_bytes: int = 2**21,
) -> torch.Tensor:
    """Return ``softmax(query @ key^T / sqrt(d)) @ value``, (B, H, N, d); without gradients.

    PyTorch's fused CPU kernel spends its time on products of matrices with d columns and on exp: with
    heads of 4 or 8 dimensions this takes less than half as long. Weights are laid out keys first, which
    suits thin matrices, and are powers of two, which are cheaper than powers of e. The maximum is only
    looked for when it matters: by Cauchy-Schwarz |q||k| bounds every exponent, and while that is far from
    overflow (2**127 in float32 and in bfloat16) the quotient is the same without it.

    Args:
        query: (B, H, N, d).
        key: (B, H, M, d).
        value: (B, H, M, d).
        largest_exponent: bound up to which the maximum is left out.
        block_bytes: weights in one block: about what a core's cache holds.
    """
    query = query * (math.log2(math.e) / math.sqrt(query.shape[-1]))
    bound = torch.linalg.vector_norm(query, dim=-1).amax() * torch.linalg.vector_norm(key, dim=-1).amax()
    shifted = bool(bound > largest_exponent)
    batch, heads, positions, size = query.shape
    query = query.transpose(-1, -2).contiguous()
    # A row of ones sums the weights in the same product.
    value = torch.cat((value, torch.ones_like(value[..., :1])), dim=-1).transpose(-1, -2).contiguous()
    sums = query.new_empty((batch, heads, size + 1, positions))
    # The maximum is only fast over rows that fill several vector registers.
    narrowest = 128 // query.element_size() if shifted else 16
    columns = max(narrowest, block_bytes // (query.element_size() * heads * key.shape[2]))
    for image in range(batch):
        for start in range(0, positions, columns):
            weights = torch.bmm(key[image], query[image, :, :, start : start + columns])
            if shifted:
                weights -= weights.amax(dim=1, keepdim=True)
            sums[image, :, :, start : start + columns] = torch.bmm(value[image], weights.exp2_())
    return (sums[:, :, :size] / sums[:, :, size:]).transpose(-1, -2)
