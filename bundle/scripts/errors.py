"""Errors a user can act on, and how a command turns them into one sentence and an exit code."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class BundleError(Exception):
    """One sentence: what was expected, what was given, what to do. ``exit_code`` names the class."""

    exit_code = 1

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        self.findings: list[dict[str, Any]] = []
        """What the preflight found before it refused, as :meth:`scripts.preflight.report.Report.to_dict`."""


class InputError(BundleError):
    """A file, folder or setting is wrong (exit code 2)."""

    exit_code = 2


class ScopeError(BundleError):
    """A readable scan that the weights were not made for (exit code 3)."""

    exit_code = 3


class ResourceError(BundleError):
    """Memory, disk or device is missing (exit code 4)."""

    exit_code = 4


class ModelError(BundleError):
    """The weights are damaged, of another architecture, or produce no number (exit code 5)."""

    exit_code = 5


def find_bundle_error(error: BaseException | None) -> BundleError | None:
    """Return the first :class:`BundleError` in the chain of causes, or None.

    MONAI's config parser wraps every exception in ``RuntimeError("Failed to evaluate ...")``.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, BundleError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def describe(error: BaseException) -> str:
    """Return the sentence of a :class:`BundleError`, or type and text of what caused any other error."""
    known = find_bundle_error(error)
    if known is not None:
        return str(known)
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error) or 'no message'}"


def install_error_hook() -> None:
    """Print a :class:`BundleError` as one sentence and exit with its code; leave others as they are.

    Called by the ``initialize`` section of the command-line workflows only: MONAI Label and MONAI
    Deploy never run it, so they see ordinary exceptions.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        known = find_bundle_error(error)
        if known is None:
            previous(kind, error, trace)
            return
        print(f"error: {known}", file=sys.stderr)
        raise SystemExit(known.exit_code)

    sys.excepthook = hook
