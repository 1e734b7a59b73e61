"""Which mapper makes maps of which network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.networks.backbone import Backbone
from scripts.uncertainty.latent_noise import NoiseKind
from scripts.uncertainty.lesion_mapper import LesionMapper
from scripts.uncertainty.mapper import AnomalyMapper, VAEMapper
from scripts.uncertainty.scores import Pooling, Score, ScoreRegion
from scripts.uncertainty.unet_mapper import UNetMapper


def mapper_class(arguments: Mapping[str, Any]) -> type[AnomalyMapper]:
    """Return the mapper of a network, from the arguments that the network was made with."""
    if "widths" in arguments:
        return LesionMapper
    return UNetMapper if "unet_channels" in arguments else VAEMapper


def mapper_of(
    network: Backbone,
    samples: int = 5,
    seed: int = 0,
    noise: str = NoiseKind.NORMAL,
    score: str = Score.UNCERTAINTY_WEIGHTED,
    region: str = ScoreRegion.FOREGROUND,
    pooling: str = Pooling.MEAN,
    slice_smoothing: float = 0.0,
    use_epistemic: bool = True,
    use_aleatoric: bool = True,
) -> AnomalyMapper:
    """Return a mapper that uses the layers of ``network`` themselves, so that it follows their training.

    The arguments are those of :class:`AnomalyMapper`, spelled out because configs are checked against them.
    """
    kind = mapper_class(network.arguments)
    used = {"use_epistemic": use_epistemic, "use_aleatoric": use_aleatoric}
    mapper = kind(samples, seed, noise, score, region, pooling, slice_smoothing, **used, **network.arguments)
    for name, layer in network.named_children():
        setattr(mapper, name, layer)
    return mapper
