"""The CL-VAE benchmark as markdown tables: held-out classes, other anomalies, and what each costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from scripts.report.cells import EMPTY
from scripts.report.choosing import STAND_IN, Choice, choose
from scripts.report.clvae_results import LATENT_PREFIX
from scripts.report.clvae_verdicts import Mean, verdicts
from scripts.report.markdown import markdown_table
from scripts.report.results import Row

CHOSEN = "chosen"
MERGE = "classes, geometric"
"""How the members of a chosen configuration are merged, fixed beforehand."""

PAPER_MERGE = "scores, arithmetic"

SUMMARY_SCORES = {
    ("clvae", "published"): "latent_divergence",
    ("vae", "published"): "reconstruction_error",
    ("vae", "matched"): "reconstruction_error",
}
"""The score that the paper gives a model; other configurations of the CL-VAE are shown by ``combined``."""

COSTS = {
    "Epochs": ("epochs", "{:.0f}"),
    "Seconds": ("seconds", "{:.0f}"),
    "Milliseconds": ("inference_milliseconds", "{:.2f}"),
    "Parameters": ("parameters", "{:,.0f}"),
}
"""Headings of what a model costs, with their columns of the results file and how they are written."""

NOTES = """\
AUROC of every class held out in turn, which neither training nor stopping has seen; the mean is over the ten
classes. A single model's figures are means over its seeds, ± is the standard deviation of their means.
`chosen` takes for each class the configuration and score that were best when another class stood in for it:
the only row that is also free of choosing by the anomalies; the best CL-VAE of the sentences is the best
by these very figures. Epochs and seconds are of training, an ensemble's members together in seconds;
milliseconds are of scoring one image; all are medians."""

Line = tuple[tuple[str, ...], list[Row]]
"""Data, protocol, model, configuration, members, score and merge, and the rows of all classes and seeds."""

Lines = dict[tuple[str, ...], list[Row]]


def summary_table(rows: Sequence[Row]) -> str:
    """Return one line for each model by its own score, best mean first, and what they say in words."""
    held_out = [row for row in rows if row["held_out"]]
    lines = _without_small_ensembles([line for line in _lines(held_out).items() if _in_summary(line[0])])
    lines += _chosen_lines(rows, held_out)
    words = verdicts(_complete_means(lines))
    return "\n\n".join(
        [_held_out_table(lines, with_costs=True), *(["\n".join(words)] if words else []), NOTES]
    )


def full_table(rows: Sequence[Row]) -> str:
    """Return one line for each model, score and way to merge."""
    return _held_out_table(list(_lines([row for row in rows if row["held_out"]]).items()), with_costs=False)


def anomalies_table(rows: Sequence[Row]) -> str:
    """Return the AUROC for anomalies that are not one held-out class, one line for each model and score."""
    others = [row for row in rows if not row["held_out"] and not row["anomaly"].startswith(STAND_IN)]
    if not others:
        return "No other anomalies have been run."
    kinds = sorted({row["anomaly"] for row in others})
    header = ["Data", "Model", "Configuration", "Members", "Score", "Merge", *kinds]
    body = []
    for key, line in sorted(_lines(others).items()):
        dataset, _, model, configuration, members, score, merge = key
        cells = [dataset, model, configuration, members, score, merge or EMPTY]
        body.append([*cells, *(_mean([row for row in line if row["anomaly"] == kind]) for kind in kinds)])
    return markdown_table(header, body)


def choices_table(rows: Sequence[Row]) -> str:
    """Return what was chosen for every held-out class, and by what figure."""
    body = []
    for dataset, label in _problems([row for row in rows if row["held_out"]]):
        choice = choose(rows, dataset, label)
        if choice is not None:
            body.append([dataset, label, choice.configuration, choice.score, f"{choice.auroc:.3f}"])
    if not body:
        return "Nothing has been chosen yet."
    return markdown_table(
        ["Data", "Held out", "Configuration", "Score", "AUROC of the classes standing in"], body
    )


def _lines(rows: Iterable[Row]) -> Lines:
    """Group rows to lines: all classes and seeds of one model, score and way to merge."""
    lines: Lines = {}
    names = ("dataset", "protocol", "model", "configuration", "members", "score", "merge")
    for row in rows:
        lines.setdefault(tuple(row[name] for name in names), []).append(row)
    return lines


def _in_summary(key: tuple[str, ...]) -> bool:
    _, _, model, configuration, members, score, merge = key
    if configuration.startswith(LATENT_PREFIX):
        return False
    if model not in ("clvae", "vae"):
        return True
    wanted = SUMMARY_SCORES.get((model, configuration), "combined")
    merges = {"", PAPER_MERGE} if wanted != "combined" else {"", MERGE}
    return score == wanted and (merge in merges or members == "1")


def _without_small_ensembles(lines: Sequence[Line]) -> list[Line]:
    """Return the lines of single members and of the largest ensemble of each model."""
    largest: dict[tuple[str, ...], int] = {}
    for key, _ in lines:
        largest[key[:4]] = max(largest.get(key[:4], 0), int(key[4]))
    return [line for line in lines if int(line[0][4]) in (1, largest[line[0][:4]])]


def _chosen_lines(rows: Sequence[Row], held_out: Sequence[Row]) -> list[Line]:
    """Return the lines of the chosen configurations: single members, and ensembles of each size."""
    lines: Lines = {}
    for dataset, label in _problems(held_out):
        choice = choose(rows, dataset, label)
        if choice is None:
            continue
        for row in held_out:
            if (row["dataset"], row["held_out"]) == (dataset, label) and _is_chosen(row, choice):
                key = (dataset, row["protocol"], "clvae", CHOSEN, row["members"], CHOSEN, row["merge"])
                lines.setdefault(key, []).append(row)
    return list(lines.items())


def _is_chosen(row: Row, choice: Choice) -> bool:
    same = (row["model"], row["configuration"], row["score"]) == ("clvae", choice.configuration, choice.score)
    # Errors are averaged in one way only, whatever the merge is called.
    merges = {"", MERGE, "classes, arithmetic"} if choice.score == "prior_divergence" else {"", MERGE}
    return same and (row["merge"] in merges or choice.score == "reconstruction_error")


def _problems(held_out: Iterable[Row]) -> list[tuple[str, str]]:
    return sorted({(row["dataset"], row["held_out"]) for row in held_out})


def _held_out_table(lines: Sequence[Line], with_costs: bool) -> str:
    if not lines:
        return "No class has been held out yet."
    labels = _labels(lines)
    costs = COSTS if with_costs else {}
    header = [
        "Data",
        "Protocol",
        "Model",
        "Configuration",
        "Members",
        "Score",
        "Merge",
        "Mean AUROC",
        *labels,
    ]
    body = []
    for key, line in sorted(lines, key=lambda one: (*one[0][:2], -_class_mean(one[1]))):
        cells = [*key[:6], key[6] or EMPTY, _mean_over_classes(line, labels)]
        cells += [_mean([row for row in line if row["held_out"] == label]) for label in labels]
        body.append([*cells, *(_cost(line, *cost) for cost in costs.values())])
    return markdown_table([*header, *costs], body)


def _complete_means(lines: Sequence[Line]) -> dict[tuple[str, str], list[Mean]]:
    """Return the means of the lines that have every class, by data set and protocol."""
    labels = _labels(lines)
    means: dict[tuple[str, str], list[Mean]] = {}
    for (dataset, protocol, model, configuration, members, score, _), line in lines:
        if _is_complete(line, labels):
            mean = Mean(model, configuration, members, score, _class_mean(line))
            means.setdefault((dataset, protocol), []).append(mean)
    return means


def _labels(lines: Sequence[Line]) -> list[str]:
    """Return the classes that have been held out anywhere: what a line is complete with."""
    return sorted({row["held_out"] for _, line in lines for row in line}, key=int)


def _is_complete(line: Sequence[Row], labels: Sequence[str]) -> bool:
    return {row["held_out"] for row in line} == set(labels)


def _mean_over_classes(line: Sequence[Row], labels: Sequence[str]) -> str:
    done = {row["held_out"] for row in line}
    if not _is_complete(line, labels):
        return f"{len(done)} of {len(labels)} classes"
    seeds = {row["seed"] for row in line}
    by_seed = [[row for row in line if row["seed"] == seed] for seed in sorted(seeds)]
    complete = [_class_mean(part) for part in by_seed if {row["held_out"] for row in part} == done]
    spread = f" ± {statistics.stdev(complete):.3f}" if len(complete) > 1 else ""
    return f"**{_class_mean(line):.3f}**{spread}"


def _class_mean(line: Sequence[Row]) -> float:
    by_class: dict[str, list[float]] = {}
    for row in line:
        by_class.setdefault(row["held_out"], []).append(float(row["auroc"]))
    return statistics.fmean(statistics.fmean(values) for values in by_class.values())


def _mean(line: Sequence[Row]) -> str:
    values = [float(row["auroc"]) for row in line if row["auroc"]]
    return f"{statistics.fmean(values):.3f}" if values else EMPTY


def _cost(line: Sequence[Row], column: str, pattern: str) -> str:
    values = [float(row[column]) for row in line if row[column]]
    # A machine that was held, or busy with something else, makes single values of any size.
    return pattern.format(statistics.median(values)) if values else EMPTY
