"""A known answer: what weights say of a slice that anyone can make. It tells a faulty installation."""

from __future__ import annotations

import torch

from scripts.uncertainty.mapper import AnomalyMapper
from scripts.uncertainty.maps import CHANNEL
from scripts.uncertainty.scores import masked_mean

PLACE, RADIUS = (0.3, -0.2), 0.12
"""Centre and radius of the bright disc, where the slice reaches from -1 to 1."""


def probe_slice(channels: int, size: int) -> torch.Tensor:
    """Return waves of 0.3 to 0.6 in an ellipse, 0 around it, with a bright disc off its middle.

    Returns:
        (1, channels, size, size), as normalised slices are.
    """
    rows, columns = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    tissue = 0.45 + 0.15 * torch.sin(11 * rows) * torch.cos(8 * columns)
    bright = (rows - PLACE[0]) ** 2 + (columns - PLACE[1]) ** 2 < RADIUS**2
    head = rows**2 + 1.4 * columns**2 < 0.7
    return (torch.where(bright, torch.tensor(0.95), tissue) * head).expand(1, channels, size, size).clone()


@torch.inference_mode()
def known_answer(mapper: AnomalyMapper) -> dict[str, float]:
    """Return the mean of each map over the foreground of the probe slice, by the name of the map."""
    device = next(mapper.parameters()).device
    image = probe_slice(mapper.in_channels, mapper.image_size).to(device)
    pred = mapper.eval()(image)
    inside = image.amax(dim=1, keepdim=True) > 0
    return {
        name.value: float(masked_mean(pred[:, channel : channel + 1], inside))
        for name, channel in CHANNEL.items()
    }
