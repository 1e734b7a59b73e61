"""Two runs in one output folder."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.errors import InputError, ResourceError
from scripts.io.scan_lock import scan_lock
from tests.heads import make_head, save_scan, scan_affine
from tests.inference_route import infer, make_model

SHAPE, SPACING = (40, 46, 9), (5.0, 5.0, 18.0)
HOLD = """
import sys, time
from scripts.io.scan_lock import scan_lock
with scan_lock(*sys.argv[1:]):
    print(flush=True)
    time.sleep(60)
"""


@pytest.mark.case(51)
def test_the_second_run_of_a_scan_leaves_it_to_the_first(tmp_path: Path) -> None:
    model, maps = make_model(tmp_path / "model"), tmp_path / "maps"
    for name in ("one", "two"):
        head = make_head(SHAPE, SPACING) + (name == "two")
        save_scan(tmp_path / "scans" / f"{name}.nii.gz", head, scan_affine(SHAPE, SPACING))
    with scan_lock(maps, "one"):
        (maps / "one").mkdir()
        (maps / "one" / "one_anomaly.nii.gz").write_text("half a map")
        with pytest.raises(InputError, match="1 of 2 scans failed, .* found one that is writing it"):
            infer(tmp_path / "scans", maps, model)
        assert [path.name for path in (maps / "one").iterdir()] == ["one_anomaly.nii.gz"]
        assert (maps / "two" / "two_result.json").exists()
    (maps / "one" / "one_anomaly.nii.gz").unlink()
    infer(tmp_path / "scans", maps, model)
    assert (maps / "one" / "one_result.json").exists()
    assert {path.name for path in maps.iterdir()} == {"one", "two", "scores.csv", ".locks"}


def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    held = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), "case"], stdout=subprocess.PIPE)
    assert held.stdout is not None
    held.stdout.readline()
    with pytest.raises(InputError, match="expected no other run"), scan_lock(tmp_path, "case"):
        pass
    held.send_signal(signal.SIGKILL)
    held.wait()
    with scan_lock(tmp_path, "case"):
        pass


def test_what_a_killed_run_was_writing_goes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "case").mkdir()
    for name in (".tmp-12-ab.nii.gz", "case_anomaly.nii.gz", ".notes"):
        (tmp_path / "case" / name).touch()
    with scan_lock(tmp_path, "case"):
        assert {path.name for path in (tmp_path / "case").iterdir()} == {"case_anomaly.nii.gz", ".notes"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot be written"), scan_lock(tmp_path / "file", "case"):
        pass
