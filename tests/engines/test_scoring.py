from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_networks import SMALL, small_lesion_mapper
from torch.utils.data import Dataset

from scripts.engines.evaluating import model_rows, model_scores, own_score, pixel_figures
from scripts.engines.scoring import (
    MEASURES,
    ScoredSlices,
    _check_finite,
    foreground_values,
    known_pixels,
    score_slices,
)
from scripts.errors import ModelError
from scripts.networks.fixed_variance import FixedVarianceVAE
from scripts.uncertainty.mapper import AnomalyMapper, VAEMapper
from scripts.uncertainty.mappers import mapper_of
from scripts.uncertainty.scores import (
    RECONSTRUCTION_SCORES,
    Pooling,
    Score,
    masked_mean,
    peak,
    pool,
    score_name,
    slice_score,
)
from scripts.uncertainty.slice_smoothing import smooth_over_slices
from tests.engines.test_run_tables import make_slices
from tests.engines.toys import toy_images, toy_network


@dataclass
class Slices(Dataset):
    """What scoring needs of a slice data set."""

    images: torch.Tensor
    facts: pd.DataFrame
    masks: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": self.images[index], "label": 0}


@pytest.fixture(scope="module")
def slices() -> Slices:
    facts = pd.DataFrame({"case": [f"case{i // 3}" for i in range(7)], "slice": range(10, 17)})
    return Slices(toy_images(7), facts)


@pytest.fixture(scope="module")
def mapper() -> AnomalyMapper:
    network = toy_network(seed=2)
    made = VAEMapper(3, score="nll", **network.arguments)
    made.load_state_dict(network.state_dict())
    return made.eval()


@pytest.fixture(scope="module")
def scored(mapper: AnomalyMapper, slices: Slices) -> ScoredSlices:
    return score_slices(mapper, slices, batch_size=4)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_scores_are_those_of_single_slices(
    scored: ScoredSlices, mapper: AnomalyMapper, slices: Slices, alpha: float
) -> None:
    for index, found in enumerate(scored.scores("nll", alpha)):
        image = slices.images[index : index + 1]
        with torch.no_grad():
            pred = mapper(image)
        assert found == pytest.approx(float(slice_score(image, pred[:, 4:], pred[:, 1:2], alpha)), rel=1e-5)
        np.testing.assert_allclose(scored.anomaly[index], pred[0, 1].numpy(), rtol=1e-4, atol=1e-5)


def test_all_maps_are_kept_only_when_asked_for(
    scored: ScoredSlices, mapper: AnomalyMapper, slices: Slices
) -> None:
    assert scored.pred is scored.z is None
    full = score_slices(mapper, slices, batch_size=4, all_maps=True)
    with torch.no_grad():
        np.testing.assert_allclose(full.pred, mapper(slices.images).numpy(), rtol=1e-4, atol=1e-5)
    assert np.array_equal(full.pred[:, 1], full.anomaly)
    assert full.z.shape == (7, 1, 32, 32)
    assert full.table.equals(scored.table)


def test_table_keeps_order_and_facts(scored: ScoredSlices, slices: Slices) -> None:
    assert list(scored.table["slice"]) == list(range(10, 17))
    pooled = [f"{pooling}_{score}" for score in RECONSTRUCTION_SCORES for pooling in Pooling]
    assert set(scored.table.columns) == {*slices.facts.columns, *MEASURES, *pooled}
    assert list(scored.table.columns[:2]) == list(slices.facts.columns)
    assert list(slices.facts.columns) == ["case", "slice"]


def test_foreground_values_are_those_inside_the_head(scored: ScoredSlices, slices: Slices) -> None:
    pieces = list(foreground_values(scored, slices))
    for piece, anomaly, image in zip(pieces, scored.anomaly, slices.images.numpy(), strict=True):
        expected = [anomaly[place] for place in np.ndindex(anomaly.shape) if image[0][place] > 0]
        assert piece.tolist() == expected


