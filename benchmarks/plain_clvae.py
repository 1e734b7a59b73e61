"""The published CL-VAE for MNIST as a tutorial writes it: PyTorch's layers, one after the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class PlainCLVAE(nn.Module):
    """Encoder, decoder and loss with 1/6 cross-entropy and 5/6 KL to the centre of each image's class."""

    centres: torch.Tensor

    def __init__(self, centres: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("centres", centres)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 16),
            nn.ReLU(),
            nn.Linear(16, 4),
        )
        self.from_latent = nn.Linear(2, 64 * 7 * 7)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, padding=1),
        )

    def forward(self, image: torch.Tensor, labels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of images (B, 1, 28, 28) with labels (B,) for latent noise (B, 2)."""
        mean, log_variance = self.encoder(image).chunk(2, dim=1)
        latent = mean + torch.exp(0.5 * log_variance) * noise
        features = F.relu(self.from_latent(latent)).reshape(-1, 64, 7, 7)
        logits = self.decoder(features)
        entropy = F.binary_cross_entropy_with_logits(logits, image, reduction="sum")
        distance = (mean - self.centres[labels]).square()
        kl = 0.5 * (log_variance.exp() + distance - 1 - log_variance).sum()
        return (entropy / 6 + 5 * kl / 6) / len(image)
