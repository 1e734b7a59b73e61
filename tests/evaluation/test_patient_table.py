from __future__ import annotations

import numpy as np
import pandas as pd

from scripts.evaluation.detection import auroc
from scripts.evaluation.overlap import Overlap
from scripts.evaluation.patient_table import patient_table
from tests.evaluation.cohort import make_cohort


def make_facts() -> tuple[pd.DataFrame, np.ndarray]:
    scores, labels, levels, _, patients, areas = make_cohort(patients=3)
    labels = labels.copy()
    labels[0] = -1
    return pd.DataFrame({"patient": patients, "label": labels, "level": levels, "lesion_mm2": areas}), scores


def test_rows_count_and_measure_each_patient():
    facts, scores = make_facts()
    overlap = Overlap(np.array(["p0", "p2"]), np.array([2.0, 0]), np.array([1.0, 3]), np.array([1.0, 0]))
    rows = patient_table(facts, scores, 0.5, overlap)
    assert [row["patient"] for row in rows] == ["p0", "p1", "p2"]
    for row in rows:
        mine = (facts["patient"] == row["patient"]).to_numpy()
        known = mine & (facts["label"] != -1).to_numpy()
        labels, values = facts["label"][known].to_numpy(), scores[known]
        assert row["auroc"] == auroc(values, labels)
        assert row["slices_abnormal"] == (labels == 1).sum()
        assert row["alarms_abnormal"] == ((labels == 1) & (values > 0.5)).sum()
        assert row["alarms_normal"] == ((labels == 0) & (values > 0.5)).sum()
        assert row["largest_lesion_mm2"] == facts["lesion_mm2"][mine].max()
        assert row["score_highest"] == scores[mine].max()
    assert [row["dice"] for row in rows] == [4 / 6, None, None]
    assert [row["undefined"] for row in rows] == [
        "",
        "dice: no mask",
        "dice: no lesion pixel in the foreground",
    ]
    order = np.random.default_rng(0).permutation(len(facts))
    assert patient_table(facts.iloc[order], scores[order], 0.5, overlap) == rows


def test_without_masks_lesions_or_thresholds_cells_are_null():
    facts, scores = make_facts()
    facts["label"], facts["lesion_mm2"] = 0, np.nan
    row = patient_table(facts, scores, None, None)[0]
    assert row["largest_lesion_mm2"] is row["auroc"] is row["dice"] is row["alarms_normal"] is None
    assert row["undefined"] == (
        "largest_lesion_mm2: no mask; auroc: no abnormal slice among 20; "
        "alarms_abnormal, alarms_normal, dice: no threshold from validation slices"
    )
