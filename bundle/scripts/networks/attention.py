"""Multi-head self-attention over the positions of a feature map (arXiv 2504.15562, section 3.2)."""

from __future__ import annotations

import torch
from monai.networks.blocks import CrossAttentionBlock
from torch import nn

from scripts.errors import InputError
from scripts.networks.group_norm import GroupNorm
from scripts.networks.softmax_attention import blocked_attention, worth_blocks


class SpatialAttention(nn.Module):
    """Residual multi-head scaled dot-product attention, ``x + attention(norm(x))``, on (B, C, H, W).

    Queries come from every position. Keys and values come from every position too (``key_grid=None``,
    the paper's attention), or from the map averaged down to at most ``key_grid`` x ``key_grid``: the
    weights are the same, the cost is linear in the number of positions.

    MONAI's ``CrossAttentionBlock`` does the attention. Its tokens are (B, N, C), so queries, keys and
    values have their channels contiguous; fed with the channel-strided output of a 1 x 1 convolution,
    PyTorch's CPU kernel is about ten times slower. On one CPU thread, large maps go through
    :func:`blocked_attention` instead, channels first: the same numbers in less than half the time.

    Args:
        channels: channels of the feature map, divisible by ``heads``.
        heads: number of attention heads.
        size: side of the feature map, pixels.
        key_grid: largest side of the grid of keys and values, which divides ``size``; None for no averaging.
        dropout: dropout rate of the block's output. (Not MONAI's own: its fused path drops at inference too.)
    """

    def __init__(
        self, channels: int, heads: int, size: int, key_grid: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise InputError(
                f"Expected channels divisible by heads, got {channels} and {heads}; change heads."
            )
        pool = 1 if key_grid is None else _smallest_divisor(size, key_grid)
        self.norm = GroupNorm(min(8, channels), channels)
        self.pool: nn.Module = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        self.attention = CrossAttentionBlock(channels, heads, qkv_bias=True, use_flash_attention=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the attended map, same shape as ``image`` (B, C, H, W)."""
        normed = self.norm(image)
        attended = self._attend(normed.flatten(2), self.pool(normed).flatten(2))
        return image + self.dropout(attended).reshape(image.shape)

    def _attend(self, positions: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Return the attention of ``positions`` (B, C, N) over ``context`` (B, C, M), (B, C, N)."""
        # A compiled or traced graph keeps MONAI's one operator.
        if torch.jit.is_scripting() or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return self._attend_tokens(positions, context)
        if worth_blocks(positions.shape[2], context.shape[2], positions.device):
            return self._attend_in_blocks(positions, context)
        return self._attend_tokens(positions, context)

    def _attend_tokens(self, positions: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        return self.attention(positions.transpose(1, 2), context.transpose(1, 2)).transpose(1, 2)

    @torch.jit.unused
    def _attend_in_blocks(self, positions: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Attend without moving the channels to the end and back, which costs as much as the products."""
        block = self.attention
        query, key, value = (
            _project(layer, source).unflatten(1, (block.num_heads, -1))
            for layer, source in ((block.to_q, positions), (block.to_k, context), (block.to_v, context))
        )
        return _project(block.out_proj, blocked_attention(query, key, value).flatten(1, 2))

    @torch.jit.unused
    @torch.no_grad()
    def attention_weights(self, image: torch.Tensor, queries: int) -> torch.Tensor:
        """Return the attention rows (B, heads, N, keys) of N = ``queries`` positions spread over ``image``.

        The fused kernel never forms them; computing all rows at 64 x 64 would take 0.5 GB a slice.
        """
        normed = self.norm(image)
        tokens = normed.flatten(2).transpose(1, 2)
        chosen = spread_positions(tokens.shape[1], queries)
        query = self.attention.input_rearrange(self.attention.to_q(tokens[:, chosen]))
        key = self.attention.input_rearrange(
            self.attention.to_k(self.pool(normed).flatten(2).transpose(1, 2))
        )
        return torch.softmax(query @ key.transpose(-1, -2) * self.attention.scale, dim=-1)


def _project(layer: nn.Linear, positions: torch.Tensor) -> torch.Tensor:
    """Apply a linear layer to the channels of ``positions`` (B, C, N)."""
    return torch.baddbmm(layer.bias[:, None], layer.weight.expand(len(positions), -1, -1), positions)


def spread_positions(positions: int, count: int) -> torch.Tensor:
    """Return at most ``count`` of the positions 0 to ``positions - 1``, spread evenly, (N,).

    Not every n-th one: n may be the width of a map, and all of them lie in one column then.
    """
    return torch.linspace(0, positions - 1, min(count, positions)).round().long()


def _smallest_divisor(size: int, key_grid: int) -> int:
    """Return the side of the squares that cut ``size`` into at most ``key_grid``, without rest.

    >>> _smallest_divisor(128, 16), _smallest_divisor(8, 3)
    (8, 4)
    """
    return next(side for side in range(1, size + 1) if size % side == 0 and size // side <= key_grid)
