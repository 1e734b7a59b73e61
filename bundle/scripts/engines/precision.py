"""Which processors gain from bfloat16."""

from __future__ import annotations

import torch


def has_fast_bfloat16(device: torch.device | str = "cpu") -> bool:
    """Return whether ``device`` multiplies bfloat16 itself: a GPU, or a CPU with AVX512-BF16 or AMX."""
    if torch.device(device).type != "cpu":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
