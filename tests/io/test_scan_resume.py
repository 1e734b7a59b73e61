import json
import os
from dataclasses import replace

import pytest

from scripts.errors import InputError, ResourceError
from scripts.io.atomic import write_text
from scripts.io.results import (
    Calibration,
    InputFile,
    ScanResult,
    SliceResult,
    Status,
    other_results,
    read_result,
    result_path,
)
from scripts.io.resume import (
    OutputState,
    check_output_state,
    fail_scan,
    finish_scan,
    is_finished,
    planned_outputs,
    start_scan,
)

HASH, WEIGHTS, SETTINGS = "a" * 64, "b" * 64, {"score": "nll", "levels": (1, 2)}
KINDS = ("anomaly", "mask", "overview")


def make_plan(**changes):
    content = {
        "inputs": [InputFile("scan.nii.gz", HASH)],
        "weights_sha256": WEIGHTS,
        "settings": SETTINGS,
        "outputs": planned_outputs("case", KINDS),
    }
    return ScanResult("case", **(content | changes))


def write_outputs(folder, plan, text="map"):
    for output in plan.outputs.values():
        write_text(folder / "case" / output["name"], f"{text} {output['name']}")


def run_scan(folder, **changes):
    """Run a scan to its end and return the path of its result."""
    overwrite = changes.pop("overwrite", False)
    plan = make_plan(**changes)
    assert start_scan(folder, plan, overwrite)
    write_outputs(folder, plan)
    return finish_scan(folder, plan)


def listing(folder):
    return {path.name: path.read_bytes() for path in (folder / "case").iterdir()}


def test_planned_outputs():
    names = {kind: output["name"] for kind, output in planned_outputs("case", KINDS).items()}
    assert names == {
        "anomaly": "case_anomaly.nii.gz",
        "mask": "case_mask.nii.gz",
        "overview": "case_overview.png",
    }


def test_a_finished_scan_is_skipped(tmp_path):
    path = run_scan(tmp_path)
    result, before = read_result(path), listing(tmp_path)
    assert result.status is Status.OK
    assert all(len(output["sha256"]) == 64 for output in result.outputs.values())
    assert is_finished(path, HASH, WEIGHTS, SETTINGS) == (True, "finished")
    for overwrite in (False, True):
        assert check_output_state(tmp_path, make_plan(), overwrite) is OutputState.FINISHED
        assert start_scan(tmp_path, make_plan(), overwrite) is False
    assert listing(tmp_path) == before


def test_several_inputs_are_compared_in_order(tmp_path):
    inputs = [InputFile("t1ce.nii", "1" * 64), InputFile("flair.nii", "2" * 64)]
    path = run_scan(tmp_path, inputs=inputs)
    assert is_finished(path, ["1" * 64, "2" * 64], WEIGHTS, SETTINGS)[0]
    assert is_finished(path, ["2" * 64, "1" * 64], WEIGHTS, SETTINGS) == (False, "they are of another input")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"input_sha256": "c" * 64}, "another input"),
        ({"weights_sha256": "c" * 64}, "other weights"),
        ({"weights_sha256": None}, "other weights"),
        ({"settings": {"score": "squared_error", "levels": [1, 2]}}, "other settings: score"),
        ({"settings": {"score": "nll", "levels": [1, 2], "alpha": 0.5}}, "other settings: alpha"),
        ({"settings": {}}, "other settings: levels, score"),
    ],
)
def test_another_run_is_not_this_one(tmp_path, changes, reason):
    path = run_scan(tmp_path)
    asked = {"input_sha256": HASH, "weights_sha256": WEIGHTS, "settings": SETTINGS} | changes
    finished, given = is_finished(path, **asked)
    assert not finished
    assert reason in given


def test_reasons_without_a_good_result(tmp_path):
    path = result_path(tmp_path, "case")
    assert is_finished(path, HASH, WEIGHTS, SETTINGS) == (False, "there is no result file")
    start_scan(tmp_path, make_plan())
    assert is_finished(path, HASH, WEIGHTS, SETTINGS) == (False, "the last run was interrupted")
    fail_scan(tmp_path, make_plan(), "no brain")
    assert is_finished(path, HASH, WEIGHTS, SETTINGS) == (False, "the last run failed")
    path.write_text("{")
    assert is_finished(path, HASH, WEIGHTS, SETTINGS) == (False, "the result file cannot be read")


