"""Resume and model selection: what is on disk is always one complete epoch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator, Trainer

from scripts.errors import InputError
from scripts.io.atomic import save_torch
from scripts.networks.backbone import Backbone

logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """Anything with a state dict: network, optimiser, scheduler."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Take a state."""


class TrainingState:
    """Keep the state of a run on disk at the end of every epoch, and the best weights beside it.

    ``resume.pt`` holds network, optimiser, scheduler, the trainer's counters, the best
    metric and the random state; ``model.pt`` is the plain state_dict of the best epoch. Both are written
    to a temporary name and renamed, so a kill at any moment leaves the epoch before. Attach it to the
    trainer after the validation handler, so that an epoch's validation is part of its state.

    Args:
        folder: the run's output folder.
        network: the network; its state_dict has no prefix of a parallel wrapper.
        parts: what else to keep, by name.
        evaluator: the validation engine whose key metric (larger is better) chooses the best epoch.
        fingerprint: settings that may not change between a run and its continuation, with the network's.
        selection: settings that the key metric depends on: they may change when the run is finished, for
            there is no epoch left to choose.
        rank: process of a distributed run; all load, the first one writes.
    """

    def __init__(
        self,
        folder: str,
        network: Backbone,
        parts: Mapping[str, Stateful],
        evaluator: Evaluator,
        fingerprint: Mapping[str, Any] | None = None,
        selection: Mapping[str, Any] | None = None,
        rank: int = 0,
    ) -> None:
        self.resume_path = Path(folder) / "resume.pt"
        self.model_path = Path(folder) / "model.pt"
        self.network = network
        self.parts = dict(parts)
        self.evaluator = evaluator
        # Networks whose weights have the same shapes may differ in what is fixed.
        fixed = getattr(network, "fixed", {})
        self.fingerprint = {**network.arguments, **fixed, **(fingerprint or {})}
        self.selection = dict(selection or {})
        self.rank = int(rank)

    def attach(self, engine: Trainer) -> None:
        """Load at the start, save at the end of every epoch of ``engine``."""
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def load(self, engine: Engine) -> None:
        """Continue the run in the folder, if there is one.

        Raises:
            InputError: the folder holds a run with other settings.
        """
        self._remove_leftovers()
        if not self.resume_path.exists():
            return
        state = torch.load(self.resume_path, map_location="cpu", weights_only=True)
        self._check(self.fingerprint, state["fingerprint"])
        if state["epoch"] < (engine.state.max_epochs or 0) and not state["stopped_early"]:
            self._check(self.selection, state.get("selection", self.selection))
        self.network.load_state_dict(state["network"])
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        torch.set_rng_state(state["random_state"])
        engine.state.iteration = state["iteration"]
        engine.state.epoch = state["epoch"]
        self.evaluator.state.best_metric = state["best_metric"]
        self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        logger.info("Continuing after epoch %d of %s.", state["epoch"], self.resume_path.parent)
        if state["stopped_early"]:
            logger.info("This run had stopped early; nothing is left to train.")
            engine.terminate()

    def _check(self, given: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
        for name in (*given, *stored):
            ours, theirs = (one.get(name, "unset") for one in (given, stored))
            if ours != theirs:
                raise InputError(
                    f"{self.resume_path}: expected a run with {name}={ours}, found one with {name}={theirs}; "
                    f"give another --output_dir to start anew, or {name}={theirs} to continue."
                )

    def _remove_leftovers(self) -> None:
        """Remove what a killed run was writing; a temporary file is as large as the state itself."""
        if self.rank == 0:
            for path in self.resume_path.parent.glob(".tmp-*"):
                path.unlink(missing_ok=True)

    def save(self, engine: Engine) -> None:
        """Write the best weights if this epoch made them, then the state of the epoch."""
        if self.rank > 0:
            return
        weights = self.network.state_dict()
        best = self.evaluator.state
        if best.best_metric_epoch == engine.state.epoch or not self.model_path.exists():
            save_torch(self.model_path, weights)
        state = {
            "fingerprint": self.fingerprint,
            "selection": self.selection,
            "network": weights,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "random_state": torch.get_rng_state(),
            "iteration": engine.state.iteration,
            "epoch": engine.state.epoch,
            "best_metric": float(best.best_metric),
            "best_metric_epoch": int(best.best_metric_epoch),
            "stopped_early": bool(engine.should_terminate),
        }
        save_torch(self.resume_path, state)
