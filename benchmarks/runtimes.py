"""Measure the exports (``make export``) against the network itself on the CPU, in turns; print ratios.

    python -m benchmarks.runtimes [--threads 1] [--repeats 5]

Weights and settings are those of ``configs/inference.json``. OpenVINO, which the project does not install,
is measured where it is there (``pip install openvino``), with float32 and with its own choice of precision.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from tqdm import tqdm

from benchmarks.heads import normalised_slices
from benchmarks.machine import describe_machine
from benchmarks.speed import MAPS, Variant, relative_errors
from scripts import BUNDLE_ROOT
from scripts.io.exports import Runtime, open_export
from scripts.io.weights import load_weights
from scripts.precision import has_fast_bfloat16

EAGER = "eager"


def main() -> None:
    """Run the benchmark from the command line."""
    options = _arguments()
    torch.set_num_threads(options.threads)
    images = torch.from_numpy(normalised_slices(options.slices))
    models = BUNDLE_ROOT / "models"
    variants = [
        Variant(name, in_batches(runtime, options.batch_size), images)
        for name, runtime in _runtimes(models, options.threads)
    ]
    for _ in tqdm(range(options.repeats), desc="runtimes", unit="round"):
        for variant in variants:
            variant.run()
    print({key: value for key, value in describe_machine(options.threads).items() if key != "commit"})
    print(table(variants))


def in_batches(runtime: Runtime, batch_size: int) -> Runtime:
    """Return a function of any number of slices that runs them in batches."""

    def compute(slices: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([runtime(part.contiguous()).float() for part in slices.split(batch_size)])

    return compute


def table(variants: list[Variant]) -> str:
    """Return speeds, ratios to the first variant, and the largest relative error of its maps."""
    first = variants[0]
    lines = [f"{'':18}{'ms a slice':>12}{'times faster':>14}{'error':>10}  (largest of {', '.join(MAPS)})"]
    for one in variants:
        error = max(relative_errors(first.output, one.output).values())
        lines.append(f"{one.name:18}{1000 * one.median:12.1f}{first.median / one.median:14.2f}{error:10.1e}")
    return "\n".join(lines)


def _runtimes(models: Path, threads: int) -> Iterator[tuple[str, Runtime]]:
    network = _network(models)
    yield EAGER, network
    if has_fast_bfloat16():
        yield f"{EAGER} bfloat16", torch.autocast("cpu", torch.bfloat16)(network)
    yield "TorchScript", open_export(models / "model.ts")
    yield "ONNX Runtime", open_export(models / "model.onnx")
    if find_spec("openvino") is not None:
        yield "OpenVINO float32", _open_openvino(models / "model.onnx", threads, "f32")
        yield "OpenVINO default", _open_openvino(models / "model.onnx", threads)


def _network(models: Path) -> torch.nn.Module:
    config = ConfigParser()
    config.read_config(BUNDLE_ROOT / "configs" / "inference.json")
    network: torch.nn.Module = config.get_parsed_content("network_def")
    return load_weights(network, models / "model.pt").eval()


def _open_openvino(path: Path, threads: int, precision: str | None = None) -> Runtime:
    import openvino

    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        hints["INFERENCE_PRECISION_HINT"] = precision
    compiled = openvino.compile_model(path, "CPU", hints)
    return lambda image: torch.from_numpy(compiled(image.numpy())[0].copy())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; the first warms up")
    parser.add_argument("--slices", type=int, default=16, help="slices in all")
    parser.add_argument("--batch-size", type=int, default=8, help="slices at once, as in inference.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
