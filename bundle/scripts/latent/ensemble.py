"""Several members that score images together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.errors import InputError, ModelError
from scripts.latent.evidence import Evidence, Images
from scripts.latent.member import Member, load_member
from scripts.latent.scores import Average, LatentScore, Merge, anomaly_scores, class_log_confidences

Array = NDArray[np.float64]


@dataclass
class Ensemble:
    """Members of the same classes and image size, in the order of their seeds."""

    members: Sequence[Member]

    @property
    def classes(self) -> list[str]:
        """Names of the inlier classes, in the order of the confidences."""
        return list(self.members[0].facts["classes"])

    def evidence(self, images: Images, device: torch.device | str = "cpu") -> list[Evidence]:
        """Return what each member says of uint8 images (N, C, H, W).

        Raises:
            InputError: images of another shape than those trained on.
        """
        arguments = self.members[0].network.arguments
        wanted = (arguments["in_channels"], arguments["image_size"], arguments["image_size"])
        if images.shape[1:] != wanted:
            raise InputError(
                f"Expected images of shape {wanted} (channels, height, width), got {images.shape[1:]}; "
                "resize or convert them."
            )
        return [member.evidence(images, device) for member in self.members]

    def score(
        self,
        evidence: Sequence[Evidence],
        score: str = LatentScore.COMBINED,
        merge: str = Merge.CLASSES,
        average: str = Average.GEOMETRIC,
    ) -> Array:
        """Return the anomaly score (N,) of what :meth:`evidence` returned, see :func:`anomaly_scores`."""
        validation = [member.validation for member in self.members]
        return anomaly_scores(evidence, score, validation, merge, average)

    def confidences(self, evidence: Sequence[Evidence], average: str = Average.GEOMETRIC) -> Array:
        """Return the confidence (N, classes), 0 to 1, that an image belongs to each class."""
        return np.exp(class_log_confidences(evidence, average))


def member_path(folder: str | Path, seed: int) -> Path:
    """Return the file of the member with this seed."""
    return Path(folder) / f"member_{seed:02d}.pt"


def load_ensemble(folder: str | Path) -> Ensemble:
    """Read all members in a folder.

    Raises:
        ModelError: there is none, one is damaged, or they were trained on different classes.
    """
    paths = sorted(Path(folder).glob("member_*.pt"))
    if not paths:
        raise ModelError(f"{folder}: expected members of an ensemble (member_*.pt), found none; train first.")
    members = [load_member(path) for path in paths]
    for path, member in zip(paths, members, strict=True):
        if member.facts["classes"] != members[0].facts["classes"]:
            raise ModelError(f"{path}: expected the classes of {paths[0].name}, found others; remove one.")
    return Ensemble(members)
