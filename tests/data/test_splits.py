import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.data.hashing import content_hash
from scripts.data.splits import Split, load_or_make_split
from scripts.data.splits_assign import PARTS, assign_patients
from scripts.errors import InputError

FOLDER_SIZE = 12


def save(path, value):
    nib.save(nib.Nifti1Image(np.full((2, 2, 2), value, dtype=np.int16), np.eye(4)), path)


def record(path, patient=None):
    case = path.name.removesuffix(".nii")
    return {"case": case, "patient": patient or case, "image": str(path)}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Volumes that all differ; tests use them, none changes them."""
    folder = tmp_path_factory.mktemp("library")
    for number in range(FOLDER_SIZE):
        save(folder / f"s{number:02d}.nii", number)
    return [folder / f"s{number:02d}.nii" for number in range(FOLDER_SIZE)]


@pytest.fixture
def scans(library, tmp_path):
    """Eight scans of eight patients, in files that a test may change."""
    folder = tmp_path / "scans"
    folder.mkdir()
    return [record(shutil.copy(path, folder / path.name)) for path in library[:8]]


def sides_of(split):
    return {case["case"]: part for part in PARTS for case in getattr(split, part)}


def patients(split):
    return [{scan["patient"] for scan in getattr(split, part)} for part in PARTS]


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# --- making one ---


def test_file_and_split_agree(scans, tmp_path):
    path = tmp_path / "new" / "split.json"
    split = load_or_make_split(scans, path, seed=3)
    content = json.loads(path.read_text())
    assert (content["version"], content["seed"], content["fractions"]) == (1, 3, [0.65, 0.15, 0.20])
    assert [len(content[part]) for part in PARTS] == [5, 1, 2]
    for part in PARTS:
        expected = [
            {"case": scan["case"], "patient": scan["patient"], "image_sha256": content_hash(scan)}
            for scan in getattr(split, part)
        ]
        assert content[part] == expected
    assert sorted(sides_of(split)) == [scan["case"] for scan in scans]
    assert [path.name for path in path.parent.iterdir()] == ["split.json"]


def test_records_pass_unchanged(scans, tmp_path):
    scans[0]["label"] = "/x/seg.nii"
    split = load_or_make_split(scans, tmp_path / "split.json")
    assert sorted([*split.training, *split.validation, *split.test], key=lambda scan: scan["case"]) == scans


def test_same_seed_same_split_in_any_order(scans, tmp_path):
    first = load_or_make_split(scans, tmp_path / "a.json", seed=1)
    assert load_or_make_split(scans[::-1], tmp_path / "b.json", seed=1) == first
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    others = [load_or_make_split(scans, tmp_path / f"{seed}.json", seed=seed) for seed in range(2, 6)]
    assert any(other != first for other in others)


@pytest.mark.parametrize(
    ("total", "fractions", "counts"),
    [
        (46, (0.65, 0.15, 0.20), [30, 7, 9]),
        (20, (0.65, 0.15, 0.20), [13, 3, 4]),
        (3, (0.65, 0.15, 0.20), [1, 1, 1]),
        (4, (0.98, 0.01, 0.01), [2, 1, 1]),
        (5, (0.8, 0.2, 0.0), [4, 1, 0]),
        (1, (0.0, 0.0, 1.0), [0, 0, 1]),
        (10, (1 / 3, 1 / 3, 1 / 3), [4, 3, 3]),
    ],
)
def test_counts(total, fractions, counts):
    parts = list(assign_patients([f"p{n}" for n in range(total)], fractions, 0).values())
    assert [parts.count(part) for part in PARTS] == counts


fractions_strategy = (
    st.tuples(*[st.integers(0, 100)] * 3).filter(any).map(lambda three: [part / sum(three) for part in three])
)


@given(total=st.integers(3, 300), fractions=fractions_strategy, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_every_patient_has_one_side_and_no_wanted_side_is_empty(total, fractions, seed):
    names = [f"p{n}" for n in range(total)]
    part_of = assign_patients(names, fractions, seed)
    assert sorted(part_of) == sorted(names)
    for part, share in zip(PARTS, fractions, strict=True):
        count = sum(side == part for side in part_of.values())
        assert (count > 0) == (share > 0)
        assert abs(count - share * total) <= 2


@given(
    owners=st.lists(st.integers(0, 6), min_size=3, max_size=FOLDER_SIZE).filter(lambda x: len(set(x)) >= 3),
    fractions=fractions_strategy,
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_no_patient_is_ever_on_two_sides(library, tmp_path_factory, owners, fractions, seed):
    scans = [record(path, f"p{owner}") for path, owner in zip(library, owners, strict=False)]
    path = tmp_path_factory.mktemp("split") / "split.json"
    split = load_or_make_split(scans, path, fractions, seed)
    training, validation, test = patients(split)
    assert not training & validation
    assert not training & test
    assert not validation & test
    assert len(sides_of(split)) == len(scans)
    assert load_or_make_split(scans, path, fractions, seed) == split


@pytest.mark.parametrize(
    ("fractions", "seed", "message"),
    [
        ((0.5, 0.5), 0, r"three fractions from 0 to 1 with sum 1 .* but got \[0.5, 0.5\]"),
        ((0.5, 0.5, 0.5), 0, "with sum 1"),
        ((1.2, -0.2, 0.0), 0, "from 0 to 1"),
        ((0.8, 0.1, 0.1), -1, "a whole number of at least 0 as seed of the split, but got -1"),
        ((0.8, 0.1, 0.1), 1.5, "as seed of the split, but got 1.5"),
    ],
)
def test_wrong_arguments(scans, tmp_path, fractions, seed, message):
    with pytest.raises(InputError, match=message):
        load_or_make_split(scans, tmp_path / "split.json", fractions, seed)
    assert not (tmp_path / "split.json").exists()


def test_too_few_patients(scans, tmp_path):
    twice = [{**scan, "patient": f"p{number % 2}"} for number, scan in enumerate(scans)]
    with pytest.raises(
        InputError, match="at least 3 patients, one each for training, validation, test, but got 2"
    ):
        load_or_make_split(twice, tmp_path / "split.json")


def test_no_scans_or_one_case_twice(scans, tmp_path):
    with pytest.raises(InputError, match="Expected scans to split, but got an empty list"):
        load_or_make_split([], tmp_path / "split.json")
    with pytest.raises(
        InputError, match="Expected each case once in the list of scans, but 's00' is there 2 times"
    ):
        load_or_make_split([*scans, scans[0]], tmp_path / "split.json")


# --- using one again ---


def test_used_again_whatever_the_seed(scans, tmp_path, caplog):
    path = tmp_path / "split.json"
    first = load_or_make_split(scans, path, seed=1)
    before = path.read_bytes()
    assert load_or_make_split(scans, path, seed=1) == first
    assert not caplog.records
    assert load_or_make_split(scans, path, (0.5, 0.25, 0.25), seed=2) == first
    assert "is used as it is (seed 1, fractions [0.65, 0.15, 0.2]), not made with seed 2" in caplog.text
    assert path.read_bytes() == before


def test_the_folder_may_move(scans, tmp_path):
    path = tmp_path / "split.json"
    first = load_or_make_split(scans, path)
    (tmp_path / "scans").rename(tmp_path / "moved")
    moved = [{**scan, "image": scan["image"].replace("/scans/", "/moved/")} for scan in scans]
    assert sides_of(load_or_make_split(moved, path)) == sides_of(first)


def test_scan_missing_from_the_folder(scans, tmp_path):
    path = tmp_path / "split.json"
    side = sides_of(load_or_make_split(scans, path))["s03"]
    with pytest.raises(
        InputError, match=rf"split.json' lists, but case 's03' \({side}\) is not in the folder; put"
    ):
        load_or_make_split([scan for scan in scans if scan["case"] != "s03"], path)


def test_scans_that_the_file_does_not_list(scans, library, tmp_path):
    path = tmp_path / "split.json"
    load_or_make_split(scans, path)
    with pytest.raises(InputError, match=r"split.json' lists, but the folder also has 's08'; take"):
        load_or_make_split([*scans, record(library[8])], path)
    with pytest.raises(InputError, match="the folder also has 's08', 's09', 's10' and 1 more;"):
        load_or_make_split([*scans, *map(record, library[8:])], path)


def test_voxels_that_changed(scans, tmp_path):
    path = tmp_path / "split.json"
    load_or_make_split(scans, path)
    save(scans[2]["image"], 99)
    with pytest.raises(InputError, match=r"voxels of case 's02', .*/s02.nii \(\w+\) have changed; put"):
        load_or_make_split(scans, path)


def move(part_from, part_to):
    """Copy the first row of a part into another part, as somebody's own row."""

    def change(content):
        content[part_to].append(dict(content[part_from][0]))

    return change


