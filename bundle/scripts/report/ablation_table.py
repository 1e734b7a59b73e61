"""The ablation as a markdown table: every variant against the full model, and what that says of the paper."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.report.ablation_results import FULL, METRICS
from scripts.report.cells import EMPTY
from scripts.report.markdown import markdown_table
from scripts.report.results import Row
from scripts.report.spread import numbers

CHANCE = 0.5
"""What a score that knows nothing has, of both figures."""

NAMES = dict(zip(METRICS, ("matched AUROC", "AUROC"), strict=True))

HEADER = (
    "Data",
    "Model",
    "Variant",
    "Score",
    "Matched AUROC",
    "Matched difference",
    "AUROC",
    "Difference",
    "Paper",
    "Test patients",
    "Seeds",
    "Of the paper's claim",
)

NOTES = """\
Matched AUROC: abnormal slices against normal slices of the same level only. AUROC: as on the paper's balanced
test. Each is the mean over seeds ± standard deviation. Difference: to `full` on the same slices, mean over
seeds, in brackets the 95 % interval over resampled patients. Paper: its own AUROC, on data of its own.
Supported and contradicted: the interval lies on the side of zero that the paper says, or on the other; no
difference seen: it covers zero. Of twenty such intervals, one misses zero by chance. Neither is above
chance: the variant and `full` both have at most 0.5, and which is higher shows nothing."""


def ablation_table(rows: Sequence[Row]) -> str:
    """Return the table of ``ablation_differences.csv``, with its notes.

    Raises:
        InputError: a cell that should hold a number does not.
    """
    if not rows:
        return "No ablation has been run yet."
    full = {_group(row): row for row in rows if row["variant"] == FULL}
    return f"{markdown_table(HEADER, [_cells(row, full.get(_group(row), row)) for row in rows])}\n\n{NOTES}"


def verdict(row: Row, full: Row) -> str:
    """Return one sentence: what both differences of a variant say of the paper's claim about it.

    Args:
        row: of the variant.
        full: of the full model on the same data; the paper's two figures give the direction of its claim.
    """
    if row["variant"] == FULL:
        return "What the others are compared with."
    ours, whole = _number(row, "paper_auroc"), _number(full, "paper_auroc")
    claim = None if ours is None or whole is None else _sign(ours - whole)
    words = {metric: _word(row, full, metric, claim) for metric in METRICS}
    if len(set(words.values())) == 1:
        return f"{words[METRICS[0]]}.".capitalize()
    sentence = "; ".join(f"{NAMES[metric]}: {word}" for metric, word in words.items())
    return f"{sentence[0].upper()}{sentence[1:]}."


def _word(row: Row, full: Row, metric: str, claim: int | None) -> str:
    low, high = (_number(row, f"{metric}_difference{end}") for end in ("_low", "_high"))
    if low is None or high is None:
        return "undecided, too few patients for an interval"
    side = _sign(low) if _sign(low) == _sign(high) else 0
    if side == 0:
        return "no difference seen"
    # A difference between two models that see nothing is no evidence on what helps to see.
    blind = all(value <= CHANCE for value in numbers([row, full], metric))
    doubt = " (neither is above chance)" if blind else ""
    if not claim:
        return f"{'higher' if side > 0 else 'lower'} than full, of which the paper says nothing{doubt}"
    return ("supported" if side == claim else "contradicted") + doubt


def _group(row: Row) -> tuple[str, ...]:
    return tuple(row[column] for column in ("dataset", "modality", "configuration", "split_seed"))


def _cells(row: Row, full: Row) -> list[str]:
    split = f", split {row['split_seed']}" if row["split_seed"] not in ("", "0") else ""
    paper = _number(row, "paper_auroc")
    figures = [cell for metric in METRICS for cell in (_figure(row, metric), _difference(row, metric))]
    return [
        f"{row['dataset']} {row['modality']}{split}",
        row["configuration"],
        row["variant"],
        row["score"],
        *figures,
        EMPTY if paper is None else f"{paper:g}",
        row["patients_test"] or EMPTY,
        row["seeds"],
        verdict(row, full),
    ]


def _figure(row: Row, metric: str) -> str:
    value, deviation = _number(row, metric), _number(row, f"{metric}_deviation")
    if value is None:
        return EMPTY
    return f"{value:.3f}" if deviation is None else f"{value:.3f} ± {deviation:.3f}"


def _difference(row: Row, metric: str) -> str:
    value = _number(row, f"{metric}_difference")
    if value is None or row["variant"] == FULL:
        return EMPTY
    low, high = (_number(row, f"{metric}_difference{end}") for end in ("_low", "_high"))
    interval = "" if low is None or high is None else f" ({_signed(low)} to {_signed(high)})"
    return f"{_signed(value)}{interval}"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # never -0.000


def _number(row: Row, column: str) -> float | None:
    return next(iter(numbers([row], column)), None)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
