"""Warnings a person understands when a network goes wrong in one of the known ways."""

from __future__ import annotations

import logging
import math

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from scripts.networks.attention import SpatialAttention
from scripts.networks.backbone import Backbone
from scripts.networks.bayesian_vae import VAEBackbone

logger = logging.getLogger(__name__)

KL_COLLAPSE_NATS = 1.0
POSTERIOR_DEVIATION = 1e-3
EPISTEMIC_SHARE = 1e-5
UNIFORM_ENTROPY = 0.995

_MEASURES = ("kl", "latent_deviation", "epistemic", "aleatoric")


class CollapseMonitor:
    """Log health figures of every validation, and warn when one of them shows a collapse.

    - ``kl_nats``: KL to the prior, nats per slice. Near 0, the latent says nothing of the image.
    - ``latent_deviation``: mean standard deviation of q(z | x). Near 0, the draws are all alike. Both only of
      a network that has a latent.
    - ``epistemic_share``: epistemic part of the total variance.
    - ``attention_entropy``: mean entropy of the attention rows over its maximum; 1 is uniform attention.

    Attach it to the validation engine.
    """

    def __init__(self, network: Backbone, queries: int = 64) -> None:
        self.attention = [layer for layer in network.modules() if isinstance(layer, SpatialAttention)]
        self.has_latent = isinstance(network, VAEBackbone)
        self.queries = queries
        self.sums: dict[str, float] = {}

    def attach(self, engine: Engine) -> None:
        """Collect over an epoch of ``engine`` and report at its end."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._report)

    def _start(self, engine: Engine) -> None:
        self.sums = dict.fromkeys(("slices", *_MEASURES, "entropy", "attention_maps"), 0.0)
        # Only the first batch pays for the attention's rows.
        self.hooks = [layer.register_forward_hook(self._measure) for layer in self.attention]

    def _measure(self, layer: SpatialAttention, inputs: tuple[torch.Tensor], _: torch.Tensor) -> None:
        weights = layer.attention_weights(inputs[0][:4].float(), self.queries)
        if weights.shape[-1] < 2:
            return  # one key: nothing to choose from
        entropy = -(weights * weights.clamp(min=1e-12).log()).sum(dim=-1).mean()
        self.sums["entropy"] += float(entropy) / math.log(weights.shape[-1])
        self.sums["attention_maps"] += 1

    def _collect(self, engine: Engine) -> None:
        for hook in self.hooks:
            hook.remove()
        output: dict[str, torch.Tensor] = vars(engine.state)["output"]
        self.sums["slices"] += len(output["kl"])
        for name in _MEASURES:
            self.sums[name] += float(output[name].sum())

    def _report(self, engine: Engine) -> None:
        # Each process of a distributed run has seen its own slices.
        sums = {name: float(idist.all_reduce(value)) for name, value in self.sums.items()}
        total = sums["epistemic"] + sums["aleatoric"]
        figures = {"epistemic_share": sums["epistemic"] / total if total > 0 else 0.0}
        if self.has_latent:
            figures["kl_nats"] = sums["kl"] / sums["slices"]
            figures["latent_deviation"] = sums["latent_deviation"] / sums["slices"]
        if sums["attention_maps"] > 0:
            figures["attention_entropy"] = sums["entropy"] / sums["attention_maps"]
        engine.state.metrics.update(figures)
        for message in warnings_of(figures):
            logger.warning(message)


def warnings_of(figures: dict[str, float]) -> list[str]:
    """Return one sentence for every figure that shows a collapse: what it means, what to change."""
    messages = []
    if figures.get("kl_nats", math.inf) < KL_COLLAPSE_NATS:
        messages.append(
            f"KL collapse: the latent carries {figures['kl_nats']:.2f} nats a slice, so reconstructions no "
            "longer depend on the image; lengthen the beta warm-up (--beta_epochs) or lower --beta_end."
        )
    if figures.get("latent_deviation", math.inf) < POSTERIOR_DEVIATION:
        messages.append(
            f"Posterior variance collapse: the latent deviation is {figures['latent_deviation']:.1e}, "
            "so all latent draws are alike; raise --beta_end."
        )
    if figures["epistemic_share"] < EPISTEMIC_SHARE:
        messages.append(
            f"Epistemic variance is {figures['epistemic_share']:.1e} of the total: draws decode alike and "
            "the epistemic map says nothing; look at kl_nats and latent_deviation."
        )
    entropy = figures.get("attention_entropy", 0.0)
    if entropy > UNIFORM_ENTROPY:
        messages.append(
            f"Attention is uniform ({entropy:.3f} of the maximal entropy): it averages the whole slice; "
            "train longer or with a higher learning rate before reading attention maps."
        )
    return messages
