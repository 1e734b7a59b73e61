from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from scripts.latent.member import Member
from scripts.networks.clvae import CLVAE
from scripts.report import clvae_figures
from scripts.report.clvae_results import BENCHMARK
from scripts.report.results import append_rows
from scripts.report.score_figure import plot_scores


def make_row(held_out, value, **values):
    row = dict.fromkeys(BENCHMARK.key, "") | {
        "dataset": "digits",
        "anomaly": f"class:{held_out}",
        "held_out": str(held_out),
        "model": "clvae",
        "configuration": "wide",
        "members": "1",
        "score": "combined",
        "auroc": str(value),
    }
    return row | values


def latent_rows(*sizes):
    return [make_row(0, 0.5 + 0.01 * size, configuration=f"latent_{size}") for size in sizes]


@pytest.fixture
def drawn(monkeypatch):
    """What is plotted as lines: label, places and values."""
    lines = []
    plot = Axes.plot

    def record(axes, x, y, **style):
        lines.append((style.get("label"), list(x), list(y)))
        return plot(axes, x, y, **style)

    monkeypatch.setattr(Axes, "plot", record)
    return lines


def test_ensemble_sizes_are_drawn_where_every_class_is_done(tmp_path, drawn):
    merged = {"members": "5", "merge": "classes, geometric"}
    rows = [make_row(0, 0.8), make_row(0, 0.9, seed="1"), make_row(1, 0.95)]
    rows += [make_row(0, 0.9, **merged), make_row(1, 0.98, **merged)]
    rows += [make_row(0, 0.99, members="9", merge="classes, geometric")]
    rows += [make_row(0, 0.1, members="5", merge="scores, geometric"), make_row(0, 0.2, score="other")]
    rows += [make_row(0, 0.3, model="vae"), make_row(0, 0.9, dataset="mnist")]
    clvae_figures.plot_ensemble_sizes(rows, tmp_path / "sizes.png", "combined", "classes, geometric")
    assert drawn == [("digits, wide", [1, 5], [pytest.approx(0.9), pytest.approx(0.94)])]
    assert Image.open(tmp_path / "sizes.png").size[0] > 100


def test_latent_sizes_are_drawn_in_their_order(tmp_path, drawn):
    rows = latent_rows(16, 2, 9)
    clvae_figures.plot_latent_sizes([*rows, make_row(0, 0.1)], tmp_path / "latent.png", "combined")
    assert drawn == [("digits", [2, 9, 16], [pytest.approx(value) for value in (0.52, 0.59, 0.66)])]


@pytest.mark.parametrize("latent_size", [2, 3, 9])
@pytest.mark.parametrize("prior", ["sphere", "standard"])
def test_the_latent_space_is_drawn_in_any_dimension(tmp_path, latent_size, prior):
    network = CLVAE(3, image_size=4, stack=[(2, 2)], latent_size=latent_size, prior=prior)
    member = Member(network, None, None, {"classes": ["a", "b", "c"]})
    means = np.random.default_rng(0).normal(size=(40, latent_size))
    path = clvae_figures.plot_latents(member, means, np.arange(40) % 4 - 1, tmp_path / "latent.png")
    assert np.asarray(Image.open(path).convert("L")).std() > 5


def test_scores_of_one_kind_are_drawn_without_a_curve(tmp_path, drawn):
    scores = np.linspace(0, 1, 20)
    plot_scores(scores, np.zeros(20, dtype=int), tmp_path / "one.png", "title")
    assert drawn == []
    plot_scores(scores, (scores > 0.5).astype(int), tmp_path / "both.png", "title")
    assert [line[0] for line in drawn] == ["AUROC 1.000"]


def test_the_command_draws_what_has_been_run(tmp_path, capsys):
    append_rows(tmp_path / "clvae.csv", [make_row(0, 0.8), *latent_rows(2, 3)], BENCHMARK)
    assert clvae_figures.main([str(tmp_path / "clvae.csv"), str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.glob("*.png")] == ["clvae_latent_sizes.png"]
    assert "No ensemble sizes to draw" in capsys.readouterr().out
    assert clvae_figures.main([str(tmp_path / "absent.csv"), str(tmp_path)]) == 2
    assert "absent.csv: expected a results file" in capsys.readouterr().err
