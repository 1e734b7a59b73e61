"""A MONAI Label server with the bundle, in the environment that ``make label-env`` makes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import pytest
import requests

from tests.bundle.commands import BUNDLE, environment

ENVIRONMENT = BUNDLE.parent / ".venv-label"
APP = ENVIRONMENT / "monailabel" / "sample-apps" / "monaibundle"
SHIPPED = "bundle"
LENIENT = "lenient"
"""The same bundle with ``scope: warn``: these scans need not be like those of the training."""

IS_MISSING = pytest.mark.skipif(
    not (ENVIRONMENT / "installed").exists(), reason="MONAI Label is not here: make label-env"
)


@dataclass
class Server:
    """A running server."""

    url: str
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    def says(self, text: str) -> bool:
        """Tell whether the server prints this; what failed, it prints after the answer."""
        deadline = time.monotonic() + 20
        while text not in self.log and time.monotonic() < deadline:
            time.sleep(0.1)
        return text in self.log

    def model(self, name: str) -> Path:
        """Return the folder of a model."""
        return self.folder / "app" / "model" / name

    def ask(self, model: str, image: str | None = None, session: str | None = None, **params: Any) -> Any:
        """Return the answer to a request for a map."""
        query = {"image": image, "session_id": session, "output": "image"}
        return requests.post(
            f"{self.url}/infer/{model}", params=query, data={"params": json.dumps(params)}, timeout=120
        )

    def map(self, folder: Path, model: str, **request: Any) -> nibabel.Nifti1Image:
        """Return a map, saved as a file in ``folder``."""
        path = folder / f"answer_{time.monotonic_ns()}.nii.gz"
        answer = self.ask(model, **request)
        assert answer.ok, self.log[-5000:]
        path.write_bytes(answer.content)
        return nibabel.load(path)


@contextmanager
def serve(folder: Path, studies: str, **variables: str) -> Iterator[Server]:
    """Run a server on a loopback port: the app as MONAI Label ships it, with copies of the bundle.

    Args:
        folder: for the app, sessions and log.
        studies: folder of scans, or address of an archive.
        variables: further environment.
    """
    _make_app(folder / "app")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [str(ENVIRONMENT / "bin" / "monailabel"), "start_server", "--app", str(folder / "app")]
    program += ["--studies", studies, "--host", "127.0.0.1", "--port", str(port)]
    program += [
        "--conf",
        "models",
        f"{SHIPPED},{LENIENT}",
        "--conf",
        "zoo_source",
        "local",
        "--conf",
        "sam2",
        "false",
    ]
    variables |= {
        "PATH": f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "MONAI_LABEL_SESSION_PATH": str(folder / "sessions"),
    }
    running = Server(f"http://127.0.0.1:{port}", folder)
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            program,
            cwd=folder,
            env=environment() | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 120
        while not _answers(running):
            assert process.poll() is None, running.log
            assert time.monotonic() < deadline, running.log
            time.sleep(0.2)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=30)


def _make_app(app: Path) -> None:
    shutil.copytree(APP, app)
    for model in (SHIPPED, LENIENT):
        for part in ("configs", "models", "scripts"):
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(BUNDLE / part, app / "model" / model / part, ignore=unwanted)
    settings = app / "model" / LENIENT / "configs" / "inference.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"scope": "warn"}))


def _answers(server: Server) -> bool:
    try:
        return requests.get(f"{server.url}/info/", timeout=5).ok
    except requests.ConnectionError:
        return False
