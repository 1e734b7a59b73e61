"""What every command does first: readable errors, checked keys, seeds, no telemetry."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import torch
from monai.utils import set_determinism

from scripts.engines.override_values import is_expression
from scripts.engines.overrides import read_overrides, running_workflow
from scripts.engines.value_ranges import check_ranges
from scripts.errors import InputError, ResourceError, install_error_hook


def start(config_files: Sequence[str], seed: int | None = None) -> None:
    """Begin a command-line run; the first entry of every config's ``initialize``.

    Args:
        config_files: names of the config files the run is made of, for the check of keys.
        seed: seed of the global generators (weights are drawn from it); None leaves them.

    Raises:
        InputError: a key that nothing reads, or a value of another type or out of range.
        ResourceError: the device given is not there.
    """
    install_error_hook()
    _switch_telemetry_off()
    workflow = running_workflow()
    if workflow is not None and not workflow.run_id:
        workflow.run_id = "run"  # viewers of MONAI Label send an empty name
    read_overrides(*config_files)
    if workflow is not None:
        check_device(workflow.parser.get("device"))
        check_ranges(workflow.parser.get())
    if seed is not None:
        set_determinism(seed)
    logging.captureWarnings(True)


def check_device(device: object) -> None:
    """Refuse a device that a user named and this machine lacks; anything but a name passes.

    Raises:
        InputError: not the name of a device.
        ResourceError: no such device here.
    """
    if not isinstance(device, str) or is_expression(device):
        return
    try:
        named = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"Expected a device such as cpu or cuda:0 for --device, got {device!r}.") from error
    try:
        torch.empty(1, device=named)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ResourceError(
            f"Expected a device of this machine for --device, got {device}, which cannot be used "
            f"({str(error).splitlines()[0]}); leave --device out to take what is there."
        ) from error


def _switch_telemetry_off() -> None:
    """Keep MLflow from reporting usage to its makers: scans of patients are no place for that."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    # MONAI has imported MLflow before any config is read, with telemetry on: have it look again.
    telemetry = sys.modules.get("mlflow.telemetry")
    if telemetry is not None:
        telemetry.set_telemetry_client()
