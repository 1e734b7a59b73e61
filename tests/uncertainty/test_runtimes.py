"""Eager, TorchScript and ONNX give the same maps for any batch."""

import io

import numpy as np
import pytest
import torch
from small_networks import open_onnx, small_images, small_mapper

from scripts.uncertainty.mapper import VAEMapper

BATCHES = (1, 3)
KEY_GRIDS = [None, 4]


def assert_same(output, expected):
    np.testing.assert_allclose(np.asarray(output), expected.detach().numpy(), rtol=1e-4, atol=1e-5)


def one_attention(key_grid):
    """A mapper that takes seconds less to compile."""
    return small_mapper(
        key_grid=key_grid,
        image_size=64,
        channels=(8, 16),
        encoder_attention=(1,),
        decoder_attention=(1,),
    )


@pytest.mark.parametrize("key_grid", KEY_GRIDS)
def test_torchscript(key_grid):
    mapper = one_attention(key_grid)
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(mapper), file)
    file.seek(0)
    scripted = torch.jit.load(file)
    for batch in BATCHES:
        images = small_images(batch, size=64)
        # Without gradients, the eager network of 32 x 32 positions takes another route on one thread.
        with torch.no_grad():
            assert_same(scripted(images), mapper(images))
        assert_same(scripted(images).detach(), mapper(images))
        assert_same(scripted.describe(images).detach(), mapper.describe(images))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("key_grid", KEY_GRIDS)
def test_onnx(key_grid, gradients):
    mapper = one_attention(key_grid)
    with torch.set_grad_enabled(gradients):
        session = open_onnx(mapper, small_images(2, size=64))
    for batch in BATCHES:
        images = small_images(batch, size=64)
        assert_same(session.run(None, {"image": images.numpy()})[0], mapper(images))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(("key_grid", "samples"), [(None, 1), (8, 5)])
def test_all_runtimes_at_full_size(key_grid, samples):
    # ONNX Runtime forms full attention's weights, 0.5 GB for each draw of each slice, several times over.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mapper = VAEMapper(samples, key_grid=key_grid).eval()
        # Reconstructions and variances of the size that trained networks give.
        torch.nn.init.normal_(mapper.log_variance_head.weight, std=0.03)
        torch.nn.init.normal_(mapper.mean_head.weight, std=0.03)
    with torch.no_grad():
        session, scripted = open_onnx(mapper, small_images(2, size=128)), torch.jit.script(mapper)
        for batch in BATCHES:
            images = small_images(batch, size=128)
            expected = mapper(images)
            assert_same(scripted(images), expected)
            assert_same(session.run(None, {"image": images.numpy()})[0], expected)
