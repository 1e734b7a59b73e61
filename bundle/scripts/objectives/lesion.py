"""Find painted lesions and undo them: the loss of the lesion U-Net."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from monai.losses import DiceCELoss
from monai.utils import CommonKeys

from scripts.data.synthetic_lesions import LESION
from scripts.objectives.elbo import gaussian_log_likelihood
from scripts.objectives.terms import TermsLoss
from scripts.uncertainty.scores import scored_pixels


class LesionLoss(TermsLoss):
    """Cross-entropy and Dice of the lesion, and the surprise at the slice as it was before painting.

    Cross-entropy + ``dice_weight`` * Dice + ``reconstruction_weight`` * surprise. Dice is that of the whole
    batch, so that slices without a lesion have their say. The surprise is the negative log likelihood of
    the slice, nats per pixel of the head.

    Args:
        dice_weight: weight of the Dice loss.
        reconstruction_weight: weight of the negative log likelihood; 0 trains the lesion head alone.
    """

    def __init__(self, dice_weight: float = 0.5, reconstruction_weight: float = 0.1) -> None:
        super().__init__()
        self.reconstruction_weight = float(reconstruction_weight)
        self.segmentation = DiceCELoss(sigmoid=True, batch=True, lambda_dice=dice_weight, lambda_ce=1.0)

    def terms(
        self, output: tuple[torch.Tensor, ...], batch: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return the terms of a batch.

        Args:
            output: of the network: image mean and log variance (B, C, H, W), lesion logits (B, 1, H, W).
            batch: ``image`` (B, C, H, W) before painting, and ``lesion`` (B, 1, H, W), the painted mask.

        Returns:
            ``lesion_loss``, and ``reconstruction_loss`` in nats per pixel of the head.
        """
        mean, log_variance, lesion = (one.float() for one in output)
        image = batch[CommonKeys.IMAGE]
        region = scored_pixels(image, whole=False)
        values = (region.sum() * image.shape[1]).clamp(min=1)
        nll = -gaussian_log_likelihood(image, mean, log_variance, region).sum() / values
        return {
            "lesion_loss": self.segmentation(lesion, batch[LESION].float()),
            "reconstruction_loss": nll,
        }

    def total(self, terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch from its :meth:`terms`."""
        return terms["lesion_loss"] + self.reconstruction_weight * terms["reconstruction_loss"]
