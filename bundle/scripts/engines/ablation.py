"""Train and measure the variants of an ablation, unit by unit; stop it anywhere, start it again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scripts.engines.ablation_differences import difference_row
from scripts.engines.ablation_runner import Unit, UnitRunner
from scripts.engines.ablation_units import UnitResult, load_unit
from scripts.engines.ablation_variants import Config, choose_variants, read_variants, with_data
from scripts.engines.failures import summarise
from scripts.engines.nested_runs import NestedRuns
from scripts.engines.overrides import is_tracked, running_workflow
from scripts.errors import BundleError, InputError
from scripts.io.provenance import machine_and_commit
from scripts.report.ablation_results import DIFFERENCES, FULL, UNITS
from scripts.report.results import append_rows

logger = logging.getLogger(__name__)

TRACKED = ("auroc_matched", "auroc_balanced", "ap_balanced", "ap_pixel")
"""Figures of a unit that MLflow gets."""


class Ablation:
    """The units of a config, and where their rows go.

    Args:
        folder: of the trainings and the files of finished units.
        results_dir: ``ablation.csv`` and ``ablation_differences.csv`` there get the rows.
        identity: columns of the rows that say what is ablated: dataset, modality, configuration, split_seed.
        seeds: of the trainings.
        only: name or names of the variants to run, beside the full one; None runs all.
        paper_auroc: the paper's own figures by variant, to stand beside ours.
        bootstrap_samples: resamples of the patients for the intervals of the differences.
        tracker: MLflow.
        config: content of the config; None takes that of the running workflow.

    Raises:
        InputError: a variant is wrong, or MONAI's own tracking is on.
    """

    def __init__(
        self,
        folder: str,
        results_dir: str,
        identity: Mapping[str, Any],
        seeds: Sequence[int] = (0, 1, 2),
        only: str | Sequence[str] | None = None,
        paper_auroc: Mapping[str, float] | None = None,
        bootstrap_samples: int = 1000,
        tracker: NestedRuns | None = None,
        config: Config | None = None,
    ) -> None:
        config = _running_config() if config is None else config
        if is_tracked(config):
            raise InputError("Expected no --tracking: an ablation logs its units to MLflow by itself.")
        self.results, self.identity, self.tracker = Path(results_dir), dict(identity), tracker
        self.paper_auroc, self.bootstrap_samples = dict(paper_auroc or {}), bootstrap_samples
        every = read_variants(config, only)
        trainings = {variant.name: variant for variant in every if variant.training == variant.name}
        self.runner = UnitRunner(config, trainings, Path(folder), self.identity)
        self.variants = with_data(choose_variants(every, only), config)
        # Seed by seed, so that every row of the table is there early; each training with all that reads it.
        names = dict.fromkeys(variant.training for variant in self.variants)
        self.units = [
            Unit(variant, int(seed))
            for seed in seeds
            for name in names
            for variant in self.variants
            if variant.training == name
        ]
        self.made_on = machine_and_commit()

    def run(self) -> None:
        """Run what is not done, write the rows of every unit, then those of the differences.

        Raises:
            InputError: a finished unit has other settings than this config.
            BundleError: units failed; the others are finished.
        """
        done = [unit for unit in self.units if self.runner.path(unit).exists()]
        logger.info("%d units, %d of them done before.", len(self.units), len(done))
        for unit in done:
            # Rows may be missing still where the command was killed between the file and the rows.
            self._record(unit, self.runner.load(unit), new=False)
        errors: list[tuple[str, Exception]] = []
        with tqdm(total=len(self.units), initial=len(done), desc="ablation", unit="unit", smoothing=0) as bar:
            for unit, result in self._results([unit for unit in self.units if unit not in done]):
                if isinstance(result, BundleError):
                    logger.error("%s failed: %s", unit.name, result)
                    errors.append((unit.name, result))
                else:
                    self._record(unit, result, new=True)
                bar.set_postfix_str(unit.name)
                bar.update()
        self._write_differences()
        if self.tracker is not None:
            self.tracker.finish()
        if errors:
            raise summarise(errors, len(self.units), "the others are finished", "units")

    def _results(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, UnitResult | BundleError]]:
        trained: dict[tuple[str, int], BundleError | None] = {}
        for unit in units:
            key = (unit.variant.training, unit.seed)
            if key not in trained:
                trained[key] = self.runner.train(*key)
            failed = trained[key]
            yield unit, self.runner.measure(unit, self.made_on) if failed is None else failed

    def _record(self, unit: Unit, result: UnitResult, new: bool) -> None:
        # Rows of units that were done before keep the machine and commit that made them.
        append_rows(self.results / "ablation.csv", result.rows, UNITS, replace=new)
        if new and self.tracker is not None:
            own = next(row for row in result.rows if row["score"] == result.score)
            overrides = json.dumps(dict(unit.variant.overrides))
            parameters = {name: own[name] for name in UNITS.key}
            parameters |= {"training": unit.variant.training, "overrides": overrides}
            self.tracker.log(unit.name, parameters, {name: own.get(name) for name in TRACKED})

    def _write_differences(self) -> None:
        """Compare every variant with the full one, over the seeds that both have finished."""
        finished: dict[str, dict[int, UnitResult]] = {variant.name: {} for variant in self.variants}
        for unit in self.units:
            if self.runner.path(unit).exists():
                finished[unit.variant.name][unit.seed] = load_unit(self.runner.path(unit))
        full = finished[FULL]
        compared = {name: units for name, units in finished.items() if units.keys() & full.keys()}
        rows = []
        for name, units in tqdm(compared.items(), desc="differences", unit="variant", disable=None):
            known = {"variant": name, "paper_auroc": self.paper_auroc.get(name), **self.made_on}
            rows.append({**known, **self.identity, **difference_row(units, full, self.bootstrap_samples)})
        append_rows(self.results / "ablation_differences.csv", rows, DIFFERENCES)


def _running_config() -> Config:
    workflow = running_workflow()
    if workflow is None:
        raise InputError("Expected a config to ablate, got none outside of a running workflow; give config.")
    return workflow.parser.get()
