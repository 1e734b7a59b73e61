"""One member of an ensemble: a trained network with what it learned of the training images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.errors import ModelError
from scripts.io.atomic import save_torch
from scripts.latent.class_gaussians import ClassGaussians, fit_class_gaussians
from scripts.latent.evidence import Evidence, Images, encode_images, gather_evidence
from scripts.networks.clvae import CLVAE

_FORMAT = 1


@dataclass
class Member:
    """A network, its class Gaussians, and what it says of the validation inliers.

    Attributes:
        network: with weights.
        gaussians: of the training images' latent means.
        validation: evidence of the validation inliers, which ``combined`` is standardised by.
        facts: what it was trained on and how: plain values. ``classes`` are the names of the classes.
    """

    network: CLVAE
    gaussians: ClassGaussians
    validation: Evidence
    facts: dict[str, Any] = field(default_factory=dict)

    def evidence(self, images: Images, device: torch.device | str = "cpu") -> Evidence:
        """Return the evidence of uint8 images (N, C, H, W)."""
        latents = encode_images(self.network, images, torch.device(device))
        return gather_evidence(self.network, self.gaussians, latents)

    def save(self, path: str | Path) -> None:
        """Write the member, whole or not at all; nothing in the file is code."""
        arrays = {"means": self.gaussians.means, "covariances": self.gaussians.covariances}
        arrays |= self.validation.arrays("validation_")
        save_torch(
            path,
            {
                "format": _FORMAT,
                "network": self.network.arguments,
                "weights": {name: value.cpu() for name, value in self.network.state_dict().items()},
                "arrays": {name: torch.from_numpy(array) for name, array in arrays.items()},
                "facts": self.facts,
            },
        )


def describe_training(
    network: CLVAE,
    training: tuple[Images, NDArray[np.int64]],
    validation_images: Images,
    facts: dict[str, Any],
    device: torch.device | str = "cpu",
) -> Member:
    """Return the member that a trained network makes: Gaussians from all training images with labels."""
    images, labels = training
    device = torch.device(device)
    latents = encode_images(network, images, device)
    gaussians = fit_class_gaussians(latents.means, labels, network.arguments["classes"])
    validation = gather_evidence(network, gaussians, encode_images(network, validation_images, device))
    return Member(network, gaussians, validation, facts)


def load_member(path: str | Path) -> Member:
    """Read a member that :meth:`Member.save` wrote.

    Raises:
        ModelError: no such file, a damaged one, or one of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: expected a member of an ensemble, found no file; train one first.")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if stored["format"] != _FORMAT:
            raise ModelError(f"{path}: expected format {_FORMAT}, found {stored['format']}; train it anew.")
        network = CLVAE(**stored["network"])
        network.load_state_dict(stored["weights"], strict=True)
        arrays = {name: tensor.numpy() for name, tensor in stored["arrays"].items()}
    except ModelError:
        raise
    except Exception as error:  # torch.load raises whatever the damage makes it meet
        raise ModelError(
            f"{path}: expected a member of an ensemble, found a damaged file or another one "
            f"({type(error).__name__}); train it anew."
        ) from error
    gaussians = ClassGaussians(arrays["means"], arrays["covariances"])
    return Member(network, gaussians, Evidence.from_arrays(arrays, "validation_"), stored["facts"])