def test_a_variance_that_all_pixels_share_ranks_no_slices() -> None:
    """Else how a sum is rounded, which the area of the head decides, would look like a finding."""
    test = make_slices()
    columns = torch.arange(test.images.shape[-1])
    test.images = test.images * (columns < torch.arange(len(test))[:, None, None, None] % 16 + 16)
    table = score_slices(mapper_of(FixedVarianceVAE(True, True, **SMALL)), test).table
    assert table["aleatoric"].nunique() == 1
    assert table["mean_squared_error"].nunique() == len(test)


def test_number_that_is_none_names_scan_and_slice(mapper: AnomalyMapper, slices: Slices) -> None:
    images = slices.images.clone()
    images[4, 0, 16, 16] = torch.nan
    with pytest.raises(ModelError, match="case1, slice 14: expected finite scores"):
        score_slices(mapper, Slices(images, slices.facts))


def test_evaluation_reports_every_score_at_every_alpha_once(
    scored: ScoredSlices, mapper: AnomalyMapper
) -> None:
    scores = model_scores(scored, [0.0, 0.5], mapper, 0.5)
    assert list(scores) == [
        "squared_error",
        "uncertainty_weighted, alpha 0",
        "uncertainty_weighted, alpha 0.5",
        "nll, alpha 0",
        "nll, alpha 0.5",
        "product, alpha 0",
        "product, alpha 0.5",
        "epistemic",
        "aleatoric",
    ]
    for kind in ("epistemic", "aleatoric"):
        np.testing.assert_array_equal(scores[kind], scored.table[kind])
    for score in RECONSTRUCTION_SCORES:
        if score is not Score.SQUARED_ERROR:
            np.testing.assert_allclose(
                scores[f"{score}, alpha 0.5"], (scores[f"{score}, alpha 0"] + scores["squared_error"]) / 2
            )


def test_a_network_that_says_lesion_has_two_scores_more(slices: Slices) -> None:
    found = score_slices(small_lesion_mapper(), slices, batch_size=4)
    scores = model_scores(found, [0.0], small_lesion_mapper(), 0.0)
    by_mean = model_scores(found, [0.0], small_lesion_mapper(pooling="mean"), 0.0)
    assert set(scores) - set(by_mean) == {f"{score}, peak" for score in RECONSTRUCTION_SCORES}
    with torch.no_grad():
        anomaly = small_lesion_mapper()(slices.images)[:, 1:2]
    inside = slices.images > 0
    np.testing.assert_allclose(scores["lesion, peak"], peak(anomaly, inside).numpy(), rtol=1e-4)
    np.testing.assert_allclose(scores["lesion, alpha 0"], masked_mean(anomaly, inside).numpy(), rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.25, 1.0])
@pytest.mark.parametrize("pooling", Pooling)
def test_its_own_score_is_among_them_at_every_weight(slices: Slices, pooling: str, alpha: float) -> None:
    spaced = Slices(slices.images, slices.facts.assign(spacing_mm=5.0))
    mapper = small_lesion_mapper(score="squared_error", pooling=pooling, slice_smoothing=6.0)
    found = score_slices(mapper, spaced, batch_size=4)
    own = ("squared_error", alpha, pooling, 6.0)
    scores = model_scores(found, [0.0, 0.5], mapper, alpha)
    np.testing.assert_array_equal(scores[score_name(*own)], found.scores(*own))
    # Another weight has another name wherever it is another number.
    other = ("squared_error", 0.5, pooling, 6.0)
    assert score_name(*other) != score_name(*own)


