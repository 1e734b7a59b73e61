from __future__ import annotations

import subprocess
import sys

import pytest

from scripts.errors import (
    BundleError,
    InputError,
    ModelError,
    ResourceError,
    ScopeError,
    describe,
    find_bundle_error,
)


def wrapped(error: Exception) -> RuntimeError:
    """Return ``error`` as MONAI's parser hands it on."""
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("Failed to evaluate") from cause
    except RuntimeError as outer:
        return outer


def test_every_class_has_its_exit_code() -> None:
    kinds = (BundleError, InputError, ScopeError, ResourceError, ModelError)
    assert [kind.exit_code for kind in kinds] == [1, 2, 3, 4, 5]


def test_error_is_found_behind_others() -> None:
    error = InputError("no scans")
    assert find_bundle_error(wrapped(wrapped(error))) is error
    assert find_bundle_error(wrapped(ValueError("no scans"))) is None
    assert find_bundle_error(None) is None


def fail_while_handling(error: Exception) -> None:
    try:
        raise error
    except InputError:
        {}["missing"]


def test_error_is_found_where_its_handler_failed() -> None:
    error = InputError("no scans")
    with pytest.raises(KeyError) as caught:
        fail_while_handling(error)
    assert find_bundle_error(caught.value) is error


def test_circle_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert find_bundle_error(first) is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("no scans"), "no scans"),
        (ValueError("no number"), "ValueError: no number"),
        (MemoryError(), "MemoryError: no message"),
    ],
)
def test_description_is_that_of_the_first_cause(error: Exception, text: str) -> None:
    assert describe(wrapped(error)) == text


@pytest.mark.parametrize(
    ("statement", "code", "last_line"),
    [
        ("raise ModelError('damaged')", 5, "error: damaged"),
        ("raise ValueError('a bug')", 1, "ValueError: a bug"),
    ],
)
def test_command_ends_in_a_sentence_or_for_a_bug_in_a_trace(
    statement: str, code: int, last_line: str
) -> None:
    program = f"from scripts.errors import *; install_error_hook()\n{statement}"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == code
    assert ended.stderr.splitlines()[-1] == last_line
    assert ("Traceback" in ended.stderr) == (code == 1)
