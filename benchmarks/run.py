"""Measure speed and memory of inference, and the speed of CL-VAE training; write ``benchmarks/latest.json``.

    python -m benchmarks.run [--quick] [--threads 2]

The plain reading of the paper, our inference with the paper's full attention, ours with pooled keys and
that of the lesion U-Net run in turns, so that other load on the machine falls on all of them. Memory is that
of the bundle's own inference command, with its default network, in a process of its own.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from benchmarks.clvae_speed import measure_epochs, measure_members
from benchmarks.machine import describe_machine
from benchmarks.memory import measure_growth, measure_peak
from benchmarks.speed import PLAIN, make_variants, measure
from scripts.io.atomic import write_json

LATEST = Path(__file__).with_name("latest.json")

TARGETS = {
    "inference_speedup_full_float32": (">=", 10.0),
    "inference_speedup_full_bf16": (">=", 20.0),
    "inference_speedup_vs_plain": (">=", 150.0),
    "inference_speedup_pooled_float32": (">=", 150.0),
    "inference_speedup_pooled_bf16": (">=", 150.0),
    "clvae_epoch_speedup_vs_plain": (">=", 2.0),
    "inference_peak_mib_512": ("<=", 4096.0),
    "inference_growth_mib_50": ("<=", 32.0),
}
"""What a release must hold on 2 CPU cores. Growth is noise of the allocator below a scan's size."""


def main() -> None:
    """Run the benchmark from the command line."""
    options = _arguments()
    figures: dict[str, str | int | float] = describe_machine(options.threads)
    # Memory first: the plain reading leaves a large process behind.
    if not options.quick:
        figures |= measure_growth(options.threads)
        figures |= measure_peak(options.threads)
    torch.set_num_threads(options.threads)
    variants = make_variants(options.slices, options.plain_slices, options.batch_size)
    figures |= measure(variants, 2 if options.quick else options.repeats)
    figures |= measure_epochs(options.clvae_images, 1 if options.quick else options.repeats)
    figures |= measure_members(1 if options.quick else options.repeats)
    figures["load_at_end"] = round(os.getloadavg()[0], 2)
    figures["slices"], figures["batch_size"] = options.slices, options.batch_size
    print(table(figures))
    print(f"written to {write_json(options.output, figures)}")


def table(figures: dict[str, str | int | float]) -> str:
    """Return the speeds side by side, and each target with what was reached."""
    lines = [f"{'':16}{'ms a slice':>12}{'times faster':>14}"]
    for key, value in figures.items():
        if key.startswith("inference_seconds_per_slice_"):
            name = key.removeprefix("inference_seconds_per_slice_")
            ratio = figures.get(f"inference_speedup_{name}", 1.0)
            label = "plain reading" if name == PLAIN else name
            lines.append(f"{label:16}{1000 * float(value):12.1f}{float(ratio):14.1f}")
    for key, value in figures.items():
        if key.startswith("clvae_epoch_seconds_"):
            name = key.removeprefix("clvae_epoch_seconds_")
            ratio = figures.get(f"clvae_epoch_speedup_{name}", 1.0)
            lines.append(f"CL-VAE {name:9}{float(value):10.1f} s{float(ratio):14.1f}")
    if "clvae_batched_members_speedup" in figures:
        ratio = float(figures["clvae_batched_members_speedup"])
        lines.append(f"CL-VAE, five members as one batched computation: {ratio:.1f} times as fast as in turn")
    for key, (relation, target) in TARGETS.items():
        if key in figures:
            value = float(figures[key])
            met = value >= target if relation == ">=" else value <= target
            lines.append(f"{key:32}{value:10.1f}  target {relation} {target:g}: {'met' if met else 'MISSED'}")
    lines += [
        f"{key:40}{float(value):8.1e}" for key, value in figures.items() if key.startswith("bf16_error")
    ]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="no memory figures, 2 rounds only")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="CPU threads")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; the first warms up")
    parser.add_argument("--slices", type=int, default=16, help="slices for our inference")
    parser.add_argument("--clvae-images", type=int, default=6400, help="images in an epoch of the CL-VAE")
    parser.add_argument("--plain-slices", type=int, default=1, help="slices for the plain reading")
    parser.add_argument("--batch-size", type=int, default=8, help="slices at once, as in inference.json")
    parser.add_argument("--output", type=Path, default=LATEST, help="JSON file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
