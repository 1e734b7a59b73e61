"""Points spread over a sphere: the class centres of the CL-VAE (arXiv 2410.12328, section 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from scripts.errors import InputError

Points = NDArray[np.float64]

_STARTS = 16
_SHARPNESS = (10.0, 100.0, 1000.0, 10000.0)


def sphere_points(count: int, dimension: int, radius: float = 1.0) -> Points:
    """Return ``count`` points on the sphere of ``radius`` around 0, as far from each other as they get.

    The same points every time: equal angles in the plane; a regular simplex while ``count`` is at most
    ``dimension + 1``; otherwise those that maximise the smallest angle, found by descent from fixed
    starts (the Tammes problem; local, but within 0.5 degrees of the known optima for few points). On a
    line only two places exist, which take turns.

    Args:
        count: number of points, at least 1.
        dimension: of the space, at least 1.
        radius: distance of every point from 0, above 0.

    Returns:
        (count, dimension).

    Raises:
        InputError: a count or dimension below 1, or a radius that is not positive and finite.
    """
    if count < 1 or dimension < 1:
        raise InputError(f"Expected at least 1 point in at least 1 dimension, got {count} in {dimension}.")
    if not (np.isfinite(radius) and radius > 0):
        raise InputError(f"Expected a positive radius of the sphere of class centres, got {radius}.")
    if dimension == 1:
        points = np.where(np.arange(count) % 2, -1.0, 1.0)[:, None]
    elif dimension == 2:
        angles = 2 * np.pi * np.arange(count) / count
        points = np.stack((np.cos(angles), np.sin(angles)), axis=1)
    elif count <= dimension + 1:
        points = _simplex(count, dimension)
    else:
        points = _spread(count, dimension)
    return radius * points


def smallest_angle(points: Points) -> float:
    """Return the smallest angle between two of the points (N, d), radians; pi for a single point."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[np.triu_indices(len(points), k=1)]
    return float(np.arccos(np.clip(cosines.max(), -1, 1))) if cosines.size else float(np.pi)


def _simplex(count: int, dimension: int) -> Points:
    """Return the corners of a regular simplex, any two of which are seen from 0 under the same angle."""
    if count == 1:
        return np.eye(1, dimension)
    centred = np.eye(count) - 1 / count
    # An orthonormal basis of the plane that the centred corners lie in; the QR of a fixed matrix.
    basis = np.linalg.qr(centred[:, :-1])[0]
    corners = centred @ basis
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    return np.pad(corners, ((0, 0), (0, dimension - count + 1)))


def _spread(count: int, dimension: int) -> Points:
    generator = np.random.default_rng(0)
    starts = (generator.normal(size=(count, dimension)) for _ in range(_STARTS))
    found = [_descend(start) for start in starts]
    # Rounded, so that the last bit of another processor does not choose another optimum.
    return max(found, key=lambda points: round(smallest_angle(points), 6))


def _descend(start: Points) -> Points:
    """Push the points apart, with a bound on the largest cosine that gets tighter and tighter."""
    points = start
    for sharpness in _SHARPNESS:
        result = minimize(
            _soft_largest_cosine, points.ravel(), (sharpness, start.shape), jac=True, method="L-BFGS-B"
        )
        points = result.x.reshape(start.shape)
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
    return points


def _soft_largest_cosine(
    flat: NDArray[np.float64], sharpness: float, shape: tuple[int, int]
) -> tuple[float, NDArray[np.float64]]:
    """Return a smooth bound of the largest cosine between two points, and its gradient."""
    points = flat.reshape(shape)
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    unit = points / norms
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    bound = logsumexp(sharpness * cosines)
    pull = 2 * np.exp(sharpness * cosines - bound) @ unit
    along = (pull * unit).sum(axis=1, keepdims=True) * unit
    return bound / sharpness, ((pull - along) / norms).ravel()
