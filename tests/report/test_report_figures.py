"""Pictures of the report: which slices are shown, and that gaps in the figures leave gaps in the pictures."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scripts.evaluation.normal_range import normal_range
from scripts.evaluation.reliability import z_histogram
from scripts.report import calibration_figures, slice_pictures
from scripts.report.calibration_figures import gaussian_picture, quintile_picture, refusal_picture
from scripts.report.panels import map_units
from scripts.report.score_figures import curve_picture, level_picture, score_picture
from scripts.report.slice_pictures import SHOWN, slice_picture, worst_slices

FACTS = pd.DataFrame(
    {
        "case": [f"case $1_{index}" for index in range(6)],
        "patient": ["a", "a", "b", "b", "c", "c"],
        "slice": range(6),
        "level": np.linspace(0, 1, 6),
        "label": [1, 1, 1, 0, 0, -1],
        "lesion_mm2": [60.0, 70, 80, 0, np.nan, 20],
    }
)
SCORES = np.array([0.4, 0.2, 0.3, 0.9, 0.1, 0.0])


def pixels(picture) -> np.ndarray:
    assert len(picture.description) > 20
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("L"))


def test_worst_slices_are_one_of_each_patient_and_the_worst_first():
    assert worst_slices(FACTS, SCORES, 1, 5) == [1, 2]
    assert worst_slices(FACTS, SCORES, 0, 5) == [3, 4]
    assert worst_slices(FACTS, SCORES, 1, 1) == [1]
    assert worst_slices(FACTS.assign(label=0), SCORES, 1, 5) == []


def test_slices_are_drawn_with_and_without_a_threshold():
    generator = np.random.default_rng(0)
    maps = {name: generator.random((6, 20, 20)).astype(np.float32) for name in SHOWN}
    maps["mask"] = (generator.random((6, 20, 20)) > 0.8).astype(np.uint8)
    marked = pixels(slice_picture(FACTS, SCORES, maps, [1, 3], 0.7, "Worst", {}))
    plain = pixels(slice_picture(FACTS, SCORES, maps, [1, 3], None, "Worst", {}))
    assert marked.shape == plain.shape
    assert (marked != plain).any()
    assert pixels(slice_picture(FACTS, SCORES, maps, [0], None, "W", {})).shape[0] < plain.shape[0]


def test_pixels_are_marked_on_the_head_alone_whatever_the_threshold():
    maps = {name: np.zeros((6, 20, 20), np.float32) for name in (*SHOWN, "mask")}
    maps["scan"][:, 4:16, 4:16] = 0.5
    maps["anomaly"][:, 4:16, 4:16] = -1.0
    above = pixels(slice_picture(FACTS, SCORES, maps, [1], -0.5, "Worst", {}))  # only the background's 0 is
    assert (above == pixels(slice_picture(FACTS, SCORES, maps, [1], None, "Worst", {}))).all()
    maps["anomaly"][:, 8:12, 8:12] = -0.2
    inside = pixels(slice_picture(FACTS, SCORES, maps, [1], -0.5, "Worst", {}))
    assert (inside != pixels(slice_picture(FACTS, SCORES, maps, [1], None, "Worst", {}))).any()


@pytest.mark.parametrize(("score", "unit"), [("lesion", "probability²"), ("nll", "normalised intensity²")])
def test_colour_bars_have_the_units_of_the_score(monkeypatch, score, unit):
    bars = {}
    monkeypatch.setattr(
        slice_pictures, "draw_colour_bar", lambda axes, name, scale, words: bars.setdefault(name, words)
    )
    maps = {name: np.ones((6, 20, 20), np.float32) for name in (*SHOWN, "mask")}
    slice_picture(FACTS, SCORES, maps, [1], None, "Worst", map_units(score))
    assert bars["epistemic"] == bars["aleatoric"] == unit
    assert bars["squared_error"] == "intensity² (normalised)"


@pytest.mark.parametrize("labels", [[1, 1, 1, 0, 0, -1], [0] * 6, [-1] * 6])
def test_score_pictures_take_any_classes(labels):
    facts = FACTS.assign(label=labels)
    bands = normal_range(SCORES, FACTS["level"])
    assert (
        pixels(score_picture(facts, SCORES, 0.5, "nats"))
        != pixels(score_picture(facts, SCORES, None, "nats"))
    ).any()
    with_range = level_picture(facts, SCORES, bands, 0.5, "nats")
    without = level_picture(facts, SCORES, None, None, "nats")
    assert (pixels(with_range) != pixels(without)).any()
    assert "no calibration" in without.description


def test_curves_are_drawn_with_bands_without_and_not_at_all():
    def rows(low):
        return [
            {"curve": name, "x": x, "y": 0.5, "y_low": low, "y_high": low and 0.9}
            for name in ("roc", "precision_recall")
            for x in (0.0, 1.0)
        ]

    drawn = [pixels(curve_picture(one)) for one in (rows(0.1), rows(None), [])]
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[1] != drawn[2]).any()


def test_a_histogram_ends_with_the_right_edge_of_its_last_bin():
    bars = [{"z_low": 0.0, "z_high": 1.0, "observed": 0.2}, {"z_low": 1.0, "z_high": 2.0, "observed": 0.7}]
    places, heights = calibration_figures._steps(bars, "observed")
    assert (places.tolist(), heights.tolist()) == ([0, 1, 2], [0.2, 0.7, 0.7])


def test_calibration_pictures_leave_out_what_is_null():
    row = {"uncertainty": "epistemic", "quintile": 1, "score_normal": 0.4, "score_abnormal": None}
    assert pixels(quintile_picture([row], "nats")).min() < 255
    coverage = [{"region": "normal", "nominal": 0.5, "observed": None, "observed_low": None}]
    histogram = [{"region": "normal", **bar} for bar in z_histogram([])]
    assert pixels(gaussian_picture(coverage, histogram)).min() < 255
    refusal = {"uncertainty": "epistemic", "coverage": 1.0, "gain_matched": None, "risk": None}
    assert pixels(refusal_picture([refusal])).min() < 255
