"""bfloat16 where the processor multiplies it, float32 elsewhere."""

from __future__ import annotations

import functools
import logging

import torch

logger = logging.getLogger(__name__)


def has_fast_bfloat16(device: torch.device | str = "cpu") -> bool:
    """Return whether ``device`` multiplies bfloat16 itself: a GPU, or a CPU with AVX512-BF16 or AMX."""
    if torch.device(device).type != "cpu":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(device: torch.device | str, amp: bool) -> torch.autocast:
    """Return a context for bfloat16 where it is safe; it keeps float32's range, so no loss is scaled.

    A processor that has to emulate bfloat16 takes many times as long as for float32, so there it stays
    float32, with a warning.

    Args:
        device: where it is computed.
        amp: whether bfloat16 is wanted.
    """
    kind = torch.device(device).type
    if amp and not has_fast_bfloat16(device):
        _warn(kind)
        amp = False
    return torch.autocast(kind, torch.bfloat16, enabled=amp)


@functools.cache
def _warn(kind: str) -> None:
    logger.warning(
        "Computing in float32, not in bfloat16 as --amp true asks: this %s has no instructions for bfloat16 "
        "and would take many times as long.",
        kind,
    )
