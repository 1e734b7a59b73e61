"""The tables of a report about one run: pixels, calibration, lesion sizes and patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from scripts.data.slices import SliceDataset, SliceLabel
from scripts.engines.scoring import ScoredSlices, known_pixels
from scripts.engines.trained_run import TrainedRun
from scripts.evaluation.curves import GRID, banded_curve, precision_values, roc_values
from scripts.evaluation.overlap import count_overlap
from scripts.evaluation.patient_table import patient_table
from scripts.evaluation.pixel_report import evaluate_pixels
from scripts.evaluation.quintiles import score_by_quintile
from scripts.evaluation.reliability import interval_coverage, z_histogram
from scripts.evaluation.risk_coverage import risk_coverage
from scripts.evaluation.strata import EDGES_MM2, lesion_strata
from scripts.evaluation.variance_correlation import error_correlation

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class ReportSettings:
    """What a report may choose; none of it is fitted to the test."""

    alphas: Sequence[float] = (0.0, 0.5)
    """Weights at which every pixel score is listed."""
    bootstrap_samples: int = 1000
    strata_mm2: Sequence[float] = EDGES_MM2
    """Lower ends of the lesion sizes."""
    pictures: int = 4
    """Worst misses and false alarms that are drawn."""


@dataclass(frozen=True)
class Measured:
    """One run's scores and maps on the test slices."""

    run: TrainedRun
    scored: ScoredSlices
    test: SliceDataset
    settings: ReportSettings

    @cached_property
    def scores(self) -> np.ndarray:
        """(N,) slice scores of the figures."""
        mapper = self.run.mapper
        return self.scored.scores(mapper.score, self.run.alpha, mapper.pooling, mapper.slice_smoothing)

    @cached_property
    def known(self) -> np.ndarray:
        """(N,) whether a slice's label is known."""
        return (self.test.facts["label"] != SliceLabel.UNKNOWN).to_numpy()

    @cached_property
    def masks(self) -> np.ndarray:
        """(N, X, Y) lesion masks."""
        return self.test.masks[:, 0].numpy()

    @cached_property
    def maps(self) -> dict[str, np.ndarray]:
        """(N, X, Y) maps by the names of the panels, means over modalities."""
        assert self.scored.pred is not None
        images, pred = self.test.images.numpy(), self.scored.pred
        inside = images.max(axis=1) > 0
        return {
            "scan": images.mean(axis=1),
            "reconstruction": pred[:, 4:].mean(axis=1),
            "squared_error": np.square(images - pred[:, 4:]).mean(axis=1) * inside,
            "total_uncertainty": pred[:, 0],
            "anomaly": pred[:, 1],
            "epistemic": pred[:, 2],
            "aleatoric": pred[:, 3],
        }

    @cached_property
    def foreground(self) -> np.ndarray:
        """(N, X, Y) pixels of the head."""
        return self.test.images.numpy().max(axis=1) > 0

    def column(self, name: str, known_only: bool = True) -> np.ndarray:
        """Return a column of the slice facts."""
        values = self.test.facts[name].to_numpy()
        return values[self.known] if known_only else values

    @property
    def slice_threshold(self) -> float | None:
        """Threshold of the validation slices, None without calibration."""
        return None if self.run.calibration is None else self.run.calibration.slice_threshold

    @property
    def pixel_threshold(self) -> float | None:
        """Threshold of their pixels, None without calibration."""
        return None if self.run.calibration is None else self.run.calibration.pixel_threshold

    def regions(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the parts of the foreground (N, X, Y) that calibration is looked at in."""
        normal = (self.column("label", False) == SliceLabel.NORMAL)[:, None, None]
        abnormal = (self.column("label", False) == SliceLabel.ABNORMAL)[:, None, None]
        yield "normal slices", self.foreground & normal
        yield "abnormal slices, outside lesions", self.foreground & abnormal & (self.masks == 0)
        yield "inside lesions", self.foreground & abnormal & (self.masks != 0)

    def patients_of(self, pixels: np.ndarray) -> np.ndarray:
        """Return the patient of each chosen pixel as a number, in the order of the ids."""
        codes = np.unique(self.column("patient", False), return_inverse=True)[1]
        return np.broadcast_to(codes[:, None, None], pixels.shape)[pixels]


def slice_rows(measured: Measured) -> Rows:
    """Return every test slice with its score and uncertainties."""
    columns = ["case", "patient", "slice", "level", "label", "lesion_mm2", "epistemic", "aleatoric"]
    table = measured.scored.table[columns].assign(score=measured.scores)
    return [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def curve_rows(measured: Measured) -> Rows:
    """Return the ROC and precision-recall curves with their bands, none where a class is missing."""
    rows: Rows = []
    for name, curve in (("roc", roc_values), ("precision_recall", precision_values)):
        banded = banded_curve(
            curve,
            measured.scores[measured.known],
            measured.column("label"),
            measured.column("patient"),
            measured.settings.bootstrap_samples,
        )
        if banded is None:
            continue
        ends = [[None] * GRID.size if end is None else end.tolist() for end in (banded.low, banded.high)]
        rows += [
            {"curve": name, "x": x, "y": y, "y_low": low, "y_high": high}
            for x, y, low, high in zip(GRID.tolist(), banded.values.tolist(), *ends, strict=True)
        ]
    return rows


def threshold_rows(measured: Measured) -> Rows:
    """Return the thresholds and what they were taken from, or why there are none."""
    names = ("slice_threshold", "slice_quantile", "pixel_threshold", "pixel_quantile", "slices", "patients")
    calibration = measured.run.calibration
    row = {name: None if calibration is None else getattr(calibration, name) for name in names}
    source = None if calibration is None else calibration.source
    return [{**row, "source": source, "undefined": measured.run.no_calibration}]


def normal_range_rows(measured: Measured) -> Rows:
    """Return the scores of normal validation slices by level, which the pictures draw; none without them."""
    calibration = measured.run.calibration
    return [] if calibration is None else [asdict(band) for band in calibration.normal_range]


def pixel_rows(measured: Measured) -> Rows:
    """Return the pixel figures of the anomaly map, of what it is made of, and of the plain intensity."""
    rows = []
    for name in ("anomaly", "squared_error", "epistemic", "aleatoric", "scan"):
        is_anomaly = name == "anomaly"
        row = evaluate_pixels(
            *known_pixels(measured.maps[name], measured.test),
            measured.pixel_threshold if is_anomaly else None,
            measured.run.no_calibration if is_anomaly else "only the anomaly map has a threshold",
            measured.settings.bootstrap_samples,
        )
        label = f"anomaly ({measured.run.mapper.score})" if is_anomaly else name
        rows.append({"map": "intensity (no model)" if name == "scan" else label, **row})
    return rows


def quintile_rows(measured: Measured) -> Rows:
    """Return slice scores by quintile of each uncertainty."""
    scores, labels = measured.scores[measured.known], measured.column("label")
    return [
        {"uncertainty": kind, **row}
        for kind, values in _uncertainties(measured)
        for row in score_by_quintile(
            scores,
            labels,
            values,
            measured.column("patient"),
            bootstrap_samples=measured.settings.bootstrap_samples,
        )
    ]


def refusal_rows(measured: Measured) -> Rows:
    """Return detection on the most certain slices, by each uncertainty."""
    return [
        {"uncertainty": kind, **row}
        for kind, values in _uncertainties(measured)
        for row in risk_coverage(
            measured.scores[measured.known],
            measured.column("label"),
            measured.column("level"),
            values,
            measured.column("patient"),
            measured.slice_threshold,
            bootstrap_samples=measured.settings.bootstrap_samples,
        )
    ]


def reliability_rows(measured: Measured) -> tuple[Rows, Rows]:
    """Return coverage of the predictive intervals and the histogram of z, in each region."""
    coverage: Rows = []
    histogram: Rows = []
    assert measured.scored.z is not None
    for region, pixels in measured.regions():
        z = np.concatenate([channel[pixels] for channel in measured.scored.z.swapaxes(0, 1)])
        patients = np.tile(measured.patients_of(pixels), measured.scored.z.shape[1])
        rows = interval_coverage(z, patients, bootstrap_samples=measured.settings.bootstrap_samples)
        coverage += [{"region": region, **row} for row in rows]
        histogram += [{"region": region, **row} for row in z_histogram(z)]
    return coverage, histogram


def correlation_rows(measured: Measured) -> Rows:
    """Return how well each variance ranks the errors, in each region."""
    rows = []
    for region, pixels in measured.regions():
        error, patients = measured.maps["squared_error"][pixels], measured.patients_of(pixels)
        for kind in ("epistemic", "aleatoric"):
            variance = measured.maps[kind][pixels]
            row = error_correlation(error, variance, patients, measured.settings.bootstrap_samples)
            rows.append({"region": region, "variance": kind, **row})
    return rows


def strata_rows(measured: Measured) -> Rows:
    """Return detection by lesion size."""
    return lesion_strata(
        measured.scores[measured.known],
        measured.column("label"),
        measured.column("level"),
        measured.column("lesion_mm2"),
        measured.column("patient"),
        measured.slice_threshold,
        measured.settings.strata_mm2,
        measured.settings.bootstrap_samples,
    )


def patient_rows(measured: Measured) -> Rows:
    """Return the table of patients."""
    overlap = None
    if measured.pixel_threshold is not None:
        overlap = count_overlap(
            *known_pixels(measured.maps["anomaly"], measured.test), measured.pixel_threshold
        )
    return patient_table(measured.test.facts, measured.scores, measured.slice_threshold, overlap)


def _uncertainties(measured: Measured) -> Iterator[tuple[str, np.ndarray]]:
    table = measured.scored.table[measured.known]
    for kind in ("epistemic", "aleatoric"):
        yield kind, table[kind].to_numpy()
