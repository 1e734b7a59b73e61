"""Everything that is checked about a scan before it is mapped, for inference and by itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import Dataset, MetaTensor
from monai.utils import CommonKeys, ensure_tuple
from tqdm import tqdm

from scripts.engines.failures import summarise
from scripts.engines.scope_gate import ScopeGate
from scripts.errors import BundleError, InputError, describe, find_bundle_error
from scripts.io.atomic import write_json
from scripts.io.results import package_versions
from scripts.networks.backbone import Backbone
from scripts.preflight.battery import examine_headers
from scripts.preflight.extent_check import check_extent
from scripts.preflight.loading import FINDINGS
from scripts.preflight.report import Level, decide
from scripts.preflight.rules import Rules

logger = logging.getLogger(__name__)


class ScanInspector:
    """Checks files, voxels and scope of scans.

    Args:
        dataset: scan records with the preprocessing, which begins with ``LoadScand``, as transform.
        rules: what the user allows about files, as ``LoadScand`` has them.
        gate: tells scans that the weights were not made for.
        network: the weights in use.
        device: where the network is.
    """

    def __init__(
        self,
        dataset: Dataset,
        rules: Rules,
        gate: ScopeGate,
        network: Backbone,
        device: torch.device | str = "cpu",
    ) -> None:
        self.dataset, self.rules, self.gate = dataset, rules, gate
        self.network, self.device = network, device

    def __len__(self) -> int:
        return len(self.dataset)

    def record(self, index: int) -> Mapping[str, Any]:
        """Return the record of a scan."""
        return self.dataset.data[index]

    def check_files(self, index: int) -> list[Path]:
        """Refuse files before they are hashed or read; :meth:`load` checks them again as it reads them.

        Returns:
            Files that are read beside those of the record: the brain mask, where it is applied.

        Raises:
            BundleError: a check refuses the scan.
        """
        record = self.record(index)
        found = examine_headers(ensure_tuple(record["image"]), self.rules, record.get("channels"))
        decide(found.name, found.reports)
        return [] if found.mask is None else [found.mask.path]

    def file_names(self, index: int) -> list[str]:
        """Return what the files of a scan are called, without their folders."""
        return [Path(file).name for file in ensure_tuple(self.record(index)["image"])]

    def load(self, index: int) -> tuple[MetaTensor, list[dict[str, Any]]]:
        """Return the preprocessed scan (C, X, Y, Z), and what was found about it.

        Raises:
            BundleError: a check refuses the scan; the error holds all findings.
        """
        image: MetaTensor = self.dataset[index][CommonKeys.IMAGE]
        extent = check_extent(image.meta, self.gate.field_of_view)
        findings = [*image.meta[FINDINGS], *([] if extent is None else [extent.to_dict()])]
        report = self.gate.examine(image, self.network, self.device)
        if report is None:
            return image, findings
        findings.append(report.to_dict())
        try:
            decide(self.record(index)["case"], [report])
        except BundleError as error:
            error.findings = findings
            raise
        return image, findings

    def report(self, path: str) -> None:
        """Inspect every scan, print a table and write it as JSON.

        Args:
            path: the JSON file to write.

        Raises:
            BundleError: a scan was refused; of the class of the first refusal, after all are inspected.
        """
        if len(self) == 0:
            raise InputError("Expected at least one scan, found none; look at --dataset_dir.")
        errors: list[tuple[str, Exception]] = []
        rows = [self._row(index, errors) for index in tqdm(range(len(self)), desc="preflight", disable=None)]
        print("\n".join(line for row in rows for line in _lines(row)))
        write_json(path, {"scans": rows, "refused": len(errors), "versions": package_versions()})
        logger.info("%d scans, %d refused; findings in %s.", len(rows), len(errors), path)
        if errors:
            raise summarise(errors, len(rows), "the others can be mapped")

    def _row(self, index: int, errors: list[tuple[str, Exception]]) -> dict[str, Any]:
        case, files = self.record(index)["case"], self.file_names(index)
        row = {"case": case, "files": files, "exit_code": 0, "reason": None}
        try:
            _, findings = self.load(index)
        except Exception as error:  # every scan gets its row; the first failure is raised at the end
            errors.append((case, error))
            code, findings = failure_of(error)
            row |= {"exit_code": code, "reason": describe(error)}
        return {**row, "findings": findings}


def failure_of(error: Exception) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code that stands for an error, and the findings it came with."""
    known = find_bundle_error(error)
    return (BundleError.exit_code, []) if known is None else (known.exit_code, known.findings)


def log_warnings(case: str, findings: Sequence[Mapping[str, Any]]) -> None:
    """Log the warnings among findings."""
    for one in findings:
        if one["level"] == Level.WARNING:
            logger.warning("%s: %s; %s.", case, one["finding"], one["remedy"])


def _lines(row: Mapping[str, Any]) -> list[str]:
    """Return the part of the table about one scan: its verdict, and a line for each finding."""
    levels = {one["level"] for one in row["findings"]}
    warned = Level.WARNING in levels
    verdict = f"refused (exit code {row['exit_code']})" if row["exit_code"] else "warning" if warned else "ok"
    lines = [f"{row['case']}: {verdict}"]
    lines += [
        f"  {one['level']:8} {one['check']:14} {one['finding']}; {one['remedy']}" for one in row["findings"]
    ]
    if row["exit_code"] and Level.REFUSAL not in levels:
        lines.append(f"  {Level.REFUSAL:8} {'reading':14} {row['reason']}")
    return lines
