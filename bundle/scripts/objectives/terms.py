"""A loss that is a weighted sum of named terms, each of which belongs into the history of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import nn


class TermsLoss(nn.Module, ABC):
    """What a trainer asks of a loss function."""

    def start_epoch(self, epoch: int) -> dict[str, float]:
        """Set the weights of an epoch, counted from 1, and return those that change, by name."""
        return {}

    @abstractmethod
    def terms(
        self, output: tuple[torch.Tensor, ...], batch: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return the terms, means over the batch, of a network's output for a batch of slices."""

    @abstractmethod
    def total(self, terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the loss from its :meth:`terms`."""

    def forward(self, output: tuple[torch.Tensor, ...], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch."""
        return self.total(self.terms(output, batch))
