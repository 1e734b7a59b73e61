"""A missing package is told with the command that installs it."""

from __future__ import annotations

import pytest

from scripts.errors import ResourceError
from scripts.io.extras import require


def test_packages_that_are_there_pass() -> None:
    require("dicom", ["pydicom", "highdicom"])


def test_missing_packages_are_named_with_the_extra_to_install() -> None:
    with pytest.raises(ResourceError, match=r"but no_such_package cannot be found; .*'\.\[dicom\]'"):
        require("dicom", ["pydicom", "no_such_package"])
