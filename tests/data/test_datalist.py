"""What find_scans makes of folders as people have them. Only names matter here, so files are empty."""

import logging

import pytest

from scripts.data.datalist import find_scans
from scripts.errors import InputError

NAMES_2021 = {"t1": "_t1", "t1ce": "_t1ce", "t2": "_t2", "flair": "_flair"}
NAMES_2023 = {"t1": "-t1n", "t1ce": "-t1c", "t2": "-t2w", "flair": "-t2f"}


@pytest.fixture
def touch(tmp_path):
    """Make empty files below tmp_path and return it."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def cases(scans):
    return [scan["case"] for scan in scans]


def images(scans, root):
    return [scan["image"].removeprefix(f"{root}/") for scan in scans]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".NII.GZ"])
@pytest.mark.parametrize("modality", ["t1", "t1ce", "t2", "flair"])
def test_brats_2021(touch, modality, suffix):
    root = touch(*(f"B_01/B_01{word}{suffix}" for word in [*NAMES_2021.values(), "_seg"]))
    assert find_scans(root, modality) == [
        {
            "case": "B_01",
            "patient": "B_01",
            "image": f"{root}/B_01/B_01{NAMES_2021[modality]}{suffix}",
            "label": f"{root}/B_01/B_01_seg{suffix}",
        }
    ]


def test_brats_2023_and_its_time_points(touch):
    words = [*NAMES_2023.values(), "-seg"]
    root = touch(
        *(f"{case}/{case}{w}.nii.gz" for case in ("BraTS-GLI-1-000", "BraTS-GLI-1-001") for w in words)
    )
    scans = find_scans(root, ["flair", "t1ce"], layout="brats")
    assert cases(scans) == ["BraTS-GLI-1-000", "BraTS-GLI-1-001"]
    assert {scan["patient"] for scan in scans} == {"BraTS-GLI-1"}
    folder = root / "BraTS-GLI-1-000"
    assert scans[0]["image"] == [f"{folder}/BraTS-GLI-1-000{word}.nii.gz" for word in ("-t2f", "-t1c")]
    assert scans[0]["label"] == f"{folder}/BraTS-GLI-1-000-seg.nii.gz"


def test_brats_suffix_in_any_letter_case_and_any_depth(touch):
    root = touch("HGG/a/a_T1CE.nii.gz", "HGG/a/a_Seg.nii.gz", "LGG/b/B_t1Ce.nii")
    scans = find_scans(root, layout="brats")
    assert cases(scans) == ["B", "a"]
    assert "label" not in scans[0]
    assert scans[1]["label"].endswith("a_Seg.nii.gz")


def test_sorted_by_case_and_absolute(touch, monkeypatch):
    monkeypatch.chdir(touch("b/b_t1ce.nii", "a/a_t1ce.nii", "c/c_t1ce.nii"))
    scans = find_scans(".")
    assert cases(scans) == ["a", "b", "c"]
    assert all(scan["image"].startswith("/") for scan in scans)


@pytest.mark.case(32)
@pytest.mark.parametrize("layout", ["auto", "brats", "folder"])
def test_missing_modality_names_case_and_what_it_has(touch, layout):
    root = touch("a/a_t1ce.nii", "a/a_flair.nii", "b/b_flair.nii", "b/b_t2.nii", "b/b_seg.nii")
    with pytest.raises(
        InputError, match=r"Expected t1ce for case 'b' in '.*/b', but it has flair, t2, a mask"
    ):
        find_scans(root, layout=layout)
    with pytest.raises(
        InputError, match=r"Expected t1 and t2 for case 'a' in '.*/a', but it has flair, t1ce;"
    ):
        find_scans(root, ["t1", "t2", "flair"], layout=layout)


def test_brats_case_with_a_mask_only_is_not_skipped(touch):
    with pytest.raises(InputError, match=r"Expected t1ce for case 'b' .* but it has a mask"):
        find_scans(touch("a/a_t1ce.nii", "b/b_seg.nii"))


def test_brats_warns_of_files_that_do_not_fit(touch, caplog):
    # BraTS20_Training_355 has its mask under such a name.
    scans = find_scans(touch("a/a_t1ce.nii", "a/W39_1998.09.19_Segm.nii"))
    assert cases(scans) == ["a"]
    assert "label" not in scans[0]
    assert "left out" in caplog.text
    assert "W39_1998.09.19_Segm.nii" in caplog.text


def test_auto_does_not_lose_scans_beside_brats_cases(touch):
    assert cases(find_scans(touch("a/a_t1ce.nii", "more/scan.nii"))) == ["a", "scan"]


def test_brats_asked_for_but_not_there(touch):
    root = touch("x.nii", "y.nii", "z.nii", "w.nii")
    with pytest.raises(InputError, match=r"<case>/<case>_<modality>.*found w.nii, x.nii, y.nii and 1 more;"):
        find_scans(root, layout="brats")


def test_two_spellings_of_one_image_are_refused(touch):
    root = touch("a/a_t1ce.nii", "a/a_t1ce.nii.gz")
    with pytest.raises(
        InputError, match=r"one t1ce file for case 'a', but found a/a_t1ce.nii, a/a_t1ce.nii.gz"
    ):
        find_scans(root)


@pytest.mark.parametrize("word", ["seg", "mask", "label"])
def test_flat_folder_with_masks(touch, word):
    root = touch("x.nii.gz", f"x_{word}.nii.gz", "y.nii.gz")
    x, y = find_scans(root)
    assert (x["case"], x["image"], x["label"]) == ("x", f"{root}/x.nii.gz", f"{root}/x_{word}.nii.gz")
    assert y == {"case": "y", "patient": "y", "image": f"{root}/y.nii.gz"}


@pytest.mark.case(52)
@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("scan.nii", "scan"),
        ("scan.NII.GZ", "scan"),
        ("my scan.nii.gz", "my_scan"),
        ("v1.2.final.nii.gz", "v1.2.final"),
        ("Müller 東京.nii", "Müller_東京"),
        ("Mu\u0308ller.nii", "Müller"),
        ("a (left) & b.nii", "a_left_b"),
        ("T1.nii", None),
        ("x_t1ce.nii", "x"),
        ("t1ce_007.nii", "007"),
        ("x_T1_post.nii", "x"),
        ("x T1-Gd brain.nii", "x_brain"),
        ("sub-01_ses-2_ce-gadolinium_T1w.nii.gz", "sub-01_ses-2"),
        ("ct1_scan.nii", "ct1_scan"),
    ],
)
def test_names(touch, name, case):
    root = touch(f"folder/{name}")
    if case is None:
        with pytest.raises(InputError, match=r"Expected t1ce for case 'folder' in .* but it has t1;"):
            find_scans(root)
        return
    assert [(scan["case"], scan["image"]) for scan in find_scans(root)] == [(case, f"{root}/folder/{name}")]


def test_bids_subject_is_the_patient(touch):
    root = touch(*(f"sub-7/ses-{n}/anat/sub-7_ses-{n}_ce-gd_T1w.nii.gz" for n in (1, 2)))
    assert [scan["patient"] for scan in find_scans(root)] == ["sub-7", "sub-7"]


@pytest.mark.case(54)
def test_equal_stems_in_different_folders(touch):
    root = touch("A/scan.nii", "B/scan.nii", "B/other.nii", "C/one/case/case.nii", "C/two/case/case.nii")
    scans = find_scans(root)
    assert cases(scans) == ["A_scan", "B_scan", "C_one_case", "C_two_case", "other"]
    assert len({scan["patient"] for scan in scans}) == 5


@pytest.mark.case(54)
def test_names_that_only_a_hash_tells_apart(touch):
    scans = find_scans(touch("a b.nii", "a_b.nii", "A B.nii"))
    assert len({case.casefold() for case in cases(scans)}) == 3
    assert all(case.lower().startswith("a_b_") for case in cases(scans))
    assert cases(scans) == cases(find_scans(touch()))


def test_other_modalities_beside_the_wanted_one(touch):
    root = touch("x.nii", "x_flair.nii", "x_adc.nii", "y_t1ce.nii", "y_t2.nii", "y_seg.nii")
    assert images(find_scans(root), root) == ["x.nii", "y_t1ce.nii"]
    with pytest.raises(InputError, match=r"Expected t1ce for case 'z' in .*, but it has z_ct.nii;"):
        find_scans(touch("z_ct.nii"))


def test_sibling_with_another_base_name_is_left_out_aloud(touch, caplog):
    root = touch("p/acq-a_t1ce.nii", "p/acq-b_flair.nii")
    assert images(find_scans(root), root) == ["p/acq-a_t1ce.nii"]
    assert "is not named t1ce as the scan beside it: p/acq-b_flair.nii" in caplog.text


def test_one_folder_a_case_with_plain_names(touch):
    root = touch(*(f"p{n}/{word}.nii.gz" for n in (1, 2) for word in ("T1c", "FLAIR", "seg")))
    scans = find_scans(root, ["t1ce", "flair"])
    assert cases(scans) == ["p1", "p2"]
    assert scans[1]["image"] == [f"{root}/p2/T1c.nii.gz", f"{root}/p2/FLAIR.nii.gz"]
    assert scans[1]["label"] == f"{root}/p2/seg.nii.gz"


def test_folders_that_sort_files_by_kind(touch):
    names = ("images/a.nii", "labels/a.nii", "images/b.nii", "flair/a.nii")
    root = touch(*names, "labels/lost.nii")
    a, b = find_scans(root)
    assert (a["case"], a["image"], a["label"]) == ("a", f"{root}/images/a.nii", f"{root}/labels/a.nii")
    assert (b["case"], "label" in b) == ("b", False)
    assert images(find_scans(root / "flair"), root) == ["flair/a.nii"]


def test_several_masks(touch):
    root = touch("x_t1ce.nii", "x_flair_seg.nii", "x_mask.nii", "x_t1ce_mask.nii")
    assert find_scans(root)[0]["label"] == f"{root}/x_t1ce_mask.nii"
    root = touch("y.nii", "y_mask.nii", "y_seg.nii")
    assert find_scans(root)[1]["label"] == f"{root}/y_seg.nii"
    with pytest.raises(
        InputError, match=r"Expected one mask for case 'y', but found y_seg.nii, y_seg.nii.gz"
    ):
        find_scans(touch("y_seg.nii.gz"))


def test_brain_masks_are_neither_scans_nor_lesion_masks(touch):
    root = touch("x_brain.nii", "x_brain_mask.nii", "y.nii", "y_bet_mask.nii")
    assert [(scan["case"], "label" in scan) for scan in find_scans(root)] == [
        ("x_brain", False),
        ("y", False),
    ]


def test_mask_without_a_scan_is_left_out_aloud(touch, caplog):
    assert cases(find_scans(touch("x.nii", "lost_seg.nii"))) == ["x"]
    assert "no scan has its name: lost_seg.nii" in caplog.text


def test_only_masks(touch):
    with pytest.raises(InputError, match=r"Expected scans .* but found a_seg.nii that could be one"):
        find_scans(touch("a_seg.nii"))


def test_hidden_files_and_links_in_a_circle(touch):
    root = touch("a.nii", "._b.nii", ".cache/c.nii", "__MACOSX/d.nii")
    (root / "link").symlink_to(root)
    assert cases(find_scans(root)) == ["a"]


def test_linked_case_folders_are_followed(touch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "c_t1ce.nii").touch()
    root = touch("a/a_t1ce.nii")
    (root / "c").symlink_to(elsewhere)
    assert cases(find_scans(root)) == ["a", "c"]


def test_own_outputs_are_not_inputs(touch):
    maps = ("anomaly", "epistemic", "aleatoric", "total_uncertainty", "reconstruction", "mask")
    root = touch("a.nii.gz", "a_result.json", *(f"a_{name}.nii.gz" for name in maps))
    touch("out/a/a_result.json", *(f"out/a/a_{name}.nii.gz" for name in maps))
    assert find_scans(root) == [{"case": "a", "patient": "a", "image": f"{root}/a.nii.gz"}]
    # Without the result file the same names are somebody's own.
    assert cases(find_scans(touch("b_anomaly.nii.gz"))) == ["a", "b_anomaly"]


def test_one_file(touch, caplog):
    root = touch("x_t1ce.nii", "x_flair.nii", "x_seg.nii", "y.nii")
    record = {"case": "x", "patient": "x", "image": f"{root}/x_t1ce.nii", "label": f"{root}/x_seg.nii"}
    assert find_scans(root / "x_t1ce.nii") == [record]
    assert find_scans(str(root / "y.nii"), "flair")[0]["image"] == f"{root}/y.nii"
    assert find_scans(root / "x_flair.nii", ["flair", "t1ce"])[0]["image"] == [
        f"{root}/x_flair.nii",
        f"{root}/x_t1ce.nii",
    ]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert images(find_scans(root / "x_flair.nii"), root) == ["x_flair.nii"]
    assert "'x_flair.nii' is taken as t1ce, but its name says flair" in caplog.text


@pytest.mark.parametrize(
    ("name", "modalities", "message"),
    [
        ("x_seg.nii", "t1ce", "Expected a scan, but .*x_seg.nii' is named as a mask or a map"),
        ("x_brain_mask.nii", "t1ce", "is named as a mask or a map"),
        (
            "notes.txt",
            "t1ce",
            r"Expected a folder of scans or a file named \*.nii or \*.nii.gz, but got '.*notes.txt'",
        ),
        ("x_t1ce.nii", ["t1ce", "t2"], "Expected t2 for case 'x' in .*, but it has t1ce, a mask;"),
        ("absent.nii", "t1ce", "absent.nii' does not exist; check the path"),
    ],
)
def test_one_file_refused(touch, name, modalities, message):
    root = touch("x_t1ce.nii", "x_seg.nii", "x_brain_mask.nii", "notes.txt")
    with pytest.raises(InputError, match=message):
        find_scans(root / name, modalities)


@pytest.mark.parametrize("layout", ["auto", "brats", "folder"])
def test_nothing_found(touch, layout):
    message = r"Expected NIfTI scans .* but found a.dcm, b.dcm, c.dcm and 1 more;"
    with pytest.raises(InputError, match=message):
        find_scans(touch("a.dcm", "b.dcm", "c.dcm", "d.dcm"), layout=layout)


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match=r"Expected NIfTI scans .* but found no file;"):
        find_scans(tmp_path)


def test_unreadable_folder_is_named(tmp_path, monkeypatch):
    def walk(top, onerror, followlinks):
        onerror(PermissionError(13, "Permission denied", str(top)))

    monkeypatch.setattr("scripts.data.layouts_files.os.walk", walk)
    with pytest.raises(InputError, match=rf"'{tmp_path}' cannot \(Permission denied\)"):
        find_scans(tmp_path)


def test_wrong_layout_or_modality(touch):
    root = touch("x.nii")
    with pytest.raises(InputError, match="a layout out of auto, brats, decathlon, folder, but got 'bids'"):
        find_scans(root, layout="bids")
    with pytest.raises(InputError, match="but got 't1cee'; did you mean 't1ce'"):
        find_scans(root, "t1cee")
    for modalities in ([], ["t1ce", "T1Gd"]):
        with pytest.raises(InputError, match="one or more different modalities out of t1, t1ce, t2, flair"):
            find_scans(root, modalities)


def test_aliases_set_the_patient(touch):
    root = touch("b/b_t1ce.nii", "c/c_t1ce.nii", "my scan/my scan_t1ce.nii")
    table = root / "aliases.csv"
    table.write_text("name,patient\nb,P1\nmy scan,P1\n")
    for aliases in (table, str(table), {"b": "P1", "my scan": "P1"}):
        scans = find_scans(root, aliases=aliases)
        assert [(scan["case"], scan["patient"]) for scan in scans] == [
            ("b", "P1"),
            ("c", "c"),
            ("my_scan", "P1"),
        ]
