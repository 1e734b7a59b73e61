"""The bundle's command line for tests: in processes of their own, or quickly through a warm server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

BUNDLE = Path(__file__).resolve().parents[2] / "bundle"
SERVER = Path(__file__).with_name("command_server.py")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    """Exit code, or minus the signal that ended it."""
    out: str
    err: str

    @property
    def error(self) -> str:
        """What the command says about its failure: the last line on standard error."""
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""

    def check(self) -> Ended:
        """Return the command if it succeeded, fail with its output otherwise."""
        assert self.code == 0, f"exit code {self.code}\n{self.out[-3000:]}\n{self.err[-5000:]}"
        return self


def environment() -> dict[str, str]:
    """Return this process's environment without pytest's and CI's marks, with one thread."""
    hidden = ("PYTEST", "CI", "GITHUB_", "MLFLOW_", "PYTHONPATH", "DO_NOT_TRACK")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return kept | {"OMP_NUM_THREADS": "1"}


def start_plain(*arguments: str) -> subprocess.Popen[str]:
    """Start ``python -m monai.bundle <arguments>`` in the bundle root, as a user does."""
    return subprocess.Popen(
        [sys.executable, "-m", "monai.bundle", *arguments],
        cwd=BUNDLE,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for a started command."""
    out, err = process.communicate(timeout=300)
    return Ended(process.returncode, out, err)


class WarmCommands:
    """Runs commands in forks of a process that has MONAI imported; everything else is as in a new one."""

    def __init__(self, folder: Path) -> None:
        self.out, self.err = folder / "out", folder / "err"

    def __enter__(self) -> WarmCommands:
        self.server = subprocess.Popen(
            [sys.executable, str(SERVER)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait(timeout=60)

    def run(
        self,
        *arguments: str,
        cwd: Path = BUNDLE,
        kill_when: Callable[[], bool] | None = None,
        variables: Mapping[str, str] | None = None,
        sockets: Path | None = None,
        installed: bool = True,
        pictures: bool = True,
    ) -> Ended:
        """Run ``monai.bundle <arguments>``.

        Args:
            arguments: of the command.
            cwd: folder it runs in.
            kill_when: SIGKILL it as soon as this holds.
            variables: further environment.
            sockets: file for the addresses that the command asks for or connects to.
            installed: False hides the package ``scripts`` of the environment.
            pictures: False leaves overviews and pages of scans empty: they take longer than everything else.
        """
        request = {
            "arguments": arguments,
            "cwd": str(cwd),
            "environment": dict(variables or {}),
            "sockets": sockets and str(sockets),
            "pictures": pictures,
            "hidden": None if installed else str(BUNDLE),
            "out": str(self.out),
            "err": str(self.err),
        }
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        child = int(self.server.stdout.readline())
        if kill_when is not None:
            deadline = time.monotonic() + 120
            while not kill_when():
                assert time.monotonic() < deadline, "the moment to kill never came"
                time.sleep(0.002)
            os.kill(child, signal.SIGKILL)
        code = int(self.server.stdout.readline())
        return Ended(code, self.out.read_text(), self.err.read_text())
