"""The known answer: a function of weights and code, and that of the shipped weights."""

from __future__ import annotations

import json

import pytest
import torch

from scripts import BUNDLE_ROOT
from scripts.engines.known_answer import known_answer, probe_slice
from scripts.io.weights import load_weights
from scripts.uncertainty.lesion_mapper import LesionMapper
from scripts.uncertainty.mapper import AnomalyMapper
from scripts.uncertainty.maps import MapName
from tests.small_networks import small_lesion_mapper

MODELS = BUNDLE_ROOT / "models"


def shipped() -> tuple[AnomalyMapper, dict]:
    facts = json.loads((MODELS / "provenance.json").read_text())
    calibration = json.loads((MODELS / "calibration.json").read_text())
    scoring = AnomalyMapper.scoring_arguments(
        {name: calibration[name] for name in small_lesion_mapper().settings()}
    )
    mapper = LesionMapper(**scoring, **facts["network"])
    load_weights(mapper, MODELS / "model.pt")
    return mapper, facts["known_answer"]


@pytest.mark.parametrize("channels", [1, 2])
def test_the_probe_is_a_normalised_slice(channels: int) -> None:
    image = probe_slice(channels, 64)
    assert image.shape == (1, channels, 64, 64)
    assert 0 < float((image > 0).float().mean()) < 1
    assert 0 < float(image[image > 0].min()) < float(image.max()) < 1
    assert not torch.equal(image, image.flip(2))


def test_it_is_the_mean_of_every_map_over_the_foreground() -> None:
    mapper = small_lesion_mapper()
    answer = known_answer(mapper)
    assert answer.keys() == {name.value for name in MapName}
    image = probe_slice(1, 32)
    pred = mapper(image)
    assert answer["anomaly"] == pytest.approx(float(pred[0, 1][image[0, 0] > 0].mean()), rel=1e-5)
    assert answer["reconstruction"] == pytest.approx(float(pred[0, 4][image[0, 0] > 0].mean()), rel=1e-5)
    assert known_answer(small_lesion_mapper(1)) != answer


def test_the_shipped_weights_give_what_they_gave_when_they_were_made() -> None:
    mapper, expected = shipped()
    assert known_answer(mapper) == pytest.approx(expected, rel=1e-3)
