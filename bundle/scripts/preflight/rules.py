"""What a user may allow or choose about the files that are read."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.errors import InputError
from scripts.options import Option


class ResampleTo(Option):
    """What happens to modalities of one scan that lie on different grids."""

    NONE = "none"
    """The scan is refused."""
    FIRST = "first"
    """The others are resampled, linearly, to the grid of the first modality."""


class BrainMask(Option):
    """What happens with a brain mask that lies beside a scan."""

    IGNORE = "ignore"
    """Nothing: the scan is taken as it is."""
    APPLY = "apply"
    """Everything outside of it becomes background; a scan without a usable one is refused."""


@dataclass(frozen=True)
class Rules:
    """The choices of a run; the defaults are the strict ones."""

    volume: int | None = None
    """Which volume of a 4-D file to take, counted from 0; None refuses files with several."""
    single_slice: bool = False
    """Accept a 2-D file, or a volume of one slice."""
    assume_identity: bool = False
    """Accept a header without sform and qform: axes as stored, voxel size of the header."""
    resample_to: str = ResampleTo.NONE
    """A :class:`ResampleTo`."""
    brain_mask: str = BrainMask.IGNORE
    """A :class:`BrainMask`."""

    def __post_init__(self) -> None:
        ResampleTo(self.resample_to)
        BrainMask(self.brain_mask)
        if self.volume is not None and self.volume < 0:
            raise InputError(f"Expected a volume from 0 on for --volume, got {self.volume}.")
