"""Networks small enough to run in milliseconds, with weights that make every output depend on the input."""

from __future__ import annotations

import io
from typing import Any

import onnxruntime
import torch

from scripts.networks.bayesian_vae import BayesianVAE
from scripts.networks.lesion_unet import LesionUNet
from scripts.uncertainty.lesion_mapper import LesionMapper
from scripts.uncertainty.mapper import AnomalyMapper, VAEMapper

SMALL: dict[str, Any] = {
    "image_size": 32,
    "channels": (8, 16, 16),
    "latent_size": 6,
    "heads": 2,
    "encoder_attention": (1, 2),
    "decoder_attention": (1, 2),
    "key_grid": 4,
}


def small_vae(seed: int = 0, **arguments: Any) -> BayesianVAE:
    """Return a network for 32 x 32 slices, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = BayesianVAE(**SMALL | arguments)
        torch.nn.init.normal_(network.log_variance_head.weight, std=0.1)
    return network.eval()


def small_mapper(weights_seed: int = 0, **arguments: Any) -> AnomalyMapper:
    """Return the same network as a mapper; ``arguments`` of both."""
    mapper = VAEMapper(**SMALL | arguments)
    mapper.load_state_dict(small_vae(weights_seed, **mapper.arguments).state_dict())
    return mapper.eval()


SMALL_LESION: dict[str, Any] = {"image_size": 32, "widths": (8, 16), "heads": 2, "drop_rate": 0.3}


def small_lesion_unet(seed: int = 0, **arguments: Any) -> LesionUNet:
    """Return a lesion U-Net for 32 x 32 slices, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LesionUNet(**SMALL_LESION | arguments)
        torch.nn.init.normal_(network.heads.weight, std=0.3)
    return network.eval()


def small_lesion_mapper(weights_seed: int = 0, **arguments: Any) -> LesionMapper:
    """Return the same network as a mapper; ``arguments`` of both."""
    mapper = LesionMapper(**{"score": "lesion", "pooling": "peak"} | SMALL_LESION | arguments)
    mapper.load_state_dict(small_lesion_unet(weights_seed, **mapper.arguments).state_dict())
    return mapper.eval()


def small_images(count: int = 3, channels: int = 1, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Return (count, channels, size, size) slices: noise in (0, 1] on a disc, 0 around it."""
    generator = torch.Generator().manual_seed(seed)
    noise = 0.05 + 0.95 * torch.rand((count, channels, size, size), generator=generator)
    place = torch.linspace(-1, 1, size)
    return noise * (place[:, None].square() + place[None, :].square() < 0.7)


def open_onnx(mapper: AnomalyMapper, images: torch.Tensor) -> onnxruntime.InferenceSession:
    """Export a mapper to ONNX with ``images`` as the example, any batch, and return a session of it."""
    file = io.BytesIO()
    torch.onnx.export(
        mapper,
        (images,),
        file,
        input_names=["image"],
        output_names=["pred"],
        dynamic_axes={"image": {0: "batch"}, "pred": {0: "batch"}},
        dynamo=False,
    )
    return onnxruntime.InferenceSession(file.getvalue())
