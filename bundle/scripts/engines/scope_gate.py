"""Scans that the weights were not made for are refused, or marked, before they are mapped."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.data.profile import scan_profile, spread_slices
from scripts.data.slices import brain_slices
from scripts.errors import InputError, ScopeError
from scripts.evaluation.scope import ScopeStatistics, Verdict
from scripts.networks.backbone import Backbone
from scripts.options import Option
from scripts.preflight.report import Level, Report

logger = logging.getLogger(__name__)

ALL_AT_ONCE = 16


class Scope(Option):
    """What happens to a scan that is not like the training scans."""

    REFUSE = "refuse"
    """It is not mapped (exit code 3)."""
    WARN = "warn"
    """It is mapped, and marked in result, picture and log."""
    OFF = "off"
    """Nobody looks."""


class ScopeGate:
    """Compares scans with the statistics of the training scans.

    Args:
        statistics: of the weights in use, or the reason why there are none.
        action: a :class:`Scope`.
        level: probability below which a scan is out of scope, 0 to 1.
        field_of_view: side of the network's square, mm.
        modalities: names of the channels, in order.
    """

    def __init__(
        self,
        statistics: ScopeStatistics | str,
        action: str = Scope.REFUSE,
        level: float = 0.01,
        field_of_view: float = 240.0,
        modalities: Sequence[str] = (),
    ) -> None:
        if not 0 < level < 1:
            raise InputError(f"Expected a probability between 0 and 1 for --scope_level, got {level}.")
        self.statistics, self.action, self.level = statistics, Scope(action), float(level)
        self.field_of_view, self.modalities = float(field_of_view), list(modalities)

    def settings(self) -> dict[str, Any]:
        """Return what its verdicts depend on besides network and scan; plain values."""
        statistics = self.statistics
        if isinstance(statistics, ScopeStatistics):
            text = json.dumps(statistics.to_json(), sort_keys=True)
            statistics = hashlib.sha256(text.encode()).hexdigest()
        return {"action": self.action.value, "level": self.level, "statistics": statistics}

    def examine(self, image: torch.Tensor, network: Backbone, device: torch.device | str) -> Report | None:
        """Return the report about one preprocessed scan (C, X, Y, Z), see :meth:`judge`."""
        volume = torch.as_tensor(image).as_subclass(torch.Tensor)
        # Servers hand over what lies on their GPU.
        indices = torch.from_numpy(brain_slices(volume.cpu().numpy()))
        return self.judge(volume[..., indices.to(volume.device)].permute(3, 0, 1, 2), network, device)

    def judge(self, slices: torch.Tensor, network: Backbone, device: torch.device | str) -> Report | None:
        """Return the report about one scan, None when nobody shall look, or without a slice to look at.

        Args:
            slices: (N, C, H, W) its brain slices, normalised.
            network: the weights in use.
            device: where the network is.
        """
        if self.action is Scope.OFF or len(slices) == 0:
            return None
        if isinstance(self.statistics, str):
            remedy = (
                "whether the weights are made for this scan is not known; measure the scope of the weights"
            )
            return Report("scope", Level.WARNING, f"the scope is not checked: {self.statistics}", remedy)
        verdict = self._compare(slices, network, device, self.statistics)
        if verdict.p >= self.level:
            return _in_scope(verdict, self.statistics)
        return self._out_of_scope(verdict, self.statistics, self._other_order(slices, network, device))

    def _compare(
        self,
        slices: torch.Tensor,
        network: Backbone,
        device: torch.device | str,
        statistics: ScopeStatistics,
    ) -> Verdict:
        profile, latents = measure_scan(slices, network, self.field_of_view, device)
        return statistics.judge(profile, latents.mean(axis=0))

    def _other_order(
        self, slices: torch.Tensor, network: Backbone, device: torch.device | str
    ) -> list[str] | None:
        """Return the modalities in the order in which the scan would be in scope, if there is one."""
        assert isinstance(self.statistics, ScopeStatistics)
        given = tuple(range(slices.shape[1]))
        if len(self.modalities) != len(given):
            return None
        for order in permutations(given):
            if order == given:
                continue
            verdict = self._compare(slices[:, list(order)], network, device, self.statistics)
            if verdict.p >= self.level:
                return [self.modalities[order.index(channel)] for channel in given]
        return None

    def _out_of_scope(self, verdict: Verdict, statistics: ScopeStatistics, order: list[str] | None) -> Report:
        off = ", ".join(
            f"{one['name']} {one['value']:.3g} (training {one['mean']:.3g} ± {one['deviation']:.2g})"
            for one in verdict.furthest
        )
        like, p = _training(statistics), f"{verdict.p:.2g}"
        finding = f"expected a scan like {like}, found one out of scope, p = {p}: {off}"
        hint = f"its files look like {', '.join(order)}, not {', '.join(self.modalities)}" if order else None
        if self.action is Scope.WARN:
            remedy = hint or "maps and scores of it mean little"
            return Report("scope", Level.WARNING, finding, remedy, numbers=_numbers(verdict))
        remedy = hint or "use weights trained on such scans, or --scope warn to map it all the same"
        return Report("scope", Level.REFUSAL, finding, remedy, ScopeError, _numbers(verdict))


def _in_scope(verdict: Verdict, statistics: ScopeStatistics) -> Report:
    finding = f"like {_training(statistics)}: p = {verdict.p:.2g}"
    return Report("scope", Level.NOTE, finding, "in scope", numbers=_numbers(verdict))


def _training(statistics: ScopeStatistics) -> str:
    return f"the {statistics.scans} training scans ({statistics.source})"


def _numbers(verdict: Verdict) -> dict[str, Any]:
    return {"p": verdict.p, "distance": verdict.distance, "furthest": list(verdict.furthest)}


def measure_scan(
    slices: torch.Tensor, network: Backbone, field_of_view: float, device: torch.device | str
) -> tuple[dict[str, float], NDArray[np.float32]]:
    """Return profile and latent means (n, latent) of at most 40 evenly spread brain slices of a scan.

    Args:
        slices: (N, C, H, W) normalised.
        network: encodes them.
        field_of_view: side of a slice, mm.
        device: where the network is.
    """
    chosen = slices[torch.from_numpy(spread_slices(len(slices)))].contiguous()
    profile = scan_profile(chosen.cpu().numpy(), field_of_view / chosen.shape[-1])
    with torch.inference_mode():
        latents = [network.describe(part.to(device)).float().cpu() for part in chosen.split(ALL_AT_ONCE)]
    return profile, torch.cat(latents).numpy()


def find_scope(path: str, weights_sha256: str) -> ScopeStatistics | str:
    """Return the scope statistics in ``path`` if they are of these weights, else the reason in words.

    Raises:
        InputError: the file is damaged.
    """
    file = Path(path)
    if not file.is_file():
        return f"no {file.name} beside the weights"
    try:
        statistics = ScopeStatistics.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError, KeyError, InputError) as error:
        raise InputError(
            f"{file}: expected scope statistics, found something else ({error}); measure them again."
        ) from error
    if statistics.weights_sha256 != weights_sha256:
        return f"{file.name} is of weights {statistics.weights_sha256[:12]}, these are {weights_sha256[:12]}"
    return statistics
