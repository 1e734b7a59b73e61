"""The repository as a whole: style and types, one version, pins, and nothing that belongs elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import scripts

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Put together here, because this file is one of those searched.
MACHINE_PATHS = [f"/{folder}/" for folder in ("work", "root")]
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("registry", "npmjs", "org"),
        ("deb", "debian", "org"),
        ("anaconda", "org"),
    ]
]
LARGE_FILES = {"bundle/models/model.pt"}
MAX_BYTES = 1_000_000


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tracked_files() -> list[str]:
    listing = run("git", "ls-files", "-z")
    assert listing.returncode == 0, listing.stderr
    return [name for name in listing.stdout.split("\0") if (ROOT / name).is_file()]


def test_no_two_test_files_share_a_name(tracked_files: list[str]) -> None:
    """Pytest, without packages, refuses the second one, and only where both are run."""
    names = Counter(Path(name).name for name in tracked_files if Path(name).match("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    "command",
    ["ruff check", "ruff format --check", "mypy", "pre_commit validate-config"],
)
def test_tool_finds_nothing(command: str) -> None:
    result = run(sys.executable, "-m", *command.split())
    assert result.returncode == 0, result.stdout + result.stderr


def test_one_version_everywhere() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    versions = {
        "CITATION.cff": str(yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]),
        "CHANGELOG.md": re.findall(r"^## \[([^]]+)\]", changelog, flags=re.MULTILINE)[0],
    }
    for file in (ROOT / "bundle/configs").rglob("metadata.json"):
        metadata = json.loads(file.read_text())
        versions[str(file)] = metadata["version"]
        versions[f"{file} changelog"] = next(iter(metadata["changelog"]))
    assert len(versions) == 6
    assert "version" in PROJECT["dynamic"]
    assert versions == dict.fromkeys(versions, scripts.__version__)


def test_every_dependency_is_pinned_within_its_range() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    extras = PROJECT["optional-dependencies"].values()
    for text in [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, text


def test_make_installs_every_extra() -> None:
    extras = re.search(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert extras is not None
    assert set(extras[1].split(",")) == set(PROJECT["optional-dependencies"])


def test_tables_in_the_docs_are_those_of_the_results(tracked_files: list[str]) -> None:
    pages = [
        name
        for name in tracked_files
        if name.endswith(".md") and name != "CONTRIBUTING.md" and "<!-- table:" in read(name)
    ]
    assert len(pages) == 7
    result = run(sys.executable, "-m", "scripts.report.tables", "--check", *pages)
    assert result.returncode == 0, result.stdout + result.stderr


def test_ci_runs_the_command_of_the_readme() -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111
    assert script.read_text().splitlines()[-1] == "make test"
    assert re.search(r"^make test$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)


def test_bundle_carries_the_same_licence() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert (ROOT / "bundle/LICENSE").read_text() == text


def test_citation_names_both_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert [paper["url"].rsplit("/", 1)[1] for paper in citation["references"]] == [
        "2504.15562",
        "2410.12328",
    ]
    assert all(paper["authors"] for paper in citation["references"])


def test_no_path_of_a_machine_and_no_registry(tracked_files: list[str]) -> None:
    needles = [text.encode() for text in MACHINE_PATHS + REGISTRY_HOSTS]
    found = [
        (name, needle.decode())
        for name in tracked_files
        for needle in needles
        if needle in (ROOT / name).read_bytes()
    ]
    assert found == []


def test_tracked_files_are_small(tracked_files: list[str]) -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in set(tracked_files) - LARGE_FILES}
    assert {name: size for name, size in sizes.items() if size >= MAX_BYTES} == {}
