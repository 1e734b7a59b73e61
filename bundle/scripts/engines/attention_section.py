"""The part of a report about attention: maps, entropy, and whether it goes to lesion boundaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from scripts.baselines.trivial import mirror
from scripts.data.slices import SliceLabel
from scripts.engines.attention_maps import LayerAttention, attention_of
from scripts.engines.run_tables import Measured, Rows
from scripts.evaluation.attention_mass import attention_ratio, lesion_boundary, mean_share, region_mass
from scripts.evaluation.intervals import Bootstrap, join_reasons, make_bootstrap
from scripts.report.attention_figures import attention_picture, head_picture
from scripts.report.page import Picture, Section, Table

ALL = "all"
"""Name of the row that averages over heads, or over layers too."""

NOTE = (
    "Entropy: 1 is even over all keys. Ratios: attention that the region gets, divided by what its area in "
    "the head would get; 1 is indifference. Mirrored: the same boundary on the other side of the head, where "
    "no lesion is."
)

NO_SLICE, NO_REGION = "no such slice", "no slice with this region"
"""Why a mean may be undefined."""

REGIONS = ("boundary", "mirrored", "lesion")


def attention_section(measured: Measured, device: torch.device | str = "cpu") -> Section:
    """Return the tables and pictures of a run's attention; only a sentence where it has none."""
    title = f"{measured.run.name}: attention"
    layers = attention_of(measured.run.mapper, measured.test.images, device)
    if not layers:
        return Section(title, "This network has no attention.")
    rows = attention_rows(measured, layers)
    tables = [
        Table(
            "attention",
            "Attention by layer and head",
            [{"run": measured.run.name, **row} for row in rows],
            note=NOTE,
        )
    ]
    return Section(title, boundary_answer(rows), tables, _pictures(measured, layers))


def attention_rows(measured: Measured, layers: list[LayerAttention]) -> Rows:
    """Return entropy and region ratios for each head, for each layer, and for all layers of several."""
    regions = _regions(measured)
    rows = []
    for layer in layers:
        heads = [str(head + 1) for head in range(layer.entropy.shape[1])]
        for number, head in enumerate(heads):
            rows.append(_row(measured, layer.name, head, [(layer, number)], regions))
        rows.append(
            _row(measured, layer.name, ALL, [(layer, number) for number in range(len(heads))], regions)
        )
    if len(layers) == 1:
        return rows
    every = [(layer, number) for layer in layers for number in range(layer.entropy.shape[1])]
    return [*rows, _row(measured, ALL, ALL, every, regions)]


def _regions(measured: Measured) -> dict[str, np.ndarray]:
    """Return the regions (N, X, Y) of every abnormal slice, nothing on the others."""
    found = {name: np.zeros(measured.masks.shape, dtype=bool) for name in REGIONS}
    for index in np.flatnonzero(measured.column("label", False) == SliceLabel.ABNORMAL):
        lesion, head = measured.masks[index] != 0, measured.foreground[index]
        boundary = lesion_boundary(lesion) & head
        found["lesion"][index], found["boundary"][index] = lesion & head, boundary
        mirrored = mirror(boundary.astype(np.float32), head.astype(np.float32)) > 0
        found["mirrored"][index] = mirrored & head & ~lesion & ~boundary
    return found


