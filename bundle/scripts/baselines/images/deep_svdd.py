"""Deep SVDD (Ruff et al., ICML 2018): a network that maps all inliers close to one point, whatever class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from scripts.baselines.images.batches import map_batches
from scripts.baselines.images.detector import Scores, check_images
from scripts.baselines.images.training import Training, count_parameters, make_convolutions, train_network
from scripts.data.anomaly_splits import AnomalySplit
from scripts.data.image_files import Images

_NEAREST_TO_ZERO = 0.1


class DeepSVDD:
    """Squared distance from the centre of the inliers (``deep_svdd``).

    One-class Deep SVDD without pretraining. No layer has a bias, and no coordinate of the centre is near
    0: either would let the network map everything to the centre with weights of 0.

    Args:
        layers: (channels, stride) of each 3 x 3 convolution.
        hidden_size: dimension of the space of the centre.
        seed: of the initial weights and the order of the images.
        training: how it is trained; that of :class:`Training` with the weight decay 1e-6 of Deep SVDD's
            authors when None.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[int]] = ((32, 2), (64, 2)),
        hidden_size: int = 32,
        seed: int = 0,
        training: Training | None = None,
    ) -> None:
        self.layers = layers
        self.hidden_size = hidden_size
        self.seed = seed
        self.training = training or Training(weight_decay=1e-6)
        self.network: nn.Sequential | None = None
        self.epochs = 0
        """Epochs trained."""
        self._shape: tuple[int, ...] | None = None

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return count_parameters(self.network)

    def fit(self, split: AnomalySplit) -> None:
        """Place the centre by the initial weights, then pull the training images towards it."""
        self._shape = split.train_images.shape[1:]
        self.network = self._make_network(self._shape).to(self.training.device)
        self._centre = self._find_centre(self.network, split.train_images)
        self.epochs = train_network(
            self.network, lambda outputs, _: self._distances(outputs).mean(), split, self.training, self.seed
        )

    def score(self, images: Images) -> Scores:
        """Return ``deep_svdd`` (N,) of the images (N, C, H, W)."""
        check_images(images, self._shape)
        network = self.network
        assert network is not None
        distances = map_batches(lambda batch: self._distances(network(batch)), images, self.training.device)
        return {"deep_svdd": distances}

    def _distances(self, outputs: torch.Tensor) -> torch.Tensor:
        return (outputs - self._centre).square().sum(dim=1)

    def _make_network(self, shape: Sequence[int]) -> nn.Sequential:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            convolutions = make_convolutions(shape[0], self.layers, bias=False)
            size = convolutions(torch.zeros(1, *shape)).numel()
            return nn.Sequential(convolutions, nn.Flatten(), nn.Linear(size, self.hidden_size, bias=False))

    def _find_centre(self, network: nn.Module, images: Images) -> torch.Tensor:
        centre = torch.from_numpy(map_batches(network, images, self.training.device).mean(axis=0)).float()
        away = torch.where(centre < 0, -_NEAREST_TO_ZERO, _NEAREST_TO_ZERO)
        return torch.where(centre.abs() < _NEAREST_TO_ZERO, away, centre).to(self.training.device)
