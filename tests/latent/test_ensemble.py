from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from scripts.errors import InputError, ModelError
from scripts.latent.ensemble import Ensemble, load_ensemble, member_path
from scripts.latent.member import describe_training, load_member
from scripts.latent.scores import Average, LatentScore, Merge, anomaly_scores, class_log_confidences
from scripts.networks.clvae import CLVAE, shuffled_order
from scripts.objectives.elbo import kl_to_unit_normal

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(60) % 3


@functools.cache
def member(seed, classes=("a", "b", "c"), prior="sphere"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CLVAE(3, image_size=8, stack=[(4, 2)], prior=prior, order=shuffled_order(3, seed))
    return describe_training(network, (IMAGES, LABELS), IMAGES[:20], {"classes": list(classes), "split": "s"})


@pytest.mark.parametrize("prior", ["sphere", "learned", "standard"])
def test_a_saved_ensemble_gives_the_same_scores(tmp_path, prior):
    ensemble = Ensemble([member(seed, prior=prior) for seed in (0, 1)])
    for seed, one in enumerate(ensemble.members):
        one.save(member_path(tmp_path, seed))
    loaded = load_ensemble(tmp_path)
    assert loaded.classes == ["a", "b", "c"]
    for score in LatentScore:
        for merge in Merge:
            before, after = (
                one.score(one.evidence(IMAGES), score, merge, Average.ARITHMETIC)
                for one in (ensemble, loaded)
            )
            assert np.array_equal(before, after), score
    assert [one.network.arguments["order"] for one in loaded.members] == [
        shuffled_order(3, 0),
        shuffled_order(3, 1),
    ]


def test_the_score_of_an_image_does_not_depend_on_its_batch():
    ensemble = Ensemble([member(0)])
    together = ensemble.score(ensemble.evidence(IMAGES))
    alone = [ensemble.score(ensemble.evidence(IMAGES[one : one + 1]))[0] for one in range(60)]
    np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-4)


def test_confidences_are_of_every_class_and_in_the_unit_interval():
    ensemble = Ensemble([member(0), member(1)])
    confidences = ensemble.confidences(ensemble.evidence(IMAGES))
    assert confidences.shape == (60, 3)
    assert ((confidences >= 0) & (confidences <= 1)).all()


def test_images_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"\(1, 8, 8\).*got \(3, 8, 8\)"):
        Ensemble([member(0)]).evidence(IMAGES.repeat(3, axis=1))


def test_members_of_other_classes_are_refused(tmp_path):
    member(0).save(member_path(tmp_path, 0))
    member(1, ("a", "b", "d")).save(member_path(tmp_path, 1))
    with pytest.raises(ModelError, match="member_01.pt: expected the classes of member_00.pt"):
        load_ensemble(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ModelError, match="found none; train first"):
        load_ensemble(tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"text", lambda data: b""])
def test_a_damaged_member_is_refused(tmp_path, damage):
    path = member_path(tmp_path, 0)
    member(0).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match="member_00.pt: expected a member"):
        load_member(path)


def test_a_member_of_another_format_is_refused(tmp_path):
    path = member_path(tmp_path, 0)
    member(0).save(path)
    stored = torch.load(path, weights_only=True)
    torch.save({**stored, "format": 99}, path)
    with pytest.raises(ModelError, match="expected format 1, found 99"):
        load_member(path)


def test_evidence_is_that_of_the_network_on_images_from_0_to_1() -> None:
    one, image = member(0), torch.from_numpy(IMAGES).float() / 255
    with torch.no_grad():
        mean, log_variance = one.network.encode(image)
        error = (torch.sigmoid(one.network.decode(mean)) - image).square().flatten(1).mean(dim=1)
        kl = kl_to_unit_normal(mean[:, None], log_variance[:, None], one.network.centres)
    found = one.evidence(IMAGES)
    np.testing.assert_allclose(found.reconstruction_errors, error, rtol=1e-4)
    np.testing.assert_allclose(found.prior_divergences, kl, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(one.validation.reconstruction_errors, error[:20], rtol=1e-4)


def test_each_member_is_standardised_by_its_own_validation() -> None:
    ensemble = Ensemble([member(0), member(1)])
    evidence = ensemble.evidence(IMAGES)
    expected = anomaly_scores(evidence, "combined", [member(0).validation, member(1).validation])
    np.testing.assert_allclose(ensemble.score(evidence, "combined"), expected)
    found = ensemble.confidences(evidence, "arithmetic")
    np.testing.assert_allclose(found, np.exp(class_log_confidences(evidence, "arithmetic")))
