"""Run a grid of detectors, anomalies and seeds, unit by unit; stop it anywhere, start it again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from joblib import Parallel, delayed
from tqdm import tqdm

from scripts.data.image_sets import ImageSet, load_image_set
from scripts.engines.benchmark_rows import ensemble_rows, unit_rows
from scripts.engines.benchmark_tracking import BenchmarkTracker
from scripts.engines.benchmark_units import Entry, Unit, UnitResult, list_units, load_unit, run_unit
from scripts.errors import InputError
from scripts.io.provenance import machine_and_commit
from scripts.report.clvae_results import BENCHMARK
from scripts.report.results import append_rows

logger = logging.getLogger(__name__)


class Benchmark:
    """The grid, and where its units and rows go.

    Args:
        image_set: data set.
        entries: detectors by name.
        models: names of the entries to run, in this order; None runs all.
        anomalies: words of :func:`scripts.data.anomaly_splits.make_split`.
        members: seeds of every random detector.
        ensemble_sizes: ensembles that rows are written for; members 0 to size - 1, and so on.
        output_dir: units are kept here, one file each.
        results_file: rows are added here.
        protocol: of the splits.
        split_seed: of the splits.
        workers: units trained side by side, one thread each; 1 trains in this process with all threads.
        tracker: MLflow.
        load_other: returns the set that an anomaly such as ``set:fashion_mnist`` names.
    """

    def __init__(
        self,
        image_set: ImageSet,
        entries: Mapping[str, Entry],
        anomalies: Sequence[str],
        output_dir: str,
        results_file: str,
        models: Sequence[str] | None = None,
        members: int = 5,
        ensemble_sizes: Sequence[int] = (1, 5),
        protocol: str = "published",
        split_seed: int = 0,
        workers: int = 1,
        tracker: BenchmarkTracker | None = None,
        load_other: Callable[[str], ImageSet] = load_image_set,
    ) -> None:
        self.image_set, self.load_other = image_set, load_other
        self.entries = _choose(entries, models)
        self.units = list_units(self.entries, anomalies, members, protocol, split_seed)
        self.ensemble_sizes = sorted(set(ensemble_sizes))
        self.folder, self.results_file = Path(output_dir) / "units", Path(results_file)
        self.workers, self.tracker = int(workers), tracker
        self.made_on = machine_and_commit()

    def run(self) -> None:
        """Run what is not done, and write the rows of every unit and of every ensemble that is complete."""
        todo = [unit for unit in self.units if not self.path(unit).exists()]
        done = [unit for unit in self.units if self.path(unit).exists()]
        logger.info("%d units, %d of them done before.", len(self.units), len(done))
        for unit in done:
            # Rows may be missing still where the benchmark was killed between the file and the rows.
            self._record(unit, run_unit(unit, self.image_set, self.load_other, self.path(unit)), new=False)
        with tqdm(total=len(self.units), initial=len(done), desc=self.image_set.name, unit="unit") as bar:
            for unit, result in self._results(todo):
                self._record(unit, result, new=True)
                bar.set_postfix_str(unit.name)
                bar.update()
        if self.tracker is not None:
            self.tracker.finish()

    def path(self, unit: Unit) -> Path:
        """Return the file of a unit that is done."""
        return self.folder / self.image_set.name / f"{unit.name}.npz"

    def _results(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, UnitResult]]:
        """Run units, in other processes with one thread each if there are several workers."""
        if self.workers == 1:
            for unit in units:
                yield unit, run_unit(unit, self.image_set, self.load_other, self.path(unit))
            return
        parallel = Parallel(self.workers, return_as="generator_unordered", inner_max_num_threads=1)
        jobs = (delayed(_run)(unit, self.image_set, self.load_other, self.path(unit)) for unit in units)
        yield from parallel(jobs)

    def _record(self, unit: Unit, result: UnitResult, new: bool) -> None:
        rows = unit_rows(unit, result)
        for size in self.ensemble_sizes:
            group = self._complete_group(unit, size)
            if size > 1 and group:
                rows += ensemble_rows(group, [load_unit(self.path(one)) for one in group])
        shared = {"dataset": self.image_set.name, **self.made_on}
        # Rows of units that were done before keep the machine and commit that made them.
        append_rows(self.results_file, [{**shared, **row} for row in rows], BENCHMARK, replace=new)
        if new and self.tracker is not None:
            self.tracker.log_unit(unit, result, rows)

    def _complete_group(self, unit: Unit, size: int) -> list[Unit]:
        """Return the units of the ensemble of ``size`` that ``unit`` belongs to, if all are done."""
        first = unit.seed // size * size
        wanted = range(first, first + size)
        group = [one for one in self.units if _same_problem(one, unit) and one.seed in wanted]
        complete = len(group) == size and all(self.path(one).exists() for one in group)
        return group if complete else []


def _run(
    unit: Unit, image_set: ImageSet, load_other: Callable[[str], ImageSet], path: Path
) -> tuple[Unit, UnitResult]:
    return unit, run_unit(unit, image_set, load_other, path)


def _same_problem(one: Unit, other: Unit) -> bool:
    return (one.entry.model, one.entry.configuration, one.anomaly) == (
        other.entry.model,
        other.entry.configuration,
        other.anomaly,
    )


def _choose(entries: Mapping[str, Entry], models: Sequence[str] | None) -> list[Entry]:
    names = list(entries) if models is None else list(models)
    unknown = [name for name in names if name not in entries]
    if unknown:
        raise InputError(f"Expected models out of {', '.join(entries)}, got {unknown[0]}; check --models.")
    return [entries[name] for name in names]
