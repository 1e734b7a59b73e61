"""Several scans, some of which failed: one error with the class of the first."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.errors import BundleError, describe, find_bundle_error

SHOWN = 3


def summarise(errors: Sequence[tuple[str, Exception]], scans: int, done: str) -> BundleError:
    """Return one error for a cohort.

    Args:
        errors: case and error of every scan that failed, at least one.
        scans: how many there were.
        done: what happened to the others.
    """
    first = find_bundle_error(errors[0][1])
    kind = type(first) if first is not None else BundleError
    reasons = "; ".join(f"{case}: {describe(error)}" for case, error in errors[:SHOWN])
    more = f" (and {len(errors) - SHOWN} more)" if len(errors) > SHOWN else ""
    return kind(f"{len(errors)} of {scans} scans failed, {done}. {reasons}{more}")
