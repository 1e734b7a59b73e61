"""The maps inside a prediction volume, by name, and the mask made from one of them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import CommonKeys

from scripts.data.slices import brain_slices
from scripts.errors import InputError, ModelError
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


MASK = "mask"
"""What is made from the anomaly map and a threshold, in place of a :class:`MapName`."""

RESULT_DTYPE = "result_dtype"
"""Key of the type in which a viewer of MONAI Label wants its result."""

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

    The map lies on the grid of the preprocessed image, so that ``Invertd`` brings it back to the scan:
    MONAI's leaves a plain tensor, which is what most inferers return, where it is, with no more than a
    warning.

    Args:
        keys: predictions.
        name: a :class:`MapName`, or ``mask``, which is made from the anomaly map.
        image_key: the preprocessed image (C, X, Y, Z), with its metadata.
    """

    def __init__(
        self, keys: KeysCollection, name: str = MapName.ANOMALY, image_key: str = CommonKeys.IMAGE
    ) -> None:
        super().__init__(keys)
        self.name = MapName.ANOMALY if name == MASK else MapName(name)
        self.whole_numbers = name == MASK
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with one map of each prediction.

        Raises:
            InputError: a map is asked for in whole numbers, which would leave nothing of it.
            ModelError: a prediction holds NaN or infinity.
        """
        output = dict(data)
        dtype = output.get(RESULT_DTYPE)
        if not self.whole_numbers and dtype is not None and np.dtype(dtype).kind in "biu":
            raise InputError(
                f"Expected a floating-point type for the map {self.name}, got {dtype}, as viewers ask for; "
                f"choose the output {MASK}."
            )
        image: MetaTensor = output[self.image_key]
        for key in self.key_iterator(output):
            check_finite_maps(str(image.meta.get("filename_or_obj", "scan")), output[key])
            values = map_in_units(self.name, image, output[key])
            output[key] = MetaTensor(torch.as_tensor(values).as_subclass(torch.Tensor).cpu(), meta=image.meta)
        return output


class MaskMapd(MapTransform):
    """Make a mask (uint8) of an anomaly map: 1 where it is above a threshold.

    Args:
        keys: maps.
        threshold: in the units of the map, or None when there is none; viewers send numbers as text.
    """

    def __init__(self, keys: KeysCollection, threshold: float | str | None) -> None:
        super().__init__(keys)
        try:
            self.threshold = math.nan if threshold is None else float(threshold)
        except (TypeError, ValueError):
            self.threshold = math.nan
        if not self.threshold >= 0 or math.isinf(self.threshold):
            raise InputError(
                f"Expected a number as the threshold of the mask, got {threshold!r}, and none below 0, the "
                "value of the background; calibrate the weights for these settings, give a threshold, or ask "
                "for a map in place of the mask."
            )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with a mask in place of each map."""
        output = dict(data)
        for key in self.key_iterator(output):
            output[key] = (output[key] > self.threshold).to(torch.uint8)
        return output


def first_choice(choices: str | Sequence[str]) -> str:
    """Return what a viewer chose out of a list, or the first of the list when it did not choose."""
    return choices if isinstance(choices, str) else choices[0]


def check_finite_maps(scan: str, pred: torch.Tensor) -> None:
    """Refuse a prediction with values that are no numbers.

    Raises:
        ModelError: there is one.
    """
    if not torch.isfinite(pred).all():
        raise ModelError(
            f"{scan}: expected finite maps, the network gave NaN or infinity; nothing is written."
        )


def map_in_units(name: MapName, image: MetaTensor, pred: torch.Tensor) -> torch.Tensor:
    """Return one map (1, X, Y, Z) on the network's grid; the reconstruction in the scan's own units.

    Args:
        name: which.
        image: (C, X, Y, Z) preprocessed scan.
        pred: (M, X, Y, Z) prediction.
    """
    values = pred[CHANNEL[name] : CHANNEL[name] + 1]
    if name is not MapName.RECONSTRUCTION:
        return values
    low, high = image.meta["intensity_range"][0]
    inside = (image.as_tensor() > 0).any(dim=0, keepdim=True).to(values.device)
    scored = torch.zeros(values.shape[-1], dtype=torch.bool, device=values.device)
    scored[brain_slices(image.numpy())] = True
    background = float(image.meta["background"][0])
    return torch.where(inside, values * (high - low) + low, background) * scored
