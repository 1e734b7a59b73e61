"""The maps inside a prediction volume, by name."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from scripts.io.quantity import Quantity
from scripts.options import Option
from scripts.uncertainty.scores import UNITS, Score, variance_unit


class MapName(Option):
    """Maps written for a scan, in the order of the channels of ``pred``."""

    TOTAL_UNCERTAINTY = "total_uncertainty"
    """Epistemic + aleatoric variance; of what the score is about, see ``scores.variance_unit``."""
    ANOMALY = "anomaly"
    """The pixel score, see ``uncertainty.scores.Score``."""
    EPISTEMIC = "epistemic"
    """Variance between the K draws."""
    ALEATORIC = "aleatoric"
    """Variance that is left within the draws, their mean."""
    RECONSTRUCTION = "reconstruction"
    """Mean reconstruction of the first modality, in the scan's own units."""


CHANNEL = {name: channel for channel, name in enumerate(MapName)}
"""Channel of ``pred`` that holds each map."""

MEANING = {
    MapName.TOTAL_UNCERTAINTY: "epistemic plus aleatoric variance, where neither is left out",
    MapName.ANOMALY: "the pixel score: higher where a pixel looks less like normal tissue",
    MapName.EPISTEMIC: "how far the draws of one trained model differ, not how far other trainings would",
    MapName.ALEATORIC: "variance that the model itself expects when its draws agree",
    MapName.RECONSTRUCTION: "the scan as the model expects it: the mean over the draws",
}
"""Of each map, for those who look at it, whatever the score."""


def quantity_of(name: str, score: str) -> Quantity:
    """Return what the voxels of a map are, for formats that say so themselves.

    Args:
        name: a :class:`MapName`.
        score: the :class:`Score` of the anomaly; the variances are of what it is about.
    """
    variance = variance_unit(score)
    return {
        MapName.TOTAL_UNCERTAINTY: Quantity("TOTAL_VARIANCE", "Total variance", variance, "1"),
        MapName.ANOMALY: Quantity("ANOMALY", "Anomaly score", UNITS[Score(score)], "1"),
        MapName.EPISTEMIC: Quantity("EPISTEMIC", "Epistemic variance", variance, "1"),
        MapName.ALEATORIC: Quantity("ALEATORIC", "Aleatoric variance", variance, "1"),
        MapName.RECONSTRUCTION: Quantity(
            "RECONSTRUCTION", "Reconstruction", "intensity of the scan", "[arb'U]"
        ),
    }[MapName(name)]


class SelectMapd(MapTransform):
    """Keep one map of a prediction volume, (M, X, Y, Z) to (1, X, Y, Z); for servers that show one.

    Args:
        keys: predictions.
        name: a :class:`MapName`, or ``mask``, which is made from the anomaly map.
    """

    def __init__(self, keys: KeysCollection, name: str = MapName.ANOMALY) -> None:
        super().__init__(keys)
        self.channel = CHANNEL[MapName.ANOMALY if name == "mask" else MapName(name)]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with one channel of each prediction."""
        output = dict(data)
        for key in self.key_iterator(output):
            output[key] = output[key][self.channel : self.channel + 1]
        return output
