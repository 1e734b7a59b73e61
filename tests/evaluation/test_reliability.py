from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from scripts.errors import InputError
from scripts.evaluation.reliability import Z_EDGES, interval_coverage, z_histogram

PATIENTS = np.repeat([f"p{index}" for index in range(8)], 5000)


def test_a_true_gaussian_is_covered_as_promised():
    z = np.random.default_rng(0).normal(size=PATIENTS.size)
    for row in interval_coverage(z, PATIENTS, bootstrap_samples=50):
        assert row["observed"] == pytest.approx(row["nominal"], abs=0.01)
        assert row["observed_low"] <= row["observed"] <= row["observed_high"]
        assert row["observed_high"] - row["observed_low"] < 0.02


def test_deviations_of_half_the_size_cover_what_theory_says():
    z = 2 * np.random.default_rng(0).normal(size=PATIENTS.size)
    for row in interval_coverage(z, PATIENTS, bootstrap_samples=10):
        limit = norm.ppf((1 + row["nominal"]) / 2)
        assert row["observed"] == pytest.approx(2 * norm.cdf(limit / 2) - 1, abs=0.01)


def test_coverage_is_a_count_and_patients_may_be_permuted():
    z, patients = np.array([0.0, 0.6, -0.7, 5.0]), np.array(["a", "a", "b", "b"])
    (row,) = interval_coverage(z, patients, [0.5])
    assert row["observed"] == 0.5  # the central half of a Gaussian ends at 0.674
    assert row["observed_low"] is None
    assert "fewer than 5 patients" in row["undefined"]
    order = [2, 0, 3, 1]
    assert interval_coverage(z[order], patients[order], [0.5]) == [row]


def test_no_pixel_gives_null():
    (row,) = interval_coverage([], np.array([], dtype=str), [0.5])
    assert row["observed"] is None
    assert row["undefined"] == "observed: no pixel"
    assert {bar["observed"] for bar in z_histogram([])} == {None}


def test_histogram_is_a_density_with_its_tails_in_the_outer_bins():
    z = np.concatenate([np.random.default_rng(1).normal(size=200_000), [-50.0, 90.0]])
    bars = z_histogram(z)
    width = Z_EDGES[1] - Z_EDGES[0]
    assert sum(bar["observed"] for bar in bars) * width == pytest.approx(1)
    assert sum(bar["expected"] for bar in bars) * width == pytest.approx(1)
    assert bars[0]["observed"] * width * z.size >= 1
    for bar in bars:
        assert bar["observed"] == pytest.approx(bar["expected"], abs=0.02)


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="one patient per z-score, got 1 for 2"):
        interval_coverage([0, 1], ["a"])
    with pytest.raises(InputError, match="interval to lie strictly between 0 and 1, got 1.0"):
        interval_coverage([0.0], ["a"], [1.0])
