import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

from scripts.latent.evidence import Evidence
from scripts.latent.scores import Average, LatentScore, Merge, anomaly_scores, class_log_confidences

WAYS = list(itertools.product(Merge, Average))


def evidence_of(seed, count=20, classes=4, scale=1.0):
    generator = np.random.default_rng(seed)
    return Evidence(
        log_confidences=-scale * generator.gamma(2, 2, (count, classes)),
        prior_divergences=generator.gamma(2, 2, (count, classes)),
        reconstruction_errors=generator.gamma(2, 0.01, count),
    )


MEMBERS = [evidence_of(seed) for seed in range(3)]
VALIDATION = [evidence_of(seed) for seed in range(10, 13)]


def by_hand(score, merge, average, row):
    """Return the score of one image, member by member and class by class."""
    if score is LatentScore.RECONSTRUCTION_ERROR:
        return sum(member.reconstruction_errors[row] for member in MEMBERS) / 3
    if score is LatentScore.PRIOR_DIVERGENCE:
        table = [member.prior_divergences[row] for member in MEMBERS]
        if merge is Merge.SCORES:
            return sum(min(one) for one in table) / 3
        return min(sum(column) / 3 for column in zip(*table, strict=True))
    table = [np.exp(member.log_confidences[row]) for member in MEMBERS]
    mean = (lambda v: np.prod(v) ** (1 / 3)) if average is Average.GEOMETRIC else (lambda v: sum(v) / 3)
    if merge is Merge.SCORES:
        return -np.log(mean([max(one) for one in table]))
    return -np.log(max(mean(column) for column in zip(*table, strict=True)))


@pytest.mark.parametrize(("merge", "average"), WAYS)
@pytest.mark.parametrize("score", [one for one in LatentScore if one is not LatentScore.COMBINED])
def test_scores_of_an_ensemble_are_those_of_the_definition(score, merge, average):
    found = anomaly_scores(MEMBERS, score, merge=merge, average=average)
    expected = [by_hand(score, merge, average, row) for row in range(20)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(("merge", "average"), WAYS)
@pytest.mark.parametrize("score", LatentScore)
def test_an_ensemble_of_one_or_of_copies_is_its_member(score, merge, average):
    single = anomaly_scores(MEMBERS[:1], score, VALIDATION[:1])
    one = anomaly_scores(MEMBERS[:1], score, VALIDATION[:1], merge, average)
    copies = anomaly_scores(MEMBERS[:1] * 3, score, VALIDATION[:1] * 3, merge, average)
    np.testing.assert_allclose(one, single, rtol=1e-12)
    np.testing.assert_allclose(copies, single, rtol=1e-9)


@pytest.mark.parametrize(("merge", "average"), WAYS)
@pytest.mark.parametrize("score", LatentScore)
def test_the_names_of_the_classes_and_the_order_of_the_members_change_nothing(score, merge, average):
    order = [2, 0, 3, 1]

    def relabelled(evidence):
        return Evidence(
            evidence.log_confidences[:, order],
            evidence.prior_divergences[:, order],
            evidence.reconstruction_errors,
        )

    before = anomaly_scores(MEMBERS, score, VALIDATION, merge, average)
    after = anomaly_scores(
        [relabelled(one) for one in MEMBERS[::-1]], score, VALIDATION[::-1], merge, average
    )
    np.testing.assert_allclose(after, before, rtol=1e-9)


def test_combined_is_the_sum_of_the_standardised_logarithms():
    parts = (LatentScore.LATENT_DIVERGENCE, LatentScore.PRIOR_DIVERGENCE, LatentScore.RECONSTRUCTION_ERROR)
    expected = 0
    for part in parts:
        known = np.log(anomaly_scores(VALIDATION, part))
        expected = expected + (np.log(anomaly_scores(MEMBERS, part)) - np.mean(known)) / np.std(known)
    np.testing.assert_allclose(anomaly_scores(MEMBERS, LatentScore.COMBINED, VALIDATION), expected)
    with pytest.raises(ValueError, match="validation evidence of 3 members, got 1"):
        anomaly_scores(MEMBERS, LatentScore.COMBINED, VALIDATION[:1])


def test_a_part_that_is_the_same_for_all_inliers_has_no_say():
    flat = replace(VALIDATION[0], reconstruction_errors=np.full(20, 0.3))
    other = replace(MEMBERS[0], reconstruction_errors=np.full(20, 0.7))
    expected = anomaly_scores([other], LatentScore.COMBINED, [flat])
    found = anomaly_scores(MEMBERS[:1], LatentScore.COMBINED, [flat])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("merge", "average"), WAYS)
def test_no_ties_where_the_confidence_underflows(merge, average):
    far = [evidence_of(seed, scale=1e4) for seed in range(3)]
    published = 1 - np.mean([np.exp(one.log_confidences).max(axis=1) for one in far], axis=0)
    assert len(np.unique(published)) == 1
    ranks = rankdata(anomaly_scores(far, LatentScore.LATENT_DIVERGENCE, merge=merge, average=average))
    assert len(np.unique(ranks)) == 20


def test_the_papers_score_ranks_alike_where_it_does_not():
    published = 1 - np.mean([np.exp(one.log_confidences).max(axis=1) for one in MEMBERS], axis=0)
    ours = anomaly_scores(
        MEMBERS, LatentScore.LATENT_DIVERGENCE, merge=Merge.SCORES, average=Average.ARITHMETIC
    )
    assert rankdata(ours).tolist() == rankdata(published).tolist()


def test_confidences_are_at_most_one():
    for average in Average:
        assert (class_log_confidences(MEMBERS, average) <= 0).all()
