from __future__ import annotations

import numpy as np
import pytest

from scripts.errors import InputError
from scripts.evaluation.bootstrap import patient_bootstrap, resample_patients


def test_a_resample_holds_whole_patients_and_as_many_of_them():
    patients = np.array(["a", "b", "b", "c", "c", "c"])
    size = {"a": 1, "b": 2, "c": 3}
    seen_counts = set()
    for rows in resample_patients(patients, samples=200, seed=1):
        drawn = 0
        for name, rows_of_patient in size.items():
            times = [int((rows == row).sum()) for row in np.flatnonzero(patients == name)]
            assert len(times) == rows_of_patient
            assert len(set(times)) == 1
            drawn += times[0]
        assert drawn == 3
        seen_counts.add(len(rows))
    assert seen_counts == {3, 4, 5, 6, 7, 8, 9}


def test_interval_of_a_mean_agrees_with_theory():
    # One value per patient: the interval of the mean is mean +- 1.96 standard errors.
    values = np.random.default_rng(0).normal(10, 3, size=400)
    low, high = patient_bootstrap(lambda rows: float(values[rows].mean()), np.arange(400), samples=2000)
    error = values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.05)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.05)


def test_slices_of_one_patient_do_not_narrow_the_interval():
    values = np.random.default_rng(1).normal(size=30)
    single = patient_bootstrap(lambda rows: float(values[rows].mean()), np.arange(30))
    copied = np.repeat(values, 50)
    many = patient_bootstrap(lambda rows: float(copied[rows].mean()), np.repeat(np.arange(30), 50))
    assert many == pytest.approx(single, abs=1e-9)


def test_row_order_changes_nothing_and_the_seed_decides():
    generator = np.random.default_rng(2)
    patients = np.array([f"p{index % 7}" for index in range(60)])
    values = generator.normal(size=60)
    order = generator.permutation(60)
    interval = patient_bootstrap(lambda rows: float(values[rows].mean()), patients, seed=5)
    shuffled = values[order]
    again = patient_bootstrap(lambda rows: float(shuffled[rows].mean()), patients[order], seed=5)
    other = patient_bootstrap(lambda rows: float(values[rows].mean()), patients, seed=6)
    assert again == pytest.approx(interval, abs=1e-12)
    assert other != interval


def test_undefined_resamples_are_dropped_until_most_are_undefined():
    patients = np.arange(5)

    def without_first(rows):
        return None if 0 in rows else float(rows.mean())

    def with_first(rows):
        return float(rows.mean()) if 0 in rows else None

    assert patient_bootstrap(without_first, patients) is None  # (4/5)^5 = 33 % are defined
    low, high = patient_bootstrap(with_first, patients)  # 67 % are
    assert 0 <= low < high <= 3.2


@pytest.mark.parametrize(("count", "known"), [(1, False), (2, False), (4, False), (5, True)])
def test_a_handful_of_patients_has_no_interval(count, known):
    patients = np.repeat(np.arange(count), 30)
    interval = patient_bootstrap(lambda rows: float(patients[rows].mean()), patients)
    assert (interval is not None) is known


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "at least 1 bootstrap sample, got 0"),
        ({"confidence": 95}, "confidence to lie strictly between 0 and 1, got 95"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        patient_bootstrap(lambda rows: 0.5, list("abcde"), **settings)


def test_nan_is_not_taken_for_undefined():
    with pytest.raises(InputError, match="finite number or None"):
        patient_bootstrap(lambda rows: float("nan"), list("abcde"))
