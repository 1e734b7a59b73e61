"""An ablation as a whole: phantoms, a tiny network, trainings that are shared, stopped and resumed."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
import torch

from scripts.engines import nested_runs
from scripts.engines.ablation import Ablation
from scripts.engines.ablation_runner import UnitRunner
from scripts.errors import InputError, find_bundle_error
from scripts.evaluation import intervals
from scripts.evaluation.detection import auroc
from scripts.report.ablation_results import UNITS
from scripts.report.results import append_rows

CHOSEN = ["no_attention", "pooling_mean"]
FEW = {"epochs": 1, "split_fractions": [0.125, 0.125, 0.75], "bootstrap_samples": 10}


@pytest.fixture(scope="module")
def run_ablation(start_training):
    """Return a function that runs an ablation in a folder; without MLflow, which takes longest."""

    def run(folder: Path, **overrides):
        given = {"only": CHOSEN, "seeds": [0, 1]} | FEW | overrides
        workflow = start_training(folder, "ablation.yaml", **given)
        workflow.run_id = "ablation"
        workflow.run()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nested_runs, "_has_mlflow", False)
        patch.setattr(intervals, "FEWEST_PATIENTS", 3)  # four of the tiny cohort have a tumour
        yield run


@pytest.fixture(scope="module")
def finished(run_ablation, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "ablation"
    run_ablation(folder)
    return folder


def rows_of(folder: Path, name: str = "ablation.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def comparable(folder: Path, name: str = "ablation.csv") -> list[tuple[tuple[str, str], ...]]:
    rows = rows_of(folder, name)
    return sorted(
        tuple(item for item in row.items() if item[0] not in ("minutes", "commit", "machine")) for row in rows
    )


def test_every_unit_has_a_row_slice_scores_and_a_training_of_its_own_or_a_shared_one(finished):
    assert {(row["variant"], row["seed"]) for row in rows_of(finished)} == {
        (variant, seed) for variant in ("full", *CHOSEN) for seed in "01"
    }
    trained = {path.parent.relative_to(finished / "trainings") for path in finished.rglob("model.pt")}
    assert trained == {Path(name, f"seed_{seed}") for name in ("full", "no_attention") for seed in (0, 1)}
    for row in rows_of(finished):
        slices = pd.read_csv(finished / "units" / f"{row['variant']}-{row['seed']}.csv")
        known = slices[slices["label"] != -1]
        assert float(row["auroc_balanced"]) == pytest.approx(
            auroc(known[row["score"]], known["label"]), rel=1e-5
        )


def test_the_full_model_is_what_plain_training_gives(finished, start_training, tmp_path):
    start_training(tmp_path, seed=1, **{key: FEW[key] for key in ("epochs", "split_fractions")}).run()
    plain = torch.load(tmp_path / "model.pt", weights_only=True)
    ours = torch.load(finished / "trainings" / "full" / "seed_1" / "model.pt", weights_only=True)
    assert plain.keys() == ours.keys()
    assert all(torch.equal(plain[name], ours[name]) for name in plain)


def test_variants_differ_and_the_full_one_not_from_itself(finished):
    rows = {row["variant"]: row for row in rows_of(finished, "ablation_differences.csv")}
    assert list(rows) == ["full", *CHOSEN]
    ends = [f"auroc_matched_difference{end}" for end in ("", "_low", "_high")]
    assert [rows["full"][name] for name in ends] == ["0", "0", "0"]
    for name in CHOSEN:
        low, value, high = (float(rows[name][end]) for end in (ends[1], ends[0], ends[2]))
        assert low <= value <= high
        assert low < high
        assert rows[name]["paper_auroc"] == ""
        assert (rows[name]["seeds"], rows[name]["patients_test"]) == ("2", "6")


def test_an_ablation_that_was_stopped_goes_on_to_the_same_rows(tmp_path, finished, run_ablation, monkeypatch):
    folder, recorded = tmp_path / "ablation", []
    record = Ablation._record

    def record_one(self, unit, *arguments, **keywords):
        if recorded:
            raise KeyboardInterrupt
        recorded.append(unit.name)
        record(self, unit, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Ablation, "_record", record_one)
        with pytest.raises(KeyboardInterrupt):
            run_ablation(folder, only="no_attention")
    # The second unit had left its file, but no row yet.
    units = {path: path.stat().st_mtime_ns for path in (folder / "units").glob("*.json")}
    assert {path.stem for path in units} == {"full-0", "no_attention-0"}
    assert len(rows_of(folder)) == 1
    trained = []
    train = UnitRunner.train
    monkeypatch.setattr(UnitRunner, "train", lambda self, *key: trained.append(key) or train(self, *key))
    run_ablation(folder, only="no_attention")
    assert trained == [("full", 1), ("no_attention", 1)]
    assert all(path.stat().st_mtime_ns == when for path, when in units.items())
    for name in ("ablation.csv", "ablation_differences.csv"):
        whole = [row for row in comparable(finished, name) if ("variant", "pooling_mean") not in row]
        assert comparable(folder, name) == whole


def test_a_unit_with_other_settings_is_not_taken_for_done(finished, run_ablation):
    before = comparable(finished)
    for setting, message in (
        ({"learning_rate": 0.01}, "with learning_rate 0.01, found one with 0.002; give another --output_dir"),
        ({"alpha": 0.25}, "with alpha 0.25, found one with 0.0"),
        ({"lesion_share": 0.5}, "with lesion_share 0.5, found one with 0.65"),
        ({"lesion_ranges#count": [1, 1]}, 'with lesion_ranges {"_target_"'),
        ({"assume_normal": True}, "with assume_normal true, found one with false"),
        ({"alphas": [0.0]}, "with alphas [0.0], found one with [0.0, 0.5]"),
        ({"dataset_name": "other"}, 'with dataset "other", found one with "cohort"'),
        ({"variants#no_attention#heads": 1}, "no_attention-0.json: expected a unit with"),
    ):
        with pytest.raises(RuntimeError) as error:
            run_ablation(finished, **setting)
        known = find_bundle_error(error.value)
        assert isinstance(known, InputError)
        assert message in str(known)
    assert comparable(finished) == before


def test_scores_that_a_unit_no_longer_has_leave_the_table(finished, run_ablation):
    before = comparable(finished)
    rows = rows_of(finished)
    stale = next(row for row in rows if row["variant"] == "full") | {"score": "renamed"}
    append_rows(finished / "ablation.csv", [*rows, stale], UNITS)
    assert len(rows_of(finished)) == len(before) + 1
    run_ablation(finished)
    assert comparable(finished) == before


def test_a_unit_that_fails_is_reported_and_the_others_go_on(tmp_path, run_ablation):
    # Three heads do not divide eight channels; there is no mean of no draw.
    broken = {"variants#no_attention#heads": 3, "variants#samples_1#samples": 0}
    only = ["no_attention", "samples_1", "pooling_mean"]
    with pytest.raises(RuntimeError) as error:
        run_ablation(tmp_path, seeds=[0], only=only, **broken)
    message = str(find_bundle_error(error.value))
    assert message.startswith("2 of 4 units failed, the others are finished.")
    assert "samples_1-0: Expected at least 1 draw, got 0" in message
    assert "no_attention-0: Expected channels divisible by heads, got 8 and 3" in message
    assert {row["variant"] for row in rows_of(tmp_path)} == {"full", "pooling_mean"}
    assert len(rows_of(tmp_path, "ablation_differences.csv")) == 2


def test_what_the_data_do_not_hold_and_what_changes_nothing_is_left_out(tmp_path, run_ablation, caplog):
    with pytest.raises(RuntimeError) as error:
        run_ablation(tmp_path, only=["modality_t1ce"])
    # t1ce is the full model by another name.
    assert "variants out of full, no_mirror, no_attention" in str(find_bundle_error(error.value))
    run_ablation(tmp_path, seeds=[], only="modality_flair")
    assert "Leaving out modality_flair, which the data do not allow: Expected flair for case" in caplog.text
    assert not (tmp_path / "trainings").exists()
