"""Train the members of an ensemble one after the other."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scripts.data.anomaly_splits import AnomalySplit
from scripts.engines.clvae_detector import CLVAEDetector
from scripts.engines.fingerprint import describe
from scripts.errors import InputError
from scripts.io.atomic import atomic_path, write_json
from scripts.latent.ensemble import member_path

logger = logging.getLogger(__name__)


def train_ensemble(
    make: Callable[..., CLVAEDetector],
    split: AnomalySplit,
    folder: str,
    members: int = 1,
    seed: int = 0,
    split_seed: int = 0,
) -> None:
    """Train members with the seeds ``seed`` ... ``seed + members - 1``; those that are done are kept.

    Args:
        make: makes a detector from a ``seed`` and a ``follow``er of its epochs.
        split: what to train on.
        folder: gets ``member_<seed>.pt`` and ``member_<seed>.csv``, losses and seconds of every epoch.
        members: how many.
        seed: of the first one.
        split_seed: that ``split`` was drawn with.

    Raises:
        InputError: the folder has a member that was trained with other settings or on another split.
    """
    settings = json.loads(
        json.dumps({"settings": describe(make), "split": split.name, "split_seed": split_seed})
    )
    _check_settings(Path(folder) / "training.json", settings)
    for number in range(seed, seed + members):
        path = member_path(folder, number)
        if path.exists():
            logger.info("%s is done.", path.name)
            continue
        with tqdm(desc=f"member {number}", unit="epoch", disable=None) as bar:
            detector = make(seed=number, follow=lambda row, bar=bar: _show(bar, row))
            detector.fit(split)
        _write_history(path.with_suffix(".csv"), detector.history)
        detector.member.save(path)
        logger.info(
            "%s: %d epochs, best validation loss %.3f.", path.name, detector.epochs, detector.best_loss
        )


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored != settings:
            raise InputError(
                f"{path}: expected an ensemble trained with {json.dumps(settings)}, found one with "
                f"{json.dumps(stored)}; give another --output_dir."
            )
    write_json(path, settings)


def _show(bar: tqdm, row: dict[str, Any]) -> None:
    bar.set_postfix_str(f"loss {row['train_loss']:.3f}, validation {row['validation_loss']:.3f}")
    bar.update()


def _write_history(path: Path, history: list[dict[str, Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
