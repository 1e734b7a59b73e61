"""All generated files in one folder, mapped and inspected by the commands a user types."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from scripts.data.layouts_names import safe_name
from tests.bundle.commands import Ended, WarmCommands
from tests.bundle.conftest import TINY_NETWORK
from tests.preflight.files import INPUTS, Input

refused = [one for one in INPUTS if one.refused]
mapped = [one for one in INPUTS if not one.refused]


def ids(one: Input) -> str:
    return one.id


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for one in INPUTS:
        one.write(folder)
    return folder


def run(commands: WarmCommands, name: str, model: Path, scans: Path, output: Path, *options: str) -> Ended:
    paths = (f"--model_dir={model}", f"--dataset_dir={scans}", f"--output_dir={output}")
    command = ("run", name, "--config_file", "configs/inference.json", *paths, *TINY_NETWORK, *options)
    return commands.run(*command, pictures=False)


@pytest.fixture(scope="module")
def inferred(
    commands: WarmCommands, random_model: Path, scans: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Ended]:
    output = tmp_path_factory.mktemp("maps") / "maps"
    return output, run(commands, "inference", random_model, scans, output)


@pytest.fixture(scope="module")
def inspected(
    commands: WarmCommands, random_model: Path, scans: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Ended]:
    output = tmp_path_factory.mktemp("preflight") / "out"
    ended = run(commands, "preflight", random_model, scans, output)
    assert [path.name for path in output.iterdir()] == ["preflight.json"]
    content = json.loads((output / "preflight.json").read_text(encoding="utf-8"))
    return {row["case"]: row for row in content["scans"]}, ended


def result(output: Path, given: Input) -> dict[str, Any]:
    case = safe_name(given.id)
    return json.loads((output / case / f"{case}_result.json").read_text(encoding="utf-8"))


def test_the_run_ends_with_the_class_of_the_first_failure(inferred: tuple[Path, Ended]) -> None:
    ended = inferred[1]
    assert ended.code == 2
    assert f"{len(refused)} of {len(INPUTS)} scans failed, the others are finished. 01-loop: " in ended.error
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("given", refused, ids=ids)
def test_a_refused_file_leaves_its_reason_and_nothing_else(
    inferred: tuple[Path, Ended], given: Input
) -> None:
    found = result(inferred[0], given)
    assert found["status"] == "failed"
    assert found["exit_code"] == given.kind.exit_code
    assert re.search(given.says, found["reason"])
    assert given.check in [one["check"] for one in found["findings"] if one["level"] == "refusal"]
    assert found["slices"] == []
    folder = inferred[0] / given.id
    assert [path.name for path in folder.iterdir()] == [f"{given.id}_result.json"]


@pytest.mark.parametrize("given", mapped, ids=ids)
def test_the_others_are_mapped_on_their_own_grid(
    inferred: tuple[Path, Ended], scans: Path, given: Input
) -> None:
    found = result(inferred[0], given)
    assert found["status"] == "ok"
    assert found["exit_code"] == 0
    assert (given.check is None) or given.check in [one["check"] for one in found["findings"]]
    case = safe_name(given.id)
    anomaly = nibabel.load(inferred[0] / case / f"{case}_anomaly.nii.gz")
    assert np.isfinite(anomaly.dataobj).all()
    assert np.asanyarray(anomaly.dataobj).any()
    if not given.id.startswith("04"):  # nibabel itself cannot read those
        scan = nibabel.load(scans / f"{given.id}{given.suffix}")
        assert anomaly.shape == scan.shape
        assert anomaly.affine.tobytes() == scan.affine.tobytes()


def test_warnings_are_logged_with_the_case(inferred: tuple[Path, Ended]) -> None:
    for given in mapped:
        if given.level == "warning" and given.check:
            assert re.search(f"WARNING .*{given.id}: .*{given.says}", inferred[1].err + inferred[1].out)


def test_preflight_alone_says_the_same(
    inferred: tuple[Path, Ended], inspected: tuple[dict[str, Any], Ended]
) -> None:
    rows, ended = inspected
    assert ended.code == 2
    assert len(rows) == len(INPUTS)
    for given in INPUTS:
        row, found = rows[safe_name(given.id)], result(inferred[0], given)
        assert row["findings"] == found["findings"]
        assert (row["exit_code"], row["reason"]) == (found["exit_code"], found["reason"])


def test_preflight_prints_a_line_for_each_finding(inspected: tuple[dict[str, Any], Ended]) -> None:
    rows, ended = inspected
    lines = ended.out.splitlines()
    assert "00-good: warning" in lines  # this model has no scope statistics
    assert "03-truncated: refused (exit code 2)" in lines
    for row in rows.values():
        for one in row["findings"]:
            assert any(one["finding"] in line and one["level"] in line for line in lines)
