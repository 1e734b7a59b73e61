"""The conditional latent space VAE (arXiv 2410.12328, section 3): one Gaussian prior for each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from scripts.errors import InputError
from scripts.networks.convolution_relu import ConvolutionReLU
from scripts.networks.sphere import Points, sphere_points
from scripts.options import Option

Stack = Sequence[tuple[int, int]]
"""Channels and stride of every convolution of the encoder; the decoder mirrors it."""

PUBLISHED_STACKS: dict[str, list[tuple[int, int]]] = {
    "mnist": [(32, 2), (64, 2)],
    "fashion_mnist": [(16, 1), (32, 2), (64, 2)],
    "cifar10": [(64, 2), (128, 2), (256, 2)],
}
"""The paper's convolutions for its three data sets; then a hidden layer of 16."""

PUBLISHED_LATENT_SIZES = {"mnist": 2, "fashion_mnist": 3, "cifar10": 3}


def architecture_for(dataset: str) -> str:
    """Return the published architecture of a data set; that of MNIST for any other."""
    return dataset if dataset in PUBLISHED_STACKS else "mnist"


class Prior(Option):
    """The Gaussians, all of unit covariance, that the latent space is drawn to."""

    SPHERE = "sphere"
    """One for each class, around points spread over a sphere: the CL-VAE."""
    LEARNED = "learned"
    """As ``sphere`` at first; the centres are weights, which a repulsion term keeps apart."""
    STANDARD = "standard"
    """A single one around 0, whatever the class: the plain VAE."""


class CLVAEOutput(NamedTuple):
    """What one pass gives: the reconstruction as logits (B, C, H, W), and q(z | x), each (B, latent)."""

    logits: torch.Tensor
    mean: torch.Tensor
    log_variance: torch.Tensor


class CLVAE(nn.Module):
    """Encoder, decoder and the centres of the class priors.

    3 x 3 convolutions with ReLU, a hidden layer, mean and log variance; a linear layer and transposed
    convolutions back. The paper's decoder ends in a sigmoid, ours in its logits: the same function, and
    a loss that does not saturate.

    Args:
        classes: number of inlier classes.
        in_channels: of the images.
        image_size: side of the square images, a multiple of the product of all strides.
        stack: see :data:`Stack`.
        hidden_size: units of the hidden layer.
        latent_size: dimension of the latent space.
        decoder_width: the decoder's channels for each of the encoder's.
        prior: a :class:`Prior`.
        radius: distance of the class centres from 0.
        order: centre that each class gets, a permutation of 0 ... classes - 1; None is the identity.
    """

    def __init__(
        self,
        classes: int,
        in_channels: int = 1,
        image_size: int = 28,
        stack: Stack = ((32, 2), (64, 2)),
        hidden_size: int = 16,
        latent_size: int = 2,
        decoder_width: float = 1.0,
        prior: str = Prior.SPHERE,
        radius: float = 3.0,
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "classes": classes,
            "in_channels": in_channels,
            "image_size": image_size,
            "stack": [list(layer) for layer in stack],
            "hidden_size": hidden_size,
            "latent_size": latent_size,
            "decoder_width": decoder_width,
            "prior": str(Prior(prior)),
            "radius": radius,
            "order": list(order) if order is not None else list(range(classes)),
        }
        self.latent_size = latent_size
        channels = [in_channels, *(layer[0] for layer in stack)]
        strides = [layer[1] for layer in stack]
        bottom = _bottom_size(image_size, strides)

        self.encoder = nn.Sequential(
            *(
                ConvolutionReLU(nn.Conv2d(width, out, 3, stride, padding=1, bias=False))
                for width, out, stride in zip(channels, channels[1:], strides, strict=False)
            )
        )
        self.hidden = nn.Linear(channels[-1] * bottom**2, hidden_size)
        self.to_moments = nn.Linear(hidden_size, 2 * latent_size)

        widths = [max(1, round(decoder_width * width)) for width in (channels[-1], *reversed(channels[1:]))]
        self.bottom = (widths[0], bottom, bottom)
        self.from_latent = nn.Linear(latent_size, widths[0] * bottom**2)
        self.decoder = nn.Sequential(
            *(
                ConvolutionReLU(
                    nn.ConvTranspose2d(width, out, 3, stride, 1, output_padding=stride - 1, bias=False)
                )
                for width, out, stride in zip(widths, widths[1:], reversed(strides), strict=False)
            ),
            nn.ConvTranspose2d(widths[-1], in_channels, 3, padding=1),
        )

        centres = torch.from_numpy(_centres(self.arguments)).float()
        self.centres: torch.Tensor
        if prior == Prior.LEARNED:
            self.centres = nn.Parameter(centres)
        else:
            self.register_buffer("centres", centres)

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance of q(z | x), each (B, latent), of ``image`` (B, C, H, W) in [0, 1]."""
        hidden = F.relu(self.hidden(self.encoder(image).flatten(1)))
        mean, log_variance = self.to_moments(hidden).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, C, H, W) of the pixels of ``latent`` (B, latent)."""
        features = self.from_latent(latent).reshape(-1, *self.bottom)
        # Channels last before the ReLU, not after: gradients come back in that layout.
        return self.decoder(F.relu(features.contiguous(memory_format=torch.channels_last)))

    def forward(self, image: torch.Tensor, noise: torch.Tensor) -> CLVAEOutput:
        """Return the output for one latent draw.

        Args:
            image: (B, C, H, W), in [0, 1].
            noise: (B, latent) standard normal draw; z = mean + deviation * noise.
        """
        mean, log_variance = self.encode(image)
        latent = mean + torch.exp(0.5 * log_variance) * noise
        return CLVAEOutput(self.decode(latent), mean, log_variance)

    def class_centres(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the centre (B, latent) of the prior of each label (B,), 0 ... classes - 1."""
        return self.centres[labels] if len(self.centres) > 1 else self.centres.expand(len(labels), -1)


def shuffled_order(classes: int, seed: int) -> list[int]:
    """Return a permutation of 0 ... classes - 1: which centre each class of an ensemble's member gets."""
    return torch.randperm(classes, generator=torch.Generator().manual_seed(seed)).tolist()


def _centres(arguments: dict[str, Any]) -> Points:
    """Return the centres (classes, or 1 with a single prior; latent)."""
    if arguments["prior"] == Prior.STANDARD:
        return 0 * sphere_points(1, arguments["latent_size"])
    classes, order = arguments["classes"], arguments["order"]
    if sorted(order) != list(range(classes)):
        raise InputError(f"Expected order to be a permutation of 0 to {classes - 1}, got {order}.")
    return sphere_points(classes, arguments["latent_size"], arguments["radius"])[order]


def _bottom_size(image_size: int, strides: Sequence[int]) -> int:
    """Return the side of the encoder's last map."""
    scale = math.prod(strides)
    if image_size % scale:
        raise InputError(f"Expected image_size to be a multiple of {scale}, got {image_size}.")
    return image_size // scale
