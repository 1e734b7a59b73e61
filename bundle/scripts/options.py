"""The base of every choice that a config names by a word."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Never

from scripts.errors import InputError


class Option(StrEnum):
    """A choice whose values are the words of the config; another word is an :class:`InputError`."""

    @classmethod
    def _missing_(cls, value: object) -> Never:
        words = re.sub(r"(?<!^)([A-Z])", r" \1", cls.__name__).lower()
        raise InputError(f"Expected a {words} out of {', '.join(cls)}, got {value!r}; choose one of them.")
