"""Monte Carlo dropout as data: K fixed masks in the decoder, so that inference stays a function."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from scripts.errors import InputError
from scripts.uncertainty.mapper import AnomalyMapper, VAEMapper


class MaskedDropout(nn.Dropout):
    """PyTorch's dropout in training; at inference each of K draws meets a mask of its own, always the same.

    Args:
        rate: share of values dropped, in (0, 1).
        shape: of one draw's features, without the batch.
        samples: K.
        generator: that the masks are drawn from.
    """

    def __init__(self, rate: float, shape: tuple[int, ...], samples: int, generator: torch.Generator) -> None:
        super().__init__(rate)
        kept = torch.rand((samples, 1, *shape), generator=generator) >= rate
        self.masks: torch.Tensor
        self.register_buffer("masks", kept / (1 - rate), persistent=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return ``features`` (K * B, ...), draw by draw, with some of them 0 and the others larger."""
        if self.training:
            return super().forward(features)
        draws = features.unflatten(0, (self.masks.shape[0], -1))
        return (draws * self.masks.to(features.dtype)).flatten(0, 1)


def with_dropout_masks(mapper: AnomalyMapper, seed: int = 0, latent_draws: bool = False) -> AnomalyMapper:
    """Put K fixed masks into the decoder of ``mapper``: its K draws are then of the decoder's weights.

    The variance between them is uncertainty about the weights (Gal and Ghahramani, ICML 2016), which the
    paper's draws of the latent are not. The layers are changed in place and train as before; a state_dict
    is not changed. What encodes is left as it is.

    Args:
        mapper: of a VAE that was trained with dropout. (Draws of the lesion U-Net are of its weights anyway.)
        seed: seed of the masks.
        latent_draws: draw the latent too; False decodes its mean K times.

    Returns:
        ``mapper`` itself. Thresholds made without masks do not fit it.

    Raises:
        InputError: no VAE, or its decoder has no dropout.
    """
    samples = len(mapper.latent_draws)
    generator = torch.Generator().manual_seed(seed)
    shapes = _dropout_shapes(mapper) if isinstance(mapper, VAEMapper) else {}
    if not shapes:
        raise InputError(
            "Expected a VAE's decoder with dropout to draw weights from, got none; train with --dropout 0.1."
        )
    for name, shape in shapes.items():
        parent, _, child = name.rpartition(".")
        layer = mapper.get_submodule(name)
        assert isinstance(layer, nn.Dropout)
        masked = MaskedDropout(layer.p, shape, samples, generator).train(layer.training)
        setattr(mapper.get_submodule(parent), child, masked)
    if not latent_draws:
        mapper.latent_draws.zero_()
    mapper.noise = f"{mapper.noise if latent_draws else 'none'}, dropout masks {seed}"
    return mapper


def _dropout_shapes(mapper: VAEMapper) -> dict[str, tuple[int, ...]]:
    """Return the shape of what every dropout of the decoder gets, by the layer's name."""
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = []
    for name, layer in mapper.named_modules():
        if isinstance(layer, nn.Dropout) and layer.p > 0:

            def note(_: nn.Module, given: tuple[Any, ...], name: str = name) -> None:
                shapes[name] = tuple(given[0].shape[1:])

            hooks.append(layer.register_forward_pre_hook(note))
    modes = {layer: layer.training for layer in mapper.modules()}
    with torch.no_grad():
        mapper.eval().decode(mapper.latent_draws.new_zeros(1, mapper.latent_size))
    for layer, training in modes.items():
        layer.training = training
    for hook in hooks:
        hook.remove()
    return shapes
