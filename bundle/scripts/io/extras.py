"""Packages that only a part of the bundle needs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from scripts.errors import ResourceError


def require(extra: str, packages: Sequence[str]) -> None:
    """Refuse to go on without the packages of an extra of ``pyproject.toml``.

    Args:
        extra: its name.
        packages: what is going to be imported.

    Raises:
        ResourceError: which are missing, and how to get them.
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise ResourceError(
            f"Expected the packages of the extra '{extra}', but {', '.join(missing)} cannot be found; "
            f"install them with: pip install -c constraints.txt -e '.[{extra}]'"
        )
