"""Values given on the command line: words become values, and a value of another type is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

from scripts.errors import InputError

_WORDS = {"true": True, "false": False, "null": None, "none": None}

_NAMES = {bool: "true or false", int: "a whole number", float: "a number", list: "a list such as [2, 4]"}


def is_expression(value: object) -> bool:
    """Tell whether MONAI computes ``value``: an expression, a reference or a macro."""
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def is_plain(value: object) -> bool:
    """Tell whether nothing in ``value`` is computed: numbers, texts, None, lists and mappings of such."""
    if isinstance(value, dict) and "_target_" in value:
        return False
    if isinstance(value, list | dict):
        parts = value if isinstance(value, list) else value.values()
        return all(is_plain(one) for one in parts)
    return isinstance(value, str | int | float | None) and not is_expression(value)


def read_value(value: Any, known: Any, key: str) -> Any:  # noqa: ANN401 - any config content
    """Return a given value in the type of the config's own.

    Args:
        value: as MONAI and Fire leave it.
        known: the value in the config file; an expression or None says nothing about the type.
        key: for the message, without dashes.

    Raises:
        InputError: ``value`` is of another type.
    """
    if isinstance(value, str) and value.startswith("~/"):  # a shell leaves that of --key=~/folder alone
        value = str(Path(value).expanduser())
    if isinstance(value, str) and value.lower() in _WORDS and not _is_text(known):
        value = _WORDS[value.lower()]
    if isinstance(value, tuple):
        value = list(value)
    if value is None or known is None or is_expression(value):
        return value
    if isinstance(known, str):
        names_something = not is_expression(known) or key.endswith(("_dir", "_file"))
        return str(value) if names_something and _is_number(value) else value
    if not _fits(value, known):
        expected = next((text for kind, text in _NAMES.items() if isinstance(known, kind)), "other content")
        raise InputError(f"Expected {expected} for --{key}, got {value!r}; the config has {known!r}.")
    # 1e3 is a float to Fire, and 1 is true.
    return type(known)(value) if isinstance(known, bool | int) else value


def _fits(value: object, known: object) -> bool:
    if isinstance(known, bool):
        return value in (True, False)
    if isinstance(known, int):
        return _is_number(value) and float(value) == int(value)
    if isinstance(known, float):
        return _is_number(value)
    if isinstance(known, list):
        if known and all(_is_number(one) for one in known):
            return isinstance(value, list) and all(_is_number(one) for one in value)
        # One word for a list of words: --modalities flair.
        return isinstance(value, list | str)
    return True


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(known: object) -> bool:
    return isinstance(known, str) and not is_expression(known)
