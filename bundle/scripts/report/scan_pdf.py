"""Two pages about one scan as PDF: its scores, thresholds, findings and versions, and its overview."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.image import imread

from scripts.io.results import ScanResult
from scripts.report.overview import RESEARCH

_A4 = (8.27, 11.69)
_WIDTH = 100
_LINES = 68
_HIGHEST = 10


def draw_scan_pdf(result: ScanResult, overview: Path) -> bytes:
    """Return a PDF of the result; the same result gives the same bytes.

    Args:
        result: what was found; its case is the only name in the document.
        overview: the picture that inference has drawn of the scan.
    """
    buffer = io.BytesIO()
    with PdfPages(
        buffer, metadata={"CreationDate": None, "Title": f"Anomaly report of {result.case}"}
    ) as pages:
        pages.savefig(_text_page(result))
        pages.savefig(_picture_page(overview))
    return buffer.getvalue()


_VERDICTS = {None: "", True: ", above the threshold", False: ", not above the threshold"}
"""Not a diagnosis: a slice below the threshold may hold a lesion."""


def report_lines(result: ScanResult) -> list[str]:
    """Return the text of the first page."""
    limits = result.calibration
    scored = [one for one in result.slices if one.score is not None]
    highest = sorted(scored, key=lambda one: -(one.score or 0.0))[:_HIGHEST]
    lines = [RESEARCH, "", f"Scan score: {_number(result.scan_score)}"]
    if limits.source is None:
        lines.append(f"No threshold: {limits.reason}")
    else:
        lines.append(
            f"Thresholds: slice score {_number(limits.slice_threshold)}, "
            f"voxel {_number(limits.pixel_threshold)} ({limits.source})"
        )
        lines += [limits.reason] if limits.reason else []
    lines += ["", f"Slices with the highest scores, of {len(scored)} scored, counted from 0 at the lowest:"]
    for one in highest:
        lines.append(f"  slice {one.slice}, score {_number(one.score)}{_VERDICTS[one.abnormal]}")
    lines += ["", "Findings of the checks:"]
    lines += [
        f"  {one['level']}, {one['check']}: {one['finding']}; {one['remedy']}" for one in result.findings
    ]
    lines += ["", "Settings: " + ", ".join(f"{key} {value}" for key, value in result.settings.items())]
    lines.append("Versions: " + ", ".join(f"{name} {version}" for name, version in result.versions.items()))
    lines.append(f"Weights: SHA-256 {result.weights_sha256}")
    return [part for line in lines for part in textwrap.wrap(line, _WIDTH, subsequent_indent="    ") or [""]]


def _text_page(result: ScanResult) -> Figure:
    figure = Figure(figsize=_A4)
    figure.text(0.08, 0.95, f"Anomaly report of {result.case}", fontsize=13, parse_math=False)
    lines = report_lines(result)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], "(the rest is in the result file)"]
    figure.text(0.08, 0.925, "\n".join(lines), fontsize=8, va="top", linespacing=1.35, parse_math=False)
    return figure


def _picture_page(overview: Path) -> Figure:
    figure = Figure(figsize=_A4[::-1])
    picture = imread(overview, format="png")
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    axes.imshow(picture)
    axes.set_axis_off()
    return figure


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
