"""What a finished unit of an ablation depends on: the values behind its training and its measurement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scripts.engines.ablation_variants import Config
from scripts.engines.override_values import is_plain
from scripts.engines.overrides import references

ENTRIES = ("run", "measure")
"""Items of the config that a unit is made by."""
ELSEWHERE = ("bundle_root", "device", "rank", "dataset_name")
"""Where a unit was made, as folders and files are, and what its rows name: no other unit for that."""


def unit_settings(config: Config, names: Iterable[str]) -> dict[str, Any]:
    """Return ``names`` as the config has them, and every value that they, training and measurement lead to.

    Args:
        config: of the unit.
        names: settings that are compared as they are written, be they values or not.
    """
    given = {*names} & config.keys()
    behind = {
        name
        for name in _reached(config, [*ENTRIES, *given])
        if _is_value(config[name]) and name not in ELSEWHERE and not name.endswith(("_dir", "_file"))
    }
    return {name: config[name] for name in sorted(given | behind)}


def _reached(config: Config, names: Iterable[str]) -> set[str]:
    """Return the keys of the config that ``names`` refer to, in any number of steps, and they themselves."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached and name in config:
            reached.add(name)
            waiting += references(config[name])
    return reached


def _is_value(content: object) -> bool:
    """Tell a plain value, or a component that is made of such alone."""
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if key != "_target_"}
    return is_plain(content)
