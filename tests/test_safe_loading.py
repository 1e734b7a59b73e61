"""No file that is read may run code: what loads pickles, YAML tags or archives is searched for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for folder in ("bundle", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

ASKED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
"""Calls that must say so."""

BANNED = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "joblib.load",
    "pd.read_pickle",
    "pandas.read_pickle",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "eval",
    "exec",
    "os.system",
    "shutil.unpack_archive",
}
"""Calls that run what they read; archives are unpacked member by member, so that names can be checked."""


def findings(source: str) -> list[str]:
    """Return the calls of a source that may run what they read."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        given = {one.arg: one.value for one in call.keywords}
        keyword, wanted = ASKED.get(name, (None, None))
        value = given.get(keyword) if keyword else None
        if keyword and not (isinstance(value, ast.Constant) and value.value is wanted):
            found.append(f"line {call.lineno}: {name} without {keyword}={wanted}")
        shell = given.get("shell")
        if name in BANNED or name.endswith(".extractall") or (shell and ast.unparse(shell) != "False"):
            found.append(f"line {call.lineno}: {name}")
    return found


def test_sources_load_nothing_that_could_run() -> None:
    assert len(SOURCES) > 200
    found = {str(path.relative_to(ROOT)): findings(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=chosen)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pickle.loads(content)",
        "yaml.load(text, yaml.FullLoader)",
        "archive.extractall(folder)",
        "subprocess.run(command, shell=True)",
        "eval(text)",
    ],
)
def test_what_would_run_is_found(line: str) -> None:
    assert len(findings(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "network.eval()",
        "json.load(f)",
    ],
)
def test_what_is_safe_is_not(line: str) -> None:
    assert findings(line) == []
