import math

import pytest
import torch

from scripts.errors import InputError
from scripts.uncertainty.scores import (
    EPSILON,
    RECONSTRUCTION_SCORES,
    SCORE_CODES,
    Score,
    masked_mean,
    peak,
    pixel_score,
    pool,
    score_name,
    slice_score,
)

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


@pytest.mark.parametrize("score", RECONSTRUCTION_SCORES)
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


@pytest.mark.parametrize("score", RECONSTRUCTION_SCORES)
def test_scores_stay_finite_without_any_variance(score):
    error = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    assert pixel_score(SCORE_CODES[score], error, torch.zeros_like(error)).isfinite().all()


@pytest.mark.parametrize("score", RECONSTRUCTION_SCORES)
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
    assert list(RECONSTRUCTION_SCORES) == ["uncertainty_weighted", "squared_error", "nll", "product"]
    assert list(Score) == [*RECONSTRUCTION_SCORES, "lesion"]
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


def slow_peak(values, mask):
    """Mean of the 5 x 5 square around every pixel of the mask, 0 or a lower minimum outside; the highest."""
    found, outside = [], min([0.0, *values[mask].tolist()])
    for row, column in torch.nonzero(mask[0]).tolist():
        total = 0.0
        for i in range(row - 2, row + 3):
            for j in range(column - 2, column + 3):
                is_inside = 0 <= i < mask.shape[1] and 0 <= j < mask.shape[2] and mask[0, i, j]
                total += float(values[0, i, j]) if is_inside else outside
        found.append(total / 25)
    return max(found, default=0.0)


@pytest.mark.parametrize("offset", [0.0, -2.0])
def test_peak_is_the_highest_mean_of_a_square_on_the_mask(offset):
    values, mask = random(4, 1, 9, 8) + offset, random(4, 1, 9, 8, seed=1) > 0.4
    mask[3] = False
    expected = [slow_peak(*one) for one in zip(values, mask, strict=True)]
    torch.testing.assert_close(peak(values, mask), torch.tensor(expected, dtype=torch.float64))


def test_peak_sees_a_small_place_that_the_mean_does_not():
    mask = torch.ones(2, 1, 40, 40, dtype=torch.bool)
    values = torch.full((2, 1, 40, 40), 0.1)
    values[1, 0, 10:15, 20:25] = 1
    assert peak(values, mask).tolist() == pytest.approx([0.1, 1.0])
    assert (pool(values, mask, "mean") == masked_mean(values, mask)).all()
    assert (pool(values, mask, "peak") == peak(values, mask)).all()


def test_peak_of_negative_scores_is_where_they_are_highest_not_at_the_border():
    mask = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    mask[..., 5:35, 5:35] = True
    values = torch.full((1, 1, 40, 40), -2.5)
    values[..., 15:20, 15:20] = -1.2
    assert peak(values, mask).item() == pytest.approx(-1.2)


def test_slice_score_takes_the_pooling_for_the_pixel_score_alone():
    image, reconstruction, anomaly = slices()
    error = slice_score(image, reconstruction, anomaly, 1.0)
    highest = slice_score(image, reconstruction, anomaly, 0.0, pooling="peak")
    mixed = slice_score(image, reconstruction, anomaly, 0.3, pooling="peak")
    torch.testing.assert_close(mixed, 0.3 * error + 0.7 * highest)
    assert not torch.allclose(highest, slice_score(image, reconstruction, anomaly, 0.0))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (("squared_error", 1.0, "mean"), "squared_error"),
        (("nll", 0.5, "mean"), "nll, alpha 0.5"),
        (("lesion", 0.0, "peak"), "lesion, peak"),
        (("lesion", 0.25, "peak"), "lesion, peak, alpha 0.25"),
        (("lesion", 0.25, "peak", 6.0), "lesion, peak, alpha 0.25, 6 mm"),
        (("lesion", 0.0, "mean", 6.0), "lesion, alpha 0, 6 mm"),
        (("squared_error", 0.0, "mean", 6.0), "squared_error, 6 mm"),
        (("squared_error", 0.5, "mean", 6.0), "squared_error, alpha 0.5, 6 mm"),
        (("squared_error", 1.0, "mean", 6.0), "squared_error"),
    ],
)
def test_names_in_tables(settings, name):
    assert score_name(*settings) == name
