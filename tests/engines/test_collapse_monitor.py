"""Warnings about a VAE that went wrong: each from a network rigged to show it, none from a healthy one."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable

import pytest
import torch

from scripts.engines.collapse_monitor import CollapseMonitor, warnings_of
from scripts.engines.history import History
from scripts.networks.attention import SpatialAttention
from scripts.networks.bayesian_vae import BayesianVAE
from scripts.uncertainty.mappers import mapper_of
from tests.engines.toys import toy_evaluator, toy_images, toy_network, toy_run, toy_slices


def healthy(**arguments) -> BayesianVAE:
    """Return a network whose latent, draws and attention all depend on the image."""
    network = toy_network(**arguments)
    with torch.no_grad():
        network.to_latent_mean.weight.mul_(20)
        for layer in network.modules():
            if isinstance(layer, SpatialAttention):
                layer.attention.to_q.weight.mul_(10)
    return network


def constant(layer: torch.nn.Linear, bias: float = 0.0) -> None:
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(layer.bias, bias)


def kl_collapse(network: BayesianVAE) -> None:
    constant(network.to_latent_mean)
    constant(network.to_latent_log_variance)


def tiny_posterior_variance(network: BayesianVAE) -> None:
    constant(network.to_latent_log_variance, -15.0)


def decoder_without_latent(network: BayesianVAE) -> None:
    torch.nn.init.zeros_(network.from_latent.weight)


def uniform_attention(network: BayesianVAE) -> None:
    for layer in network.modules():
        if isinstance(layer, SpatialAttention):
            constant(layer.attention.to_q)
            constant(layer.attention.to_k)


def validate(network: BayesianVAE, batches: int = 1, queries: int = 64) -> dict[str, float]:
    monitor = CollapseMonitor(network, queries)
    evaluator = toy_evaluator(mapper_of(network, samples=4), toy_slices(toy_images(4 * batches)), [monitor])
    evaluator.run()
    return evaluator.state.metrics


@pytest.mark.parametrize(
    ("rig", "messages"),
    [
        (lambda network: None, []),
        (kl_collapse, ["KL collapse: the latent carries 0.00 nats a slice"]),
        # Draws that are all alike decode alike.
        (tiny_posterior_variance, ["Posterior variance collapse", "Epistemic variance"]),
        (decoder_without_latent, ["Epistemic variance is 0.0e+00 of the total"]),
        (uniform_attention, ["Attention is uniform (1.000 of the maximal entropy)"]),
    ],
)
def test_each_collapse_raises_its_warning_and_no_other(
    rig: Callable[[BayesianVAE], None], messages: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    network = healthy()
    rig(network)
    with caplog.at_level(logging.WARNING, logger="scripts.engines.collapse_monitor"):
        validate(network)
    raised = [record.getMessage() for record in caplog.records]
    assert len(raised) == len(messages)
    for text, start in zip(raised, messages, strict=True):
        assert text.startswith(start)


def test_every_warning_says_what_to_do() -> None:
    worst = {"kl_nats": 0.0, "latent_deviation": 0.0, "epistemic_share": 0.0, "attention_entropy": 1.0}
    texts = warnings_of(worst)
    assert len(texts) == 4
    for text, advice in zip(
        texts, ["--beta_epochs", "raise --beta_end", "look at kl_nats", "train longer"], strict=True
    ):
        assert advice in text


def test_figures_are_means_over_every_batch() -> None:
    network = healthy()
    metrics = validate(network, batches=2)
    images = toy_images(8)
    with torch.no_grad():
        mean, log_variance = network.eval().encode(images)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
        pred = mapper_of(network, samples=4).eval()(images)
    assert metrics["kl_nats"] == pytest.approx(float(kl.mean()), rel=1e-4)
    deviation = float(torch.exp(0.5 * log_variance).mean())
    assert metrics["latent_deviation"] == pytest.approx(deviation, rel=1e-4)
    inside = (images > 0).flatten(1)
    epistemic, aleatoric = (
        ((pred[:, channel].flatten(1) * inside).sum(dim=1) / inside.sum(dim=1)).sum() for channel in (2, 3)
    )
    share = float(epistemic / (epistemic + aleatoric))
    assert metrics["epistemic_share"] == pytest.approx(share, rel=1e-4)


def test_entropy_is_that_of_the_full_attention_rows() -> None:
    """One attention layer after the encoder's first, with keys at every position."""
    network = healthy(decoder_attention=(), key_grid=None)
    image = toy_images(4)
    block = network.encoder[1]
    with torch.no_grad():
        normed = block.norm(network.encoder[0](image)).flatten(2).transpose(1, 2)
        heads = []
        for name in ("to_q", "to_k"):
            projected = getattr(block.attention, name)(normed)
            heads.append(projected.reshape(4, -1, 2, projected.shape[-1] // 2).transpose(1, 2))
        rows = torch.softmax(heads[0] @ heads[1].transpose(-1, -2) / heads[0].shape[-1] ** 0.5, dim=-1)
        entropy = torch.special.entr(rows).sum(dim=-1) / torch.log(torch.tensor(float(rows.shape[-1])))
    assert validate(network, queries=256)["attention_entropy"] == pytest.approx(
        float(entropy.mean()), rel=1e-4
    )
    # By default 64 rows stand for all of them.
    assert validate(network)["attention_entropy"] == pytest.approx(float(entropy.mean()), abs=0.05)


def test_attention_is_measured_once_a_validation_and_leaves_no_hook() -> None:
    network = healthy()
    calls = []
    layer = network.encoder[1]
    measured = layer.attention_weights
    layer.attention_weights = lambda *arguments: calls.append(1) or measured(*arguments)
    validate(network, batches=3)
    assert len(calls) == 1
    assert not layer._forward_hooks


@pytest.mark.parametrize("arguments", [{"encoder_attention": (), "decoder_attention": ()}, {"key_grid": 1}])
def test_without_a_choice_of_keys_there_is_no_entropy(arguments) -> None:
    assert "attention_entropy" not in validate(healthy(**arguments))


def test_figures_are_columns_of_the_history(tmp_path) -> None:
    run = toy_run(lambda run: [History(str(tmp_path), run.evaluator, run.optimizer)], epochs=1)
    CollapseMonitor(run.network).attach(run.evaluator)
    run.trainer.run()
    with (tmp_path / "history.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    for name in ("kl_nats", "latent_deviation", "epistemic_share", "attention_entropy"):
        assert float(row[name]) == run.evaluator.state.metrics[name]
