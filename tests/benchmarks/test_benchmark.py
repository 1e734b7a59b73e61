import json
import subprocess
import sys
from pathlib import Path

import nibabel
import pytest
import torch
from ignite.engine import Engine

from benchmarks.heads import normalised_slices, write_scan
from benchmarks.machine import describe_machine
from benchmarks.memory import MemoryRecorder, make_model_dir
from benchmarks.run import TARGETS, table
from benchmarks.speed import MAPS, Variant, measure, relative_errors
from scripts.data.slices import brain_slices
from scripts.engines.calibration_file import find_calibration
from scripts.evaluation.calibration import Calibration
from scripts.io.results import file_sha256
from scripts.io.weights import load_weights
from scripts.uncertainty.lesion_mapper import LesionMapper

ROOT = Path(__file__).resolve().parents[2]


def variants(seconds):
    """Five variants that take no time of their own and give almost the same maps."""
    maps = torch.rand((2, 5, 4, 4), generator=torch.Generator().manual_seed(0))
    found = []
    for name, factor in seconds.items():
        variant = Variant(name, lambda slices, factor=factor: maps[: len(slices)] * factor, maps[:2])
        found.append(variant)
    return found


def test_measure_gives_ratios_and_errors():
    factors = {
        "plain": 1.0,
        "full_float32": 1 + 1e-6,
        "full_bf16": 1.01,
        "pooled_float32": 2.0,
        "pooled_bf16": 2.2,
        "lesion_float32": 3.0,
    }
    found = variants(factors)
    figures = measure(found, repeats=3)
    assert all(len(variant.seconds) == 3 for variant in found)
    plain = figures["inference_seconds_per_slice_plain"]
    for name in list(factors)[1:]:
        ratio = plain / figures[f"inference_seconds_per_slice_{name}"]
        assert figures[f"inference_speedup_{name}"] == pytest.approx(ratio)
    assert figures["inference_speedup_vs_plain"] == figures["inference_speedup_lesion_float32"]
    assert figures["bf16_error_full_anomaly"] == pytest.approx(0.01, rel=1e-2)
    assert figures["bf16_error_pooled_reconstruction"] == pytest.approx(0.1, rel=1e-2)


def test_different_maps_stop_the_benchmark():
    found = variants({"plain": 1.0, "full_float32": 1.01, "pooled_float32": 1.0})
    with pytest.raises(AssertionError, match="not close"):
        measure(found, repeats=1)


def test_the_first_run_only_warms_up():
    variant = Variant("plain", torch.clone, torch.zeros(1), seconds=[100.0, 1.0, 3.0, 2.0])
    assert variant.median == 2.0


def test_relative_errors_are_per_map():
    reference = torch.ones(2, 5, 4, 4)
    output = reference.clone()
    output[:, 2] += 0.5
    errors = relative_errors(reference, output)
    assert errors == dict(zip(MAPS, [0, 0, 0.5, 0, 0], strict=True))


def test_table_tells_what_is_met():
    figures = {
        "inference_seconds_per_slice_plain": 9.0,
        "inference_seconds_per_slice_full_float32": 0.5,
        "inference_speedup_full_float32": 18.0,
        "inference_peak_mib_512": 5000.0,
    }
    text = table(figures)
    assert "plain reading         9000.0           1.0" in text
    assert "full_float32           500.0          18.0" in text
    lines = {line.split()[0]: line for line in text.splitlines()[1:]}
    assert lines["inference_speedup_full_float32"].endswith("target >= 10: met")
    assert lines["inference_peak_mib_512"].endswith("target <= 4096: MISSED")


def test_machine_is_described_with_flat_values():
    description = describe_machine(2)
    assert {"machine", "threads", "load_at_start", "torch", "monai", "commit", "date"} <= description.keys()
    assert all(isinstance(value, str | int | float) for value in description.values())
    json.dumps(description)


def test_benchmark_scan_has_a_head_in_most_slices(tmp_path):
    image = nibabel.load(write_scan(tmp_path / "head.nii.gz", 64, 20))
    assert image.shape == (64, 64, 20)
    assert image.get_data_dtype() == "int16"
    slices = normalised_slices(8)
    assert slices.shape == (8, 1, 128, 128)
    assert slices.min() == 0
    assert slices.max() <= 1
    assert len(brain_slices(slices.transpose(1, 2, 3, 0))) == 8


def test_benchmark_weights_have_thresholds(tmp_path):
    folder = make_model_dir(tmp_path / "model")
    mapper = load_weights(LesionMapper(score="lesion", pooling="peak"), folder / "model.pt")
    digest = file_sha256(folder / "model.pt")
    calibration = find_calibration(str(folder / "calibration.json"), digest, mapper, alpha=0.0, inputs={})
    assert isinstance(calibration, Calibration)


def test_memory_is_recorded_after_every_scan(tmp_path):
    engine = Engine(lambda engine, batch: None)
    MemoryRecorder(str(tmp_path / "memory.txt")).attach(engine)
    engine.run(range(3))
    resident = [float(line) for line in (tmp_path / "memory.txt").read_text().split()]
    assert len(resident) == 3
    assert all(10 < value < 100_000 for value in resident)


@pytest.mark.slow
def test_command_writes_flat_figures(tmp_path):
    path = tmp_path / "figures.json"
    options = ["--quick", "--threads", "1", "--slices", "2", "--output", str(path)]
    command = [sys.executable, "-m", "benchmarks.run", *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "times faster" in result.stdout
    figures = json.loads(path.read_text())
    assert all(isinstance(value, str | int | float) for value in figures.values())
    # More than 1 and less than the target: other work on the machine must not fail a test.
    for name in ("inference_speedup_full_float32", "inference_speedup_vs_plain"):
        assert figures[name] > 2
        assert name in TARGETS
