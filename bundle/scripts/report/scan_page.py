"""One scan on one page: maps of every slice to scroll through, scores, findings, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.evaluation.calibration import Calibration
from scripts.evaluation.normal_range import LevelBand
from scripts.io.atomic import write_text
from scripts.io.results import ScanResult, SliceResult
from scripts.preflight.report import Level
from scripts.report.overview import CONVENTION, RESEARCH, SYNTHETIC, select_slices
from scripts.report.panels import Volume, map_units
from scripts.report.slice_chart import SliceChart, band_at, draw_chart
from scripts.report.templates import FOLDER, digits, make_environment, script_hash
from scripts.report.viewer import Viewer, make_viewer
from scripts.uncertainty.scores import UNITS, Score, score_name, variance_unit

TEMPLATE = "scan_page.html.j2"
SCRIPT = "viewer.js"
ONE_DRAW = (
    "One draw: the epistemic variance is 0 by definition, not because the model is sure; "
    "give --samples 2 or more."
)


class ScoredSlice(NamedTuple):
    """A slice, and what is normal at its level."""

    found: SliceResult
    normal: LevelBand | None


def write_scan_page(
    result: ScanResult,
    image: Volume,
    maps: Mapping[str, Volume],
    calibration: Calibration | str,
    path: str | Path,
    synthetic: bool = False,
) -> Path:
    """Write the page of a scan, atomically, and return ``path``.

    Args:
        result: of the scan, complete but for its status and the hashes of its outputs.
        image: (X, Y, Z) scan in RAS order, square in its plane, ``field_of_view`` mm wide.
        maps: of the same shape: any of ``PANELS``, and "mask".
        calibration: in use, or the reason why there is none.
        path: ends in .html.
        synthetic: say that this is no person.
    """
    settings, score = result.settings, Score(result.settings["score"])
    unit, of_variance = UNITS[score], variance_unit(score)
    normal_range = () if isinstance(calibration, str) else calibration.normal_range
    slices = [ScoredSlice(one, band_at(one.level, normal_range)) for one in result.slices]
    scores, limits = [one.score for one in result.slices], result.calibration
    pixel_mm = float(settings["field_of_view"]) / image.shape[0]
    viewer = make_viewer({"scan": image, **maps}, scores, pixel_mm, map_units(score), limits.pixel_threshold)
    chart = draw_chart(result.slices, normal_range, limits.slice_threshold, (unit, of_variance))
    highest = select_slices([scores[index] for index in viewer.indices], int(settings["top_slices"]))
    script = (FOLDER / SCRIPT).read_text(encoding="utf-8")
    page = make_environment().get_template(TEMPLATE)
    text = page.render(
        result=result,
        limits=limits,
        origin=None if isinstance(calibration, str) else describe_origin(calibration),
        scope=scope_verdict(result),
        warnings=[*([SYNTHETIC] if synthetic else []), *warnings_of(result)],
        unit=unit,
        variance_unit=of_variance,
        slice_score=score_name(score, settings["alpha"], settings["pooling"], settings["slice_smoothing"]),
        viewer=viewer,
        highest=highest,
        chart=chart,
        slices=[one for one in slices if one.found.score is not None],
        made=describe_making(result),
        data=_viewer_data(viewer, chart, [slices[index] for index in viewer.indices], highest[0]),
        script=script,
        script_hash=script_hash(script),
        research=RESEARCH,
        convention=CONVENTION,
    )
    return write_text(path, text)


def scope_verdict(result: ScanResult) -> str:
    """Return what the scope gate said about a scan."""
    said = [f"{one['remedy']}: {one['finding']}" for one in result.findings if one["check"] == "scope"]
    return said[0] if said else "not checked"


def warnings_of(result: ScanResult) -> list[str]:
    """Return what the checks warn of, and what a map cannot say with these settings."""
    found = [one for one in result.findings if one["level"] == Level.WARNING]
    one_draw = [ONE_DRAW] if result.settings.get("samples") == 1 else []
    return [f"{one['check']}: {one['finding']}; {one['remedy']}." for one in found] + one_draw


def describe_origin(calibration: Calibration) -> str:
    """Return in words where thresholds come from."""
    slices, pixels = 100 * calibration.slice_quantile, 100 * calibration.pixel_quantile
    return (
        f"{calibration.slices} normal slices of {calibration.patients} patients ({calibration.source}): "
        f"{slices:.4g} % of them and {pixels:.4g} % of their pixels are not above; {calibration.created}"
    )


def describe_making(result: ScanResult) -> dict[str, str]:
    """Return by name what made a result: files, weights, settings, versions."""
    inputs = {f"input {one.name}": f"SHA-256 {one.sha256}" for one in result.inputs}
    geometry = result.geometry or {}
    return {
        **inputs,
        "grid of the scan": ", ".join(
            f"{name} {value}" for name, value in geometry.items() if name != "affine"
        ),
        "weights": f"SHA-256 {result.weights_sha256}",
        "settings": ", ".join(f"{name} {value}" for name, value in result.settings.items()),
        "versions": ", ".join(f"{name} {value}" for name, value in result.versions.items()),
        "created": result.created,
    }


def _viewer_data(
    viewer: Viewer, chart: SliceChart, shown: Sequence[ScoredSlice], first: int
) -> dict[str, Any]:
    """Return what the script reads; numbers that a reader sees are text already."""
    slices = [
        {
            "outline": outline,
            "place": chart.left + chart.step * one.found.slice,
            "caption": _caption(one),
        }
        for one, outline in zip(shown, viewer.outlines, strict=True)
    ]
    return {"first": first, "columns": viewer.columns, "rows": viewer.rows, "slices": slices}


def _caption(one: ScoredSlice) -> str:
    found, normal = one
    if found.score is None or found.level is None:
        return f"Slice {found.slice}: not scored"
    parts = [f"Slice {found.slice}, level {found.level:.2f}: score {digits(found.score)}"]
    if found.abnormal is not None:
        parts.append(f"{'above' if found.abnormal else 'not above'} the threshold")
    if normal is not None:
        low, high = digits(normal.percentile_5), digits(normal.percentile_95)
        parts.append(f"normal at this level {low} to {high}")
    return ", ".join(parts)