def test_pixel_figures_are_of_slices_whose_lesions_are_known(slices: Slices, mapper: AnomalyMapper) -> None:
    masks = torch.zeros((7, 1, *slices.images.shape[2:]))
    masks[:4, :, 8:12, 8:12] = 1
    facts = slices.facts.assign(patient=slices.facts["case"], label=[1, 1, 1, -1, 0, -1, -1])
    # The fourth has a trace of a lesion, the last two no mask.
    facts["lesion_mm2"] = [200.0, 200.0, 200.0, 20.0, 0.0, np.nan, np.nan]
    test = Slices(slices.images, facts, masks)
    scored = score_slices(mapper, test, batch_size=4)
    known = Slices(slices.images[:5], facts[:5], masks[:5])
    expected = pixel_figures(replace(scored, anomaly=scored.anomaly[:5]), known, 20)
    assert pixel_figures(scored, test, 20) == expected
    assert 0 < expected["ap_pixel"] < 1
    unmasked = Slices(slices.images, facts.assign(label=-1, lesion_mm2=np.nan), torch.zeros_like(masks))
    assert pixel_figures(scored, unmasked, 20)["ap_pixel"] is None


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_pixel_figures_stand_beside_the_models_own_score_alone(mapper: AnomalyMapper, alpha: float) -> None:
    test = make_slices()
    scored = score_slices(mapper, test)
    scores = model_scores(scored, [0.0, 0.5], mapper, alpha)
    rows = model_rows(scored, test, scores, own_score(mapper, alpha), bootstrap_samples=20)
    assert [row["score"] for row in rows] == list(scores)
    measured = {row["score"]: row["ap_pixel"] for row in rows if "ap_pixel" in row}
    assert measured == {f"nll, alpha {alpha:g}": pixel_figures(scored, test, 20)["ap_pixel"]}


def test_a_mapper_that_smooths_has_its_own_score_of_each_scan_by_itself(slices: Slices) -> None:
    spaced = Slices(slices.images, slices.facts.assign(spacing_mm=5.0))
    alone = score_slices(small_lesion_mapper(), spaced, batch_size=4, all_maps=True)
    mapper = small_lesion_mapper(slice_smoothing=6.0)
    found = score_slices(mapper, spaced, batch_size=4, all_maps=True)
    inside = slices.images > 0
    parts = [
        smooth_over_slices(
            torch.from_numpy(alone.anomaly[rows]),
            inside[rows, 0],
            torch.arange(10.0, 13.0)[: len(rows)] * 5,
            6.0,
        )
        for rows in ([0, 1, 2], [3, 4, 5], [6])
    ]
    expected = torch.cat(parts)[:, None]
    np.testing.assert_allclose(found.anomaly, expected[:, 0], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(found.pred[:, 1], found.anomaly)
    np.testing.assert_array_equal(found.pred[:, [0, 2, 3, 4]], alone.pred[:, [0, 2, 3, 4]])
    scores = model_scores(found, [0.0], mapper, 0.0)
    assert set(scores) - set(model_scores(alone, [0.0], small_lesion_mapper(), 0.0)) == {"lesion, peak, 6 mm"}
    np.testing.assert_allclose(scores["lesion, peak, 6 mm"], peak(expected, inside), rtol=1e-4)
    np.testing.assert_array_equal(scores["lesion, peak"], alone.scores("lesion", 0.0, "peak"))


def test_one_broken_measure_is_enough_to_refuse_a_slice() -> None:
    facts = pd.DataFrame({"case": ["a", "b"], "slice": [1, 2]})
    with pytest.raises(ModelError, match="b, slice 2"):
        _check_finite(facts, {"elbo": np.zeros(2), "mean_product": np.array([0.0, np.inf])})


def test_normal_scans_without_a_mask_count_in_pixel_figures() -> None:
    test = make_slices()
    test.facts = test.facts.assign(
        lesion_mm2=np.where(test.facts["label"] == 0, np.nan, test.facts["lesion_mm2"])
    )
    assert len(known_pixels(np.zeros((48, 32, 32)), test)[0]) == 48


def test_smoothed_scores_of_each_pooling_are_over_the_head() -> None:
    test = make_slices()
    test.facts = test.facts.assign(spacing_mm=5.0)
    found = score_slices(small_lesion_mapper(slice_smoothing=6.0), test, all_maps=True)
    anomaly, inside = torch.from_numpy(found.anomaly)[:, None], (test.images > 0).any(dim=1, keepdim=True)
    for pooling in ("mean", "peak"):
        np.testing.assert_allclose(
            found.scores("lesion", 0.0, pooling, 6.0), pool(anomaly, inside, pooling), rtol=1e-4
        )
