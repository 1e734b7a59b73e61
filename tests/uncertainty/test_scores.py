import math

import pytest
import torch

from scripts.errors import InputError
from scripts.uncertainty.scores import EPSILON, SCORE_CODES, Score, masked_mean, pixel_score, slice_score

FORMULAS = {
    Score.UNCERTAINTY_WEIGHTED: lambda error, total: error / (total + 1e-8),
    Score.SQUARED_ERROR: lambda error, total: error,
    Score.NLL: lambda error, total: 0.5 * (math.log(total + 1e-8) + error / (total + 1e-8)),
    Score.PRODUCT: lambda error, total: error * total,
}


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slices(count=3, channels=1):
    image = random(count, channels, 4, 5, seed=1)
    image[:, :, 0] = 0
    return image, random(count, channels, 4, 5, seed=2), random(count, 1, 4, 5, seed=3)


@pytest.mark.parametrize("score", list(Score))
def test_pixel_scores_equal_their_formulas(score):
    error, total = random(2, 1, 3, 3), random(2, 1, 3, 3, seed=1)
    values = pixel_score(SCORE_CODES[score], error, total)
    expected = [
        FORMULAS[score](*pair)
        for pair in zip(error.flatten().tolist(), total.flatten().tolist(), strict=True)
    ]
    torch.testing.assert_close(
        values.flatten(), torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("score", list(Score))
def test_scores_stay_finite_without_any_variance(score):
    error = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    assert pixel_score(SCORE_CODES[score], error, torch.zeros_like(error)).isfinite().all()


@pytest.mark.parametrize("score", list(Score))
def test_a_larger_error_scores_higher(score):
    total = torch.full((1, 1, 1, 10), 0.3)
    values = pixel_score(SCORE_CODES[score], torch.linspace(0, 1, 10).reshape(1, 1, 1, 10), total)
    assert (values.diff(dim=-1) > 0).all()


def test_epsilon_is_the_papers():
    assert EPSILON == 1e-8
    assert pixel_score(0, torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)).item() == pytest.approx(1e8)


def test_nll_is_the_gaussian_one_without_its_constant():
    error, total = random(10), random(10, seed=1) + 0.1
    density = torch.distributions.Normal(0.0, total.sqrt()).log_prob(error.sqrt())
    values = pixel_score(SCORE_CODES[Score.NLL], error, total)
    torch.testing.assert_close(values, -density - 0.5 * math.log(2 * math.pi), rtol=1e-6, atol=1e-6)


def test_config_words_name_the_scores():
    assert [score.value for score in Score] == ["uncertainty_weighted", "squared_error", "nll", "product"]
    with pytest.raises(InputError, match="squared_eror"):
        Score("squared_eror")


def test_masked_mean_is_the_mean_over_the_mask():
    values, foreground = random(3, 2, 4, 5), random(3, 1, 4, 5, seed=1) > 0.5
    expected = [one[:, inside[0]].mean() for one, inside in zip(values, foreground, strict=True)]
    torch.testing.assert_close(masked_mean(values, foreground), torch.stack(expected))


def test_masked_mean_of_nothing_is_zero():
    assert masked_mean(random(2, 1, 3, 3), torch.zeros(2, 1, 3, 3, dtype=torch.bool)).tolist() == [0, 0]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_slice_score_mixes_error_and_pixel_score_over_the_head(alpha, channels):
    image, reconstruction, anomaly = slices(channels=channels)
    expected = []
    for one, other, scores in zip(image, reconstruction, anomaly, strict=True):
        inside = one.amax(dim=0) > 0
        error = (one - other)[:, inside].square().mean()
        expected.append(alpha * error + (1 - alpha) * scores[0, inside].mean())
    torch.testing.assert_close(slice_score(image, reconstruction, anomaly, alpha), torch.stack(expected))


@pytest.mark.parametrize("channels", [1, 2])
def test_slice_score_over_the_image_is_the_papers_plain_mean(channels):
    image, reconstruction, anomaly = slices(channels=channels)
    error = (image - reconstruction).square().mean(dim=(1, 2, 3))
    expected = 0.3 * error + 0.7 * anomaly.mean(dim=(1, 2, 3))
    torch.testing.assert_close(slice_score(image, reconstruction, anomaly, 0.3, "image"), expected)


def test_slice_score_ignores_the_background():
    image, reconstruction, anomaly = slices()
    before = slice_score(image, reconstruction, anomaly, 0.5)
    anomaly[:, :, 0] = 1e9
    reconstruction[:, :, 0] = 1e9
    assert torch.equal(slice_score(image, reconstruction, anomaly, 0.5), before)
