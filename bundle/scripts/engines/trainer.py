"""MONAI engines for the VAE: one training step, one evaluation step."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys
from torch.nn.parallel import DistributedDataParallel

from scripts.data.coarse_noise import CORRUPTED
from scripts.errors import ModelError
from scripts.networks.bayesian_vae import BayesianVAE
from scripts.objectives.elbo import NegativeELBO, foreground, gaussian_log_likelihood, kl_to_standard_normal
from scripts.uncertainty.decomposition import decompose
from scripts.uncertainty.mapper import AnomalyMapper
from scripts.uncertainty.scores import EPSILON, SCORE_CODES, Score, masked_mean, pixel_score, scored_pixels


def _autocast(engine: SupervisedTrainer | SupervisedEvaluator, enabled: bool) -> torch.autocast:
    # bfloat16 keeps float32's range: no loss scaling, the same on CPU and GPU.
    return torch.autocast(engine.state.device.type, dtype=torch.bfloat16, enabled=enabled)


def _unwrapped(network: torch.nn.Module) -> BayesianVAE:
    inner = network.module if isinstance(network, DistributedDataParallel) else network
    assert isinstance(inner, BayesianVAE)
    return inner


def _check_finite(value: torch.Tensor, name: str, engine: SupervisedTrainer) -> None:
    if not torch.isfinite(value):
        raise ModelError(
            f"Expected a finite {name}, got {value.item()} in epoch {engine.state.epoch}, iteration "
            f"{engine.state.iteration}; lower --learning_rate or switch mixed precision off (--amp false)."
        )


class VAETrainer(SupervisedTrainer):
    """Trains a :class:`BayesianVAE` on ``{"image": (B, C, H, W)}`` batches with a :class:`NegativeELBO`.

    Where a batch holds ``corrupted`` too, the network sees that, and is to return the image.

    Every iteration's output holds ``loss``, ``reconstruction_loss`` and ``kl`` (nats per value). Gradients
    are clipped by norm. A loss or a gradient that is not finite stops the run with a :class:`ModelError`
    before it reaches the weights, so the state on disk stays good.
    """

    gradient_clip = 5.0

    def __init__(self, *args: Any, amp: bool = False, **kwargs: Any) -> None:
        # Not handed on: MONAI's own amp brings float16's loss scaling along, and bfloat16 needs none.
        super().__init__(*args, **kwargs)
        self.mixed_precision = bool(amp)

    def _iteration(self, engine: SupervisedTrainer, batchdata: dict[str, Any]) -> dict[str, torch.Tensor]:
        image = batchdata[CommonKeys.IMAGE].to(engine.state.device, non_blocking=engine.non_blocking)
        network, loss_function = engine.network, engine.loss_function
        assert isinstance(loss_function, NegativeELBO)
        shown = batchdata.get(CORRUPTED, image).to(engine.state.device, non_blocking=engine.non_blocking)
        # Drawn on the CPU: the same numbers whatever the device.
        noise = torch.randn(image.shape[0], _unwrapped(network).latent_size).to(image.device)
        network.train()
        engine.optimizer.zero_grad(set_to_none=True)
        with _autocast(engine, self.mixed_precision):
            output = engine.inferer(shown, network, noise)
        engine.state.output = {CommonKeys.IMAGE: image}
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        nll, kl = (term.mean() for term in loss_function.terms(output, image))
        loss = nll + loss_function.beta * kl
        _check_finite(loss, "loss", engine)
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        loss.backward()
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), self.gradient_clip)
        _check_finite(norm, "gradient norm", engine)
        engine.optimizer.step()
        engine.state.output.update(
            {CommonKeys.LOSS: loss.detach(), "reconstruction_loss": nll.detach(), "kl": kl.detach()}
        )
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output


class VAEEvaluator(SupervisedEvaluator):
    """Scores slices with an :class:`AnomalyMapper`: encode once, decode its K fixed draws.

    The output holds, for each slice (B,): ``label``, ``level`` and ``mask`` as in the batch, ``elbo``
    (nats per value, at beta = 1, mean over the K draws), ``kl`` (nats), ``mean_<score>`` for every
    :class:`Score`, ``epistemic`` and ``aleatoric`` (means over the pixels that the mapper scores);
    ``pred`` (B, 4 + C, H, W); and ``z`` (B, C, H, W), the error in units of the predicted deviation.
    """

    def _iteration(self, engine: SupervisedEvaluator, batchdata: dict[str, Any]) -> dict[str, torch.Tensor]:
        image = batchdata[CommonKeys.IMAGE].to(engine.state.device, non_blocking=engine.non_blocking)
        mapper = engine.network
        assert isinstance(mapper, AnomalyMapper)
        mapper.eval()
        # Not inference_mode: its tensors may not reach metrics that other code differentiates.
        with torch.no_grad():
            with _autocast(engine, self.amp):
                moments = mapper.encode(image)
                means, log_variances = mapper.decode_samples(*moments)
            pred = mapper.to_maps(image, means, log_variances)
            inside = foreground(image)
            scored = scored_pixels(image, mapper.scores_whole_image)
            likelihood = torch.stack(
                [
                    gaussian_log_likelihood(image, mean.float(), log_variance.float(), inside)
                    for mean, log_variance in zip(means, log_variances, strict=True)
                ]
            ).mean(dim=0)
            kl = kl_to_standard_normal(*(moment.float() for moment in moments))
            decomposed = decompose(means.float(), log_variances.float())
            output: dict[str, torch.Tensor] = {
                CommonKeys.IMAGE: image,
                CommonKeys.LABEL: batchdata[CommonKeys.LABEL].to(image.device),
                CommonKeys.PRED: pred,
                "elbo": (likelihood - kl) / image[0].numel(),
                "kl": kl,
                "latent_deviation": torch.exp(0.5 * moments[1].float()).mean(dim=1),
                "epistemic": masked_mean(pred[:, 2:3], scored),
                "aleatoric": masked_mean(pred[:, 3:4], scored),
                **self._from_variance(image, scored, mapper, *decomposed),
            }
            output |= {name: batchdata[name] for name in ("level", "mask") if name in batchdata}
        engine.state.output = output
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return output

    @staticmethod
    def _from_variance(
        image: torch.Tensor,
        scored: torch.Tensor,
        mapper: AnomalyMapper,
        mean: torch.Tensor,
        epistemic: torch.Tensor,
        aleatoric: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        # Of each modality by its own variance, as in the mapper: ``pred`` holds only averages over them.
        total = mapper.epistemic_weight * epistemic + mapper.aleatoric_weight * aleatoric
        error = (image - mean).square()
        z = (image - mean) / (total + EPSILON).sqrt()
        return {"z": z} | {
            f"mean_{score.value}": masked_mean(pixel_score(SCORE_CODES[score], error, total), scored)
            for score in Score
        }