@pytest.mark.case(38)
def test_patient_on_two_sides_of_the_file(scans, tmp_path):
    path = tmp_path / "split.json"
    load_or_make_split(scans, path)

    def change(content):
        content["test"][0]["patient"] = content["training"][0]["patient"]

    edit(path, change)
    message = (
        r"each patient on one side of the split in '.*split.json', but 's\d\d' is in training "
        r"\(case 's\d\d', .*nii\) and in test \(case"
    )
    with pytest.raises(InputError, match=message):
        load_or_make_split(scans, path)


def test_patient_on_two_sides_since_the_aliases_grew(scans, tmp_path):
    path = tmp_path / "split.json"
    split = load_or_make_split(scans, path)
    one, other = split.training[0]["case"], split.test[0]["case"]
    grown = [{**scan, "patient": "twin"} if scan["case"] in (one, other) else scan for scan in scans]
    with pytest.raises(
        InputError, match=rf"'twin' is in training \(case '{one}', .*\) and in test \(case '{other}',"
    ):
        load_or_make_split(grown, path)


@pytest.mark.case(38)
def test_volume_on_two_sides_of_the_file_under_other_names(scans, tmp_path):
    path = tmp_path / "split.json"
    split = load_or_make_split(scans, path)
    one, other = split.training[0], split.validation[0]
    shutil.copy(one["image"], other["image"])

    def change(content):
        content["validation"][0]["image_sha256"] = content["training"][0]["image_sha256"]

    edit(path, change)
    message = (
        rf"each volume on one side of the split in '.*split.json', but the same one is in training \(case "
        rf"'{one['case']}', {one['image']}\) and in validation \(case '{other['case']}', {other['image']}\)"
    )
    with pytest.raises(InputError, match=message):
        load_or_make_split(scans, path)


