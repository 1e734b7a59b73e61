"""Which variants there are, which share a training, and what is wrong with the others."""

from __future__ import annotations

import copy

import pytest
from monai.bundle import ConfigParser

from scripts import BUNDLE_ROOT
from scripts.engines.ablation_variants import choose_variants, read_variants
from scripts.errors import InputError

VAE = ("train.yaml", "bayesian_vae.yaml", "ablation.yaml", "ablation_bayesian_vae.yaml")
FILES = [str(BUNDLE_ROOT / "configs" / name) for name in VAE]


@pytest.fixture(scope="module")
def shipped():
    return ConfigParser.load_config_files(FILES)


def with_variants(config, **variants):
    return copy.deepcopy(config) | {"variants": {"full": {}, **variants}}


def test_scores_draws_and_uncertainties_read_the_weights_of_others(shipped):
    shared = {}
    for variant in read_variants(shipped):
        shared.setdefault(variant.training, []).append(variant.name)
    assert shared.pop("full") == [
        "full",
        "no_aleatoric",
        "no_epistemic",
        *(f"score_{name}" for name in ("paper", "squared_error", "nll", "product")),
        "pooling_peak",
        *(f"alpha_{value}" for value in ("0.25", "0.75")),
        *(f"samples_{value}" for value in (1, 2, 10, 20)),
    ]
    assert shared.pop("dropout") == ["dropout", "dropout_masks"]
    assert shared == {
        name: [name]
        for name in (
            "no_attention",
            "heads_4",
            "no_aleatoric_trained",
            "no_epistemic_trained",
            "deterministic",
            "beta_0.1",
            "beta_0.5",
            "beta_2",
            "modality_flair",
            "modality_t1ce_flair",
        )
    }


def test_training_overrides_leave_out_what_only_reads(shipped):
    deterministic = next(one for one in read_variants(shipped) if one.name == "deterministic")
    left_out = deterministic.overrides.keys() - deterministic.training_overrides.keys()
    assert left_out == {"samples", "score", "alpha"}


def test_variants_that_train_alike_share_whatever_the_order_of_their_overrides(shipped):
    config = with_variants(
        shipped,
        small={"heads": 4, "latent_size": 64, "alpha": 0.0},
        also_small={"latent_size": 64, "heads": 4},
        as_it_is={"heads": shipped["heads"], "dropout": shipped["dropout"]},
    )
    found = {variant.name: variant.training for variant in read_variants(config)}
    assert found == {"full": "full", "small": "small", "also_small": "small"}


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"x": {"headss": 4}}, "Variant x: .* got --headss, .* did you mean --heads"),
        ({"x": {"network_def#headss": 4}}, "Variant x: .* did you mean --network_def#heads"),
        ({"x": {"train#handlers#99#prob": 1}}, "Variant x: .* --train#handlers#99#prob, of which a part"),
        ({"x": {"heads": "four"}}, "Variant x: Expected a whole number for --heads, got 'four'"),
        ({"../x": {"heads": 4}}, "variant's name of letters"),
        ({"full": {"heads": 4}}, "a variant full without overrides"),
    ],
)
def test_a_variant_that_is_wrong_is_refused_before_anything_is_trained(shipped, variants, message):
    with pytest.raises(InputError, match=message):
        read_variants(with_variants(shipped, **variants))


def test_chosen_variants_come_with_the_full_one(shipped):
    variants = read_variants(shipped)
    assert [one.name for one in choose_variants(variants, "heads_4")] == ["full", "heads_4"]
    assert [one.name for one in choose_variants(variants, ["beta_2", "heads_4"])] == [
        "full",
        "heads_4",
        "beta_2",
    ]
    for text in ("[beta_0.1,heads_4]", "beta_0.1, heads_4"):
        assert [one.name for one in choose_variants(variants, text)] == ["full", "heads_4", "beta_0.1"]
    assert choose_variants(variants, None) == variants
    with pytest.raises(InputError, match="variants out of full, .* got heads_5; check --only"):
        choose_variants(variants, ["heads_5"])


def test_a_wrong_variant_matters_only_where_it_is_wanted(shipped):
    config = with_variants(shipped, wrong={"no_such_key": [8, 8]}, small={"heads": 4})
    assert [one.name for one in read_variants(config, "small")] == ["full", "small"]
    for only in (None, ["wrong"]):
        with pytest.raises(InputError, match="Variant wrong: .* got --no_such_key"):
            read_variants(config, only)


def test_variants_of_the_default_are_known_and_share_the_trainings_they_read():
    names = ("train.yaml", "ablation.yaml")
    config = ConfigParser.load_config_files([str(BUNDLE_ROOT / "configs" / name) for name in names])
    variants = {variant.name: variant.training for variant in read_variants(config)}
    of_full = {name for name, training in variants.items() if training == "full"}
    reading = {"samples_1", "pooling_mean", "no_slice_smoothing", "score_squared_error", "score_nll_peak"}
    assert of_full == {"full"} | reading
    assert {"no_mirror", "no_patch", "no_reconstruction", "whole_heads"} <= variants.keys() - of_full
