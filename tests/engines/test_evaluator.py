"""The evaluation step against a slow calculation, slice by slice and draw by draw."""

from __future__ import annotations

import math

import pytest
import torch

from scripts.uncertainty.mapper import AnomalyMapper, VAEMapper
from scripts.uncertainty.mappers import mapper_of
from scripts.uncertainty.scores import EPSILON, RECONSTRUCTION_SCORES, slice_score
from tests.engines.toys import toy_evaluator, toy_images, toy_network, toy_slices

SAMPLES = 3
NAMES = ["elbo", "epistemic", "aleatoric", *(f"mean_{score.value}" for score in RECONSTRUCTION_SCORES)]


@pytest.fixture(scope="module", params=[1, 2], ids=["one-modality", "two-modalities"])
def case(request: pytest.FixtureRequest) -> tuple[AnomalyMapper, torch.Tensor, dict[str, torch.Tensor]]:
    """A network with lively variances, two slices (2, C, 32, 32) and what the engine makes of them."""
    network = toy_network(seed=3, in_channels=request.param)
    with torch.no_grad():
        network.log_variance_head.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    mapper = VAEMapper(SAMPLES, seed=4, **network.arguments)
    mapper.load_state_dict(network.state_dict())
    images = torch.cat([toy_images(2, seed) for seed in range(request.param)], dim=1)
    evaluator = toy_evaluator(mapper, toy_slices(images))
    evaluator.run()
    return mapper.eval(), images, evaluator.state.output


def by_hand(mapper: AnomalyMapper, image: torch.Tensor) -> dict[str, float]:
    """Return the figures of one slice (C, H, W) in double precision, with loops over draws and pixels."""
    with torch.no_grad():
        mean, log_variance = (one[0].double() for one in mapper.encode(image[None]))
        decoded = []
        for draw in mapper.latent_draws.double():
            latent = mean + torch.exp(0.5 * log_variance) * draw
            decoded.append([one[0].double() for one in mapper.decode(latent.float()[None])])
    inside = [
        (row, column)
        for row in range(image.shape[1])
        for column in range(image.shape[2])
        if any(float(channel[row, column]) > 0 for channel in image)
    ]
    pixels = [(channel, row, column) for channel in range(len(image)) for row, column in inside]
    figures = dict.fromkeys(NAMES, 0.0)
    for channel, row, column in pixels:
        value = float(image[channel, row, column])
        means = [float(one[0][channel, row, column]) for one in decoded]
        logs = [float(one[1][channel, row, column]) for one in decoded]
        for m, s in zip(means, logs, strict=True):
            density = -0.5 * (math.log(2 * math.pi) + s + (value - m) ** 2 / math.exp(s))
            figures["elbo"] += density / SAMPLES
        spread = sum((m - sum(means) / SAMPLES) ** 2 for m in means) / SAMPLES
        noise = sum(math.exp(s) for s in logs) / SAMPLES
        error, total = (value - sum(means) / SAMPLES) ** 2, spread + noise + EPSILON
        figures["epistemic"] += spread / len(pixels)
        figures["aleatoric"] += noise / len(pixels)
        figures["mean_squared_error"] += error / len(pixels)
        figures["mean_uncertainty_weighted"] += error / total / len(pixels)
        figures["mean_nll"] += 0.5 * (math.log(total) + error / total) / len(pixels)
        figures["mean_product"] += error * total / len(pixels)
    kl = float(0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum())
    figures["elbo"] = (figures["elbo"] - kl) / image.numel()
    figures["kl"] = kl
    figures["latent_deviation"] = float(torch.exp(0.5 * log_variance).mean())
    return figures


def test_every_figure_of_every_slice_agrees_with_the_slow_calculation(case) -> None:
    mapper, images, output = case
    for index, image in enumerate(images):
        for name, value in by_hand(mapper, image).items():
            assert float(output[name][index]) == pytest.approx(value, rel=1e-4), name


def test_squared_z_is_the_uncertainty_weighted_error_of_each_modality(case) -> None:
    _, images, output = case
    inside = (images > 0).any(dim=1, keepdim=True).expand_as(images)
    for index in range(len(images)):
        squared = output["z"][index][inside[index]].square().mean()
        torch.testing.assert_close(squared, output["mean_uncertainty_weighted"][index], rtol=1e-4, atol=0)
    signs = torch.sign(images - output["pred"][:, 4:])[inside]
    assert torch.equal(torch.sign(output["z"])[inside], signs)


def test_prediction_is_the_mappers_own(case) -> None:
    mapper, images, output = case
    with torch.no_grad():
        torch.testing.assert_close(output["pred"], mapper(images), rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize("score", RECONSTRUCTION_SCORES)
@pytest.mark.parametrize(
    "weights", [{}, {"use_epistemic": False}, {"use_aleatoric": False}, {"region": "image"}]
)
def test_mean_scores_are_those_of_the_map_that_inference_scores(case, score, weights) -> None:
    """Thresholds come from this engine and are held against the maps: for several modalities too."""
    mapper = VAEMapper(SAMPLES, seed=4, score=score, **weights, **case[0].arguments)
    mapper.load_state_dict(case[0].state_dict())
    evaluator = toy_evaluator(mapper, toy_slices(case[1]))
    evaluator.run()
    output = evaluator.state.output
    own = slice_score(case[1], output["pred"][:, 4:], output["pred"][:, 1:2], 0.0, mapper.region)
    torch.testing.assert_close(output[f"mean_{score.value}"], own, rtol=1e-4, atol=1e-6)


def test_figures_do_not_depend_on_the_batch(case) -> None:
    mapper, images, output = case
    evaluator = toy_evaluator(mapper, toy_slices(images[1:]))
    evaluator.run()
    for name in ("elbo", "kl", "mean_uncertainty_weighted", "epistemic"):
        torch.testing.assert_close(evaluator.state.output[name][0], output[name][1], rtol=1e-5, atol=1e-7)


def test_a_slice_without_foreground_gives_zeros_not_nan(case) -> None:
    mapper, images, _ = case
    evaluator = toy_evaluator(mapper, toy_slices(torch.zeros_like(images)))
    evaluator.run()
    output = evaluator.state.output
    assert all(torch.isfinite(value).all() for value in output.values())
    assert float(output["epistemic"].abs().max()) == 0


@pytest.mark.usefixtures("fast_bfloat16")
def test_mixed_precision_agrees_to_two_digits(case) -> None:
    mapper, images, output = case
    evaluator = toy_evaluator(mapper, toy_slices(images), amp=True)
    evaluator.run()
    mixed = evaluator.state.output
    assert mixed["elbo"].dtype == torch.float32
    torch.testing.assert_close(mixed["elbo"], output["elbo"], rtol=2e-2, atol=1e-3)
    assert not torch.equal(mixed["elbo"], output["elbo"])


def test_a_validation_that_is_no_number_is_never_the_best() -> None:
    evaluator = toy_evaluator(mapper_of(toy_network(), samples=2), toy_slices(toy_images(4), [0, 1, 0, 1]))
    for current, best, better in ((math.nan, 0.1, False), (0.1, math.nan, True), (0.2, 0.1, True)):
        assert evaluator.metric_cmp_fn(current, best) is better
    assert not evaluator.metric_cmp_fn(0.1, 0.2)
