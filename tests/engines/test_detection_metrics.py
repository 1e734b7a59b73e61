"""Detection figures as Ignite metrics: batch by batch, and shared out to processes."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
from ignite.engine import Engine
from sklearn.metrics import average_precision_score, roc_auc_score

from scripts.engines.detection_metrics import SliceFalseAlarmRate, SliceMatchedAUROC
from scripts.engines.pixel_metrics import (
    PixelAveragePrecision,
    PixelDice,
    PixelOracleDice,
    PixelRegionOverlap,
)
from scripts.engines.scan_metrics import FalseAlarmsPerScan, ScanAUROC, ScanAveragePrecision
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.overlap import count_overlap
from scripts.evaluation.pixel_counts import count_pixels
from scripts.evaluation.pixel_curves import best_dice, region_overlap
from scripts.evaluation.scans import false_alarms_per_scan, scan_table
from scripts.evaluation.sensitivity import false_alarm_rate
from scripts.uncertainty.mappers import mapper_of
from tests.engines.toys import toy_evaluator, toy_images, toy_network, toy_slices

COUNT = 40
FACTS = pd.DataFrame(
    {
        "case": np.arange(COUNT) // 4,
        "patient": np.arange(COUNT) // 4,
        # Scans with lesions, then normal ones, then one without a mask.
        "label": [*np.random.default_rng(1).integers(-1, 2, 20), *[0] * 16, *[-1] * 4],
    }
)


def make_outputs() -> dict[str, torch.Tensor]:
    """Return engine outputs of 40 slices with ties, unknown labels and small lesions."""
    generator = np.random.default_rng(0)
    columns = {
        "label": FACTS["label"].to_numpy(),
        "index": np.arange(COUNT),
        "level": generator.integers(0, 21, COUNT) / 20,
        "mean_squared_error": np.round(generator.normal(size=COUNT), 1),
        "mean_nll": np.round(generator.normal(size=COUNT), 1),
        "image": (generator.random((COUNT, 1, 6, 6)) > 0.3).astype(np.float32),
        "pred": generator.normal(size=(COUNT, 5, 6, 6)).astype(np.float32),
        "mask": (generator.random((COUNT, 1, 6, 6)) > 0.9).astype(np.uint8),
    }
    columns["mask"][-6:] = 0
    return {name: torch.from_numpy(np.asarray(values)) for name, values in columns.items()}


def measure(metrics: dict[str, Any], outputs: dict[str, torch.Tensor], batch: int) -> dict[str, float]:
    engine = Engine(lambda engine, at: {name: one[at : at + batch] for name, one in outputs.items()})
    for name, metric in metrics.items():
        metric.attach(engine, name)
    engine.run(range(0, len(outputs["label"]), batch))
    return dict(engine.state.metrics)


def make_metrics() -> dict[str, Any]:
    return {
        "matched": SliceMatchedAUROC("nll", 0.25),
        "rate": SliceFalseAlarmRate("nll", 0.25),
        "ap": PixelAveragePrecision(),
        "aupro": PixelRegionOverlap(),
        "oracle": PixelOracleDice(),
        "dice": PixelDice(0.5),
        "scan_auroc": ScanAUROC(FACTS, "nll", 0.25),
        "scan_ap": ScanAveragePrecision(FACTS, "nll", 0.25),
        "alarms": FalseAlarmsPerScan(FACTS, "nll", 0.25),
    }


def expected(outputs: dict[str, torch.Tensor]) -> dict[str, float]:
    columns = {name: values.numpy() for name, values in outputs.items()}
    known = columns["label"] >= 0
    scores = (0.25 * columns["mean_squared_error"] + 0.75 * columns["mean_nll"])[known]
    labels, levels = columns["label"][known], columns["level"][known]
    inside = columns["image"][:, 0] > 0
    masks, maps = columns["mask"][:, 0], columns["pred"][:, 1]
    seen = known | masks.any(axis=(1, 2))  # a trace of lesion is known, a slice without a mask is not
    pixels = maps[seen], masks[seen], inside[seen]
    counts, overlap = count_pixels(*pixels), count_overlap(*pixels, np.zeros(seen.sum()), 0.5)
    every = 0.25 * columns["mean_squared_error"] + 0.75 * columns["mean_nll"]
    scans = scan_table(FACTS, every)
    scans = scans[scans["label"] >= 0]
    return {
        "matched": matched_auroc(scores, labels, levels),
        "rate": false_alarm_rate(scores, labels),
        "ap": average_precision_score(masks[seen][inside[seen]], maps[seen][inside[seen]]),
        "aupro": region_overlap(counts),
        "oracle": best_dice(counts),
        "dice": overlap.dice(),
        "scan_auroc": roc_auc_score(scans["label"], scans["score"]),
        "scan_ap": average_precision_score(scans["label"], scans["score"]),
        "alarms": false_alarms_per_scan(FACTS, every),
    }


@pytest.mark.parametrize("batch", [1, 7, COUNT])
def test_figures_are_those_of_the_functions_whatever_the_batches(batch) -> None:
    outputs = make_outputs()
    assert measure(make_metrics(), outputs, batch) == pytest.approx(expected(outputs))


def test_missing_classes_are_nan() -> None:
    outputs = make_outputs()
    outputs |= {"label": 0 * outputs["label"], "mask": 0 * outputs["mask"]}
    metrics = {name: metric for name, metric in make_metrics().items() if name in ("matched", "rate", "ap")}
    metrics |= {"aupro": PixelRegionOverlap(), "oracle": PixelOracleDice(), "dice": PixelDice(0.5)}
    metrics |= {"scan_auroc": ScanAUROC(FACTS.assign(label=0), "nll", 0.25)}
    assert all(math.isnan(value) for value in measure(metrics, outputs, 8).values())


def test_evaluation_engine_hands_on_what_they_need() -> None:
    images = toy_images(4)
    slices = toy_slices(images, [0, 1, 0, 1])
    for index, one in enumerate(slices):
        one |= {"index": index, "level": index / 3, "mask": (images[index] > 0.7).byte()}
    evaluator = toy_evaluator(mapper_of(toy_network(), samples=2), slices)
    for name, metric in make_metrics().items():
        metric.attach(evaluator, name)
    evaluator.run()
    assert 0 < evaluator.state.metrics["ap"] <= 1
    assert evaluator.state.metrics["rate"] in (0.0, 0.5, 1.0)


def share_of(rank: int, port: int, folder: str) -> None:
    """Measure one of two unequal shares in a process of its own."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    share = slice(0, 15) if rank == 0 else slice(15, None)
    outputs = {name: values[share] for name, values in make_outputs().items()}
    torch.save(measure(make_metrics(), outputs, 5), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_processes_agree_on_the_figures_of_all_slices(tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(share_of, (port, str(tmp_path)), nprocs=2)
    for rank in (0, 1):
        assert torch.load(tmp_path / f"{rank}.pt", weights_only=True) == pytest.approx(
            expected(make_outputs())
        )