def test_missing_output_is_made_again_without_asking(tmp_path):
    path = run_scan(tmp_path)
    (tmp_path / "case" / "case_mask.nii.gz").unlink()
    assert is_finished(path, HASH, WEIGHTS, SETTINGS) == (False, "case_mask.nii.gz is missing")
    assert start_scan(tmp_path, make_plan()) is True


def test_output_edited_by_hand_is_not_replaced_without_asking(tmp_path):
    path = run_scan(tmp_path)
    (tmp_path / "case" / "case_mask.nii.gz").write_text("edited in a viewer")
    (tmp_path / "case" / "case_anomaly.nii.gz").unlink()
    finished, reason = is_finished(path, HASH, WEIGHTS, SETTINGS)
    assert (finished, reason) == (False, "case_mask.nii.gz was changed since it was written")
    before = listing(tmp_path)
    with pytest.raises(InputError, match=r"case: .*case_mask.*--overwrite true"):
        start_scan(tmp_path, make_plan())
    assert listing(tmp_path) == before
    assert start_scan(tmp_path, make_plan(), overwrite=True) is True


def test_outputs_of_another_run_need_overwrite(tmp_path):
    run_scan(tmp_path)
    before = listing(tmp_path)
    other = make_plan(settings={"score": "squared_error"})
    with pytest.raises(InputError, match=r"other settings: levels, score.*--overwrite true"):
        check_output_state(tmp_path, other)
    fail_scan(tmp_path, other, "refused")
    assert other.status is Status.FAILED
    assert listing(tmp_path) == before
    run_scan(tmp_path, settings={"score": "squared_error"}, overwrite=True)
    assert read_result(result_path(tmp_path, "case")).settings == {"score": "squared_error"}


def test_another_threshold_is_another_run(tmp_path):
    path = run_scan(tmp_path, calibration=Calibration("validation", 0.1, 0.5))
    assert is_finished(path, HASH, WEIGHTS, SETTINGS, Calibration("validation", 0.1, 0.5))[0]
    assert is_finished(path, HASH, WEIGHTS, SETTINGS)[0]
    with pytest.raises(InputError, match="another calibration"):
        start_scan(tmp_path, make_plan(calibration=Calibration("validation", 0.2, 0.5)))


def test_an_output_the_earlier_run_did_not_make_needs_overwrite(tmp_path):
    run_scan(tmp_path, outputs=planned_outputs("case", ["anomaly"]))
    with pytest.raises(InputError, match="lack mask, overview"):
        check_output_state(tmp_path, make_plan())
    fewer = make_plan(outputs={})
    assert check_output_state(tmp_path, fewer) is OutputState.FINISHED


def test_overwrite_removes_outputs_that_the_new_run_does_not_write(tmp_path):
    run_scan(tmp_path)
    (tmp_path / "case" / "notes.txt").write_text("mine")
    run_scan(tmp_path, settings={}, outputs=planned_outputs("case", ["anomaly"]), overwrite=True)
    assert sorted(listing(tmp_path)) == ["case_anomaly.nii.gz", "case_result.json", "notes.txt"]


def test_interrupted_run_is_redone_without_asking(tmp_path):
    plan = make_plan(settings={"score": "old"})
    start_scan(tmp_path, plan)
    write_outputs(tmp_path, plan, "half")
    path = run_scan(tmp_path)
    assert is_finished(path, HASH, WEIGHTS, SETTINGS)[0]


def test_failed_scan_leaves_only_its_reason(tmp_path):
    plan = make_plan(slices=[SliceResult(0, 0.1, 0.5)], scan_score=0.5)
    start_scan(tmp_path, plan)
    write_outputs(tmp_path, plan)
    fail_scan(tmp_path, plan, "NaN in slice 3")
    assert os.listdir(tmp_path / "case") == ["case_result.json"]
    data = json.loads(result_path(tmp_path, "case").read_text())
    assert (data["status"], data["reason"], data["outputs"]) == ("failed", "NaN in slice 3", {})
    assert (data["scan_score"], data["slices"]) == (None, [])
    assert start_scan(tmp_path, make_plan()) is True


