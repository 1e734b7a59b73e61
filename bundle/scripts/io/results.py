"""What is known about a finished (or failed) scan: ``<case>_result.json``, and ``scores.csv`` of a cohort."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import scripts
from scripts.errors import InputError
from scripts.io.atomic import to_plain, write_json, write_text
from scripts.io.digest import file_sha256

SCORE_COLUMNS = (
    "case",
    "status",
    "scan_score",
    "slices_scored",
    "slices_abnormal",
    "highest_slice",
    "highest_slice_score",
    "epistemic_mean",
    "aleatoric_mean",
    "reason",
)


class Status(StrEnum):
    """How far a scan came."""

    STARTED = "started"
    """Outputs are being written; what lies in the folder may be incomplete."""
    OK = "ok"
    """Every output listed is there."""
    FAILED = "failed"
    """No outputs; ``reason`` says why."""
    DUPLICATE = "duplicate"
    """No outputs; ``reason`` names the case with the same files."""


@dataclass
class SliceResult:
    """One axial slice; the numbers of a skipped slice are None."""

    slice: int
    """Index along the canonical z axis."""
    level: float | None = None
    """Position along the brain, 0 (lowest) to 1 (highest)."""
    score: float | None = None
    abnormal: bool | None = None
    """Score above the slice threshold; None where there is no threshold."""
    epistemic_mean: float | None = None
    """Mean epistemic variance of the scored pixels, see ``scripts.uncertainty.scores.variance_unit``."""
    aleatoric_mean: float | None = None
    """Mean aleatoric variance of these, in the same unit."""


@dataclass
class InputFile:
    """A scan that was read: its name without the folder (paths may hold identities) and its hash."""

    name: str
    sha256: str

    @classmethod
    def from_path(cls, path: str | Path) -> InputFile:
        """Hash the file at ``path``."""
        return cls(name=Path(path).name, sha256=file_sha256(path))


@dataclass
class Calibration:
    """The thresholds in use and where they came from; where one is missing, the reason."""

    source: str | None = None
    pixel_threshold: float | None = None
    slice_threshold: float | None = None
    reason: str | None = None


@dataclass
class ScanResult:
    """The content of ``<case>_result.json``, key by key."""

    case: str
    status: Status = Status.STARTED
    reason: str | None = None
    exit_code: int = 0
    """Class of the failure: 2 bad input, 3 out of scope, 4 resource, 5 model, 1 bug."""
    scan_score: float | None = None
    """Mean of the highest slice scores, see :func:`scan_score`."""
    inputs: list[InputFile] = field(default_factory=list)
    """One per modality, in the order of the input channels, and a brain mask where one was applied."""
    weights_sha256: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """Everything that changes the numbers: score, alpha, samples, seed, field_of_view, ..."""
    calibration: Calibration = field(default_factory=Calibration)
    geometry: dict[str, Any] | None = None
    """See :meth:`scripts.io.geometry.NiftiGeometry.to_dict`."""
    findings: list[dict[str, Any]] = field(default_factory=list)
    """Of the preflight: check, level (note, warning, refusal), finding, remedy, numbers."""
    slices: list[SliceResult] = field(default_factory=list)
    outputs: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Kind (anomaly, mask, ...) to file name and sha256; the hash is None until the scan is finished."""
    versions: dict[str, str] = field(default_factory=lambda: package_versions())
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """ISO 8601, UTC."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self) | {"status": self.status.value}


def result_path(output_dir: str | Path, case: str) -> Path:
    """Return where the result of ``case`` lies: ``<output_dir>/<case>/<case>_result.json``."""
    return Path(output_dir) / case / f"{case}_result.json"


def write_result(path: str | Path, result: ScanResult) -> Path:
    """Write ``result`` as JSON, atomically.

    Raises:
        ModelError: A score is NaN or infinite.
    """
    return write_json(path, result.to_dict())


def read_result(path: str | Path) -> ScanResult:
    """Read a file of :func:`write_result`.

    Raises:
        InputError: No such file, or not a result of this version.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        nested = {
            "status": Status(data["status"]),
            "inputs": [InputFile(**entry) for entry in data["inputs"]],
            "slices": [SliceResult(**entry) for entry in data["slices"]],
            "calibration": Calibration(**data["calibration"]),
        }
        return ScanResult(**(data | nested))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected the result of a scan, given a file that is none ({error})"
        ) from error


def scan_score(slice_scores: Iterable[float | None], k: int) -> float | None:
    """Return the mean of the ``k`` highest slice scores, of all where there are fewer, None without any.

    Args:
        slice_scores: One per slice; None for skipped slices.
        k: At least 1.

    Raises:
        InputError: ``k`` is below 1.

    >>> scan_score([0.1, None, 0.5, 0.3], k=2)
    0.4
    """
    if k < 1:
        raise InputError(f"expected at least 1 slice for the score of a scan, given k = {k}")
    return _mean(sorted((score for score in slice_scores if score is not None), reverse=True)[:k])


def other_results(
    output_dir: str | Path,
    cases: Collection[str],
    weights_sha256: str,
    settings: Mapping[str, Any],
    calibration: Calibration,
) -> list[ScanResult]:
    """Return the finished results in an output folder of scans that are not among ``cases``: of earlier runs.

    Those of other weights, settings or thresholds are left out: their numbers are not to be compared.
    """
    found = []
    wanted = json.loads(json.dumps(dict(settings), default=to_plain))
    for path in sorted(Path(output_dir).glob("*/*_result.json")):
        if path.name == f"{path.parent.name}_result.json" and path.parent.name not in cases:
            with suppress(InputError):  # somebody else's file
                found.append(read_result(path))
    same = (Status.OK, weights_sha256, wanted, calibration)
    return [
        result
        for result in found
        if (result.status, result.weights_sha256, result.settings, result.calibration) == same
    ]


def write_scores_csv(path: str | Path, results: Sequence[ScanResult]) -> Path:
    """Write one row per scan, sorted by case, atomically; empty cells where there is no number.

    Numbers have a decimal point and 9 significant digits, whatever the locale. ``slices_abnormal`` is
    empty without a slice threshold; the uncertainties are means over the scored slices.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, SCORE_COLUMNS, lineterminator="\n")
    table.writeheader()
    for result in sorted(results, key=lambda result: result.case):
        table.writerow({key: _cell(value) for key, value in score_row(result).items()})
    return write_text(path, text.getvalue())


def package_versions() -> dict[str, str]:
    """Return the versions of this bundle and of the libraries its numbers depend on."""
    packages = {name: version(name) for name in ("monai", "torch", "numpy")}
    return {"bundle": scripts.__version__} | packages


def score_row(result: ScanResult) -> dict[str, Any]:
    """Return the numbers of a scan by the names of ``SCORE_COLUMNS``."""
    scored = [entry for entry in result.slices if entry.score is not None]
    decided = [entry.abnormal for entry in scored if entry.abnormal is not None]
    highest = max(scored, key=lambda entry: entry.score or 0.0, default=None)
    return {
        "case": result.case,
        "status": result.status.value,
        "scan_score": result.scan_score,
        "slices_scored": len(scored),
        "slices_abnormal": sum(decided) if decided else None,
        "highest_slice": highest and highest.slice,
        "highest_slice_score": highest and highest.score,
        "epistemic_mean": _mean(entry.epistemic_mean for entry in scored),
        "aleatoric_mean": _mean(entry.aleatoric_mean for entry in scored),
        "reason": result.reason,
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float | np.floating) else " ".join(str(value).split())