def test_case_listed_twice(scans, tmp_path):
    path = tmp_path / "split.json"
    load_or_make_split(scans, path)
    edit(path, move("training", "training"))
    with pytest.raises(
        InputError, match=r"each case once in '.*split.json', but 's\d\d' is there again in training"
    ):
        load_or_make_split(scans, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expected a split as JSON in '.*split.json', but it cannot be read"),
        ("[]", "Expected a split of version 1 .* but it is none"),
        ('{"version": 2}', "Expected a split of version 1 .* but it is none"),
        (
            '{"version": 1, "seed": 0, "fractions": [], "training": [3], "validation": [], "test": []}',
            "Expected rows with case, patient and image_sha256 in '.*split.json', but got 3",
        ),
        (
            '{"version": 1, "seed": 0, "fractions": [], "training": 3, "validation": [], "test": []}',
            "Expected a split of version 1 .* but it is none",
        ),
    ],
)
def test_damaged_file(scans, tmp_path, text, message):
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_or_make_split(scans, path)


# --- one volume twice ---


def duplicate(scans, of, name, patient=None):
    path = shutil.copy(scans[of]["image"], scans[of]["image"].replace(scans[of]["case"], name))
    return {"case": name, "patient": patient or name, "image": path}


@pytest.mark.case(39)
def test_a_split_knows_the_seed_of_its_file(scans, tmp_path):
    assert load_or_make_split(scans, tmp_path / "split.json", seed=3).seed == 3
    assert load_or_make_split(scans, tmp_path / "split.json", seed=0).seed == 3


def test_one_volume_twice_counts_once(scans, tmp_path, caplog):
    path = tmp_path / "split.json"
    both = [*scans, duplicate(scans, 0, "zz")]
    split = load_or_make_split(both, path)
    assert "zz" not in sides_of(split)
    assert sides_of(split) == sides_of(load_or_make_split(scans, tmp_path / "other.json"))
    assert len(caplog.records) == 1
    assert "counted once: case 'zz'" in caplog.text
    assert load_or_make_split(both, path) == split


def test_copy_that_comes_later_does_not_replace_the_listed_one(scans, tmp_path):
    path = tmp_path / "split.json"
    split = load_or_make_split(scans, path)
    assert load_or_make_split([*scans, duplicate(scans, 0, "aa")], path) == split


def test_copies_listed_on_one_side_count_once(scans, tmp_path):
    path = tmp_path / "split.json"
    split = load_or_make_split(scans, path)
    one, other = split.training[:2]
    shutil.copy(one["image"], other["image"])

    def change(content):
        content["training"][1]["image_sha256"] = content["training"][0]["image_sha256"]

    edit(path, change)
    assert load_or_make_split(scans, path) == Split(
        [scan for scan in split.training if scan is not other], split.validation, split.test
    )


@pytest.mark.parametrize("seed", range(8))
def test_patients_that_share_a_volume_stay_on_one_side(scans, library, tmp_path, seed):
    # s00 is the same head as "copy", so patient q, who also has s08, is the person of s00.
    shared = [*scans, duplicate(scans, 0, "copy", "q"), record(library[8], "q")]
    split = load_or_make_split(shared, tmp_path / "split.json", seed=seed)
    people = {scan["case"]: scan["patient"] for part in PARTS for scan in getattr(split, part)}
    assert people["s08"] == people.get("s00", people.get("copy"))
    side = sides_of(split)
    kept = {"s00", "copy"} & set(side)
    assert len(kept) == 1
    assert side[kept.pop()] == side["s08"]


def test_copy_that_joins_two_patients_across_sides(scans, tmp_path):
    path = tmp_path / "split.json"
    split = load_or_make_split(scans, path)
    one, other = split.training[0], split.test[0]
    copy = duplicate(scans, scans.index(one), "zz", other["patient"])
    with pytest.raises(
        InputError, match=rf"each patient on one side .* but '{one['patient']}' is in training"
    ):
        load_or_make_split([*scans, copy], path)
