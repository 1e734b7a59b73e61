"""What neighbouring slices say: anomaly maps averaged along the axis that the network does not see."""

from __future__ import annotations

import torch

REACH = 2.0
"""Slices further away than this many deviations have no part in the mean."""


def smooth_over_slices(
    maps: torch.Tensor, foreground: torch.Tensor, places: torch.Tensor, deviation: float
) -> torch.Tensor:
    """Return the mean of each slice's map and its neighbours', weighted by a Gaussian of their distance.

    A lesion goes on in the next slice, and what a 2-D network takes for one mostly does not. A mean depends
    on no slice out of its reach: not on how many there are, nor on what they show.

    Args:
        maps: (N, X, Y) of the slices of one scan, each once, in any order.
        foreground: (N, X, Y) bool; elsewhere a slice stays 0, whatever its neighbours show, and counts to
            these as 0, or as their lowest value where that is below 0.
        places: (N,) positions along the slice axis, mm.
        deviation: of the Gaussian, mm; 0 leaves the maps as they are.
    """
    if not deviation:
        return maps
    smooth = torch.empty_like(maps)
    for index, place in enumerate(places):
        distances = (places - place).abs() / deviation
        near = torch.nonzero(distances <= REACH)[:, 0]
        weights = torch.exp(-0.5 * distances[near].square())
        filled = torch.where(foreground[near], maps[near], maps[near].amin().clamp(max=0))
        smooth[index] = torch.tensordot((weights / weights.sum()).to(maps), filled, dims=1)
    return smooth * foreground
