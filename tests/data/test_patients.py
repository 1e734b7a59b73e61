import json
from pathlib import Path

import pytest

from scripts import BUNDLE_ROOT
from scripts.data.patients import apply_aliases, load_aliases
from scripts.errors import InputError

SHIPPED = BUNDLE_ROOT / "configs" / "patient_aliases.csv"


def table(folder: Path, text: str, suffix: str = ".csv") -> Path:
    path = folder / f"aliases{suffix}"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".csv", "name,patient\na,P\nb,P\n"),
        (".csv", "\ufeff# twins\npatient,note,name\nP,,a\n\nP,same head, b \n"),
        (".json", json.dumps({"a": "P", "b": "P"})),
        (".json", json.dumps([{"name": "a", "patient": "P"}, {"name": "b", "patient": "P"}])),
    ],
)
def test_formats(tmp_path, suffix, text):
    assert load_aliases(table(tmp_path, text, suffix)) == {"a": "P", "b": "P"}


def test_chains_are_followed(tmp_path):
    assert load_aliases(table(tmp_path, "name,patient\na,b\nb,c\nc,c\n")) == {"a": "c", "b": "c", "c": "c"}


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".csv", "a,P\n", "Expected a table name,patient in .*aliases.csv', .*its columns are a, P"),
        (".csv", "", "its columns are missing"),
        (".csv", "name,patient\na,P\nb,\n", "row 2 of .*aliases.csv', but one is empty"),
        (".csv", "name,patient\na,P\na,Q\n", "one patient for 'a' in .*, but got 'P' and 'Q'; keep one"),
        (".csv", "name,patient\na,b\nb,a\n", "a -> b -> a is a circle; break it"),
        (".json", "[1]", "cannot be read .neither an object nor a list of objects"),
        (".json", "{", "aliases.json', but it cannot be read"),
    ],
)
def test_refused(tmp_path, suffix, text, message):
    with pytest.raises(InputError, match=message):
        load_aliases(table(tmp_path, text, suffix))


def test_missing_table(tmp_path):
    with pytest.raises(InputError, match=r"gone.csv', but it cannot be read"):
        load_aliases(tmp_path / "gone.csv")


def test_exact_name_before_wildcard_before_scheme():
    aliases = {"x_1": "exact", "x_*": "wild", "sub-02": "person"}
    assert apply_aliases("x_1", aliases) == "exact"
    assert apply_aliases("x_2", aliases) == "wild"
    assert apply_aliases("sub-02_ses-1", aliases) == "person"
    assert apply_aliases("sub-03_ses-1", aliases) == "sub-03"
    assert apply_aliases("y", aliases) == "y"
    with pytest.raises(
        InputError, match=r"one patient for 'x_1', but wildcards .* give A and B; make them narrower"
    ):
        apply_aliases("x_1", {"x_*": "B", "*_1": "A"})


@pytest.mark.parametrize(
    ("brats", "tcga"),
    [
        ("BraTS2021_01476", "TCGA_CS_4942_19970222"),
        ("BraTS2021_01477", "TCGA_CS_4944_20000101"),
        ("BraTS2021_01479", "TCGA_CS_5396_20010302"),
        ("BraTS2021_01481", "TCGA_CS_6186_20000101"),
        ("BraTS2021_01482", "TCGA_CS_6188_20000101"),
        ("BraTS2021_01484", "TCGA_CS_6666_20000101"),
        ("BraTS2021_01485", "TCGA_CS_6668_20011025"),
    ],
)
def test_shipped_table_joins_the_twins(brats, tcga):
    aliases = load_aliases(SHIPPED)
    assert apply_aliases(brats, aliases) == apply_aliases(tcga, aliases) == tcga[:12]


def test_shipped_table_leaves_others_alone():
    aliases = load_aliases(SHIPPED)
    for case in ("BraTS2021_00006", "TCGA_CS_4941_19960909", "TCGA_CS_6667_20011105"):
        assert apply_aliases(case, aliases) == case
