"""What every baseline offers, and the checks they share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scripts.errors import InputError

Images = NDArray[np.float32]
Scores = NDArray[np.float64]


class Baseline(Protocol):
    """A detector that learns from lesion-free slices and scores others."""

    def fit(self, images: Images, facts: pd.DataFrame) -> None:
        """Learn from training slices.

        Args:
            images: (N, C, X, Y) normalised slices, background exactly 0, foreground in (0, 1].
            facts: N rows of slice facts; only rows of label 0 are learned from.
        """

    def score(self, images: Images, facts: pd.DataFrame) -> Scores:
        """Score slices.

        Args:
            images: (N, C, X, Y), as for :meth:`fit`.
            facts: N rows of slice facts; labels are not looked at.

        Returns:
            (N,) finite scores, higher is more abnormal.
        """


def check_slices(images: Images, facts: pd.DataFrame) -> None:
    """Refuse slices that do not fit their facts.

    Raises:
        InputError: ``images`` is not (N, C, X, Y), or N is not the number of rows of ``facts``.
    """
    if images.ndim != 4:
        raise InputError(f"Expected slices of shape (N, C, X, Y), got {images.shape}.")
    if len(images) != len(facts):
        raise InputError(
            f"Expected one row of facts per slice, got {len(images)} slices and {len(facts)} rows."
        )


def normal_rows(images: Images, facts: pd.DataFrame, at_least: int = 1) -> NDArray[np.intp]:
    """Return the indices of the slices of label 0.

    Raises:
        InputError: slices that do not fit their facts, or too few of label 0.
    """
    check_slices(images, facts)
    chosen = np.flatnonzero(facts["label"].to_numpy() == 0)
    if len(chosen) < at_least:
        raise InputError(
            f"Expected at least {at_least} normal training slices to learn from, got {len(chosen)}; "
            "check the split."
        )
    return chosen
