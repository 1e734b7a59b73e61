"""What the voxels of an output are, in the words of formats that say so themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """What the voxels of one output are, for formats that say so themselves."""

    label: str
    """At most 16 capitals, digits and underscores, as a DICOM label."""
    title: str
    """At most 64 characters."""
    unit: str
    """In words."""
    ucum: str
    """Code of the unit in the Unified Code for Units of Measure: 1 is a pure number."""
