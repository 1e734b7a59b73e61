"""One scriptable module from ``image`` to ``pred``: the network that inference, export and servers load."""

from __future__ import annotations

from typing import Any

import torch

from scripts.networks.bayesian_vae import VAEBackbone
from scripts.uncertainty.decomposition import decompose
from scripts.uncertainty.latent_noise import NoiseKind, latent_noise
from scripts.uncertainty.scores import SCORE_CODES, Score, ScoreRegion, pixel_score, scored_pixels

CHANNELS = ("total_uncertainty", "anomaly", "epistemic", "aleatoric", "reconstruction")
"""Channels of ``pred`` for one input channel; the anomaly is 1, so that mask value 1 is called anomaly."""


class AnomalyMapper(VAEBackbone):
    """The VAE that maps ``image`` (B, C, H, W) to ``pred`` (B, 4 + C, H, W).

    Encodes once, decodes the K draws as one batch. It has the trained VAE's own state_dict, loaded
    strictly; the draws are a buffer outside the state_dict, so K, seed and kind can change.

    Channels of ``pred``: 0 total uncertainty, 1 anomaly, 2 epistemic, 3 aleatoric (variances in
    normalised intensity^2, averaged over modalities), 4 and on the reconstruction of each modality. All
    are 0 on the background, which the likelihood does not cover, unless ``region`` is the whole image.

    Args:
        samples: K, number of latent draws.
        seed: seed of the draws.
        noise: how the draws are made, see :class:`NoiseKind`.
        score: what the anomaly channel holds, see :class:`Score`.
        region: which pixels are scored, see :class:`ScoreRegion`.
        use_epistemic: False leaves epistemic variance out of the total (an ablation).
        use_aleatoric: False leaves aleatoric variance out of the total (an ablation).
        vae: arguments of :class:`VAEBackbone`.
    """

    def __init__(
        self,
        samples: int = 5,
        seed: int = 0,
        noise: str = NoiseKind.NORMAL,
        score: str = Score.UNCERTAINTY_WEIGHTED,
        region: str = ScoreRegion.FOREGROUND,
        use_epistemic: bool = True,
        use_aleatoric: bool = True,
        **vae: Any,
    ) -> None:
        super().__init__(**vae)
        self.seed = seed
        self.noise = NoiseKind(noise).value
        self.region = ScoreRegion(region).value
        self.scores_whole_image = self.region == ScoreRegion.IMAGE
        self.score = Score(score).value
        self.score_code = SCORE_CODES[Score(score)]
        self.epistemic_weight = float(use_epistemic)
        self.aleatoric_weight = float(use_aleatoric)
        draws = latent_noise(samples, self.latent_size, seed, noise)
        self.latent_draws: torch.Tensor
        self.register_buffer("latent_draws", draws, persistent=False)

    def settings(self) -> dict[str, Any]:
        """Return what the anomaly map depends on besides weights and image; thresholds are bound to it."""
        return {
            "score": self.score,
            "samples": len(self.latent_draws),
            "seed": self.seed,
            "noise": self.noise,
            "region": self.region,
        }

    def decode_samples(
        self, latent_mean: torch.Tensor, latent_log_variance: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return means and log variances (K, B, C, H, W) of the K draws, decoded as one batch."""
        deviation = torch.exp(0.5 * latent_log_variance)
        latent = latent_mean[None] + deviation[None] * self.latent_draws[:, None].to(deviation.dtype)
        means, log_variances = self.decode(latent.flatten(0, 1))
        shape = (latent.shape[0], latent.shape[1], self.in_channels, self.image_size, self.image_size)
        return means.reshape(shape), log_variances.reshape(shape)

    def to_maps(self, image: torch.Tensor, means: torch.Tensor, log_variances: torch.Tensor) -> torch.Tensor:
        """Return ``pred`` from the image and its K decoded draws."""
        reconstruction, epistemic, aleatoric = decompose(means.float(), log_variances.float())
        total = self.epistemic_weight * epistemic + self.aleatoric_weight * aleatoric
        anomaly = pixel_score(self.score_code, (image - reconstruction).square(), total)
        maps = [one.mean(dim=1, keepdim=True) for one in (total, anomaly, epistemic, aleatoric)]
        scored = scored_pixels(image, self.scores_whole_image).to(image.dtype)
        return torch.cat([maps[0], maps[1], maps[2], maps[3], reconstruction], dim=1) * scored

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return ``pred`` (B, 4 + C, H, W) of ``image`` (B, C, H, W), normalised, background 0."""
        latent_mean, latent_log_variance = self.encode(image)
        means, log_variances = self.decode_samples(latent_mean, latent_log_variance)
        return self.to_maps(image, means, log_variances)


def mapper_of(
    network: VAEBackbone,
    samples: int = 5,
    seed: int = 0,
    noise: str = NoiseKind.NORMAL,
    score: str = Score.UNCERTAINTY_WEIGHTED,
    region: str = ScoreRegion.FOREGROUND,
    kind: type[AnomalyMapper] = AnomalyMapper,
) -> AnomalyMapper:
    """Return a mapper that uses the layers of ``network`` themselves, so that it follows their training."""
    mapper = kind(samples, seed, noise, score, region, **network.arguments)
    for name, layer in network.named_children():
        setattr(mapper, name, layer)
    return mapper
