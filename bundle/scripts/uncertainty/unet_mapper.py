"""Maps of the denoising U-Net."""

from __future__ import annotations

from scripts.networks.denoising_unet import UNetBackbone
from scripts.uncertainty.mapper import VAEMapper


class UNetMapper(VAEMapper, UNetBackbone):
    """:class:`VAEMapper` over a U-Net: its draws are alike but for rounding; take one (``samples: 1``)."""
