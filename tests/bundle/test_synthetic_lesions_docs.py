"""``docs/synthetic_lesions.md`` shows a config that works, and names every part."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from monai.bundle import ConfigParser

from scripts.data.lesion_ranges import LesionPart, LesionRanges
from scripts.data.synthetic_lesions import RandSyntheticLesiond

PAGE = (Path(__file__).parents[2] / "bundle/docs/synthetic_lesions.md").read_text()


def test_the_config_of_the_page_builds_the_transform_with_its_defaults() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (transforms,) = yaml.safe_load(block).values()
    transform = ConfigParser({"lesions": transforms[1]}).get_parsed_content("lesions")
    default = RandSyntheticLesiond()
    assert isinstance(transform, RandSyntheticLesiond)
    assert (transform.prob, transform.parts, transform.label_key) == (0.65, default.parts, "lesion")
    assert default.prob == 0.65
    assert tuple(transform.ranges.radius) == LesionRanges().radius


def test_the_table_of_the_page_has_every_part() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == list(LesionPart)
