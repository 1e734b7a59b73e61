"""The benchmark as a whole, on images so small that a unit takes milliseconds."""

from __future__ import annotations

import csv
import functools

import numpy as np
import pytest
import torch

from scripts.baselines.images.pca import PCALikelihood
from scripts.data.image_sets import ImageSet
from scripts.engines.benchmark import Benchmark
from scripts.engines.benchmark_units import Entry, load_unit
from scripts.engines.clvae_detector import CLVAEDetector
from scripts.engines.member_training import TrainingSettings
from scripts.errors import InputError
from scripts.evaluation.detection import auroc
from scripts.latent.scores import LatentScore, anomaly_scores
from scripts.networks.clvae import CLVAE
from scripts.report.clvae_results import BENCHMARK
from scripts.report.results import append_rows, read_rows

ADAM = functools.partial(torch.optim.Adam, lr=0.01)


def make_images(count, seed):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    images = generator.normal(60 * labels[:, None, None, None], 15, (count, 1, 4, 4))
    return np.clip(images, 0, 255).astype(np.uint8), labels.astype(np.int64)


IMAGE_SET = ImageSet("shades", *make_images(240, 0), *make_images(80, 1))


def make_entries(epochs=1):
    network = functools.partial(CLVAE, stack=[(4, 2)], hidden_size=16)
    settings = TrainingSettings(ADAM, epochs=epochs, batch_size=32)
    detector = functools.partial(CLVAEDetector, network=network, settings=settings)
    return {
        "clvae_small": Entry("clvae", "small", detector),
        "pca": Entry("pca", "published", functools.partial(PCALikelihood, components=2), random=False),
    }


def make_benchmark(folder, **arguments):
    given = {
        "entries": make_entries(),
        "anomalies": ["class:0", "class:3"],
        "members": 2,
        "ensemble_sizes": [2],
    }
    results = {"output_dir": str(folder), "results_file": str(folder / "clvae.csv")}
    return Benchmark(IMAGE_SET, **{**given, **results, **arguments})


def rows_of(folder):
    with (folder / "clvae.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    measured = ("seconds", "inference_milliseconds", "commit", "machine")
    return sorted(tuple((name, value) for name, value in row.items() if name not in measured) for row in rows)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    make_benchmark(folder).run()
    return folder


def test_every_unit_and_every_complete_ensemble_has_its_rows(finished):
    rows = [dict(row) for row in rows_of(finished)]
    counted = {}
    for row in rows:
        key = (row["model"], row["anomaly"], row["members"], row["seed"])
        counted[key] = counted.get(key, 0) + 1
    scores, ways = len(LatentScore), 1 + 2 + 4 + 4
    for anomaly in ("class:0", "class:3"):
        assert counted[("clvae", anomaly, "1", "0")] == counted[("clvae", anomaly, "1", "1")] == scores
        assert counted[("clvae", anomaly, "2", "0")] == ways
        assert counted[("pca", anomaly, "1", "0")] == 1
    assert len(counted) == 8


def test_rows_are_what_the_stored_scores_give(finished):
    units = sorted((finished / "units" / "shades").glob("clvae-small-class_3-*.npz"))
    results = [load_unit(path) for path in units]
    rows = {
        (row["members"], row["seed"], row["score"], row["merge"]): float(row["auroc"])
        for row in map(dict, rows_of(finished))
        if (row["model"], row["anomaly"]) == ("clvae", "class:3")
    }
    for seed, result in enumerate(results):
        for name, values in result.scores.items():
            assert rows["1", str(seed), name, ""] == pytest.approx(auroc(values, result.anomalous), rel=1e-5)
    test, validation = zip(*(result.evidence for result in results), strict=True)
    values = anomaly_scores(test, "combined", validation, "scores", "geometric")
    found = rows["2", "0", "combined", "scores, geometric"]
    assert found == pytest.approx(auroc(values, results[0].anomalous), rel=1e-5)


def test_a_benchmark_that_was_stopped_goes_on_to_the_same_rows(tmp_path, finished, monkeypatch):
    benchmark, recorded = make_benchmark(tmp_path), []
    record = benchmark._record

    def record_three(*arguments, **keywords):
        if len(recorded) == 3:
            raise KeyboardInterrupt
        recorded.append(arguments)
        record(*arguments, **keywords)

    monkeypatch.setattr(benchmark, "_record", record_three)
    with pytest.raises(KeyboardInterrupt):
        benchmark.run()
    assert len(rows_of(tmp_path)) < len(rows_of(finished))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "units" / "shades").iterdir()}
    assert len(made) == 4
    make_benchmark(tmp_path).run()
    assert rows_of(tmp_path) == rows_of(finished)
    assert all(path.stat().st_mtime_ns == when for path, when in made.items())


def test_rows_of_finished_units_keep_the_machine_and_commit_that_made_them(tmp_path, monkeypatch):
    places = iter([{"machine": "first", "commit": "a"}, {"machine": "second", "commit": "b"}])
    monkeypatch.setattr("scripts.engines.benchmark.machine_and_commit", lambda: next(places))
    make_benchmark(tmp_path, models=["pca"], anomalies=["class:0"]).run()
    make_benchmark(tmp_path, models=["pca"]).run()
    with (tmp_path / "clvae.csv").open(newline="") as file:
        made = {row["anomaly"]: row["machine"] for row in csv.DictReader(file)}
    assert made == {"class:0": "first", "class:3": "second"}


def test_scores_that_a_unit_no_longer_has_leave_the_table(tmp_path):
    benchmark = make_benchmark(tmp_path, models=["pca"])
    benchmark.run()
    before = rows_of(tmp_path)
    rows = read_rows(tmp_path / "clvae.csv", BENCHMARK)
    append_rows(tmp_path / "clvae.csv", [*rows, rows[0] | {"score": "renamed"}], BENCHMARK)
    assert len(rows_of(tmp_path)) == len(before) + 1
    benchmark.run()
    assert rows_of(tmp_path) == before


def test_several_workers_give_the_same_rows(tmp_path, finished):
    make_benchmark(tmp_path, workers=2).run()
    assert rows_of(tmp_path) == rows_of(finished)


def test_a_unit_with_other_settings_is_not_taken_for_done(tmp_path):
    make_benchmark(tmp_path, models=["clvae_small"], anomalies=["class:0"], members=1).run()
    other = make_benchmark(tmp_path, entries=make_entries(epochs=2), anomalies=["class:0"], members=1)
    with pytest.raises(InputError, match='"epochs": 2.*--output_dir'):
        other.run()


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="models out of clvae_small, pca, got clvea"):
        make_benchmark(tmp_path, models=["clvea"])


def test_every_unit_is_a_nested_run_of_mlflow(tmp_path):
    from mlflow import MlflowClient

    from scripts.engines.benchmark_tracking import BenchmarkTracker

    tracker = BenchmarkTracker(str(tmp_path), "experiment")
    make_benchmark(tmp_path, tracker=tracker, members=1).run()
    client = MlflowClient(tracker.uri)
    experiment = client.get_experiment_by_name("experiment")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {parents[0].info.run_id}
    assert len(nested) == 4
    assert all(run.info.status == "FINISHED" for run in runs)
    rows = {
        (row["model"], row["anomaly"], row["score"]): float(row["auroc"])
        for row in map(dict, rows_of(tmp_path))
    }
    for run in nested:
        model, anomaly = run.data.params["model"], run.data.params["anomaly"]
        for name, value in run.data.metrics.items():
            if name.startswith("auroc_"):
                assert rows[model, anomaly, name.removeprefix("auroc_")] == pytest.approx(value, rel=1e-5)
