"""The tables of a report against the metrics computed directly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch.utils.data import Dataset

from scripts.engines.run_sections import run_sections
from scripts.engines.run_tables import (
    Measured,
    ReportSettings,
    correlation_rows,
    curve_rows,
    normal_range_rows,
    patient_rows,
    pixel_rows,
    quintile_rows,
    refusal_rows,
    reliability_rows,
    strata_rows,
    threshold_rows,
)
from scripts.engines.scoring import score_slices
from scripts.engines.trained_run import TrainedRun
from scripts.evaluation.calibration import Calibration, calibrate
from scripts.evaluation.curves import roc_values
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.quintiles import score_by_quintile
from scripts.evaluation.variance_correlation import error_correlation
from tests.small_networks import small_images, small_mapper

COUNT = 48


@dataclass
class Slices(Dataset):
    """What a report needs of a slice data set."""

    images: torch.Tensor
    masks: torch.Tensor
    facts: pd.DataFrame

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": self.images[index], "label": 0}


def make_slices(channels: int = 1) -> Slices:
    """Return eight slices of six patients; every third shows a lesion, one a trace of it."""
    masks = torch.zeros(COUNT, 1, 32, 32, dtype=torch.uint8)
    areas = np.zeros(COUNT)
    for index in range(0, COUNT, 3):
        side = 3 + index % 7
        masks[index, 0, 10 : 10 + side, 12 : 12 + side] = 1
        areas[index] = 60 * side**2
    labels = (areas > 0).astype(int)
    labels[0] = -1
    facts = pd.DataFrame(
        {
            "case": [f"c{index // 8}" for index in range(COUNT)],
            "patient": [f"p{index // 8}" for index in range(COUNT)],
            "slice": np.arange(COUNT) % 8,
            "level": (np.arange(COUNT) % 8) / 7,
            "label": labels,
            "lesion_mm2": areas,
        }
    )
    return Slices(small_images(COUNT, channels), masks, facts)


def make_measured(channels: int = 1, calibrated: bool = True) -> Measured:
    mapper, test = small_mapper(in_channels=channels, samples=3), make_slices(channels)
    scored = score_slices(mapper, test, all_maps=True)
    settings = ReportSettings(bootstrap_samples=20, pictures=2)
    calibration: Calibration | None = None
    if calibrated:
        calibration = calibrate(
            scored.scores(mapper.score, 0.5),
            test.facts["level"],
            test.facts["patient"],
            [scored.anomaly[test.images.numpy().max(axis=1) > 0]],
            weights_sha256="0",
            alpha=0.5,
            modalities=["t1ce"],
            field_of_view=240.0,
            **mapper.settings(),
            source="made up",
            slice_quantile=0.6,
            pixel_quantile=0.9,
        )
    reason = "" if calibrated else "never calibrated"
    run = TrainedRun("toy", Path("toy"), mapper, 0.5, calibration, reason, 0, True)
    return Measured(run, scored, test, settings)


@pytest.fixture(scope="module")
def measured() -> Measured:
    return make_measured()


def test_pixel_rows_are_those_of_sklearn_for_every_map(measured) -> None:
    inside = (measured.test.images[:, 0] > 0).numpy()
    lesion = measured.test.masks[:, 0].numpy()[inside] != 0
    rows = {row["map"]: row for row in pixel_rows(measured)}
    pred = measured.scored.pred
    error = (measured.test.images[:, 0].numpy() - pred[:, 4]) ** 2
    for name, values in {
        "anomaly (uncertainty_weighted)": pred[:, 1],
        "squared_error": error,
        "epistemic": pred[:, 2],
        "aleatoric": pred[:, 3],
        "intensity (no model)": measured.test.images[:, 0].numpy(),
    }.items():
        assert rows[name]["ap_pixel"] == pytest.approx(
            average_precision_score(lesion, values[inside]), rel=1e-4
        )
        assert (rows[name]["dice"] is None) == (not name.startswith("anomaly"))
    marked = pred[:, 1][inside] > measured.run.calibration.pixel_threshold
    dice = 2 * (marked & lesion).sum() / (marked.sum() + lesion.sum())
    assert rows["anomaly (uncertainty_weighted)"]["dice"] == pytest.approx(dice)


def test_slice_tables_leave_out_unknown_labels(measured) -> None:
    for kind in ("epistemic", "aleatoric"):
        rows = [row for row in quintile_rows(measured) if row["uncertainty"] == kind]
        assert sum(row["slices_normal"] + row["slices_abnormal"] for row in rows) == COUNT - 1
    known = measured.known
    scores, labels, levels = (
        measured.scores[known],
        measured.test.facts["label"].to_numpy()[known],
        measured.test.facts["level"].to_numpy()[known],
    )
    first = refusal_rows(measured)[0]
    assert first["auroc_matched"] == matched_auroc(scores, labels, levels)
    assert sum(row["slices_abnormal"] for row in strata_rows(measured)) == (labels == 1).sum()


def test_reliability_is_that_of_each_pixel_of_its_region(measured) -> None:
    coverage, histogram = reliability_rows(measured)
    pred, images = measured.scored.pred, measured.test.images[:, 0].numpy()
    z = (images - pred[:, 4]) / np.sqrt(pred[:, 0] + 1e-8)
    labels, masks = measured.test.facts["label"].to_numpy(), measured.test.masks[:, 0].numpy()
    inside = images > 0
    regions = {
        "normal slices": inside & (labels == 0)[:, None, None],
        "abnormal slices, outside lesions": inside & (labels == 1)[:, None, None] & (masks == 0),
        "inside lesions": inside & (labels == 1)[:, None, None] & (masks != 0),
    }
    for region, pixels in regions.items():
        (row,) = (row for row in coverage if row["region"] == region and row["nominal"] == 0.8)
        assert row["observed"] == pytest.approx((np.abs(z[pixels]) <= 1.2815516).mean(), abs=1e-4)
        assert row["pixels"] == pixels.sum()
    assert len(histogram) == 3 * 48


def test_several_modalities_count_with_their_own_variance() -> None:
    measured = make_measured(channels=2)
    coverage, _ = reliability_rows(measured)
    row = next(row for row in coverage if row["region"] == "normal slices")
    normal = (measured.test.facts["label"] == 0).to_numpy()
    assert row["pixels"] == 2 * measured.foreground[normal].sum()


def test_correlations_and_patients_cover_every_patient(measured) -> None:
    rows = correlation_rows(measured)
    assert {(row["region"], row["variance"]) for row in rows} == {
        (region, kind) for region, _ in measured.regions() for kind in ("epistemic", "aleatoric")
    }
    assert [row["patient"] for row in patient_rows(measured)] == [f"p{index}" for index in range(6)]
    assert all(row["dice"] is not None for row in patient_rows(measured))


def test_thresholds_and_normal_range_are_those_of_the_calibration(measured) -> None:
    calibration = measured.run.calibration
    (row,) = threshold_rows(measured)
    assert (row["slice_threshold"], row["pixel_quantile"]) == (calibration.slice_threshold, 0.9)
    bands = normal_range_rows(measured)
    assert [row["percentile_95"] for row in bands] == [one.percentile_95 for one in calibration.normal_range]


def test_without_thresholds_the_page_still_stands_and_says_why() -> None:
    measured = make_measured(calibrated=False)
    sections = run_sections(measured)
    tables = {table.name: table.rows for section in sections for table in section.tables}
    assert tables["pixels"][0]["dice"] is None
    assert tables["thresholds"][0]["undefined"] == "never calibrated"
    assert tables["normal_range"] == []
    assert "dice: never calibrated" in tables["pixels"][0]["undefined"]
    assert {row["risk"] for row in tables["risk_coverage"]} == {None}
    assert {row["dice"] for row in tables["patients"]} == {None}


def test_without_masks_sections_are_empty_but_there(measured) -> None:
    facts = measured.test.facts.assign(label=-1, lesion_mm2=np.nan)
    test = replace(measured.test, masks=0 * measured.test.masks, facts=facts)
    sections = run_sections(Measured(measured.run, measured.scored, test, measured.settings))
    tables = {table.name: table.rows for section in sections for table in section.tables}
    assert tables["quintiles"] == tables["curves"] == tables["worst_slices"] == []
    assert {row["observed"] for row in tables["coverage"]} == {None}
    assert len(tables["slices"]) == COUNT
    assert {row["pixel_prevalence"] for row in tables["pixels"]} == {None}
    assert tables["pixels"][0]["undefined"] == "ap_pixel, aupro, dice_oracle, pixel_prevalence, dice: no mask"
    assert all("dice: no mask" in row["undefined"] for row in tables["patients"])


def test_without_lesions_sections_are_empty_but_there(measured) -> None:
    test = replace(measured.test, masks=0 * measured.test.masks, facts=measured.test.facts.assign(label=0))
    sections = run_sections(Measured(measured.run, measured.scored, test, measured.settings))
    tables = {table.name: table.rows for section in sections for table in section.tables}
    assert tables["curves"] == []
    assert tables["pixels"][0]["ap_pixel"] is None
    assert {row["kind"] for row in tables["worst_slices"]} == {"worst false alarms"}
    text = next(section.text for section in sections if section.title.endswith("calibration"))
    assert "by epistemic variance: cannot be told" in text


def test_each_table_is_of_its_own_uncertainty_and_of_the_slice_threshold(measured) -> None:
    known, facts = measured.known, measured.test.facts
    scores, labels = measured.scores[known], facts["label"].to_numpy()[known]
    for kind in ("epistemic", "aleatoric"):
        doubt = measured.scored.table[kind].to_numpy()[known]
        found = [row for row in quintile_rows(measured) if row["uncertainty"] == kind]
        people = facts["patient"].to_numpy()[known]
        expected = score_by_quintile(scores, labels, doubt, people, bootstrap_samples=20)
        assert [one | {"uncertainty": kind} for one in expected] == found
    limit = measured.run.calibration.slice_threshold
    assert limit != measured.run.calibration.pixel_threshold
    wrong = ((scores[labels == 0] > limit).mean() + (scores[labels == 1] <= limit).mean()) / 2
    assert refusal_rows(measured)[0]["risk"] == pytest.approx(wrong)
    areas = facts["lesion_mm2"].to_numpy()[known]
    for row in strata_rows(measured):
        member = (labels == 1) & (areas >= row["area_low"]) & (areas < (row["area_high"] or np.inf))
        assert row["sensitivity"] == (
            pytest.approx((scores[member] > limit).mean()) if member.any() else None
        )
    alarms = sum(row["alarms_abnormal"] + row["alarms_normal"] for row in patient_rows(measured))
    assert alarms == (scores > limit).sum()


def test_correlations_are_of_each_variance_within_each_patient(measured) -> None:
    patients = measured.test.facts["patient"].to_numpy()
    pred, _rows = measured.scored.pred, correlation_rows(measured)
    for region, pixels in measured.regions():
        people = np.broadcast_to(patients[:, None, None], pixels.shape)[pixels]
        for channel, kind in ((2, "epistemic"), (3, "aleatoric")):
            (row,) = (
                one
                for one in correlation_rows(measured)
                if (one["region"], one["variance"]) == (region, kind)
            )
            expected = error_correlation(
                measured.maps["squared_error"][pixels], pred[:, channel][pixels], people, 20
            )
            assert row["spearman"] == pytest.approx(expected["spearman"])
            assert row["patients"] == expected["patients"]


def test_curves_are_those_of_the_scores(measured) -> None:
    known = measured.known
    values = [row["y"] for row in curve_rows(measured) if row["curve"] == "roc"]
    labels = measured.test.facts["label"].to_numpy()[known]
    np.testing.assert_allclose(values, roc_values(measured.scores[known], labels))
