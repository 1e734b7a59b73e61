"""MONAI engines for the VAE: one training step, one evaluation step."""

from __future__ import annotations

import math
from typing import Any

import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys
from torch.nn.parallel import DistributedDataParallel

from scripts.data.coarse_noise import CORRUPTED
from scripts.errors import ModelError
from scripts.networks.backbone import Backbone
from scripts.objectives.elbo import gaussian_log_likelihood, kl_to_unit_normal
from scripts.objectives.terms import TermsLoss
from scripts.precision import autocast
from scripts.uncertainty.decomposition import decompose
from scripts.uncertainty.mapper import AnomalyMapper, Draws
from scripts.uncertainty.scores import (
    EPSILON,
    RECONSTRUCTION_SCORES,
    SCORE_CODES,
    Pooling,
    Score,
    masked_mean,
    pixel_score,
    pool,
    scored_pixels,
)


def _unwrapped(network: torch.nn.Module) -> Backbone:
    inner = network.module if isinstance(network, DistributedDataParallel) else network
    assert isinstance(inner, Backbone)
    return inner


def _check_finite(value: torch.Tensor, name: str, engine: SupervisedTrainer) -> None:
    if not torch.isfinite(value):
        raise ModelError(
            f"Expected a finite {name}, got {value.item()} in epoch {engine.state.epoch}, iteration "
            f"{engine.state.iteration}; lower --learning_rate or switch mixed precision off (--amp false)."
        )


class DrawTrainer(SupervisedTrainer):
    """Trains a network that takes one random draw a slice, on ``{"image": (B, C, H, W)}`` batches.

    Where a batch holds ``corrupted`` too, the network sees that, and is to return the image.

    The loss function is a :class:`TermsLoss`. Every iteration's output holds ``loss`` and its terms.
    Gradients are clipped by norm. A loss or a gradient that is not finite stops the run with a
    :class:`ModelError` before it reaches the weights, so the state on disk stays good.
    """

    gradient_clip = 5.0

    def __init__(self, *args: Any, amp: bool = False, **kwargs: Any) -> None:
        # Not handed on: MONAI's own amp brings float16's loss scaling along, and bfloat16 needs none.
        super().__init__(*args, **kwargs)
        self.mixed_precision = bool(amp)

    def _iteration(self, engine: SupervisedTrainer, batchdata: dict[str, Any]) -> dict[str, torch.Tensor]:
        network, loss_function = engine.network, engine.loss_function
        assert isinstance(loss_function, TermsLoss)
        batch = {
            name: value.to(engine.state.device, non_blocking=engine.non_blocking)
            for name, value in batchdata.items()
            if isinstance(value, torch.Tensor)
        }
        image = batch[CommonKeys.IMAGE]
        # Drawn on the CPU: the same numbers whatever the device.
        noise = torch.randn(image.shape[0], _unwrapped(network).latent_size).to(image.device)
        network.train()
        engine.optimizer.zero_grad(set_to_none=True)
        with autocast(engine.state.device, self.mixed_precision):
            output = engine.inferer(batch.get(CORRUPTED, image), network, noise)
        engine.state.output = {CommonKeys.IMAGE: image}
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        terms = loss_function.terms(output, batch)
        loss = loss_function.total(terms)
        _check_finite(loss, "loss", engine)
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        loss.backward()
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), self.gradient_clip)
        _check_finite(norm, "gradient norm", engine)
        engine.optimizer.step()
        engine.state.output.update({CommonKeys.LOSS: loss.detach()})
        engine.state.output.update({name: term.detach() for name, term in terms.items()})
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output


class DrawEvaluator(SupervisedEvaluator):
    """Scores slices with an :class:`AnomalyMapper` in its K fixed draws.

    The output holds, for each slice (B,): ``label``, ``index``, ``level`` and ``mask`` as in the batch,
    ``elbo`` (nats per value, at beta = 1, mean over the K draws), ``kl`` (nats); ``mean_<score>`` and
    ``peak_<score>`` for every :class:`Score` that the network has, pooled over the pixels that the mapper
    scores; ``epistemic`` and ``aleatoric`` (means over these); ``pred`` (B, 4 + C, H, W); and ``z``
    (B, C, H, W), the error of the reconstruction in units of its predicted deviation.

    A key metric that is no number is never the best one: MONAI would keep the first, whatever comes after.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"metric_cmp_fn": _is_better, **kwargs})

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict[str, torch.Tensor]:
        image = batchdata[CommonKeys.IMAGE].to(engine.state.device, non_blocking=engine.non_blocking)
        mapper = engine.network
        assert isinstance(mapper, AnomalyMapper)
        mapper.eval()
        # Not inference_mode: its tensors may not reach metrics that other code differentiates.
        with torch.no_grad():
            with autocast(engine.state.device, self.amp):
                draws = Draws(*(part.float() for part in mapper.draw(image)))
            pred = mapper.to_maps(image, draws)
            scored = scored_pixels(image, mapper.scores_whole_image)
            likelihood = _likelihood(image, draws)
            kl = kl_to_unit_normal(draws.latent_mean, draws.latent_log_variance)
            output: dict[str, torch.Tensor] = {
                CommonKeys.IMAGE: image,
                CommonKeys.LABEL: batchdata[CommonKeys.LABEL].to(image.device),
                CommonKeys.PRED: pred,
                "elbo": (likelihood - kl) / image[0].numel(),
                "kl": kl,
                "latent_deviation": torch.exp(0.5 * draws.latent_log_variance).mean(dim=1),
                # In double precision a variance that all pixels share is the mean of every slice, exactly:
                # its rounding would grow with the area, and rank slices.
                "epistemic": masked_mean(pred[:, 2:3].double(), scored),
                "aleatoric": masked_mean(pred[:, 3:4].double(), scored),
                **_pooled_scores(image, draws, mapper),
            }
            output |= {name: batchdata[name] for name in ("index", "level", "mask") if name in batchdata}
        engine.state.output = output
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return output


def _is_better(current: float, best: float) -> bool:
    return not math.isnan(current) and (math.isnan(best) or current > best)


def _likelihood(image: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Return the log likelihood of the head (B,) in nats, mean over the draws."""
    inside = scored_pixels(image, whole=False)
    each = [
        gaussian_log_likelihood(image, mean, log_variance, inside)
        for mean, log_variance in zip(draws.means, draws.log_variances, strict=True)
    ]
    return torch.stack(each).mean(dim=0)


def _pooled_scores(image: torch.Tensor, draws: Draws, mapper: AnomalyMapper) -> dict[str, torch.Tensor]:
    """Return ``z``, and every score of every slice (B,) by pooling and name."""
    mean, epistemic, aleatoric = decompose(draws.means, draws.log_variances)
    # Of each modality by its own variance, as in the mapper: ``pred`` holds only averages over them.
    total = mapper.epistemic_weight * epistemic + mapper.aleatoric_weight * aleatoric
    error, scored = (image - mean).square(), scored_pixels(image, mapper.scores_whole_image)
    maps: dict[Score, torch.Tensor] = {
        score: pixel_score(SCORE_CODES[score], error, total).mean(dim=1, keepdim=True)
        for score in RECONSTRUCTION_SCORES
    }
    if len(draws.lesions) > 0:
        maps[Score.LESION] = draws.lesions.mean(dim=0)
    return {"z": (image - mean) / (total + EPSILON).sqrt()} | {
        f"{pooling.value}_{score.value}": pool(values, scored, pooling)
        for score, values in maps.items()
        for pooling in Pooling
    }
