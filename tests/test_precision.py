from __future__ import annotations

import logging

import pytest
import torch

from scripts import precision
from scripts.precision import autocast


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("amp", [True, False])
def test_bfloat16_is_computed_where_it_is_asked_for_and_fast(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fast: bool, amp: bool
) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: fast)
    precision._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with autocast("cpu", amp):
                product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is (torch.bfloat16 if fast and amp else torch.float32)
    warned = [record.message for record in caplog.records]
    assert len(warned) == (amp and not fast)  # once, not at every step
    assert all("Computing in float32, not in bfloat16 as --amp true asks: this cpu" in one for one in warned)


def test_a_gpu_that_is_not_there_has_no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not precision.has_fast_bfloat16("cuda:0")


@pytest.mark.parametrize("instructions", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_either_set_of_instructions_is_enough(monkeypatch: pytest.MonkeyPatch, instructions: str) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == instructions)
    assert precision.has_fast_bfloat16()
    monkeypatch.setattr(torch.cpu, instructions, lambda: False)
    assert not precision.has_fast_bfloat16()
