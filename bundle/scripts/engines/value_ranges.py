"""Ranges of settings that are plain numbers: a value out of range is an error before any work is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from scripts.errors import InputError


class Range(NamedTuple):
    """What a setting may be, in words and as a test."""

    words: str
    holds: Callable[[float], bool]


COUNT = Range("1 or more", lambda value: value >= 1)
POSITIVE = Range("a number above 0", lambda value: value > 0)
NOT_NEGATIVE = Range("0 or more", lambda value: value >= 0)
SHARE = Range("a share from 0 to 1", lambda value: 0 <= value <= 1)
INNER_SHARE = Range("a share above 0 and below 1", lambda value: 0 < value < 1)
RATE = Range("a share from 0 to below 1", lambda value: 0 <= value < 1)

RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("epochs", "batch_size", "val_interval", "early_stopping_patience", "patience"), COUNT),
    **dict.fromkeys(("samples", "members", "latent_size", "top_slices", "bootstrap_samples"), COUNT),
    **dict.fromkeys(("field_of_view", "learning_rate", "radius"), POSITIVE),
    **dict.fromkeys(("heads", "weight_decay", "slice_smoothing", "dice_weight", "repulsion"), NOT_NEGATIVE),
    **dict.fromkeys(("reconstruction_weight", "beta_start", "beta_end", "noise_deviation"), NOT_NEGATIVE),
    **dict.fromkeys(("alpha", "level_evenness", "stripped_share", "lesion_share"), SHARE),
    **dict.fromkeys(("slice_quantile", "pixel_quantile", "scope_level"), INNER_SHARE),
    **dict.fromkeys(("drop_rate", "dropout"), RATE),
}
"""By the key of the config; a key that a config lacks, or computes, is not looked at."""


def check_ranges(config: Mapping[str, Any]) -> None:
    """Refuse a setting that is out of its range.

    Args:
        config: content of a config, with what the user gave.

    Raises:
        InputError: it is; the message names its key.
    """
    for key, allowed in RANGES.items():
        value = config.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not allowed.holds(value):
            raise InputError(f"Expected {allowed.words} for --{key}, got {value}.")
