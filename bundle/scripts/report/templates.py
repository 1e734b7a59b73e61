"""How the templates of HTML pages are filled; the pages refer to nothing outside themselves."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.report.cells import EMPTY, header

FOLDER = Path(__file__).parent


def make_environment() -> Environment:
    """Return jinja2's environment: everything is escaped, an unknown name is an error."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"png": inline_png, "header": header, "digits": digits}
    return environment


def inline_png(png: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def digits(value: float | None) -> str:
    """Return a number with three digits that count, a dash for None.

    >>> digits(0.0012345), digits(0.5)
    ('0.00123', '0.5')
    """
    return EMPTY if value is None else f"{value:.3g}"


def script_hash(script: str) -> str:
    """Return a script's hash as a page's security policy names it: a browser then runs no other script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
