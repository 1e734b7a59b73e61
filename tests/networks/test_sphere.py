import numpy as np
import pytest
from scipy.optimize import approx_fprime

from scripts.errors import InputError
from scripts.networks.sphere import _soft_largest_cosine, smallest_angle, sphere_points

OPTIMA = {
    (5, 3): 90.0,
    (6, 3): 90.0,
    (8, 3): 74.8585,
    (9, 3): 70.5288,
    (10, 3): 66.1468,
    (12, 3): 63.4349,
    (8, 4): 90.0,
}
"""Largest possible smallest angles in degrees (Tammes problem; cross-polytopes have right angles)."""


@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 9, 16])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 10])
def test_points_lie_on_the_sphere_and_are_the_same_every_time(count, dimension):
    points = sphere_points(count, dimension, radius=3.0)
    assert points.shape == (count, dimension)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 3.0, rtol=1e-12)
    assert np.array_equal(points, sphere_points(count, dimension, radius=3.0))
    if dimension > 1 and count > 1:
        assert smallest_angle(points) > 0.5


@pytest.mark.parametrize(("count", "dimension"), OPTIMA)
def test_the_smallest_angle_is_within_half_a_degree_of_the_optimum(count, dimension):
    angle = np.degrees(smallest_angle(sphere_points(count, dimension)))
    assert OPTIMA[count, dimension] - 0.5 < angle < OPTIMA[count, dimension] + 1e-3


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_equal_angles_in_the_plane(count):
    points = sphere_points(count, 2)
    angles = np.sort(np.arctan2(points[:, 1], points[:, 0]) % (2 * np.pi))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / count)
    assert count == 1 or smallest_angle(points) == pytest.approx(2 * np.pi / count)


@pytest.mark.parametrize(("count", "dimension"), [(2, 3), (4, 3), (5, 4), (9, 8), (9, 9), (9, 64)])
def test_a_simplex_has_all_cosines_equal(count, dimension):
    points = sphere_points(count, dimension)
    cosines = (points @ points.T)[np.triu_indices(count, k=1)]
    np.testing.assert_allclose(cosines, -1 / (count - 1), atol=1e-12)
    np.testing.assert_allclose(points.sum(axis=0), 0, atol=1e-12)


def test_on_a_line_the_two_places_take_turns():
    assert sphere_points(5, 1, 2.0)[:, 0].tolist() == [2.0, -2.0, 2.0, -2.0, 2.0]


def test_the_gradient_is_that_of_the_bound():
    start = np.random.default_rng(1).normal(size=(6, 3))
    bound, gradient = _soft_largest_cosine(start.ravel(), 10.0, start.shape)
    numeric = approx_fprime(start.ravel(), lambda flat: _soft_largest_cosine(flat, 10.0, start.shape)[0])
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)
    assert bound >= np.cos(smallest_angle(start))


@pytest.mark.parametrize(
    "given", [(0, 2, 1.0), (3, 0, 1.0), (3, 2, 0.0), (3, 2, -1.0), (3, 2, np.inf), (3, 2, np.nan)]
)
def test_what_is_no_sphere_is_refused(given):
    with pytest.raises(InputError, match="Expected"):
        sphere_points(*given)
