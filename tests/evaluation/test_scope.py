"""Scope statistics against plain arithmetic, and how often they are wrong about scans of one kind."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.covariance import LedoitWolf

from scripts.errors import InputError
from scripts.evaluation.scope import LATENT_DISTANCE, ScopeStatistics, fit_scope


def sample(count: int, seed: int, shift: float = 0.0) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    """Return profiles with two correlated features, and latents of six slices a scan."""
    generator = np.random.default_rng(seed)
    first = generator.normal(1, 0.2, count)
    second = first + generator.normal(0, 0.1, count)
    profiles = [{"rim": a, "core": b + shift} for a, b in zip(first, second, strict=True)]
    latents = [generator.normal(generator.normal(0, 0.3, 8), 1, (6, 8)) for _ in range(count)]
    return profiles, latents


def fitted(count: int = 40, seed: int = 0) -> ScopeStatistics:
    return fit_scope(*sample(count, seed), weights_sha256="ab", source="made up")


def usual_latent() -> np.ndarray:
    return sample(1, 5)[1][0].mean(axis=0)


def test_verdict_is_the_slow_arithmetic() -> None:
    profiles, latents = sample(20, 1)
    (new,), (latent,) = sample(1, 2)
    statistics = fit_scope(profiles, latents, weights_sha256="ab", source="made up")
    verdict = statistics.judge(new, latent.mean(axis=0))

    means, spread = np.stack([one.mean(axis=0) for one in latents]), np.concatenate(latents).std(axis=0)

    def log_rms(mean: np.ndarray, centre: np.ndarray) -> float:
        return np.log(np.sqrt(np.mean(((mean - centre) / spread) ** 2)))

    others = [np.mean([means[j] for j in range(20) if j != i], axis=0) for i in range(20)]
    table = np.array(
        [[p["rim"], p["core"], log_rms(m, o)] for p, m, o in zip(profiles, means, others, strict=True)]
    )

    def distance(rows: np.ndarray, row: np.ndarray) -> float:
        centre, width = rows.mean(axis=0), rows.std(axis=0, ddof=1)
        covariance = LedoitWolf().fit((rows - centre) / width).covariance_
        return np.sqrt((row - centre) / width @ np.linalg.inv(covariance) @ ((row - centre) / width))

    left_out = np.log([distance(np.delete(table, i, axis=0), table[i]) for i in range(20)])
    row = np.array([new["rim"], new["core"], log_rms(latent.mean(axis=0), means.mean(axis=0))])
    standard = (np.log(distance(table, row)) - left_out.mean()) / (left_out.std(ddof=1) * np.sqrt(1 + 1 / 20))
    assert verdict.distance == pytest.approx(distance(table, row), rel=1e-6)
    assert verdict.p == pytest.approx(stats.t(19).sf(standard), rel=1e-6)


def test_scans_of_the_same_kind_are_refused_about_as_often_as_the_level_says() -> None:
    statistics = fitted(60)
    profiles, latents = sample(2000, 3)
    p = np.array([statistics.judge(a, b.mean(axis=0)).p for a, b in zip(profiles, latents, strict=True)])
    for level in (0.01, 0.05, 0.2):
        assert (p < level).mean() == pytest.approx(level, abs=0.5 * level + 0.01)


def test_a_broken_correlation_is_seen_where_each_feature_by_itself_is_usual() -> None:
    statistics = fitted()
    usual, odd = {"rim": 1.25, "core": 1.25}, {"rim": 1.25, "core": 0.75}
    assert statistics.judge(odd, usual_latent()).p < 0.05 < statistics.judge(usual, usual_latent()).p / 4


def test_an_odd_latent_is_seen_and_named() -> None:
    statistics = fitted()
    latent = np.array(statistics.latent_mean) + 5 * np.array(statistics.latent_deviation)
    verdict = statistics.judge({"rim": 1.0, "core": 1.0}, latent)
    assert verdict.p < 1e-3
    assert verdict.furthest[0]["name"] == LATENT_DISTANCE


def test_the_features_furthest_off_come_first() -> None:
    statistics = fitted()
    furthest = statistics.judge({"rim": 1.0, "core": 9.0}, usual_latent(), shown=1).furthest
    assert [(one["name"], one["value"]) for one in furthest] == [("core", 9.0)]
    assert furthest[0]["mean"] == pytest.approx(1, abs=0.2)


def test_statistics_survive_json() -> None:
    statistics = fitted()
    assert ScopeStatistics.from_json(json.loads(json.dumps(statistics.to_json()))) == statistics


@pytest.mark.parametrize("change", [{"scans": None}, {"more": 1}])
def test_other_entries_are_refused(change: dict) -> None:
    data = {key: value for key, value in (fitted().to_json() | change).items() if value is not None}
    with pytest.raises(InputError, match="Expected the entries"):
        ScopeStatistics.from_json(data)


def test_nine_scans_are_too_few() -> None:
    with pytest.raises(InputError, match="at least 10 training scans .* got 9"):
        fitted(9)


def test_a_profile_without_a_feature_is_refused() -> None:
    statistics = fitted()
    with pytest.raises(InputError, match="features \\['core'\\]"):
        statistics.judge({"rim": 1.0}, statistics.latent_mean)


def test_scans_count_alike_however_many_slices_they_have() -> None:
    generator = np.random.default_rng(0)
    latents = [generator.normal(n, 1, (2 + n, 3)) for n in range(12)]
    profiles = [{"rim": float(one)} for one in generator.normal(size=12)]
    statistics = fit_scope(profiles, latents, weights_sha256="ab", source="made up")
    assert statistics.latent_mean == pytest.approx(np.mean([one.mean(axis=0) for one in latents], axis=0))


def test_a_feature_far_below_is_named_too() -> None:
    generator = np.random.default_rng(0)
    profiles = [{"rim": a, "core": b} for a, b in generator.normal(1, 0.1, (20, 2))]
    latents = list(generator.normal(size=(20, 6, 8)).astype(np.float32))
    statistics = fit_scope(profiles, latents, weights_sha256="ab", source="made up")
    verdict = statistics.judge({"rim": -5.0, "core": 1.2}, latents[0].mean(axis=0), shown=1)
    assert verdict.furthest[0]["name"] == "rim"
