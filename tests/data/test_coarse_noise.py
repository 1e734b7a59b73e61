from __future__ import annotations

import numpy as np
import torch
from monai.transforms import Compose
from torch.nn.functional import interpolate

from scripts.data.coarse_noise import AddCoarseNoised
from tests.small_networks import small_images

IMAGE = small_images(1, channels=2, size=128)[0]


def corrupt(seed: int, **arguments) -> dict:
    transform = Compose([AddCoarseNoised("image", **arguments)])
    transform.set_random_state(seed)
    return transform({"image": IMAGE.clone(), "label": 1})


def test_the_image_stays_and_the_background_gets_no_noise() -> None:
    output = corrupt(0)
    assert torch.equal(output["image"], IMAGE)
    assert output["label"] == 1
    background = ~(IMAGE > 0).any(dim=0)
    assert background.any()
    assert (output["corrupted"][:, background] == 0).all()
    assert (output["corrupted"] != IMAGE).any()


def test_noise_is_coarse_of_the_given_size_and_its_own_in_each_channel() -> None:
    noise = (corrupt(0, deviation=0.5)["corrupted"] - IMAGE)[:, 40:90, 40:90]
    # Interpolation between cells lowers the deviation, by less than half.
    assert 0.25 < noise.std() < 0.5
    steps = (noise[:, 1:] - noise[:, :-1]).abs().mean()
    assert steps < 0.3 * noise.std()
    assert torch.corrcoef(noise.flatten(1))[0, 1].abs() < 0.5
    finer = (corrupt(0, deviation=0.5, grid=64)["corrupted"] - IMAGE)[:, 40:90, 40:90]
    assert (finer[:, 1:] - finer[:, :-1]).abs().mean() > 2 * steps


def test_a_seed_gives_the_same_noise_and_every_call_another() -> None:
    assert torch.equal(corrupt(3)["corrupted"], corrupt(3)["corrupted"])
    transform = AddCoarseNoised("image").set_random_state(0)
    first, second = (transform({"image": IMAGE})["corrupted"] for _ in range(2))
    assert not torch.equal(first, second)


def test_coarse_noise_is_shifted_along_both_axes() -> None:
    image = torch.ones(2, 32, 48)
    found = AddCoarseNoised("image", 0.5, 4).set_random_state(3)({"image": image})["corrupted"] - image
    random = np.random.RandomState(3)
    random.rand()
    noise = torch.from_numpy(random.normal(0, 0.5, (1, 2, 4, 4))).float()
    smooth = interpolate(noise, (32, 48), mode="bilinear")[0]
    shifts = [int(random.randint(size)) for size in (32, 48)]
    torch.testing.assert_close(found, smooth.roll(shifts, (1, 2)), rtol=1e-5, atol=1e-6)
