"""Seconds per slice of the plain reading of the paper and of our inference, measured in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from tqdm import tqdm

from benchmarks.heads import normalised_slices
from benchmarks.plain_paper import PlainPaper
from scripts.precision import has_fast_bfloat16
from scripts.uncertainty.lesion_mapper import LesionMapper
from scripts.uncertainty.mapper import AnomalyMapper, VAEMapper
from scripts.uncertainty.slice_inferer import BrainSliceInferer

PLAIN = "plain"
MAPS = ("total", "anomaly", "epistemic", "aleatoric", "reconstruction")


@dataclass
class Variant:
    """One way to compute the maps of slices, and what it took."""

    name: str
    compute: Callable[[torch.Tensor], torch.Tensor]
    slices: torch.Tensor
    seconds: list[float] = field(default_factory=list)
    output: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    """Of the last run."""

    def run(self) -> None:
        """Compute once, and note seconds of wall-clock time per slice."""
        start = time.perf_counter()
        self.output = self.compute(self.slices)
        self.seconds.append((time.perf_counter() - start) / len(self.slices))

    @property
    def median(self) -> float:
        """Seconds per slice; the first run, which warms up, is left out when there are more."""
        return statistics.median(self.seconds[1:] or self.seconds)


def make_mapper(key_grid: int | None, seed: int = 0) -> VAEMapper:
    """Return a mapper with random weights, the same for every ``key_grid``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mapper = VAEMapper(key_grid=key_grid)
        # As built, this head is constant; the maps must depend on all of the network.
        torch.nn.init.normal_(mapper.log_variance_head.weight, std=0.02)
    return mapper.eval()


def make_lesion_mapper(seed: int = 0) -> LesionMapper:
    """Return the default network of the bundle with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LesionMapper(score="lesion", pooling="peak").eval()


def make_variants(slices: int, plain_slices: int, batch_size: int) -> list[Variant]:
    """Return the plain reading, and ours in float32 and bfloat16, for the same slices.

    Ours are the Bayesian VAE with full and with pooled keys, and the lesion U-Net.
    """
    images = torch.from_numpy(normalised_slices(slices))
    full = make_mapper(None)
    mappers: dict[str, AnomalyMapper] = {
        "full": full,
        "pooled": make_mapper(8),
        "lesion": make_lesion_mapper(),
    }
    variants = [Variant(PLAIN, torch.no_grad()(PlainPaper(full)), images[:plain_slices])]
    for kind, mapper in mappers.items():
        for amp in (False, True):
            if amp and not has_fast_bfloat16():
                continue
            compute = _inference(mapper, BrainSliceInferer(batch_size, amp))
            variants.append(Variant(f"{kind}_{'bf16' if amp else 'float32'}", compute, images))
    return variants


def measure(variants: list[Variant], repeats: int) -> dict[str, float]:
    """Run all variants in turns, ``repeats`` times, and return seconds, ratios and errors with flat keys.

    Taking turns lets other load on the machine fall on all of them alike.

    Raises:
        AssertionError: the plain reading and our full attention give different maps.
    """
    for _ in tqdm(range(repeats), desc="speed", unit="round"):
        for variant in variants:
            variant.run()
    seconds = {variant.name: variant.median for variant in variants}
    outputs = {variant.name: variant.output for variant in variants}
    torch.testing.assert_close(
        outputs["full_float32"][: len(outputs[PLAIN])], outputs[PLAIN], rtol=1e-4, atol=1e-5
    )
    figures = {f"inference_seconds_per_slice_{name}": value for name, value in seconds.items()}
    for name, value in seconds.items():
        if name != PLAIN:
            figures[f"inference_speedup_{name}"] = seconds[PLAIN] / value
    # Of the bundle's default network in its default precision.
    figures["inference_speedup_vs_plain"] = figures["inference_speedup_lesion_float32"]
    for kind in ("full", "pooled", "lesion"):
        if f"{kind}_bf16" in outputs:
            errors = relative_errors(outputs[f"{kind}_float32"], outputs[f"{kind}_bf16"])
            figures |= {f"bf16_error_{kind}_{name}": error for name, error in errors.items()}
    return figures


def relative_errors(reference: torch.Tensor, output: torch.Tensor) -> dict[str, float]:
    """Return for each map the root mean square difference over the root mean square of ``reference``."""
    difference = (output - reference).square().mean(dim=(0, 2, 3)).sqrt()
    size = reference.square().mean(dim=(0, 2, 3)).sqrt()
    return dict(zip(MAPS, (difference / size).tolist(), strict=True))


def _inference(mapper: AnomalyMapper, inferer: BrainSliceInferer) -> Callable[[torch.Tensor], torch.Tensor]:
    def compute(slices: torch.Tensor) -> torch.Tensor:
        volume = slices.permute(1, 2, 3, 0)[None]
        return inferer(volume, mapper)[0].permute(3, 0, 1, 2)

    return compute
