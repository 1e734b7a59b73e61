"""What tells one factory of a config from another: a unit may only go on with the settings it began with."""

from __future__ import annotations

import functools
from dataclasses import is_dataclass


def describe(thing: object) -> object:
    """Return plain values, for JSON, of a factory (``_mode_: callable``) with everything it hands on."""
    if isinstance(thing, functools.partial):
        arguments = {key: describe(one) for key, one in thing.keywords.items()}
        return {"_target_": describe(thing.func), **arguments}
    if is_dataclass(thing) and not isinstance(thing, type):
        return {key: describe(one) for key, one in vars(thing).items()}
    if isinstance(thing, list | tuple):
        return [describe(one) for one in thing]
    if isinstance(thing, type) or callable(thing):
        return f"{thing.__module__}.{getattr(thing, '__qualname__', thing)}"
    return thing if isinstance(thing, bool | int | float | None) else str(thing)
