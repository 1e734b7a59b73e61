"""What one member of an ensemble has to say of images, before it is boiled down to a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.latent.class_gaussians import ClassGaussians
from scripts.networks.clvae import CLVAE
from scripts.objectives.elbo import kl_to_unit_normal

Array = NDArray[np.float64]
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Latents:
    """q(z | x) of images, each (N, latent), and the error of their reconstruction, (N,)."""

    means: Array
    log_variances: Array
    reconstruction_errors: Array


@dataclass(frozen=True)
class Evidence:
    """Of N images.

    Attributes:
        log_confidences: (N, classes) at most 0, see :meth:`ClassGaussians.log_confidences`.
        prior_divergences: (N, classes; 1 with a single prior) KL from q(z | x) to each prior, nats.
        reconstruction_errors: (N,) mean square error of the decoded latent mean, intensity^2.
    """

    log_confidences: Array
    prior_divergences: Array
    reconstruction_errors: Array

    def arrays(self, prefix: str = "") -> dict[str, Array]:
        """Return the parts by name, for a file."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], prefix: str = "") -> Evidence:
        """Return what :meth:`arrays` took apart."""
        return cls(**{field.name: np.asarray(arrays[prefix + field.name]) for field in fields(cls)})


@torch.inference_mode()
def encode_images(network: CLVAE, images: Images, device: torch.device, batch_size: int = 512) -> Latents:
    """Encode uint8 images (N, C, H, W) and decode their latent means, in float32 whatever the training's.

    Batches change nothing: the network has no layer that looks across images.
    """
    network.eval().to(device)
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for start in range(0, len(images), batch_size):
        image = torch.from_numpy(images[start : start + batch_size]).to(device).float() / 255
        mean, log_variance = network.encode(image)
        error = (torch.sigmoid(network.decode(mean)) - image).square().flatten(1).mean(dim=1)
        parts.append((mean, log_variance, error))
    joined = (torch.cat(part).double().cpu().numpy() for part in zip(*parts, strict=True))
    return Latents(*joined)


def gather_evidence(network: CLVAE, gaussians: ClassGaussians, latents: Latents) -> Evidence:
    """Return the evidence of encoded images."""
    mean, log_variance = (torch.from_numpy(part)[:, None] for part in (latents.means, latents.log_variances))
    centres = network.centres.detach().double().cpu()
    return Evidence(
        log_confidences=gaussians.log_confidences(latents.means),
        prior_divergences=kl_to_unit_normal(mean, log_variance, centres).numpy(),
        reconstruction_errors=latents.reconstruction_errors,
    )
