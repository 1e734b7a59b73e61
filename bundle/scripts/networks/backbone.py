"""What every network for slices has, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class Backbone(nn.Module, ABC):
    """A network for square slices whose function is drawn by ``latent_size`` standard normal values.

    Trainer, mappers and the scope gate ask for no more than this.

    Args:
        arguments: what the network was made with, for the records of a run; plain values.
        latent_size: standard normal values of one draw.
        architecture: whole numbers, by name, that change the function but no weight's shape. They travel
            with the weights and are compared on loading.
    """

    def __init__(self, arguments: dict[str, Any], latent_size: int, architecture: Mapping[str, int]) -> None:
        super().__init__()
        self.arguments = arguments
        self.in_channels: int = arguments["in_channels"]
        self.image_size: int = arguments["image_size"]
        self.latent_size = latent_size
        self.architecture: torch.Tensor
        self.register_buffer("architecture", torch.tensor(list(architecture.values())))
        self.architecture_names = ", ".join(architecture)

    @abstractmethod
    def describe(self, image: torch.Tensor) -> torch.Tensor:
        """Return features (B, F) that tell what slices (B, C, H, W) look like."""

    @abstractmethod
    def run_once(self, image: torch.Tensor) -> None:
        """Pass slices (B, C, H, W) through every layer once, without chance; for hooks that watch layers."""

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> tuple[list[str], list[str]]:
        """Load all weights, also where a server asks for what happens to fit: the rest would stay random.

        Returns:
            Missing and unexpected keys, of which there are none.
        """
        return super().load_state_dict(state_dict, strict=True, assign=assign)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        wanted, errors = self.architecture.tolist(), args[-1]
        given = state_dict.get(prefix + "architecture")
        if given is not None and given.tolist() != wanted:
            errors.append(
                "weights of another architecture: "
                f"expected ({self.architecture_names}) {wanted}, got {given.tolist()}"
            )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
