"""Several scans or trainings, some of which failed: one error with the class of the first."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.errors import BundleError, describe, find_bundle_error

SHOWN = 3


def summarise(
    errors: Sequence[tuple[str, Exception]], count: int, done: str, what: str = "scans"
) -> BundleError:
    """Return one error for a cohort.

    Args:
        errors: name and error of every one that failed, at least one.
        count: how many there were.
        done: what happened to the others.
        what: what they are.
    """
    first = find_bundle_error(errors[0][1])
    kind = type(first) if first is not None else BundleError
    reasons = "; ".join(f"{case}: {describe(error)}" for case, error in errors[:SHOWN])
    more = f" (and {len(errors) - SHOWN} more)" if len(errors) > SHOWN else ""
    return kind(f"{len(errors)} of {count} {what} failed, {done}. {reasons}{more}")
