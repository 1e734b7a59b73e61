"""Slice batches of a volume through a 2-D network; slices without brain cost nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer

from scripts.data.slices import brain_slices
from scripts.errors import InputError, ResourceError
from scripts.precision import autocast
from scripts.threads import one_core_threads
from scripts.uncertainty.maps import CHANNEL, MapName
from scripts.uncertainty.slice_smoothing import smooth_over_slices

logger = logging.getLogger(__name__)


class BrainSliceInferer(Inferer):
    """Run a network on the brain slices of one volume, in batches; every other slice is 0.

    MONAI's ``SliceInferer`` runs the empty slices too, and weights every output as a sliding window would.

    On a CPU each of PyTorch's threads takes a part of the batch, see :func:`one_core_threads`.

    When a GPU's memory is not enough, half as many slices go at once, and in the end the CPU takes over.

    Args:
        batch_size: slices at once, over all threads.
        amp: bfloat16 where it is safe.
        slice_smoothing: deviation of the mean of the anomaly over neighbouring slices, mm; 0 for none.
    """

    def __init__(self, batch_size: int = 8, amp: bool = False, slice_smoothing: float = 0.0) -> None:
        self.batch_size, self.amp = int(batch_size), bool(amp)
        self.slice_smoothing = float(slice_smoothing)

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the network's output volume (1, M, X, Y, Z) for ``inputs`` (1, C, X, Y, Z), float32.

        Raises:
            InputError: no slice shows enough brain, or the distance of slices to smooth over is unknown.
            ResourceError: the CPU has no memory for a single slice.
        """
        if inputs.ndim != 5 or inputs.shape[0] != 1:
            raise ValueError(f"Expected one volume (1, C, X, Y, Z), got shape {tuple(inputs.shape)}.")
        volume = torch.as_tensor(inputs)[0].as_subclass(torch.Tensor)
        indices = torch.from_numpy(brain_slices(volume.cpu().numpy()))
        if len(indices) == 0:
            raise InputError("Expected slices with brain on at least 10 % of the field of view, found none.")

        output = self._run_in_memory(volume, indices, network, *args, **kwargs)
        if self.slice_smoothing:
            self._smooth(output[0, CHANNEL[MapName.ANOMALY]], volume, indices, _slice_distance(inputs))
        return output

    def _smooth(
        self, anomaly: torch.Tensor, volume: torch.Tensor, indices: torch.Tensor, distance: float
    ) -> None:
        """Smooth the slices ``indices`` of ``anomaly`` (X, Y, Z) in place."""
        maps = anomaly[..., indices].permute(2, 0, 1)
        foreground = (volume[..., indices] > 0).any(dim=0).permute(2, 0, 1).to(maps.device)
        smooth = smooth_over_slices(maps, foreground, indices.double() * distance, self.slice_smoothing)
        anomaly[..., indices] = smooth.permute(1, 2, 0)

    def _run_in_memory(
        self,
        volume: torch.Tensor,
        indices: torch.Tensor,
        network: Callable[..., torch.Tensor],
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        home, batch = volume.device, self.batch_size
        try:
            while True:
                try:
                    return self._run(volume, indices, batch, network, *args, **kwargs)
                except RuntimeError as error:
                    if not _is_out_of_memory(error):
                        raise
                    batch, device = _smaller(batch, self.batch_size, volume.device, error)
                volume = volume.to(device)
                _move(network, device)
        finally:
            _move(network, home)

    def _run(
        self,
        volume: torch.Tensor,
        indices: torch.Tensor,
        batch_size: int,
        network: Callable[..., torch.Tensor],
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        def run(part: torch.Tensor) -> torch.Tensor:
            # Not channels-last: group norm on it loses two digits, and batch sizes would differ.
            batch = volume[..., part].permute(3, 0, 1, 2).contiguous()
            # Both modes belong to a thread, so each sets its own.
            with torch.inference_mode(), autocast(volume.device, self.amp):
                return network(batch, *args, **kwargs).float()

        workers = min(torch.get_num_threads(), batch_size) if volume.device.type == "cpu" else 1
        parts = indices.split(max(1, batch_size // workers))
        output: torch.Tensor | None = None
        for part, values in zip(parts, _in_threads(run, parts, workers), strict=True):
            if output is None:
                output = torch.zeros((1, values.shape[1], *volume.shape[1:]), device=values.device)
            output[0, ..., part] = values.permute(1, 2, 3, 0)
        assert output is not None
        return output


def _slice_distance(inputs: torch.Tensor) -> float:
    """Return how far the slices of a volume (1, C, X, Y, Z) are apart, mm."""
    if not isinstance(inputs, MetaTensor):
        raise InputError(
            "Expected a MetaTensor, whose affine tells how far slices are apart, got a plain tensor; "
            "give one, or set slice_smoothing to 0."
        )
    return float(torch.linalg.norm(inputs.affine.double().reshape(-1, 4, 4)[0, :3, 2]))


def _is_out_of_memory(error: RuntimeError) -> bool:
    # PyTorch's allocator for the CPU has no error of its own.
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _smaller(batch: int, first: int, device: torch.device, error: RuntimeError) -> tuple[int, torch.device]:
    """Return batch size and device of the next attempt when memory was not enough.

    Args:
        batch: slices that were too many.
        first: slices to begin with on another device.
        device: whose memory it is.
        error: what it said.

    Raises:
        ResourceError: nothing smaller is left.
    """
    if batch > 1:
        logger.warning(
            "Not enough memory on %s for %d slices at once; going on with %d.", device, batch, batch // 2
        )
        return batch // 2, device
    if device.type != "cpu":
        logger.warning("Not enough memory on %s for a single slice; going on with the CPU.", device)
        return first, torch.device("cpu")
    raise ResourceError(
        f"Expected memory for one slice, found none ({str(error).splitlines()[0]}); end other programs."
    ) from error


def _move(network: Callable[..., torch.Tensor], device: torch.device) -> None:
    if isinstance(network, torch.nn.Module):
        network.to(device)


def _in_threads(
    run: Callable[[torch.Tensor], torch.Tensor], parts: Sequence[torch.Tensor], workers: int
) -> Iterator[torch.Tensor]:
    """Yield ``run(part)`` of all parts in their order, computed by ``workers`` threads of one core each."""
    if workers == 1 or len(parts) == 1:
        yield from map(run, parts)
        return
    with one_core_threads(workers) as pool:
        yield from pool.map(run, parts)
