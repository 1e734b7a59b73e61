"""When a scan may be skipped, redone or must not be touched, and the record of how far it came.

A scan goes :func:`start_scan`, maps, :func:`finish_scan` or :func:`fail_scan`. The result file says
"started" while maps are being written, so that a re-run tells the rest of an interrupted run, which
it may replace, from files that belong to something else, which it may not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from scripts.errors import InputError
from scripts.io.atomic import to_plain
from scripts.io.digest import file_sha256
from scripts.io.results import (
    Calibration,
    ScanResult,
    Status,
    read_result,
    result_path,
    write_result,
)

SUFFIXES = {"map": "nii.gz", "overview": "png", "viewer": "html"}
"""Of the files that are written for a NIfTI scan."""


class OutputState(StrEnum):
    """What a run may do with the folder of a scan."""

    FREE = "free"
    """Write: nothing is there, or only what an interrupted or failed run left, or it may be replaced."""
    FINISHED = "finished"
    """Skip: the same input, weights and settings gave the outputs that are there, unchanged."""


def planned_outputs(
    case: str, kinds: Iterable[str], suffixes: Mapping[str, str] = SUFFIXES
) -> dict[str, dict[str, str | None]]:
    """Return ``ScanResult.outputs`` before the run: file names, no hashes yet.

    Args:
        case: The case's name.
        kinds: For example "anomaly" and "mask" (``<case>_<kind>.nii.gz``), "overview" (``.png``) and
            "viewer" (``.html``).
        suffixes: Of the files, by kind; "map" is that of every kind without its own.

    >>> planned_outputs("a", ["mask", "overview"])["overview"]
    {'name': 'a_overview.png', 'sha256': None}
    """
    return {
        kind: {"name": f"{case}_{kind}.{suffixes.get(kind, suffixes['map'])}", "sha256": None}
        for kind in kinds
    }


def is_finished(
    result_path: str | Path,
    input_sha256: str | Sequence[str],
    weights_sha256: str | None,
    settings: Mapping[str, Any],
    calibration: Calibration | None = None,
) -> tuple[bool, str]:
    """Return whether the result at ``result_path`` is that of these inputs and its outputs are unchanged.

    Args:
        result_path: A ``<case>_result.json``; the outputs lie beside it.
        input_sha256: Hash of the scan, or of each modality in channel order.
        weights_sha256: Hash of the weights file.
        settings: Compared as JSON, so (1, 2) equals [1, 2].
        calibration: Thresholds in use; not compared when None.

    Returns:
        True and "finished", or False and the reason.
    """
    path = Path(result_path)
    previous = _read(path)
    if previous is None:
        return False, "the result file cannot be read" if path.exists() else "there is no result file"
    if previous.status is not Status.OK:
        return False, f"the last run {'was interrupted' if previous.status is Status.STARTED else 'failed'}"
    hashes = [input_sha256] if isinstance(input_sha256, str) else list(input_sha256)
    reason = (
        _find_difference(previous, hashes, weights_sha256, settings, calibration)
        or _find_changed(previous, path.parent)
        or _find_missing(previous, path.parent)
    )
    return reason is None, reason or "finished"


def check_output_state(output_dir: str | Path, planned: ScanResult, overwrite: bool = False) -> OutputState:
    """Decide whether the scan ``planned`` is to be skipped or written.

    Args:
        output_dir: The folder that holds one folder per case.
        planned: The scan to be run: case, inputs, weights_sha256, settings, calibration and outputs are read.
        overwrite: Replace outputs of other inputs, weights or settings.

    Raises:
        InputError: Outputs are there that this run would not reproduce, and ``overwrite`` is off.
    """
    path = result_path(output_dir, planned.case)
    finished, reason = is_finished(path, *_identity(planned))
    if finished:
        not_made = planned.outputs.keys() - read_result(path).outputs.keys()
        if not not_made:
            return OutputState.FINISHED
        reason = f"they lack {', '.join(sorted(not_made))}"
    if overwrite or _may_replace(path, planned):
        return OutputState.FREE
    raise InputError(
        f"{path.parent}: holds outputs that this run would replace ({reason}); "
        "add --overwrite true or choose another output folder"
    )


def start_scan(output_dir: str | Path, planned: ScanResult, overwrite: bool = False) -> bool:
    """Mark the scan as started and return True, or return False when it is finished already.

    Outputs of the run before that this one does not write are removed.

    Raises:
        InputError: As :func:`check_output_state`; nothing is changed then.
    """
    if check_output_state(output_dir, planned, overwrite) is OutputState.FINISHED:
        return False
    path = result_path(output_dir, planned.case)
    previous = _read(path)
    if previous is not None:
        _remove_outputs(previous.outputs, path.parent, keep=_names(planned.outputs))
    write_result(path, replace(planned, status=Status.STARTED))
    return True


def finish_scan(output_dir: str | Path, result: ScanResult) -> Path:
    """Hash the outputs, set the status to ok, write the result file and return its path.

    Raises:
        InputError: An output listed in ``result`` was not written.
    """
    path = result_path(output_dir, result.case)
    for output in result.outputs.values():
        output["sha256"] = file_sha256(path.parent / str(output["name"]))
    result.status, result.reason, result.exit_code = Status.OK, None, 0
    return write_result(path, result)


def fail_scan(
    output_dir: str | Path, result: ScanResult, reason: str, status: Status = Status.FAILED
) -> None:
    """Set the status to failed, remove what this run wrote for the scan and record ``reason``.

    May be called for a scan that was refused before or by :func:`start_scan`: outputs that this run
    did not write stay, with the result file that belongs to them. ``status`` may be duplicate instead.
    """
    path = result_path(output_dir, result.case)
    previous, recorded = _read(path), _may_replace(path, result)
    if previous is not None and previous.status is Status.STARTED:
        # Of this run, or of an interrupted one where this one failed before it knew what to write.
        _remove_outputs({**previous.outputs, **result.outputs}, path.parent)
    result.status, result.reason, result.outputs = status, reason, {}
    result.scan_score, result.slices = None, []
    if recorded:
        write_result(path, result)


def _find_difference(
    previous: ScanResult,
    hashes: list[str],
    weights_sha256: str | None,
    settings: Mapping[str, Any],
    calibration: Calibration | None,
) -> str | None:
    if _hashes(previous) != hashes:
        return "they are of another input"
    if previous.weights_sha256 != weights_sha256:
        return "they are of other weights"
    # Through JSON, as the stored ones went: tuples become lists and enum members their values.
    now = json.loads(json.dumps(dict(settings), default=to_plain))
    keys = sorted(now.keys() | previous.settings.keys())
    differing = [key for key in keys if now.get(key) != previous.settings.get(key)]
    if differing:
        return f"they are of other settings: {', '.join(differing)}"
    if calibration is not None and calibration != previous.calibration:
        return "they are of another calibration"
    return None


def _find_missing(previous: ScanResult, folder: Path) -> str | None:
    missing = [name for name in _names(previous.outputs) if not (folder / name).exists()]
    return f"{missing[0]} is missing" if missing else None


def _find_changed(previous: ScanResult, folder: Path) -> str | None:
    for output in previous.outputs.values():
        name = str(output["name"])
        if Path(name).name != name:
            return f"{name} is not the name of a file in this folder"
        file = folder / name
        if file.exists() and file_sha256(file) != output["sha256"]:
            return f"{name} was changed since it was written"
    return None


def _may_replace(path: Path, planned: ScanResult) -> bool:
    """Return whether nobody can miss what lies in the folder: nothing, half a run, or the same again."""
    previous = _read(path)
    if previous is None and path.exists():
        return False
    if previous is None or previous.status in (Status.FAILED, Status.DUPLICATE):
        return not any((path.parent / name).exists() for name in _names(planned.outputs))
    if previous.status is Status.STARTED:
        return True
    different = _find_difference(previous, *_identity(planned))
    kept_as_written = not different and not _find_changed(previous, path.parent)
    return kept_as_written and _find_missing(previous, path.parent) is not None


def _read(path: Path) -> ScanResult | None:
    """Return the result at ``path``, None where there is none or it cannot be read."""
    try:
        return read_result(path)
    except InputError:
        return None


def _hashes(result: ScanResult) -> list[str]:
    return [entry.sha256 for entry in result.inputs]


def _identity(planned: ScanResult) -> tuple[list[str], str | None, dict[str, Any], Calibration]:
    """Return what decides the outputs of a scan, in the order of the arguments of :func:`is_finished`."""
    return _hashes(planned), planned.weights_sha256, planned.settings, planned.calibration


def _names(outputs: Mapping[str, Mapping[str, str | None]]) -> list[str]:
    return [str(output["name"]) for output in outputs.values()]


def _remove_outputs(
    outputs: Mapping[str, Mapping[str, str | None]], folder: Path, keep: Sequence[str] = ()
) -> None:
    for name in _names(outputs):
        # A result file is only text: it must not make us delete files elsewhere.
        if Path(name).name == name and name not in keep:
            (folder / name).unlink(missing_ok=True)
