"""Maps of the denoising U-Net, and which mapper fits a trained network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.networks.denoising_unet import UNetBackbone
from scripts.uncertainty.mapper import AnomalyMapper


class UNetMapper(AnomalyMapper, UNetBackbone):
    """:class:`AnomalyMapper` over a U-Net: its draws are all alike, so epistemic variance is 0."""


def mapper_class(settings: Mapping[str, Any]) -> type[AnomalyMapper]:
    """Return the mapper of a network, from the arguments that the network was made with."""
    return UNetMapper if "unet_channels" in settings else AnomalyMapper
