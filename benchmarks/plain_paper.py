"""The plain reading of the paper: what inference costs before anyone has looked at it.

One slice after another, K full forward passes each, queries, keys and values from 1 x 1 convolutions and
attention on their own strides (channels are far apart in memory, so PyTorch takes its unfused kernel and
forms the matrix of all pairs of positions). Weights and latent draws are those of our network, and so
are the maps.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from scripts.networks.attention import SpatialAttention
from scripts.uncertainty.mapper import Draws, VAEMapper


class PlainAttention(nn.Module):
    """Full attention of (B, C, H, W) maps with 1 x 1 convolutions; weights copied from ``source``."""

    def __init__(self, source: SpatialAttention) -> None:
        super().__init__()
        if not isinstance(source.pool, nn.Identity):
            raise ValueError(
                "Expected full attention, got pooled keys; build the network with key_grid=None."
            )
        block = source.attention
        self.heads = block.num_heads
        self.norm = source.norm
        self.to_q, self.to_k, self.to_v = (_conv(layer) for layer in (block.to_q, block.to_k, block.to_v))
        self.out = _conv(block.out_proj)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return ``image + attention(norm(image))``."""
        batch, channels, height, width = image.shape
        normed = self.norm(image)
        shape = (batch, self.heads, channels // self.heads, height * width)
        query, key, value = (
            layer(normed).reshape(shape).transpose(-1, -2) for layer in (self.to_q, self.to_k, self.to_v)
        )
        attended = scaled_dot_product_attention(query, key, value)
        return image + self.out(attended.transpose(-1, -2).reshape(image.shape))


class PlainPaper(nn.Module):
    """Maps (B, C, H, W) to (B, 4 + C, H, W) as ``mapper`` does, the slow way. ``mapper`` is not changed."""

    def __init__(self, mapper: VAEMapper) -> None:
        super().__init__()
        self.mapper = copy.deepcopy(mapper).eval()
        for layers in (self.mapper.encoder, self.mapper.decoder):
            for index, layer in enumerate(layers):
                if isinstance(layer, SpatialAttention):
                    layers[index] = PlainAttention(layer)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the maps of all slices, computed one by one."""
        return torch.cat([self._map(image) for image in images.split(1)])

    def _map(self, image: torch.Tensor) -> torch.Tensor:
        means, log_variances = [], []
        for draw in self.mapper.latent_draws:
            latent_mean, latent_log_variance = self.mapper.encode(image)
            mean, log_variance = self.mapper.decode(latent_mean + torch.exp(0.5 * latent_log_variance) * draw)
            means.append(mean)
            log_variances.append(log_variance)
        nothing = image.new_zeros((0, *image[:, :1].shape))
        draws = Draws(
            latent_mean, latent_log_variance, torch.stack(means), torch.stack(log_variances), nothing
        )
        return self.mapper.to_maps(image, draws)


def _conv(linear: nn.Linear) -> nn.Conv2d:
    conv = nn.Conv2d(linear.in_features, linear.out_features, 1)
    conv.load_state_dict(
        {"weight": linear.weight.detach()[:, :, None, None].clone(), "bias": linear.bias.detach().clone()}
    )
    return conv
