"""Detection figures as Ignite metrics: batch by batch, and shared out to processes."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ignite.engine import Engine
from sklearn.metrics import average_precision_score

from scripts.engines.detection_metrics import PixelAveragePrecision, SliceFalseAlarmRate, SliceMatchedAUROC
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.sensitivity import false_alarm_rate
from scripts.uncertainty.mappers import mapper_of
from tests.engines.toys import toy_evaluator, toy_images, toy_network, toy_slices

COUNT = 40


def make_outputs() -> dict[str, torch.Tensor]:
    """Return engine outputs of 40 slices with ties, unknown labels and small lesions."""
    generator = np.random.default_rng(0)
    columns = {
        "label": generator.integers(-1, 2, COUNT),
        "level": generator.integers(0, 21, COUNT) / 20,
        "mean_squared_error": np.round(generator.normal(size=COUNT), 1),
        "mean_nll": np.round(generator.normal(size=COUNT), 1),
        "image": (generator.random((COUNT, 1, 6, 6)) > 0.3).astype(np.float32),
        "pred": generator.normal(size=(COUNT, 5, 6, 6)).astype(np.float32),
        "mask": (generator.random((COUNT, 1, 6, 6)) > 0.9).astype(np.uint8),
    }
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
    }


def expected(outputs: dict[str, torch.Tensor]) -> dict[str, float]:
    columns = {name: values.numpy() for name, values in outputs.items()}
    known = columns["label"] >= 0
    scores = (0.25 * columns["mean_squared_error"] + 0.75 * columns["mean_nll"])[known]
    labels, levels = columns["label"][known], columns["level"][known]
    inside = columns["image"][:, 0] > 0
    pixels = average_precision_score(columns["mask"][:, 0][inside], columns["pred"][:, 1][inside])
    return {
        "matched": matched_auroc(scores, labels, levels),
        "rate": false_alarm_rate(scores, labels),
        "ap": pixels,
    }


@pytest.mark.parametrize("batch", [1, 7, COUNT])
def test_figures_are_those_of_the_functions_whatever_the_batches(batch) -> None:
    outputs = make_outputs()
    assert measure(make_metrics(), outputs, batch) == pytest.approx(expected(outputs))


def test_missing_classes_are_nan() -> None:
    outputs = make_outputs()
    outputs |= {"label": 0 * outputs["label"], "mask": 0 * outputs["mask"]}
    assert all(math.isnan(value) for value in measure(make_metrics(), outputs, 8).values())


def test_evaluation_engine_hands_on_what_they_need() -> None:
    images = toy_images(4)
    slices = toy_slices(images, [0, 1, 0, 1])
    for index, one in enumerate(slices):
        one |= {"level": index / 3, "mask": (images[index] > 0.7).byte()}
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
