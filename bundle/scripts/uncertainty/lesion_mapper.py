"""Maps of the lesion U-Net: how probable a lesion is, and the two parts of the doubt about it."""

from __future__ import annotations

from typing import Any

import torch

from scripts.networks.lesion_unet import LesionBackbone
from scripts.uncertainty.decomposition import decompose_bernoulli
from scripts.uncertainty.mapper import STRENGTH, AnomalyMapper, Draws
from scripts.uncertainty.scores import Score


class LesionMapper(AnomalyMapper, LesionBackbone):
    """:class:`AnomalyMapper` over a :class:`LesionBackbone`: draws of its Gaussian dropout.

    With ``score: lesion`` the anomaly is the probability of a lesion, mean over the draws, and the
    uncertainties are the parts of its variance p (1 - p): epistemic is how the draws differ, aleatoric what
    is left when they agree. Every other score is that of the reconstruction, as a VAE's.
    """

    scores = tuple(Score)

    def settings(self) -> dict[str, Any]:
        """Return what scores depend on: the strength of the dropout too, which no weight holds."""
        settings = super().settings()
        return settings | {"noise": f"{settings['noise']}{STRENGTH}{self.arguments['drop_rate']}"}

    def draw(self, image: torch.Tensor) -> Draws:
        """Return the K draws of ``image`` (B, C, H, W), decoded as one batch; no latent, so no KL."""
        features = self.encode(image)
        # Sizes from shapes, not from len(): an exported graph must take any batch.
        count, samples = image.shape[0], self.latent_draws.shape[0]
        draws = self.latent_draws.to(features[0].dtype)
        # Repeated, not expanded: flattening an expanded tensor makes PyTorch's exporter fix the batch at 1.
        noise = draws[:, None].repeat(1, count, 1).flatten(0, 1)
        repeated = [scale.repeat(samples, 1, 1, 1) for scale in features]
        means, log_variances, lesions = self.decode(repeated, noise)
        shape = (samples, count, -1, self.image_size, self.image_size)
        nothing = torch.zeros((count, self.latent_size), device=image.device)
        return Draws(
            nothing,
            nothing,
            means.reshape(shape),
            log_variances.reshape(shape),
            torch.sigmoid(lesions.float()).reshape(shape),
        )

    def to_maps(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return ``pred`` from the image and its draws."""
        if self.score != "lesion":  # a plain word: TorchScript knows no Score
            return self.reconstruction_maps(image, draws)
        probability, epistemic, aleatoric = decompose_bernoulli(draws.lesions)
        total = self.epistemic_weight * epistemic + self.aleatoric_weight * aleatoric
        reconstruction = draws.means.float().mean(dim=0)
        return self.stack_maps(image, [total, probability, epistemic, aleatoric], reconstruction)
