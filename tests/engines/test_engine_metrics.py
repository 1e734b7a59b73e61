"""What validation measures: which slices count, and what happens where labels or classes are missing."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from sklearn.metrics import average_precision_score, roc_auc_score

from scripts.engines.metrics import NormalELBO, SliceAUROC, SliceAveragePrecision
from scripts.errors import InputError, ModelError
from tests.engines.toys import toy_images, toy_run, toy_slices

ALPHA = 0.25


def measure(metric, elbo=(), labels=(), errors=(), scores=(), batch=3) -> float:
    """Return a metric's value over the given slices, fed in batches, without a single warning."""
    columns = {
        "elbo": torch.tensor(elbo or [0.0] * len(labels)),
        "label": torch.tensor(labels),
        "mean_squared_error": torch.tensor(errors or [0.0] * len(labels)),
        "mean_nll": torch.tensor(scores or [0.0] * len(labels)),
    }
    engine = Engine(lambda engine, index: {name: one[index : index + batch] for name, one in columns.items()})
    metric.attach(engine, "value")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):  # a second epoch starts from nothing
            engine.run(range(0, len(labels), batch))
    return engine.state.metrics["value"]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_elbo_is_the_mean_of_normal_slices(batch) -> None:
    value = measure(NormalELBO(), [-1.0, -2.0, -9.0, -4.5, -7.0], [0, 0, 1, 0, -1], batch=batch)
    assert value == pytest.approx(-2.5)


def test_elbo_without_its_kl_term_is_the_likelihood() -> None:
    outputs = {
        "elbo": torch.tensor([-1.0, -2.0, -9.0]),
        "kl": torch.tensor([8.0, 16.0, 80.0]),
        "label": torch.tensor([0, 0, 1]),
        "image": torch.zeros(3, 2, 2, 2),
    }
    values = []
    for weight in (1.0, 0.0):
        metric, engine = NormalELBO(kl_weight=weight), Engine(lambda *_: outputs)
        metric.attach(engine, "value")
        engine.run([0])
        values.append(engine.state.metrics["value"])
    assert values == pytest.approx([-1.5, -1.5 + (8 + 16) / 2 / 8])


def test_elbo_of_scans_without_masks_takes_every_slice() -> None:
    assert measure(NormalELBO(), [-1.0, -2.0, -3.0, -6.0], [-1, -1, -1, -1]) == pytest.approx(-3.0)


def test_elbo_needs_a_lesion_free_slice() -> None:
    with pytest.raises(InputError, match="lesion-free validation slices .* none among 4; use another split"):
        measure(NormalELBO(), [-1.0] * 4, [1, 1, -1, 1])


def test_elbo_that_is_not_finite_stops_the_run() -> None:
    with pytest.raises(ModelError, match="finite validation ELBO, the network gave nan"):
        measure(NormalELBO(), [-1.0, math.nan], [0, 0])
    # A broken abnormal slice is not what the weights are chosen by.
    assert measure(NormalELBO(), [-1.0, math.nan], [0, 1]) == -1.0


@pytest.mark.parametrize("batch", [1, 4, 100])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [(SliceAUROC, roc_auc_score), (SliceAveragePrecision, average_precision_score)],
)
def test_detection_agrees_with_sklearn_and_leaves_out_unknown_labels(metric, reference, batch) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(-1, 2, 40)
    labels[8:12] = -1  # a batch without any known label
    errors = np.round(generator.normal(size=40), 1).astype(np.float32)  # ties
    scores = np.round(generator.normal(size=40), 1).astype(np.float32)
    known = labels >= 0
    expected = reference(labels[known], (ALPHA * errors + (1 - ALPHA) * scores)[known])
    value = measure(metric("nll", ALPHA), [], labels.tolist(), errors.tolist(), scores.tolist(), batch)
    assert value == pytest.approx(expected)


@pytest.mark.parametrize("metric", [SliceAUROC, SliceAveragePrecision])
@pytest.mark.parametrize("labels", [[0, 0, 0, -1], [1, 1], [-1, -1, -1], [-1]])
def test_detection_without_both_classes_is_nan_in_silence(metric, labels) -> None:
    assert math.isnan(measure(metric("nll", ALPHA), [], labels))


@pytest.mark.parametrize("metric", [SliceAUROC, SliceAveragePrecision])
def test_detection_of_scores_that_are_not_finite_is_nan(metric) -> None:
    assert math.isnan(measure(metric("nll", ALPHA), [], [0, 1], [], [0.0, math.inf]))


def test_weights_are_chosen_by_the_elbo_of_normal_slices_alone() -> None:
    """Other labels of abnormal slices, other images of abnormal slices: the same figure."""
    images = toy_images(4, seed=1)
    other = images.clone()
    other[3] = 1 - other[3]
    values = []
    for slices in (
        toy_slices(images, [0, 0, 1, 1]),
        toy_slices(other, [0, 0, 1, -1]),
        toy_slices(images[:2]),
    ):
        run = toy_run(validation=slices)
        run.evaluator.run()
        values.append(run.evaluator.state.metrics["val_elbo"])
    assert values == pytest.approx([values[0]] * 3, rel=1e-6)
    assert run.evaluator.state.key_metric_name == "val_elbo"
