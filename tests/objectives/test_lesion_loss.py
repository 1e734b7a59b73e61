"""The loss of the lesion U-Net against its formula."""

from __future__ import annotations

import math

import pytest
import torch
from small_networks import small_images
from torch.distributions import Normal

from scripts.objectives.lesion import LesionLoss


def case(channels: int = 1) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    images = small_images(3, channels)
    output = [torch.randn(images.shape, generator=generator) for _ in range(2)]
    logits = torch.randn(3, 1, 32, 32, generator=generator)
    lesion = (torch.rand(3, 1, 32, 32, generator=generator) < 0.2).to(torch.uint8)
    lesion[2] = 0
    return (*output, logits), {"image": images, "lesion": lesion}


@pytest.mark.parametrize("channels", [1, 2])
def test_equals_its_formula(channels: int) -> None:
    output, batch = case(channels)
    mean, log_variance, logits = (one.double() for one in output)
    p, truth = torch.sigmoid(logits), batch["lesion"].double()
    entropy = -(truth * p.log() + (1 - truth) * (1 - p).log()).mean()
    dice = 1 - 2 * (p * truth).sum() / (p.sum() + truth.sum())
    inside = (batch["image"] > 0).any(dim=1, keepdim=True).expand_as(mean)
    surprise = -Normal(mean, (0.5 * log_variance).exp()).log_prob(batch["image"].double())[inside].mean()
    loss = LesionLoss(dice_weight=0.5, reconstruction_weight=0.1)
    terms = loss.terms(output, batch)
    assert float(terms["lesion_loss"]) == pytest.approx(float(entropy + 0.5 * dice), rel=1e-4)
    assert float(terms["reconstruction_loss"]) == pytest.approx(float(surprise), rel=1e-5)
    expected = float(entropy + 0.5 * dice + 0.1 * surprise)
    assert float(loss(output, batch)) == pytest.approx(expected, rel=1e-4)


def test_a_perfect_answer_costs_nothing_but_the_noise() -> None:
    _, batch = case()
    sure = 40.0 * (2.0 * batch["lesion"] - 1)
    output = (batch["image"], torch.full_like(batch["image"], -4.0), sure)
    terms = LesionLoss().terms(output, batch)
    assert float(terms["lesion_loss"]) == pytest.approx(0, abs=1e-4)
    assert float(terms["reconstruction_loss"]) == pytest.approx(0.5 * (math.log(2 * math.pi) - 4), rel=1e-5)


def test_without_a_head_nothing_is_infinite() -> None:
    output, batch = case()
    batch = {name: torch.zeros_like(value) for name, value in batch.items()}
    assert math.isfinite(float(LesionLoss()(output, batch)))
