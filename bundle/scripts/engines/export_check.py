"""Compare exported networks with the network itself on slices of scans: the last step of ``make export``.

    python -m scripts.engines.export_check <scans> models/model.ts models/model.onnx

Scans are read and checked as inference does, but for the scope gate, for the maps are not looked at. Fails
where a map differs by more than 0.0001 of its value and 0.00001 of its largest value.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import fire
import torch
from monai.bundle import ConfigParser
from monai.utils import CommonKeys

from scripts import BUNDLE_ROOT
from scripts.data.profile import spread_slices
from scripts.data.slices import brain_slices
from scripts.errors import InputError, ModelError, install_error_hook
from scripts.io.exports import open_export
from scripts.io.weights import load_weights
from scripts.uncertainty.maps import CHANNEL

RELATIVE, OF_LARGEST = 1e-4, 1e-5
BATCH_SIZES = (1, 8)
"""Slices at once: an export must take any number."""
SLICES = 16
"""Looked at of each scan."""


def check_exports(dataset_dir: str | Path, *exports: str | Path) -> dict[str, float]:
    """Print and return the largest difference of each export, as a share of the map's largest value.

    Args:
        dataset_dir: scans, as for inference.
        exports: files that were made from the shipped weights.

    Raises:
        InputError: no scans, or no exports.
        ModelError: an export gives other maps.
    """
    config = ConfigParser()
    config.read_config(BUNDLE_ROOT / "configs" / "inference.json")
    config["dataset_dir"] = str(dataset_dir)
    weights = config.get_parsed_content("weights")
    network = load_weights(config.get_parsed_content("network_def"), weights).eval()
    dataset = config.get_parsed_content("dataset")
    if not len(dataset) or not exports:
        raise InputError(f"{dataset_dir}: expected scans and the names of exports, found none; give both.")
    slices = torch.cat([_some_slices(dataset[index][CommonKeys.IMAGE]) for index in range(len(dataset))])
    figures = {}
    for path in exports:
        figures[str(path)] = max(compare(network, path, slices, size) for size in BATCH_SIZES)
        print(f"{path}: like the network on {len(slices)} slices, off by {figures[str(path)]:.1e} at most")
    return figures


def compare(network: torch.nn.Module, path: str | Path, slices: torch.Tensor, batch_size: int) -> float:
    """Return the largest difference of an export, as a share of the map's largest value.

    Args:
        network: what was exported.
        path: of the export.
        slices: (N, C, H, W) normalised.
        batch_size: slices at once.

    Raises:
        ModelError: it gives other maps.
    """
    runtime = open_export(path)
    largest = 0.0
    with torch.inference_mode():
        for part in slices.split(batch_size):
            expected, found = network(part), runtime(part)
            if found.shape != expected.shape:
                raise ModelError(
                    f"{path}: expected maps of shape {tuple(expected.shape)}, it gives {tuple(found.shape)}; "
                    "export again."
                )
            size = expected.abs().amax(dim=(0, 2, 3), keepdim=True).clamp(min=1e-12)
            off = (found - expected).abs()
            largest = max(largest, float((off / size).max()))
            wrong = ~(off <= RELATIVE * expected.abs() + OF_LARGEST * size)  # NaN is wrong, too
            if wrong.any():
                names = _names(wrong)
                raise ModelError(
                    f"{path}: expected the network's own maps, {names} differ by up to {largest:.2g} of "
                    "the largest value; export again."
                )
    return largest


def _some_slices(image: torch.Tensor) -> torch.Tensor:
    """Return at most 16 evenly spread brain slices (N, C, H, W) of a preprocessed scan (C, X, Y, Z)."""
    volume = torch.as_tensor(image).as_subclass(torch.Tensor)
    indices = brain_slices(volume.numpy())
    chosen = torch.from_numpy(indices[spread_slices(len(indices), SLICES)])
    return volume[..., chosen].permute(3, 0, 1, 2).contiguous()


def _names(wrong: torch.Tensor) -> str:
    channels: Sequence[int] = wrong.any(dim=3).any(dim=2).any(dim=0).nonzero().flatten().tolist()
    known = {channel: name.value for name, channel in CHANNEL.items()}
    return ", ".join(known.get(channel, f"channel {channel}") for channel in channels)


if __name__ == "__main__":
    install_error_hook()
    fire.Fire(check_exports, command=sys.argv[1:], serialize=lambda _: None)
