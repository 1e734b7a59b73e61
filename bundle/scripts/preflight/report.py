"""What a check finds, and the one place that decides what stops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scripts.errors import BundleError, InputError
from scripts.options import Option


class Level(Option):
    """How much a finding matters."""

    NOTE = "note"
    """Worth knowing; nothing is wrong."""
    WARNING = "warning"
    """The scan is mapped; the finding stands in its result, its picture and the log."""
    REFUSAL = "refusal"
    """The scan is not mapped."""


@dataclass(frozen=True)
class Report:
    """One finding about one scan."""

    check: str
    """Name of the check, stable across versions."""
    level: Level
    finding: str
    """What was expected and what is there, without the file's name."""
    remedy: str
    """What to do; where there was a safe fix, what was done."""
    kind: type[BundleError] = InputError
    """What a refusal is raised as, and so its exit code."""
    numbers: dict[str, Any] = field(default_factory=dict)
    """The figures behind the finding, JSON data."""

    @property
    def sentence(self) -> str:
        """Finding and remedy."""
        return f"{self.finding}; {self.remedy}"

    def about(self, name: str) -> Report:
        """Return the same finding, about one file of several."""
        return replace(self, finding=f"{name}: {self.finding}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = {
            "check": self.check,
            "level": self.level.value,
            "finding": self.finding,
            "remedy": self.remedy,
        }
        return data | ({"numbers": self.numbers} if self.numbers else {})


def refuse(
    check: str,
    finding: str,
    remedy: str,
    numbers: dict[str, Any] | None = None,
    kind: type[BundleError] = InputError,
) -> Report:
    """Return a refusal."""
    return Report(check, Level.REFUSAL, finding, remedy, kind, numbers or {})


def collect(reports: Iterable[Report | None]) -> list[Report]:
    """Return the reports of a stage of checks, without the None of checks that found nothing."""
    return [report for report in reports if report is not None]


def stops(reports: Sequence[Report]) -> bool:
    """Tell whether one of the reports is a refusal."""
    return any(report.level is Level.REFUSAL for report in reports)


def decide(name: str, reports: Sequence[Report]) -> None:
    """Raise the first refusal as an error that carries every finding; return when there is none.

    Args:
        name: What the sentence begins with: the file's name.
        reports: Of every check that ran.

    Raises:
        BundleError: Of the class that the refusal names.
    """
    for report in reports:
        if report.level is Level.REFUSAL:
            error = report.kind(f"{name}: {report.sentence}")
            error.findings = [one.to_dict() for one in reports]
            raise error
