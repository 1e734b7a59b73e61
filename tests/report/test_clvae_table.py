from __future__ import annotations

import pytest

from scripts.report.choosing import choose
from scripts.report.clvae_results import BENCHMARK
from scripts.report.clvae_table import (
    EMPTY,
    anomalies_table,
    choices_table,
    full_table,
    summary_table,
)
from scripts.report.results import append_rows, read_rows

ENSEMBLES = {1: "", 2: "classes, geometric", 5: "classes, geometric"}


def make_row(held_out, value, **values):
    row = {
        "dataset": "digits",
        "anomaly": f"class:{held_out}",
        "held_out": held_out,
        "protocol": "published",
        "model": "clvae",
        "configuration": "wide",
        "members": 1,
        "seed": 0,
        "split_seed": 0,
        "score": "combined",
        "merge": "",
        "auroc": value,
        "epochs": 15,
        "seconds": 60.0,
        "parameters": 1000,
        "inference_milliseconds": 0.5,
    }
    return row | values


def stand_in(held_out, other, value, **values):
    return make_row("", value, anomaly=f"stand_in:{held_out}-{other}", **values)


@pytest.fixture
def read(tmp_path):
    def read(rows):
        append_rows(tmp_path / "clvae.csv", rows, BENCHMARK)
        return read_rows(tmp_path / "clvae.csv", BENCHMARK)

    return read


def lines_of(markdown):
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    header, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(header, cells, strict=True)) for cells in body]


def test_a_line_has_every_class_and_the_mean_over_them_with_the_spread_of_the_seeds(read):
    rows = [
        make_row(held_out, 0.8 + 0.1 * held_out + 0.02 * seed, seed=seed)
        for held_out in (0, 1)
        for seed in (0, 1)
    ]
    (line,) = lines_of(summary_table(read(rows)))
    assert (line["0"], line["1"]) == ("0.810", "0.910")
    assert line["Mean AUROC"] == "**0.860** ± 0.014"
    costs = [line[name] for name in ("Epochs", "Seconds", "Milliseconds", "Parameters")]
    assert costs == ["15", "60", "0.50", "1,000"]


def test_costs_are_medians(read):
    times = zip((60.0, 58.0, 4000.0), (0.5, 108.0, 0.4), strict=True)
    rows = [
        make_row(held_out, 0.9, seconds=seconds, inference_milliseconds=milliseconds)
        for held_out, (seconds, milliseconds) in enumerate(times)
    ]
    (line,) = lines_of(summary_table(read(rows)))
    assert (line["Seconds"], line["Milliseconds"]) == ("60", "0.50")


def test_a_mean_waits_for_all_classes(read):
    rows = [
        make_row(0, 0.8),
        make_row(1, 0.9),
        make_row(0, 0.7, configuration="published", score="latent_divergence"),
    ]
    assert {line["Configuration"]: line["Mean AUROC"] for line in lines_of(summary_table(read(rows)))} == {
        "wide": "**0.850**",
        "published": "1 of 2 classes",
    }


def test_the_summary_shows_each_model_by_its_own_score_and_the_full_table_shows_all(read):
    scores = ("latent_divergence", "reconstruction_error", "combined")
    rows = [
        make_row(0, 0.8, model=model, configuration=configuration, score=score)
        for model, configuration in (("clvae", "published"), ("clvae", "wide"), ("vae", "published"))
        for score in scores
    ]
    shown = {
        (line["Model"], line["Configuration"]): line["Score"] for line in lines_of(summary_table(read(rows)))
    }
    assert shown == {
        ("clvae", "published"): "latent_divergence",
        ("clvae", "wide"): "combined",
        ("vae", "published"): "reconstruction_error",
    }
    assert len(lines_of(full_table(read(rows)))) == 9


def test_ensembles_are_shown_by_one_way_to_merge(read):
    rows = [
        make_row(0, 0.8, members=5, merge=merge, configuration=configuration, score=score)
        for configuration, score in (("published", "latent_divergence"), ("wide", "combined"))
        for merge in ("classes, geometric", "classes, arithmetic", "scores, geometric", "scores, arithmetic")
    ]
    shown = {line["Configuration"]: line["Merge"] for line in lines_of(summary_table(read(rows)))}
    assert shown == {"published": "scores, arithmetic", "wide": "classes, geometric"}


def test_of_ensembles_the_summary_has_the_largest_and_latent_sizes_are_left_to_the_figure(read):
    rows = [make_row(0, 0.8, members=members, merge=merge) for members, merge in ENSEMBLES.items()]
    rows += [make_row(0, 0.7, configuration="latent_2"), make_row(0, 0.7, configuration="learned")]
    shown = [(line["Configuration"], line["Members"]) for line in lines_of(summary_table(read(rows)))]
    assert sorted(shown) == [("learned", "1"), ("wide", "1"), ("wide", "5")]
    assert len(lines_of(full_table(read(rows)))) == 5


