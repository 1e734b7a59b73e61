"""Peak memory of the inference command on one large scan, and its growth over many small ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from ignite.engine import Engine, Events

from benchmarks.heads import write_scan
from benchmarks.speed import make_lesion_mapper
from scripts import BUNDLE_ROOT
from scripts.evaluation.calibration import calibrate
from scripts.io.atomic import write_json
from scripts.io.results import file_sha256

REPOSITORY = Path(__file__).resolve().parents[1]


class MemoryRecorder:
    """Ignite handler that appends this process's resident memory, MiB, to a file after every scan."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def attach(self, engine: Engine) -> None:
        """Record after each iteration of ``engine``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._record)

    def _record(self) -> None:
        resident = psutil.Process().memory_info().rss / 2**20
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{resident}\n")


@dataclass(frozen=True)
class Usage:
    """What one run of the inference command took."""

    peak_mib: float
    seconds: float


def make_model_dir(folder: Path) -> Path:
    """Write random weights, with thresholds so that masks are written too, and return ``folder``."""
    folder.mkdir()
    mapper = make_lesion_mapper()
    torch.save(mapper.state_dict(), folder / "model.pt")
    calibration = calibrate(
        [1.0],
        [0.5],
        ["none"],
        [[1.0]],
        weights_sha256=file_sha256(folder / "model.pt"),
        alpha=0.0,
        modalities=["t1ce"],
        field_of_view=240.0,
        **mapper.settings(),
        source="random weights of a benchmark",
    )
    write_json(folder / "calibration.json", calibration.to_json())
    return folder


def run_inference(work: Path, scans: Path, threads: int, configs: Sequence[str] = ()) -> Usage:
    """Run the bundle's inference command on ``scans``, with the weights in ``work/model``.

    ``configs`` are further config files that override inference.json.

    Raises:
        RuntimeError: the command failed; the message holds the end of its output.
    """
    options = {
        "config_file": str(["configs/inference.json", *configs]),
        "model_dir": work / "model",
        "dataset_dir": scans,
        "output_dir": work / f"maps_{scans.name}",
        "layout": "folder",
        "synthetic": "true",
    }
    command = [sys.executable, "-m", "monai.bundle", "run", "inference"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(REPOSITORY)}
    start = time.perf_counter()
    with (work / "log.txt").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=BUNDLE_ROOT, env=environment, stdout=log, stderr=log)
        # wait4 tells the peak of this one process, not of every child there has been.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"inference exited with {process.returncode}:\n{log.read()[-4000:]}")
    units = 2**20 if sys.platform == "darwin" else 2**10
    return Usage(usage.ru_maxrss / units, time.perf_counter() - start)


def measure_peak(threads: int, size: int = 512) -> dict[str, float]:
    """Return peak memory and time of one scan of size x size x size, all maps written."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        make_model_dir(work / "model")
        scans = work / "large"
        scans.mkdir()
        write_scan(scans / "head_t1ce.nii.gz", size, size)
        usage = run_inference(work, scans, threads)
        written = len(list((work / "maps_large").glob("*/*.nii.gz")))
    return {
        f"inference_peak_mib_{size}": usage.peak_mib,
        f"inference_seconds_{size}": usage.seconds,
        f"inference_maps_{size}": written,
    }


def measure_growth(threads: int, scans: int = 50, first: int = 10) -> dict[str, float]:
    """Return how much resident memory one process gains from scan number ``first`` to the last."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        make_model_dir(work / "model")
        (work / "small").mkdir()
        for index in range(scans):
            write_scan(work / "small" / f"head{index:02d}_t1ce.nii.gz", 96, 24, seed=index)
        record = work / "memory.txt"
        config = work / "record.json"
        recorder = {"_target_": "benchmarks.memory.MemoryRecorder", "path": str(record)}
        write_json(config, {"recorder": recorder, "handlers": "$[@recorder]"})
        usage = run_inference(work, work / "small", threads, [str(config)])
        resident = [float(line) for line in record.read_text(encoding="utf-8").split()]
    if len(resident) != scans:
        raise RuntimeError(f"Expected {scans} scans mapped, got {len(resident)}.")
    return {
        f"inference_growth_mib_{scans}": resident[-1] - resident[first - 1],
        "inference_seconds_per_small_scan": usage.seconds / scans,
    }