def test_what_an_interrupted_run_left_goes_when_the_next_one_is_refused_early(tmp_path):
    start_scan(tmp_path, make_plan())
    write_outputs(tmp_path, make_plan())
    fail_scan(tmp_path, ScanResult("case"), "no room on the disk")
    assert os.listdir(tmp_path / "case") == ["case_result.json"]
    assert start_scan(tmp_path, make_plan()) is True


def test_a_scan_that_fails_before_it_starts_gets_a_result(tmp_path):
    fail_scan(tmp_path, ScanResult("case"), "not a NIfTI file")
    assert read_result(result_path(tmp_path, "case")).reason == "not a NIfTI file"


def test_a_damaged_input_does_not_cost_the_outputs_of_the_good_one(tmp_path):
    run_scan(tmp_path)
    before = listing(tmp_path)
    fail_scan(tmp_path, make_plan(inputs=[InputFile("scan.nii.gz", "d" * 64)]), "truncated")
    assert listing(tmp_path) == before


def test_files_of_somebody_else_are_never_touched(tmp_path):
    mask = tmp_path / "case" / "case_mask.nii.gz"
    write_text(mask, "drawn by hand")
    for _ in range(2):
        plan = make_plan()
        with pytest.raises(InputError, match="there is no result file"):
            start_scan(tmp_path, plan)
        fail_scan(tmp_path, plan, "refused")
        assert listing(tmp_path) == {"case_mask.nii.gz": b"drawn by hand"}
    fail_scan(tmp_path, ScanResult("case"), "failed before the outputs were planned")
    with pytest.raises(InputError, match="failed"):
        start_scan(tmp_path, make_plan())
    assert mask.read_text() == "drawn by hand"


def test_a_result_that_cannot_be_read_needs_overwrite(tmp_path):
    path = run_scan(tmp_path)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        start_scan(tmp_path, make_plan())
    assert start_scan(tmp_path, make_plan(), overwrite=True) is True


def test_a_result_cannot_point_outside_its_folder(tmp_path):
    path, outside = run_scan(tmp_path), tmp_path / "outside.txt"
    outside.write_text("precious")
    data = json.loads(path.read_text())
    data["outputs"]["anomaly"]["name"] = "../outside.txt"
    path.write_text(json.dumps(data))
    assert (
        is_finished(path, HASH, WEIGHTS, SETTINGS)[1]
        == "../outside.txt is not the name of a file in this folder"
    )
    assert start_scan(tmp_path, make_plan(outputs={}), overwrite=True) is True
    assert outside.read_text() == "precious"


def test_a_full_disk_at_the_end_leaves_the_scan_unfinished(tmp_path, monkeypatch):
    plan = make_plan()
    start_scan(tmp_path, plan)
    write_outputs(tmp_path, plan)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        with pytest.raises(ResourceError, match=r"case_result\.json"):
            finish_scan(tmp_path, plan)
    assert read_result(result_path(tmp_path, "case")).status is Status.STARTED
    assert start_scan(tmp_path, make_plan()) is True


def test_a_promised_output_that_was_not_written_is_noticed(tmp_path):
    plan = make_plan()
    start_scan(tmp_path, plan)
    with pytest.raises(InputError, match="case_anomaly"):
        finish_scan(tmp_path, plan)


def test_scans_of_earlier_runs_of_the_same_kind_are_found(tmp_path):
    def make(case, **changes):
        return replace(make_plan(outputs={}, **changes), case=case)

    for plan in (make("a"), make("b"), make("c", settings={"score": "nll"}), make("d")):
        start_scan(tmp_path, plan)
        finish_scan(tmp_path, plan)
    start_scan(tmp_path, make("e"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes_result.json").write_text("{}")
    plan = make("d")
    found = other_results(tmp_path, {"d"}, plan.weights_sha256, plan.settings, plan.calibration)
    assert [result.case for result in found] == ["a", "b"]
    assert other_results(tmp_path, {"d"}, "other weights", plan.settings, plan.calibration) == []
    other = Calibration("other scans", pixel_threshold=9.0, slice_threshold=9.0)
    assert other_results(tmp_path, {"d"}, plan.weights_sha256, plan.settings, other) == []
