"""What a synthetic lesion is made of, and from which ranges it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, fields

from scripts.errors import InputError
from scripts.options import Option

Range = tuple[float, float]


class LesionPart(Option):
    """Parts of a synthetic lesion; each can be left out, with every other draw as it was."""

    INTENSITY = "intensity"
    """Tissue mixed with its blur, made darker or brighter, with a texture and perhaps a dark core."""
    RING = "ring"
    """A bright band along the border, in some lesions."""
    PATCH = "patch"
    """Foreign tissue in place of the changed one, in some lesions."""
    MASS_EFFECT = "mass_effect"
    """Tissue pushed away from the centre, in some lesions."""


@dataclass(frozen=True)
class LesionRanges:
    """Lower and upper end of every draw, uniform unless said, and shares in [0, 1].

    Set from anatomy, not from lesions: ranges fitted to a test set would be labels in disguise.

    Attributes:
        count: lesions in a slice that gets any, both ends included.
        radius: mean radius, pixels, log-uniform.
        margin: least distance of the centre from the head's surface, pixels; above 9 it lies in the brain.
        contrast: shift in parts of the channel's mean foreground, small ones more often.
        softness: half the width of the border, pixels.
        strength: opacity.
        darker_share: part of the shifts that go down.
        core_share: part of the lesions with a dark core.
        ring_share: part of the lesions with a ring.
        patch_share: part of the lesions that are foreign patches.
        mass_effect: displacement near the centre in parts of the distance from it, below 1.
        mass_effect_share: part of the lesions that push tissue away.
    """

    count: tuple[int, int] = (1, 3)
    radius: Range = (1.5, 23.0)
    margin: Range = (2.0, 10.0)
    contrast: Range = (0.08, 0.68)
    softness: Range = (0.5, 3.0)
    strength: Range = (0.35, 1.0)
    darker_share: float = 0.55
    core_share: float = 0.35
    ring_share: float = 0.25
    patch_share: float = 0.25
    mass_effect: Range = (0.0, 0.35)
    mass_effect_share: float = 0.5

    def __post_init__(self) -> None:
        limits = {
            "count": (1, 100),
            "radius": (1, 1000),
            "margin": (0, 1000),
            "softness": (0.1, 100),
            "mass_effect": (0, 0.9),
        }
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            lower, upper = limits.get(name, (0, 1))
            low, high = (value, value) if name.endswith("_share") else value
            if not lower <= low <= high <= upper:
                raise InputError(f"Expected {name} in rising order within {lower} to {upper}, got {value}.")