def test_the_choice_for_a_class_is_best_on_those_that_stand_in_for_it(read):
    rows = [
        stand_in(0, 1, 0.9, configuration="a"),
        stand_in(0, 2, 0.5, configuration="a"),
        stand_in(0, 1, 0.8, configuration="b"),
        stand_in(0, 2, 0.8, configuration="b", seed=0),
        stand_in(0, 2, 0.9, configuration="b", seed=1),
        # Another class's, an ensemble, another model, and one that stood in only some: no candidates.
        stand_in(1, 2, 0.99, configuration="a"),
        stand_in(0, 1, 0.99, configuration="c", members=5, merge="classes, geometric"),
        stand_in(0, 1, 0.99, configuration="d", model="vae"),
        stand_in(0, 1, 0.99, configuration="e"),
    ]
    choice = choose(read(rows), "digits", "0")
    assert choice == ("b", "combined", pytest.approx((0.8 + 0.85) / 2))
    assert choose(read(rows), "digits", "5") is None


def test_what_is_chosen_does_not_depend_on_the_class_itself(read):
    rows = [stand_in(0, 1, 0.7, configuration="a"), stand_in(0, 1, 0.6, configuration="b")]
    rows += [make_row(0, 0.5, configuration="a"), make_row(0, 0.99, configuration="b")]
    lines = lines_of(summary_table(read(rows)))
    assert {line["Configuration"]: line["0"] for line in lines} == {
        "a": "0.500",
        "b": "0.990",
        "chosen": "0.500",
    }
    assert lines_of(choices_table(read(rows))) == [
        {
            "Data": "digits",
            "Held out": "0",
            "Configuration": "a",
            "Score": "combined",
            "AUROC of the classes standing in": "0.700",
        }
    ]


def test_other_anomalies_have_a_table_of_their_own(read):
    rows = [
        make_row(0, 0.8),
        stand_in(0, 1, 0.7),
        make_row("", 0.6, anomaly="blur:1"),
        make_row("", 0.7, anomaly="blur:3"),
        make_row("", 0.9, anomaly="blur:3", model="cnn", configuration="published", score="energy"),
    ]
    lines = lines_of(anomalies_table(read(rows)))
    assert [(line["Model"], line["blur:1"], line["blur:3"]) for line in lines] == [
        ("clvae", "0.600", "0.700"),
        ("cnn", EMPTY, "0.900"),
    ]


def test_tables_say_so_while_there_is_nothing_to_show(read):
    for make in (summary_table, full_table, anomalies_table, choices_table):
        assert "yet" in make([]) or "No other" in make([])


def words_of(markdown):
    return [line for line in markdown.splitlines() if line.startswith("- ")]


def every_class(value, **values):
    return [make_row(0, value - 0.1, **values), make_row(1, value + 0.1, **values)]


PLAIN_VAE = {"model": "vae", "configuration": "published", "score": "reconstruction_error"}


def test_a_baseline_that_is_better_is_named_in_words(read):
    rows = [
        *every_class(0.8),
        *every_class(0.7, configuration="learned"),
        *every_class(0.85, model="cnn", score="max_softmax", configuration="published"),
        *every_class(0.75, **PLAIN_VAE),
    ]
    (sentence,) = words_of(summary_table(read(rows)))
    assert sentence == (
        "- digits: **`cnn` published (max_softmax, 0.850) beats the best CL-VAE**, "
        "`clvae` wide (combined, 0.800). "
        "The best single CL-VAE is 0.050 above `vae` published (reconstruction_error, 0.750)."
    )


def test_where_none_is_better_the_next_one_is_named_and_a_deficit_is_shouted(read):
    rows = [*every_class(0.8), *every_class(0.8, **PLAIN_VAE)]
    (sentence,) = words_of(summary_table(read(rows)))
    assert "No baseline beats the best CL-VAE, `clvae` wide (combined, 0.800); next is `vae`" in sentence
    assert "The best single CL-VAE is 0.000 above" in sentence
    (sentence,) = words_of(summary_table(read([*rows, *every_class(0.9, **PLAIN_VAE)])))
    assert "The best single CL-VAE is 0.100 BELOW" in sentence


def test_single_baselines_meet_the_best_single_model_too_not_an_ensemble_alone(read):
    rows = [
        *every_class(0.8),
        *every_class(0.86, members=5, merge="classes, geometric"),
        *every_class(0.85, model="pca", score="pca_likelihood", configuration="published"),
        *every_class(0.75, **PLAIN_VAE),
    ]
    (sentence,) = words_of(summary_table(read(rows)))
    assert "No baseline beats the best CL-VAE, `clvae` wide (combined, 5 members, 0.860)" in sentence
    assert (
        "**`pca` published (pca_likelihood, 0.850) beats the best single CL-VAE**, `clvae` wide" in sentence
    )
    assert sentence.endswith(
        "The best single CL-VAE is 0.050 above `vae` published (reconstruction_error, 0.750)."
    )


def test_only_lines_with_every_class_are_compared(read):
    rows = [*every_class(0.8), make_row(0, 0.99, model="pca", score="pca_likelihood")]
    (sentence,) = words_of(summary_table(read(rows)))
    assert sentence.endswith("no baseline has been run on all classes yet.")
