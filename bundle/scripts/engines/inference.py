"""The engine that maps a cohort scan by scan: skip what is done, report what fails, go on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from monai.utils import ensure_tuple
from tqdm import tqdm

from scripts.engines.failures import summarise
from scripts.engines.inspector import ScanInspector, failure_of, log_warnings
from scripts.engines.scan_writer import ScanWriter
from scripts.errors import BundleError, InputError, describe
from scripts.io.results import (
    InputFile,
    ScanResult,
    Status,
    other_results,
    read_result,
    result_path,
    write_scores_csv,
)
from scripts.io.resume import fail_scan, finish_scan, start_scan
from scripts.io.scan_lock import scan_lock
from scripts.report.cohort_page import write_cohort_page

logger = logging.getLogger(__name__)


class ScanEvaluator(SupervisedEvaluator):
    """Runs preprocessing, network and writer on every scan, one at a time.

    A scan is read only when its outputs are not there already. One that fails is recorded with its
    reason; the others go on. Of scans with the same files the first is mapped, the others are named. At
    the end ``scores.csv`` and ``index.html`` are written, of these scans and of those that earlier runs of
    the same weights and settings left in the folder, and the first failure is raised.

    Args:
        device: where the network runs.
        inspector: the scans, read through every check.
        network: from (B, C, H, W) to (B, M, H, W).
        inferer: from a volume and a network to a prediction volume.
        writer: what is written for a scan.
        overwrite: replace outputs of other inputs, weights or settings.
        val_handlers: further Ignite handlers.
    """

    def __init__(
        self,
        device: torch.device | str,
        inspector: ScanInspector,
        network: torch.nn.Module,
        inferer: Inferer,
        writer: ScanWriter,
        overwrite: bool = False,
        val_handlers: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(
            device=torch.device(device),
            val_data_loader=range(len(inspector)),
            network=network,
            inferer=inferer,
            val_handlers=val_handlers,
            decollate=False,
        )
        self.inspector, self.writer, self.overwrite = inspector, writer, overwrite
        self.results: list[ScanResult] = []
        self.errors: list[tuple[str, Exception]] = []
        self.seen: dict[tuple[str, ...], str] = {}
        self.add_event_handler(Events.COMPLETED, self._finish)

    def run(self, global_epoch: int = 1) -> None:  # type: ignore[override]  # as MONAI's evaluators
        """Map every scan.

        Raises:
            BundleError: at least one scan failed; raised after the others are done.
        """
        if len(self.inspector) == 0:
            raise InputError("Expected at least one scan, found none; look at --dataset_dir.")
        with tqdm(total=len(self.inspector), desc="scans", unit="scan") as self.bar:
            super().run(global_epoch)
        if self.errors:
            raise summarise(self.errors, len(self.results), "the others are finished")

    def _iteration(self, engine: SupervisedEvaluator, batchdata: Any) -> dict[str, Any]:  # noqa: ANN401 - a number
        record = self.inspector.record(batchdata)
        self.bar.set_postfix_str(record["case"])
        result = ScanResult(record["case"])
        try:
            with scan_lock(self.writer.output_dir, record["case"]):
                result = self._try(batchdata, record, result)
        except BundleError as error:  # of the lock: what lies there is not ours to touch
            self._note(result, error)
            result.status, result.reason = Status.FAILED, describe(error)
        self.results.append(result)
        self.bar.update()
        return {"result": result}

    def _try(self, index: int, record: Mapping[str, Any], result: ScanResult) -> ScanResult:
        """Map a scan, or record why it failed: one bad scan must not stop a cohort."""
        try:
            masks = self.inspector.check_files(index)
            result = self.writer.plan(record)
            result.inputs += [InputFile.from_path(path) for path in masks]
            result = self._map(index, record, result)
        except Exception as error:  # whatever it is; it is raised when the others are done
            self._note(result, error)
            self._record_failure(result, error)
        return result

    def _note(self, result: ScanResult, error: Exception) -> None:
        logger.error("%s: %s", result.case, describe(error))
        self.errors.append((result.case, error))
        result.exit_code, findings = failure_of(error)
        result.findings = findings or result.findings

    def _map(self, index: int, record: Mapping[str, Any], planned: ScanResult) -> ScanResult:
        output_dir = self.writer.output_dir
        files = tuple(one.sha256 for one in planned.inputs)
        first = self.seen.get(files)
        if first is not None:
            reason = f"the same files as {first}, which is mapped once"
            logger.warning("%s: %s.", planned.case, reason)
            fail_scan(output_dir, planned, reason, Status.DUPLICATE)
            return planned
        if not start_scan(output_dir, planned, self.overwrite):
            self.seen[files] = planned.case
            return read_result(result_path(output_dir, planned.case))
        image, planned.findings = self.inspector.load(index)
        log_warnings(planned.case, planned.findings)
        pred = self.inferer(image[None].to(self.state.device), self.network)[0].cpu()
        self.writer.write(planned, ensure_tuple(record["image"])[0], image, pred)
        finish_scan(output_dir, planned)
        self.seen[files] = planned.case
        return planned

    def _record_failure(self, result: ScanResult, error: Exception) -> None:
        try:
            fail_scan(self.writer.output_dir, result, describe(error))
        except (BundleError, OSError) as other:  # this folder cannot be written; those of others may
            logger.error("%s: the reason could not be recorded: %s", result.case, other)

    def _finish(self, _: Any) -> None:  # noqa: ANN401 - Ignite's engine
        folder = Path(self.writer.output_dir)
        cases = {result.case for result in self.results}
        writer = self.writer
        earlier = other_results(folder, cases, writer.weights_sha256, writer.settings, writer.thresholds())
        results = [*self.results, *earlier]
        path = write_scores_csv(folder / "scores.csv", results)
        if self.writer.html:
            write_cohort_page(results, path.with_name("index.html"), self.writer.synthetic)
        logger.info("%d scans, %d failed; scores in %s.", len(self.results), len(self.errors), path)
