"""A U-Net that takes noise away, as a baseline (Kascenas et al., MIDL 2022), in the place of a VAE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.nets import BasicUNet

from scripts.errors import InputError
from scripts.networks.backbone import Backbone
from scripts.networks.bayesian_vae import BayesianVAE, VAEBackbone
from scripts.networks.fixed_variance import PIXEL_LOG_VARIANCE


class UNetBackbone(VAEBackbone):
    """A U-Net behind the methods of a VAE, so that trainer, evaluation and report take it as one.

    The "latent" is the image itself with a deviation of exp(-10), so a draw is the image; decoding is the
    U-Net, with one fixed variance for all pixels. A KL term means nothing here: train with a weight of 0.

    Args:
        in_channels: image modalities.
        image_size: side of the square image, a multiple of 16.
        unet_channels: channels from the finest to the coarsest of five scales, and of the output.
        norm: MONAI norm name with its arguments.
        dropout: dropout rate.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 128,
        unet_channels: Sequence[int] = (16, 32, 64, 128, 256, 16),
        norm: str | Sequence[Any] = ("group", {"num_groups": 8}),
        dropout: float = 0.0,
    ) -> None:
        arguments = {
            "in_channels": in_channels,
            "image_size": image_size,
            "unet_channels": list(unet_channels),
            "norm": norm,
            "dropout": dropout,
        }
        if image_size % 16:
            raise InputError(f"Expected image_size to be a multiple of 16, got {image_size}.")
        # None of the VAE's layers; three zeros are what weights of this network have always held.
        fixed = {"format": 0, "heads": 0, "key_grid": 0}
        Backbone.__init__(self, arguments, in_channels * image_size**2, fixed)
        self.log_variance_min = -20.0
        self.unet = BasicUNet(
            2,
            in_channels,
            in_channels,
            tuple(unet_channels),
            norm=norm if isinstance(norm, str) else tuple(norm),
            dropout=dropout,
        )

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the image (B, C * H * W) as latent mean, and its fixed log variance."""
        latent = image.flatten(1)
        return latent, torch.full_like(latent, self.log_variance_min)

    def decode(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the denoised image (B, C, H, W) and its fixed log variance."""
        mean = self.unet(latent.reshape(-1, self.in_channels, self.image_size, self.image_size))
        return mean, torch.full_like(mean, PIXEL_LOG_VARIANCE)


class DenoisingUNet(BayesianVAE, UNetBackbone):
    """The U-Net as it is trained. Arguments: :class:`UNetBackbone`."""
