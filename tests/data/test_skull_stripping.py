"""Stripped heads: what is cut, what stays, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from scripts.data.skull_stripping import UNEVENNESS, RandStripHeadd
from scripts.errors import InputError


def make_head(channels: int = 1, radius: float = 0.8) -> torch.Tensor:
    """Return a disc (channels, 128, 128) of values 0.2 to 0.5 with a bright rim of 4 pixels, 0 around it."""
    place = torch.linspace(-1, 1, 128)
    distance = (place[:, None].square() + place[None].square()).sqrt()
    inside = 0.35 + 0.15 * torch.sin(9 * place)[:, None] * torch.cos(7 * place)[None]
    head = torch.where(distance > radius - 0.06, torch.ones(()), inside) * (distance < radius)
    return head.expand(channels, -1, -1).clone()


def strip(image: torch.Tensor, seed: int = 0, **arguments) -> torch.Tensor:
    transform = RandStripHeadd(prob=1.0, **arguments)
    transform.set_random_state(seed)
    return transform({"image": image})["image"]


@pytest.mark.parametrize("seed", range(5))
def test_the_outer_layer_goes_and_the_rest_stays(seed: int) -> None:
    image = make_head()
    left = (strip(image, seed, depth=(8.0, 8.0))[0] > 0).numpy()
    depth = distance_transform_edt((image[0] > 0).numpy())
    margin = 5 * UNEVENNESS
    assert not left[depth < 8 - margin].any()
    assert left[depth > 8 + margin].all()
    assert 0.5 < left.sum() / (depth > 8).sum() < 1.5


def test_what_is_left_is_scaled_to_its_own_range() -> None:
    image = make_head(2)
    image[1] *= 0.5
    stripped = strip(image)
    inside = stripped[:, (stripped > 0).any(dim=0)]
    assert float(inside.min()) > 0
    assert float(inside.max()) == 1
    # Both channels have the same content at another scale.
    torch.testing.assert_close(inside[0], inside[1], rtol=1e-4, atol=1e-4)
    order = image[0][(stripped > 0).any(dim=0)].argsort()
    assert (inside[0][order].diff() >= -1e-6).all()


def test_a_slice_with_too_little_brain_stays_whole() -> None:
    small = make_head(radius=0.4)
    assert torch.equal(strip(small, depth=(11.0, 11.0)), small)


def test_chance_and_seed_decide() -> None:
    image = make_head()
    assert torch.equal(strip(image, 3), strip(image, 3))
    assert not torch.equal(strip(image, 3), strip(image, 4))
    transform = RandStripHeadd(prob=0.25)
    transform.set_random_state(0)
    changed = [not torch.equal(transform({"image": image})["image"], image) for _ in range(200)]
    assert 0.15 < np.mean(changed) < 0.35


@pytest.mark.parametrize("depth", [(0.0, 5.0), (6.0, 5.0)])
def test_wrong_depths_are_refused(depth: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="rising depths above 0"):
        RandStripHeadd(depth=depth)


def test_cuts_are_of_every_depth_in_the_range() -> None:
    radii = []
    for seed in range(20):
        transform = RandStripHeadd(prob=1.0, depth=(3.0, 15.0)).set_random_state(seed)
        radii.append(np.sqrt(float((transform({"image": make_head()})["image"] > 0).sum()) / np.pi))
    assert np.ptp(radii) > 6
