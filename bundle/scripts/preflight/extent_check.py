"""Whether the network's square holds the head: outside of it every map is 0, which reads as healthy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.preflight.report import Level, Report

MOST_OUTSIDE = 0.01
"""Share of the upper head that may lie outside without a word: ears, and noise beside the head."""


def check_extent(meta: Mapping[str, Any], field_of_view: float) -> Report | None:
    """Warn where part of the head was cut off.

    Args:
        meta: of a preprocessed scan; ``outside`` is the share, see :class:`ResampleInPlaned`.
        field_of_view: side of the square, mm.
    """
    outside = float(meta.get("outside", 0.0))
    if outside <= MOST_OUTSIDE:
        return None
    return Report(
        "extent",
        Level.WARNING,
        f"{outside:.1%} of the head lies outside of the {field_of_view:g} mm square that is looked at",
        "maps are 0 there; give weights trained on a wider --field_of_view, or look at these parts yourself",
        numbers={"outside": outside, "field_of_view_mm": field_of_view},
    )
