"""One scriptable module from ``image`` to ``pred``: the network that inference, export and servers load."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch

from scripts.errors import InputError
from scripts.networks.backbone import Backbone
from scripts.networks.bayesian_vae import VAEBackbone
from scripts.uncertainty.decomposition import decompose
from scripts.uncertainty.latent_noise import NoiseKind, latent_noise
from scripts.uncertainty.scores import (
    RECONSTRUCTION_SCORES,
    SCORE_CODES,
    Pooling,
    Score,
    ScoreRegion,
    pixel_score,
    scored_pixels,
)

_WITHOUT = ", without "
STRENGTH = ", drop_rate "
"""Between the kind of the draws and their strength, of a network whose weights do not say it."""


class Draws(NamedTuple):
    """What a network says of slices in K draws."""

    latent_mean: torch.Tensor
    """(B, latent)"""
    latent_log_variance: torch.Tensor
    """(B, latent)"""
    means: torch.Tensor
    """(K, B, C, H, W), normalised intensity."""
    log_variances: torch.Tensor
    """(K, B, C, H, W)"""
    lesions: torch.Tensor
    """(K, B, 1, H, W) probability of a lesion; (0, B, 1, H, W) of a network that does not say."""


class AnomalyMapper(Backbone):
    """A trained network that maps ``image`` (B, C, H, W) to ``pred`` (B, 4 + C, H, W).

    Encodes once, decodes the K draws as one batch. It has the trained network's own state_dict, loaded
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
        pooling: how pixels become the score of a slice, see :class:`Pooling`; no channel depends on it.
        slice_smoothing: deviation of the mean of the anomaly over neighbouring slices, mm; 0 for none. It is
            taken of all slices of a scan, see :func:`smooth_over_slices`: no channel depends on it here.
        use_epistemic: False leaves epistemic variance out of the total (an ablation).
        use_aleatoric: False leaves aleatoric variance out of the total (an ablation).
        network: arguments of the network.
    """

    scores: ClassVar[tuple[Score, ...]] = RECONSTRUCTION_SCORES
    """What the anomaly channel can hold."""

    def __init__(
        self,
        samples: int = 5,
        seed: int = 0,
        noise: str = NoiseKind.NORMAL,
        score: str = Score.UNCERTAINTY_WEIGHTED,
        region: str = ScoreRegion.FOREGROUND,
        pooling: str = Pooling.MEAN,
        slice_smoothing: float = 0.0,
        use_epistemic: bool = True,
        use_aleatoric: bool = True,
        **network: Any,
    ) -> None:
        super().__init__(**network)
        self.seed = seed
        self.noise = NoiseKind(noise).value
        self.region = ScoreRegion(region).value
        self.pooling = Pooling(pooling).value
        self.slice_smoothing = float(slice_smoothing)
        self.scores_whole_image = self.region == ScoreRegion.IMAGE
        if self.slice_smoothing < 0 or (self.slice_smoothing and self.scores_whole_image):
            raise InputError(
                "Expected a slice_smoothing of 0 mm or more, and of 0 where the whole image is scored, "
                f"got {slice_smoothing} with the score_region {self.region}."
            )
        if Score(score) not in self.scores:
            known = ", ".join(self.scores)
            raise InputError(f"Expected a score that this network has, one of {known}, got {score}.")
        self.score = Score(score).value
        self.score_code = SCORE_CODES[Score(score)]
        self.epistemic_weight = float(use_epistemic)
        self.aleatoric_weight = float(use_aleatoric)
        draws = latent_noise(samples, self.latent_size, seed, noise)
        self.latent_draws: torch.Tensor
        self.register_buffer("latent_draws", draws, persistent=False)

    def settings(self) -> dict[str, Any]:
        """Return what scores depend on besides weights and image; thresholds are bound to it."""
        # An ablated total is another score: no threshold of the whole one may meet it.
        weights = {"epistemic": self.epistemic_weight, "aleatoric": self.aleatoric_weight}
        missing = [name for name, weight in weights.items() if not weight]
        return {
            "score": _WITHOUT.join([self.score, *missing]),
            "samples": len(self.latent_draws),
            "seed": self.seed,
            "noise": self.noise,
            "region": self.region,
            "pooling": self.pooling,
            "slice_smoothing": self.slice_smoothing,
        }

    @staticmethod
    def scoring_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments, beside the network's, of a mapper with these :meth:`settings`."""
        score, *missing = str(settings["score"]).split(_WITHOUT)
        noise = str(settings["noise"]).split(STRENGTH)[0]
        return {**settings, "score": score, "noise": noise, **{f"use_{name}": False for name in missing}}

    @abstractmethod
    def draw(self, image: torch.Tensor) -> Draws:
        """Return what the network says of ``image`` (B, C, H, W) in its K draws."""

    def to_maps(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return ``pred`` from the image and its draws."""
        return self.reconstruction_maps(image, draws)

    def reconstruction_maps(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Return ``pred`` with a score of the reconstruction's error."""
        reconstruction, epistemic, aleatoric = decompose(draws.means.float(), draws.log_variances.float())
        total = self.epistemic_weight * epistemic + self.aleatoric_weight * aleatoric
        anomaly = pixel_score(self.score_code, (image - reconstruction).square(), total)
        maps = [one.mean(dim=1, keepdim=True) for one in (total, anomaly, epistemic, aleatoric)]
        return self.stack_maps(image, maps, reconstruction)

    def stack_maps(
        self, image: torch.Tensor, maps: list[torch.Tensor], reconstruction: torch.Tensor
    ) -> torch.Tensor:
        """Return ``pred`` from total, anomaly, epistemic, aleatoric (B, 1, H, W); 0 elsewhere."""
        scored = scored_pixels(image, self.scores_whole_image).to(image.dtype)
        return torch.cat([maps[0], maps[1], maps[2], maps[3], reconstruction], dim=1) * scored

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return ``pred`` (B, 4 + C, H, W) of ``image`` (B, C, H, W), normalised, background 0."""
        return self.to_maps(image, self.draw(image))


class VAEMapper(AnomalyMapper, VAEBackbone):
    """:class:`AnomalyMapper` over a VAE: draws of its latent. Its scores are those of a reconstruction."""

    def draw(self, image: torch.Tensor) -> Draws:
        """Return the K draws of ``image`` (B, C, H, W), decoded as one batch."""
        latent_mean, latent_log_variance = self.encode(image)
        deviation = torch.exp(0.5 * latent_log_variance)
        latent = latent_mean[None] + deviation[None] * self.latent_draws[:, None].to(deviation.dtype)
        means, log_variances = self.decode(latent.flatten(0, 1))
        shape = (latent.shape[0], latent.shape[1], self.in_channels, self.image_size, self.image_size)
        lesions = image.new_zeros((0, image.shape[0], 1, self.image_size, self.image_size))
        return Draws(
            latent_mean, latent_log_variance, means.reshape(shape), log_variances.reshape(shape), lesions
        )
