"""What a figure or a file was made on and with."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

import torch

from scripts import BUNDLE_ROOT


def machine_and_commit() -> dict[str, str]:
    """Return processor or GPU, and :func:`commit`, as they are now: ask before anything is written."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
    return {"machine": f"{device}, {platform.machine()}", "commit": commit()}


def commit() -> str:
    """Return the checkout's commit, ``-dirty`` with changes; "unknown" outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "-C", str(BUNDLE_ROOT), "describe", "--always", "--dirty", "--abbrev=10"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
