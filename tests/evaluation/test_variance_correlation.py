from __future__ import annotations

import numpy as np
import pytest

from scripts.errors import InputError
from scripts.evaluation.variance_correlation import error_correlation

PATIENTS = np.repeat([f"p{index}" for index in range(6)], 40)


def slow_spearman(one, other):
    """Return Pearson's correlation of the ranks, for values without ties."""
    ranks = [[sorted(values).index(value) for value in values] for values in (one, other)]
    return np.corrcoef(ranks)[0, 1]


def test_is_the_mean_of_the_patients_rank_correlations():
    generator = np.random.default_rng(0)
    variance = generator.gamma(2.0, size=PATIENTS.size)
    error = variance * generator.gamma(1.0, size=PATIENTS.size)
    row = error_correlation(error, variance, PATIENTS, bootstrap_samples=50)
    each = [slow_spearman(error[name == PATIENTS], variance[name == PATIENTS]) for name in set(PATIENTS)]
    assert row["spearman"] == pytest.approx(np.mean(each))
    assert row["spearman_low"] <= row["spearman"] <= row["spearman_high"]
    assert (row["patients"], row["pixels"]) == (6, 240)


def test_increasing_transforms_order_and_the_level_of_a_patient_change_nothing():
    generator = np.random.default_rng(0)
    error, variance = generator.random((2, PATIENTS.size))
    expected = error_correlation(error, variance, PATIENTS, 20)["spearman"]
    order = generator.permutation(PATIENTS.size)
    shift = np.array([int(name[1:]) for name in PATIENTS])
    moved = error_correlation((error + shift)[order], (variance**3 + shift)[order], PATIENTS[order], 20)
    assert moved["spearman"] == pytest.approx(expected)


def test_signs_are_right_and_few_pixels_give_null():
    ramp = np.tile(np.arange(40.0), 6)
    assert error_correlation(ramp, ramp**2, PATIENTS, 10)["spearman"] == pytest.approx(1)
    assert error_correlation(ramp, -ramp, PATIENTS, 10)["spearman"] == pytest.approx(-1)
    constant = error_correlation(ramp, 0 * ramp, PATIENTS, 10)
    assert constant["spearman"] is None
    assert constant["undefined"] == "spearman: no patient with 10 pixels of differing values"
    assert error_correlation(ramp[:5], ramp[:5], PATIENTS[:5])["patients"] == 0


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="got 2 errors, 2 variances and 1 patients"):
        error_correlation([1, 2], [1, 2], ["a"])
