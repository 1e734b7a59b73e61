from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from scripts.errors import InputError
from scripts.evaluation.attention_mass import (
    attention_entropy,
    attention_ratio,
    grid_shares,
    lesion_boundary,
    region_mass,
)
from scripts.evaluation.intervals import make_bootstrap

HEAD = np.zeros((16, 16), dtype=bool)
HEAD[4:, :] = True
PART = np.zeros_like(HEAD)
PART[6:10, 3:9] = True


def test_boundary_is_a_band_around_the_edge():
    mask = np.zeros((20, 20))
    mask[5:15, 5:15] = 1
    band = lesion_boundary(mask, 2)
    assert not band[8, 8]
    assert band[5, 5]
    assert band[3, 10]
    assert not band[2, 10]
    # A square of 10 grows by two rows to each side (no corners, sides only) and leaves 6 x 6 inside.
    grown = sum(
        abs(x - np.clip(x, 5, 14)) + abs(y - np.clip(y, 5, 14)) <= 2 for x in range(20) for y in range(20)
    )
    assert band.sum() == grown - 6 * 6
    assert not lesion_boundary(0 * mask).any()


def test_entropy_is_that_of_scipy_between_one_key_and_all():
    rows = np.random.default_rng(0).dirichlet(np.ones(9), (2, 3))
    expected = [[entropy(row) / np.log(9) for row in rows_of] for rows_of in rows]
    assert attention_entropy(rows) == pytest.approx(np.array(expected))
    assert attention_entropy([[0.25] * 4, [1, 0, 0, 0]]).tolist() == pytest.approx([1, 0])
    assert attention_entropy([[1.0], [1.0]]).tolist() == [0, 0]
    with pytest.raises(InputError, match="sum to 1"):
        attention_entropy([0.5, 0.6])


def test_cells_hold_the_share_of_their_pixels():
    shares = grid_shares(PART, (4, 8))
    for row in range(4):
        for column in range(8):
            cell = PART[4 * row : 4 * row + 4, 2 * column : 2 * column + 2]
            assert shares[row, column] == cell.mean()
    with pytest.raises(InputError, match=r"divides \(16, 16\) pixels, got \(3, 4\)"):
        grid_shares(PART, (3, 4))


def test_even_attention_gives_a_region_what_its_area_would_get():
    observed, expected = region_mass(np.full((8, 8), 1 / 64), PART, HEAD)
    assert observed == pytest.approx(expected) == pytest.approx(PART.sum() / HEAD.sum())


def test_attention_on_the_background_does_not_count_and_on_the_region_counts_fully():
    received = np.zeros((16, 16))
    received[0, 0] = 10.0
    received[PART] = 1.0
    observed, _ = region_mass(received, PART, HEAD)
    assert observed == pytest.approx(1)
    assert region_mass(7 * received, PART, HEAD)[0] == pytest.approx(observed)


def test_mass_is_that_of_a_loop_over_pixels():
    received = np.random.default_rng(1).random((4, 4))
    over_pixels = np.kron(received, np.ones((4, 4)))
    observed, _ = region_mass(received, PART, HEAD)
    assert observed == pytest.approx(over_pixels[PART].sum() / over_pixels[HEAD].sum())


def test_ratio_weighs_slices_by_what_they_would_get_and_order_is_nothing():
    reasons: dict[str, str] = {}
    patients = np.array([f"p{index % 6}" for index in range(12)])
    seen, due = np.random.default_rng(0).random((2, 12)) + 0.1
    row = attention_ratio("boundary_ratio", seen, due, patients, make_bootstrap(50), reasons)
    assert row["boundary_ratio"] == pytest.approx(seen.sum() / due.sum())
    assert row["boundary_ratio_low"] < row["boundary_ratio"] < row["boundary_ratio_high"]
    order = np.random.default_rng(2).permutation(12)
    again = attention_ratio(
        "boundary_ratio", seen[order], due[order], patients[order], make_bootstrap(50), reasons
    )
    assert again == pytest.approx(row)
    assert reasons == {}
    empty = attention_ratio("boundary_ratio", [], [], [], make_bootstrap(50), reasons)
    assert empty["boundary_ratio"] is None
    assert reasons["boundary_ratio"].startswith("no slice with this region")


def test_a_region_that_no_attention_reaches_leaves_the_ratio_to_it_undefined():
    patients = np.repeat(["a", "b", "c", "d", "e"], 2)
    reasons: dict[str, str] = {}
    none = attention_ratio("to_mirrored", np.ones(10), np.zeros(10), patients, make_bootstrap(50), reasons)
    assert none == {"to_mirrored": None, "to_mirrored_low": None, "to_mirrored_high": None}
    assert "no attention to what it is compared with" in reasons["to_mirrored"]
    # Of the resamples, those without the one patient who has some are dropped.
    rare = np.where(patients == "a", 1.0, 0.0)
    some = attention_ratio("to_mirrored", np.ones(10), rare, patients, make_bootstrap(200), {})
    assert some["to_mirrored"] == pytest.approx(5)
    assert np.isfinite([some["to_mirrored_low"], some["to_mirrored_high"]]).all()
