"""Measure which kinds of scan the shipped weights refuse as out of their scope; print a table.

    python -m benchmarks.scope --lgg DIR --split FILE --brats DIR --ms DIR --child DIR

TCGA-LGG with the ``split.json`` of the training, BraTS2021 and multiple sclerosis in the BraTS layout, and a
DICOM series of a child. Every kind goes through the bundle's own ``run preflight``, one process each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.scope_scans import change, cut_face, invert, lesion_volume, link, make_up
from scripts import BUNDLE_ROOT
from scripts.data.datalist import find_scans
from scripts.errors import InputError

NIFTI = "configs/inference.json"
DICOM = "['configs/inference.json','configs/inference_dicom.yaml']"
LARGEST = 4


class Judged(NamedTuple):
    """What the scope gate said of one scan."""

    p: float
    refused: bool


def main() -> None:
    """Run the measurement from the command line."""
    options = _arguments()
    print(f"{'scans':44}{'refused':>10}{'largest p refused':>20}{'smallest p mapped':>20}")
    with tempfile.TemporaryDirectory(prefix="scope-") as folder:
        for name, judged in _kinds(options, Path(folder)):
            print(line(name, judged), flush=True)


def _kinds(options: argparse.Namespace, work: Path) -> Iterator[tuple[str, list[Judged]]]:
    """Yield the kinds of scan by name, with what the gate said of each scan; ``work`` holds the folders."""
    trained = {row["case"] for row in json.loads(options.split.read_text(encoding="utf-8"))["training"]}
    unseen = [scan for scan in find_scans(options.lgg) if scan["case"] not in trained]
    if unmasked := [scan["case"] for scan in unseen if "label" not in scan]:
        raise InputError(f"{options.lgg}: expected a lesion mask of every scan, none of {unmasked[0]} found.")
    volumes = [lesion_volume(scan["label"]) for scan in unseen]
    large = sorted(range(len(unseen)), key=volumes.__getitem__)[-LARGEST:]
    source = link([Path(scan["image"]) for scan in unseen], work / "unseen")
    judged = judge(source)
    yield "TCGA-LGG, not trained on", judged
    name = f"of these, tumours of {volumes[large[0]]:.0f} to {volumes[large[-1]]:.0f} ml"
    yield name, [judged[index] for index in large]
    yield "without a face", judge(change(source, work / "faceless", cut_face))
    for name, ends in (("T1ce", ["t1ce"]), ("FLAIR", ["flair"]), ("T1 and T2", ["t1", "t2"])):
        paths = [path for end in ends for path in sorted(options.brats.glob(f"*/*_{end}.nii.gz"))]
        yield f"BraTS2021, {name}", judge(link(paths, work / name))
    paths = sorted(options.ms.glob("*/*_t1ce.nii.gz"))
    yield "multiple sclerosis", judge(link(paths, work / "ms"))
    yield "TCGA-LGG, inverted", judge(change(source, work / "inverted", invert))
    yield "made-up CT, window of it, knee, bottle", judge(make_up(work / "made_up"))
    yield "T1 without contrast, a child", judge(options.child, DICOM)


def judge(scans: Path, config_file: str = NIFTI) -> list[Judged]:
    """Return what the gate of the shipped weights says of each scan in a folder, in the order of their names.

    Raises:
        RuntimeError: a scan was not judged; the message holds the end of the output.
    """
    with tempfile.TemporaryDirectory(prefix="scope-") as folder:
        found = Path(folder) / "preflight.json"
        command = [sys.executable, "-m", "monai.bundle", "run", "preflight", "--config_file", config_file]
        command += ["--dataset_dir", str(scans.resolve()), "--preflight_file", str(found)]
        ended = subprocess.run(command, cwd=BUNDLE_ROOT, capture_output=True, text=True, check=False)
        reports = json.loads(found.read_text(encoding="utf-8"))["scans"] if found.exists() else []
    scopes = [finding for scan in reports for finding in scan["findings"] if finding["check"] == "scope"]
    if not reports or len(scopes) < len(reports):
        output = (ended.stdout + ended.stderr)[-4000:]
        raise RuntimeError(
            f"{scans}: expected every scan judged, got {len(scopes)} of {len(reports)}:\n{output}"
        )
    return [Judged(scope["numbers"]["p"], scope["level"] == "refusal") for scope in scopes]


def line(name: str, judged: Sequence[Judged]) -> str:
    """Return a line of the table."""
    refused = [each.p for each in judged if each.refused]
    mapped = [each.p for each in judged if not each.refused]
    ends = f"{max(refused):20.2g}" if refused else f"{'-':>20}"
    ends += f"{min(mapped):20.2g}" if mapped else f"{'-':>20}"
    return f"{name:44}{f'{len(refused)} of {len(judged)}':>10}{ends}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add = partial(parser.add_argument, type=Path, required=True)
    add("--lgg", help="TCGA-LGG, T1ce with masks")
    add("--split", help="split.json of the training of the shipped weights")
    add("--brats", help="BraTS2021: T1ce and FLAIR, T1 and T2 where there are")
    add("--ms", help="T1ce of multiple sclerosis")
    add("--child", help="DICOM series, T1 without contrast, or a zip archive of it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
