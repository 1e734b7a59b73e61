"""The Bayesian VAE with multi-head attention (arXiv 2504.15562, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.blocks import Convolution
from torch import nn

from scripts.errors import InputError
from scripts.networks.attention import SpatialAttention
from scripts.networks.backbone import Backbone

_FORMAT = 1
_ACTIVATION = ("leakyrelu", {"negative_slope": 0.1, "inplace": True})


class VAEBackbone(Backbone):
    """Encoder and decoder of a VAE that predicts a Gaussian, mean and log variance, for every pixel.

    :class:`BayesianVAE` trains it; ``uncertainty.mapper.VAEMapper`` turns it into maps.

    Encoder: one 3 x 3 convolution of stride 2 per entry of ``channels``. Latent: one linear layer for
    the mean, one for the log variance. Decoder: a linear layer, then transposed convolutions back to
    the image's size and two 3 x 3 heads. Attention follows the layers named (counted from 1). The paper
    gives neither kernel, norm nor activation; ours: 3 x 3, group norm (batch norm's running statistics
    failed on small sets), leaky ReLU.

    Args:
        in_channels: image modalities.
        image_size: side of the square image, a multiple of 2 ** len(channels).
        channels: channels of the encoder's layers; the decoder mirrors them.
        latent_size: dimension of the latent Gaussian.
        heads: attention heads.
        encoder_attention: layers of the encoder followed by attention.
        decoder_attention: layers of the decoder followed by attention.
        key_grid: see :class:`SpatialAttention`; None is the paper's full attention.
        norm: MONAI norm name with its arguments, or None.
        dropout: dropout rate after every layer.
        log_variance_range: clamp of both log variances.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 128,
        channels: Sequence[int] = (32, 64, 128, 256),
        latent_size: int = 256,
        heads: int = 8,
        encoder_attention: Sequence[int] = (2, 4),
        decoder_attention: Sequence[int] = (1, 3),
        key_grid: int | None = 8,
        norm: str | Sequence[Any] | None = ("group", {"num_groups": 8}),
        dropout: float = 0.0,
        log_variance_range: tuple[float, float] = (-20.0, 20.0),
    ) -> None:
        arguments = {
            "in_channels": in_channels,
            "image_size": image_size,
            "channels": list(channels),
            "latent_size": latent_size,
            "heads": heads,
            "encoder_attention": list(encoder_attention),
            "decoder_attention": list(decoder_attention),
            "key_grid": key_grid,
            "norm": norm,
            "dropout": dropout,
            "log_variance_range": log_variance_range,
        }
        super().__init__(
            arguments, latent_size, {"format": _FORMAT, "heads": heads, "key_grid": key_grid or 0}
        )
        scale = 2 ** len(channels)
        if image_size % scale:
            raise InputError(f"Expected image_size to be a multiple of {scale}, got {image_size}.")
        self.log_variance_min, self.log_variance_max = log_variance_range
        self.bottom_channels = channels[-1]
        self.bottom_size = image_size // scale

        self.encoder = nn.Sequential()
        width, size = in_channels, image_size
        for layer, out in enumerate(channels, start=1):
            self.encoder.append(_layer(width, out, norm, dropout, transposed=False))
            width, size = out, size // 2
            if layer in encoder_attention:
                self.encoder.append(SpatialAttention(width, heads, size, key_grid, dropout))
        features = self.bottom_channels * self.bottom_size**2
        self.to_latent_mean = nn.Linear(features, latent_size)
        self.to_latent_log_variance = nn.Linear(features, latent_size)

        self.from_latent = nn.Linear(latent_size, features)
        self.decoder = nn.Sequential()
        mirrored = [*reversed(channels[:-1]), max(16, channels[0] // 2)]
        for layer, out in enumerate(mirrored, start=1):
            self.decoder.append(_layer(width, out, norm, dropout, transposed=True))
            width, size = out, size * 2
            if layer in decoder_attention:
                self.decoder.append(SpatialAttention(width, heads, size, key_grid, dropout))
        self.mean_head = nn.Conv2d(width, in_channels, 3, padding=1)
        self.log_variance_head = nn.Conv2d(width, in_channels, 3, padding=1)
        # Start with one variance for all pixels, exp(-4): a tenth of the intensity range as deviation.
        nn.init.zeros_(self.log_variance_head.weight)
        if self.log_variance_head.bias is not None:
            nn.init.constant_(self.log_variance_head.bias, -4.0)

    @torch.jit.export  # servers that run the exported network judge scans by it
    def describe(self, image: torch.Tensor) -> torch.Tensor:
        """Return the latent mean (B, latent) of ``image`` (B, C, H, W)."""
        return self.encode(image)[0]

    def run_once(self, image: torch.Tensor) -> None:
        """Decode the latent mean of ``image`` (B, C, H, W)."""
        self.decode(self.encode(image)[0])

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance of q(z | x), each (B, latent), of ``image`` (B, C, H, W)."""
        features = self.encoder(image).flatten(1)
        log_variance = self.to_latent_log_variance(features)
        return self.to_latent_mean(features), self._clamp(log_variance)

    def decode(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance of p(x | z), each (B, C, H, W), of ``latent`` (B, latent)."""
        features = self.from_latent(latent)
        features = features.reshape(-1, self.bottom_channels, self.bottom_size, self.bottom_size)
        features = self.decoder(features)
        # Both heads in one convolution: with one or two output channels it costs the same.
        weight = torch.cat((self.mean_head.weight, self.log_variance_head.weight))
        mean_bias, log_variance_bias = self.mean_head.bias, self.log_variance_head.bias
        assert mean_bias is not None
        assert log_variance_bias is not None
        bias = torch.cat((mean_bias, log_variance_bias))
        mean, log_variance = F.conv2d(features, weight, bias, padding=1).chunk(2, dim=1)
        return mean, self._clamp(log_variance)

    def _clamp(self, log_variance: torch.Tensor) -> torch.Tensor:
        return log_variance.clamp(self.log_variance_min, self.log_variance_max)


class BayesianVAE(VAEBackbone):
    """The network as it is trained: one latent draw for each image. Arguments: :class:`VAEBackbone`."""

    def forward(
        self, image: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return image mean, image log variance, latent mean and latent log variance for one draw.

        Args:
            image: (B, C, H, W), normalised intensities.
            noise: (B, latent) standard normal draw; z = mean + deviation * noise (the paper's eq. 5).
        """
        latent_mean, latent_log_variance = self.encode(image)
        latent = latent_mean + torch.exp(0.5 * latent_log_variance) * noise
        mean, log_variance = self.decode(latent)
        return mean, log_variance, latent_mean, latent_log_variance


def _layer(
    width: int, out: int, norm: str | Sequence[Any] | None, dropout: float, transposed: bool
) -> Convolution:
    return Convolution(
        2,
        width,
        out,
        strides=2,
        kernel_size=3,
        act=_ACTIVATION,
        norm=tuple(norm) if norm is not None and not isinstance(norm, str) else norm,
        dropout=dropout or None,
        is_transposed=transposed,
    )
