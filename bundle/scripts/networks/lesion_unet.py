"""A U-Net with three heads: is this a lesion, what would be here without one, how far may it be off."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from scripts.errors import InputError
from scripts.networks.attention import SpatialAttention
from scripts.networks.backbone import Backbone
from scripts.networks.group_norm import GroupNorm

_FORMAT = 1
_NORM_GROUPS = 8
LOG_VARIANCE_RANGE = (-20.0, 20.0)


def make_scale(width: int, out: int) -> nn.Sequential:
    """Return two 3 x 3 convolutions with norm and ReLU, from ``width`` to ``out`` channels."""
    layers = nn.Sequential()
    for given in (width, out):
        layers.append(nn.Conv2d(given, out, 3, padding=1, bias=False))
        layers.append(GroupNorm(_NORM_GROUPS, out))
        layers.append(nn.ReLU(inplace=True))
    return layers


class Rise(nn.Module):
    """One step of the decoder: to the channels and size of the next finer scale, whose features are added.

    Args:
        width: channels that come in.
        out: channels of the finer scale.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        # Before the map is enlarged: it is the same, at a quarter of the cost.
        self.narrow = nn.Conv2d(width, out, 1)
        self.scale = make_scale(out, out)

    def forward(self, features: torch.Tensor, skipped: torch.Tensor) -> torch.Tensor:
        """Return (B, out, 2 H, 2 W) from ``features`` (B, width, H, W) and ``skipped`` of that shape."""
        narrow = self.narrow(features)
        enlarged = F.interpolate(narrow, scale_factor=2.0, mode="bilinear", align_corners=False)
        output: torch.Tensor = self.scale(enlarged + skipped)
        return output


class LesionBackbone(Backbone):
    """Encoder, decoder with skip connections, and heads for lesion, mean and log variance of every pixel.

    :class:`LesionUNet` trains it on painted lesions; ``uncertainty.lesion_mapper.LesionMapper`` makes maps.

    Two pixels become one by space-to-depth; each scale has two 3 x 3 convolutions with norm and ReLU, and
    half the size of the one before. Multi-head attention at the coarsest scale sees the whole slice, so
    that one side can be held against the other.

    Every channel that enters the decoder is multiplied by 1 + deviation * e with e standard normal: Gaussian
    dropout (Srivastava et al., JMLR 2014, section 10), which is variational inference over the decoder's
    weights (Kingma et al., NeurIPS 2015). The encoder is the same for all draws, so K draws encode once.

    Args:
        in_channels: image modalities.
        image_size: side of the square image, a multiple of 2 ** len(widths).
        widths: channels from the finest to the coarsest scale.
        heads: attention heads; 0 for no attention.
        mirror: show each slice beside its mirror image, left for right: what differs between the sides.
        drop_rate: p of the equivalent dropout, in [0, 1); the deviation is sqrt(p / (1 - p)).
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 128,
        widths: Sequence[int] = (32, 64, 96, 128),
        heads: int = 8,
        drop_rate: float = 0.1,
        mirror: bool = True,
    ) -> None:
        arguments = {
            "in_channels": in_channels,
            "image_size": image_size,
            "widths": list(widths),
            "heads": heads,
            "drop_rate": drop_rate,
            "mirror": mirror,
        }
        super().__init__(arguments, sum(widths), {"format": _FORMAT, "heads": heads})
        scale = 2 ** len(widths)
        if image_size % scale:
            raise InputError(f"Expected image_size to be a multiple of {scale}, got {image_size}.")
        if not 0 <= drop_rate < 1:
            raise InputError(f"Expected drop_rate from 0 to below 1, got {drop_rate}.")
        self.noise_deviation = (drop_rate / (1 - drop_rate)) ** 0.5
        self.log_variance_min, self.log_variance_max = LOG_VARIANCE_RANGE
        self.widths = list(widths)
        self.mirror = bool(mirror)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        width = 4 * in_channels * (2 if mirror else 1)
        for out in widths:
            self.down.append(make_scale(width, out))
            width = out
        size = image_size // scale
        self.attention: nn.Module = SpatialAttention(width, heads, size) if heads else nn.Identity()
        for out in reversed(widths[:-1]):
            self.up.append(Rise(width, out))
            width = out
        self.heads = nn.Conv2d(width, 4 * (1 + 2 * in_channels), 1)

    def encode(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return the features (B, width, H', W') of each scale, finest first, of ``image`` (B, C, H, W)."""
        features: list[torch.Tensor] = []
        if self.mirror:
            image = torch.cat((image, image.flip(2)), dim=1)
        current = F.pixel_unshuffle(image, 2)
        for scale in self.down:
            if len(features) > 0:
                current = F.max_pool2d(current, 2)
            current = scale(current)
            features.append(current)
        features[-1] = self.attention(features[-1])
        return features

    def decode(
        self, features: list[torch.Tensor], noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return mean, log variance (B, C, H, W) of the slice without lesion; lesion logits (B, 1, H, W).

        Args:
            features: of :meth:`encode`.
            noise: (B, latent) standard normal, one value for every channel of every scale.
        """
        factors = (1 + self.noise_deviation * noise)[:, :, None, None].split(self.widths, dim=1)
        current = features[-1] * factors[-1]
        for step, rise in enumerate(self.up):
            place = len(features) - 2 - step
            current = rise(current, features[place] * factors[place])
        lesion, mean, log_variance = F.pixel_shuffle(self.heads(current), 2).split(
            [1, self.in_channels, self.in_channels], dim=1
        )
        return mean, log_variance.clamp(self.log_variance_min, self.log_variance_max), lesion

    @torch.jit.export  # servers that run the exported network judge scans by it
    def describe(self, image: torch.Tensor) -> torch.Tensor:
        """Return the coarsest features averaged over their positions (B, width) of ``image`` (B, C, H, W)."""
        return self.encode(image)[-1].mean(dim=(2, 3))

    def run_once(self, image: torch.Tensor) -> None:
        """Decode ``image`` (B, C, H, W) without dropout."""
        self.decode(self.encode(image), image.new_zeros((len(image), self.latent_size)))


class LesionUNet(LesionBackbone):
    """The network as it is trained: one draw for each image. Arguments: :class:`LesionBackbone`."""

    def forward(
        self, image: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return mean, log variance and lesion logits, see :meth:`decode`.

        Args:
            image: (B, C, H, W), normalised intensities.
            noise: (B, latent) standard normal draw.
        """
        return self.decode(self.encode(image), noise)
