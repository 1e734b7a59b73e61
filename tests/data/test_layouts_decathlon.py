import json

import nibabel as nib
import numpy as np
import pytest
from monai.apps import DecathlonDataset

from scripts.data.datalist import find_scans
from scripts.data.hashing import content_hash
from scripts.errors import InputError

TASK = "Task01_BrainTumour"
ABOUT = ("name", "description", "reference", "licence", "tensorImageSize", "labels", "numTraining", "numTest")
MODALITY = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)


@pytest.fixture
def root(tmp_path):
    """A Decathlon folder as MONAI unpacks it: two training cases, one test case, 8 x 8 x 4 x 4."""
    folder = tmp_path / TASK
    rng = np.random.default_rng(0)
    for name in ("imagesTr/BRATS_001", "imagesTr/BRATS_002", "imagesTs/BRATS_485"):
        save(folder / f"{name}.nii.gz", rng.normal(size=(8, 8, 4, 4)).astype(np.float32))
    for name in ("labelsTr/BRATS_001", "labelsTr/BRATS_002"):
        save(folder / f"{name}.nii.gz", rng.integers(0, 4, size=(8, 8, 4)).astype(np.uint8))
    (folder / "imagesTr" / "._BRATS_001.nii.gz").write_bytes(b"resource fork")
    training = [
        {"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"}
        for n in ("BRATS_001", "BRATS_002")
    ]
    about = dict.fromkeys(ABOUT, "synthetic")
    write_json(
        folder, {**about, "modality": MODALITY, "training": training, "test": ["./imagesTs/BRATS_485.nii.gz"]}
    )
    return tmp_path


def write_json(folder, changes):
    path = folder / "dataset.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **changes}))


def test_read_by_monai_and_by_find_scans(root):
    theirs = DecathlonDataset(root, TASK, "training", download=False, val_frac=0.0, progress=False)
    ours = find_scans(root / TASK)
    assert sorted(item["image"].meta["filename_or_obj"] for item in theirs) == [
        s["image"] for s in ours if "label" in s
    ]
    item = next(item for item in theirs if item["image"].meta["filename_or_obj"] == ours[0]["image"])
    voxels = nib.load(ours[0]["image"]).get_fdata()[..., ours[0]["channels"][0]]
    np.testing.assert_allclose(item["image"].numpy()[..., 2], voxels, rtol=1e-6)


def test_records(root):
    folder = root / TASK
    scans = find_scans(folder)
    assert scans[0] == {
        "case": "BRATS_001",
        "patient": "BRATS_001",
        "image": f"{folder}/imagesTr/BRATS_001.nii.gz",
        "label": f"{folder}/labelsTr/BRATS_001.nii.gz",
        "channels": [2],
    }
    assert [(scan["case"], "label" in scan) for scan in scans] == [
        ("BRATS_001", True),
        ("BRATS_002", True),
        ("BRATS_485", False),
    ]


@pytest.mark.parametrize(
    ("modalities", "channels"),
    [("t1", [1]), ("flair", [0]), ("T1Gd", [2]), (["t2", "t1ce", "t1", "flair"], [3, 2, 1, 0])],
)
def test_channels_follow_the_modalities(root, modalities, channels):
    record = find_scans(root / TASK, modalities)[0]
    assert record["channels"] == channels
    assert isinstance(record["image"], str)


def test_channel_order_is_read_not_assumed(root):
    write_json(root / TASK, {"modality": {"0": "T1gd", "1": "T2w"}})
    assert find_scans(root / TASK)[0]["channels"] == [0]


def test_found_from_the_folder_monai_was_given_and_from_one_file(root):
    assert find_scans(root) == find_scans(root / TASK) == find_scans(root, layout="decathlon")
    assert find_scans(root / TASK / "imagesTr" / "BRATS_002.nii.gz") == find_scans(root)[1:2]


def test_hash_of_a_channel_is_that_of_the_same_volume_alone(root):
    record = find_scans(root)[0]
    alone = root / "alone.nii"
    save(alone, np.asarray(nib.load(record["image"]).dataobj)[..., 2])
    assert content_hash(record) == content_hash({"image": str(alone)})


def test_training_entry_without_label(root):
    write_json(root / TASK, {"training": [{"image": "./imagesTr/BRATS_001.nii.gz"}], "test": []})
    assert ["label" in scan for scan in find_scans(root)] == [False]


def test_hidden_entries_are_ignored(root):
    write_json(root / TASK, {"test": ["./imagesTr/._BRATS_001.nii.gz"]})
    assert len(find_scans(root)) == 2


def test_json_of_another_format_is_not_decathlon(root):
    (root / "dataset.json").write_text('{"files": []}')
    (root / TASK).rename(root / "other")
    (root / "other" / "dataset.json").unlink()
    assert "channels" not in find_scans(root)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": {"0": "MRI"}}, "Expected t1ce in .*dataset.json', but its modalities are MRI;"),
        ({"modality": ["T1w"]}, r"Expected 'modality' in .*dataset.json' to be numbered .*but got \['T1w'\]"),
        ({"training": [], "test": []}, "Expected scans listed in .*dataset.json', but it lists none"),
        ({"training": [{"image": "./imagesTr/gone.nii.gz"}]}, "gone.nii.gz' is not there; unpack"),
        ({"training": ["./imagesTr/BRATS_001.nii.gz"]}, "a list of images in 'training' of .*dataset.json'"),
        ({"test": ["./imagesTr/BRATS_001.nii.gz"]}, "but 'BRATS_001.nii.gz' is listed 2 times; correct"),
    ],
)
def test_damaged_dataset_json(root, changes, message):
    write_json(root / TASK, changes)
    with pytest.raises(InputError, match=message):
        find_scans(root)


def test_no_json_or_no_dataset(root, tmp_path):
    (root / TASK / "dataset.json").write_text("{")
    with pytest.raises(InputError, match=r"Expected JSON in .*dataset.json', but it cannot be read"):
        find_scans(root)
    with pytest.raises(InputError, match=r"a Decathlon folder with dataset.json, but .*imagesTr' has none"):
        find_scans(root / TASK / "imagesTr", layout="decathlon")
