"""``docs/configuration.md`` and ``docs/clvae.md`` list every key a user may set, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from tests.bundle.commands import BUNDLE

PAGE = BUNDLE / "docs" / "configuration.md"
CLVAE_PAGE = BUNDLE / "docs" / "clvae.md"
CONFIGS = sorted(
    path.relative_to(BUNDLE / "configs").as_posix()
    for path in (BUNDLE / "configs").rglob("*")
    if path.suffix in (".yaml", ".json") and path.name != "metadata.json"
)
PARTS = {
    "channels",
    "imports",
    "config_files",
    "initialize",
    "run",
    "finalize",
    "preflight",
    "network",
    "sampler_generator",
    "handlers",
    "even_settings",
    "wide_settings",
    "wide_network",
    "wide_detector",
    "standard_network",
    "measured_mapper",
    "variants",
    "objective",
    "inputs",
    "ablation",
}
"""Top-level entries that wire things; what a user may set in them are the settings they refer to."""


def load(name: str) -> dict[str, Any]:
    text = (BUNDLE / "configs" / name).read_text()
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def is_setting(key: str, value: object) -> bool:
    """Tell settings (plain values, paths and devices) from components and names of things to run."""
    if key in PARTS or "#" in key or (isinstance(value, str) and value.startswith("%")):
        return False
    return "_target_" not in json.dumps(value)


def documented(title: str, page: Path = PAGE) -> dict[str, str]:
    """Return the keys of the tables below a heading that contains ``title``, with their defaults."""
    sections = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    rows = {}
    for section in sections:
        heading, _, text = section.partition("\n")
        if title in heading:
            rows |= dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*) \| [^|]*\|$", text, flags=re.MULTILINE))
    return rows


@pytest.mark.parametrize("name", CONFIGS)
def test_page_lists_the_settings_of_every_config(name: str) -> None:
    settings = {key for key, value in load(name).items() if is_setting(key, value)}
    assert section(name).keys() == settings


@pytest.mark.parametrize("name", CONFIGS)
def test_page_gives_the_defaults_of_the_config(name: str) -> None:
    config = load(name)
    for key, cell in section(name).items():
        value = config[key]
        if not (isinstance(value, str) and value.startswith(("$", "@"))):
            assert cell.startswith("`"), f"{key} has the default {value!r}"
            assert yaml.safe_load(cell.strip("`")) == value, key


def section(name: str) -> dict[str, str]:
    """Return the table of the section about one config."""
    return documented(f"(`configs/{name}`", CLVAE_PAGE if name.startswith("clvae/") else PAGE)


def test_tracking_keys_are_those_of_monai() -> None:
    rows = documented("Tracking")
    assert {"experiment_name", "run_name", "tracking_uri", "save_execute_config"} == rows.keys()
    assert rows.keys() <= DEFAULT_MLFLOW_SETTINGS["configs"].keys()