def _row(
    measured: Measured,
    layer: str,
    head: str,
    members: list[tuple[LayerAttention, int]],
    regions: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Return the figures of one head, or the means of several."""
    labels = measured.column("label", False)
    entropy = np.mean([one.entropy[:, number] for one, number in members], axis=0)
    row: dict[str, Any] = {"layer": layer, "head": head, "heads": members[0][0].entropy.shape[1]}
    row["keys"] = members[0][0].received[0, 0].size if layer != ALL else None
    bootstrap, reasons = make_bootstrap(measured.settings.bootstrap_samples), dict[str, str]()
    patients = measured.column("patient", False)
    for label, name in ((SliceLabel.NORMAL, "entropy_normal"), (SliceLabel.ABNORMAL, "entropy_abnormal")):
        chosen = labels == label
        row |= mean_share(name, entropy[chosen], patients[chosen], bootstrap, reasons, NO_SLICE)
    masses = {name: _masses(measured, members, one) for name, one in regions.items()}
    row |= _ratios(patients, masses, bootstrap, reasons)
    return row | {"undefined": join_reasons(reasons)}


def _ratios(
    patients: np.ndarray, masses: dict[str, np.ndarray], bootstrap: Bootstrap, reasons: dict[str, str]
) -> dict[str, Any]:
    """Return what each region gets against its area, and the boundary against its mirror image."""
    row: dict[str, Any] = {}
    for name, found in masses.items():
        chosen = np.flatnonzero(~np.isnan(found[:, 0]))
        observed, expected = found[chosen].T
        row |= attention_ratio(f"{name}_ratio", observed, expected, patients[chosen], bootstrap, reasons)
        if name == "boundary":
            for part, shares in (("boundary_mass", observed), ("boundary_area", expected)):
                row |= mean_share(part, shares, patients[chosen], bootstrap, reasons, NO_REGION)
    # On the same slices, each by its area: what a lesion adds to the place.
    both = np.flatnonzero(~np.isnan(masses["boundary"][:, 0] + masses["mirrored"][:, 0]))
    density, mirrored = (masses[name][both, 0] / masses[name][both, 1] for name in ("boundary", "mirrored"))
    return row | attention_ratio(
        "boundary_to_mirrored", density, mirrored, patients[both], bootstrap, reasons
    )


def _masses(measured: Measured, members: list[tuple[LayerAttention, int]], region: np.ndarray) -> np.ndarray:
    """Return observed and expected share (N, 2) of a region, means over heads; NaN on slices without it."""
    found = np.full((len(region), 2), np.nan)
    for index in np.flatnonzero(region.any(axis=(1, 2))):
        head = measured.foreground[index]
        each = [region_mass(one.received[index, number], region[index], head) for one, number in members]
        found[index] = np.mean(each, axis=0)
    return found


def boundary_answer(rows: Rows) -> str:
    """Say whether attention goes to lesion boundaries, from the last row: over all layers and heads."""
    row = rows[-1]
    if row["boundary_ratio"] is None:
        return "No slice shows a lesion: whether attention goes to its boundary cannot be told."
    text = (
        f"Over all layers and {row['heads']} heads, lesion boundaries get {row['boundary_ratio']:.2f} times "
        "the attention that their area in the head would get"
    )
    if row["boundary_to_mirrored"] is None or row["boundary_to_mirrored_low"] is None:
        return f"{text}; no interval exists ({row['undefined'] or 'no place to compare with'})."
    low, high = row["boundary_to_mirrored_low"], row["boundary_to_mirrored_high"]
    # With its size: an interval beside 1 may still be an effect too small to matter.
    size = f"{abs(row['boundary_to_mirrored'] - 1):.0%}"
    verdict = f"{size} more" if low > 1 else f"{size} less" if high < 1 else "no difference seen"
    text += (
        f", and {row['boundary_to_mirrored']:.2f} times ({low:.2f} to {high:.2f}) what the same place on the"
    )
    answer = f"Does a lesion's boundary draw attention? {verdict[0].upper()}{verdict[1:]}."
    return f"{text} other side of the head gets. {answer}"


def _pictures(measured: Measured, layers: list[LayerAttention]) -> list[Picture]:
    """Return the maps of the slices with the largest lesions, and of normal slices at their levels."""
    chosen = _shown(measured)
    if not chosen:
        return []
    names = [
        "abnormal" if measured.test.facts["label"].iloc[index] == SliceLabel.ABNORMAL else "normal"
        for index in chosen
    ]
    arguments = (measured.maps["scan"], measured.masks, chosen)
    pictures = [attention_picture(*arguments, names, layers)]
    return pictures + [head_picture(*arguments, names, layer) for layer in layers[:1]]


def _shown(measured: Measured, count: int = 2) -> list[int]:
    facts = measured.test.facts
    abnormal = facts[facts["label"] == SliceLabel.ABNORMAL].sort_values(
        ["lesion_mm2", "case", "slice"], ascending=[False, True, True]
    )
    chosen = abnormal.drop_duplicates("patient").index[:count].tolist()
    normal = facts[facts["label"] == SliceLabel.NORMAL]
    for level in [facts["level"].iloc[index] for index in chosen] or [0.5]:
        if len(normal):
            nearest = (normal["level"] - level).abs().idxmin()
            chosen.append(int(nearest))
            normal = normal[normal["patient"] != normal["patient"].loc[nearest]]
    return chosen
