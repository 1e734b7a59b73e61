"""One training step: what it minimises, when it refuses to go on, mixed precision."""

from __future__ import annotations

import warnings

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from scripts.engines.trainer import DrawTrainer
from scripts.errors import ModelError
from tests.engines.toys import ToyRun, toy_images, toy_network, toy_run


def losses_of(run: ToyRun) -> list[float]:
    losses: list[float] = []
    run.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(float(engine.state.output["loss"]))
    )
    run.trainer.run()
    return losses


def test_loss_falls_and_so_does_the_validation_loss() -> None:
    run = toy_run(epochs=15, learning_rate=5e-3, interval=15)
    before = run.evaluator
    before.run()
    first = before.state.metrics["val_elbo"]
    losses = losses_of(run)
    assert losses[-1] < losses[0] - 0.5
    assert before.state.metrics["val_elbo"] > first + 0.5


def test_a_step_is_the_gradient_of_the_loss_at_the_given_beta() -> None:
    """One step of plain gradient descent, against autograd on the loss's own forward."""
    run = toy_run(epochs=1)
    run.trainer.optimizer = torch.optim.SGD(run.network.parameters(), 0.01)
    run.loss.beta = 0.3
    image = next(iter(run.trainer.data_loader))["image"]
    torch.manual_seed(5)
    noise = torch.randn(len(image), run.network.latent_size)
    expected = run.loss(run.network(image, noise), {"image": image})
    gradients = torch.autograd.grad(expected, list(run.network.parameters()))
    expected = expected.detach()
    for value in run.network.parameters():
        value.grad = torch.ones_like(value)  # of the step before
    norm = torch.linalg.vector_norm(torch.stack([gradient.norm() for gradient in gradients]))
    scale = min(1.0, DrawTrainer.gradient_clip / float(norm))
    wanted = [
        value.detach() - 0.01 * scale * gradient
        for value, gradient in zip(run.network.parameters(), gradients, strict=True)
    ]
    torch.manual_seed(5)
    output = run.trainer._iteration(run.trainer, {"image": image})
    assert float(output["loss"]) == pytest.approx(float(expected), rel=1e-6)
    terms = output["reconstruction_loss"] + 0.3 * output["kl"]
    assert float(output["loss"]) == pytest.approx(float(terms), rel=1e-6)
    for value, target in zip(run.network.parameters(), wanted, strict=True):
        torch.testing.assert_close(value.detach(), target, rtol=1e-5, atol=1e-7)


def test_gradients_are_clipped_by_norm(monkeypatch) -> None:
    monkeypatch.setattr(DrawTrainer, "gradient_clip", 1e-3)
    run = toy_run(epochs=1)
    norms: list[float] = []

    @run.trainer.on(IterationEvents.MODEL_COMPLETED)
    def measure(engine: Engine) -> None:
        gradients = [value.grad.norm() for value in run.network.parameters()]
        norms.append(float(torch.stack(gradients).norm()))

    run.trainer.run()
    assert norms == pytest.approx([1e-3] * 2, rel=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_stops_before_it_reaches_the_weights(value) -> None:
    run = toy_run()
    before = {name: one.clone() for name, one in run.network.named_parameters()}

    @run.trainer.on(Events.ITERATION_STARTED(once=1))
    def spoil(engine: Engine) -> None:
        engine.state.batch["image"][0, 0, 16, 16] = value

    expected = r"finite loss, got (nan|inf) in epoch 1, iteration 1; lower --learning_rate"
    with pytest.raises(ModelError, match=expected):
        run.trainer.run()
    assert all(torch.equal(one, before[name]) for name, one in run.network.named_parameters())


def test_gradient_that_is_not_finite_stops_before_it_reaches_the_weights() -> None:
    run = toy_run()
    before = {name: one.clone() for name, one in run.network.named_parameters()}
    run.network.mean_head.bias.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(ModelError, match="finite gradient norm, got nan in epoch 1"):
        run.trainer.run()
    assert all(torch.equal(one, before[name]) for name, one in run.network.named_parameters())


@pytest.mark.usefixtures("fast_bfloat16")
def test_mixed_precision_trains_alike_on_the_cpu() -> None:
    full = losses_of(toy_run(epochs=10, learning_rate=3e-3, interval=10))
    kinds = set()
    run = toy_run(epochs=10, learning_rate=3e-3, interval=10, amp=True)
    run.network.encoder[0].register_forward_hook(lambda layer, inputs, output: kinds.add(output.dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # MONAI's own amp would ask for a GPU's loss scaler
        mixed = losses_of(run)
    assert torch.bfloat16 in kinds  # it was mixed
    assert full[-1] < full[0] - 0.3
    assert mixed == pytest.approx(full, rel=0.05, abs=0.05)
    assert mixed != full
    assert all(value.dtype == torch.float32 for value in run.network.parameters())


def test_training_draws_noise_and_dropout_and_validation_does_not() -> None:
    run = toy_run(epochs=1, network=toy_network(dropout=0.5))
    run.trainer.run()
    first = run.evaluator.state.metrics["val_elbo"]
    torch.manual_seed(99)
    run.evaluator.run()
    assert run.evaluator.state.metrics["val_elbo"] == first
    assert (
        losses_of(toy_run(epochs=2, learning_rate=0.0))[:2]
        != losses_of(toy_run(epochs=2, learning_rate=0.0))[2:]
    )


def test_the_network_sees_the_corrupted_slice_and_the_loss_the_clean_one() -> None:
    run = toy_run()
    image, corrupted = toy_images(2), toy_images(2, seed=5)
    seen: list[torch.Tensor] = []
    run.network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    torch.manual_seed(0)
    output = run.trainer._iteration(run.trainer, {"image": image, "corrupted": corrupted})
    assert torch.equal(seen[0], corrupted)
    assert torch.equal(output["image"], image)
