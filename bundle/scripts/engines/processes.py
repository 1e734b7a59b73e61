"""The processes of a distributed training, started by torchrun: one for each GPU, or on CPUs for a trial."""

from __future__ import annotations

import logging
import os
from datetime import timedelta

import ignite.distributed as idist
import torch
import torch.distributed as dist

from scripts.errors import InputError, ResourceError

_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def process_rank() -> int:
    """Return this process's number among all processes, from 0."""
    return int(os.environ.get("RANK", "0"))


def process_device() -> torch.device:
    """Return the GPU with this process's number on its machine, or the CPU where there is none."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def join_processes(device: torch.device, patience_hours: float = 12.0) -> None:
    """Join the other processes; only the first one goes on to speak of anything but errors.

    Args:
        device: this process's device; GPUs talk over NCCL, CPUs over gloo.
        patience_hours: how long the others wait while the first one prepares the slices.

    Raises:
        InputError: the process was not started by torchrun.
        ResourceError: there are more processes than GPUs.
    """
    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        raise InputError(
            f"Expected a process started by torchrun, which sets {', '.join(missing)}; use torchrun "
            "--standalone --nproc_per_node=<GPUs> -m monai.bundle run ..., or leave multi_gpu_train.yaml out."
        )
    if device.type == "cuda":
        if device.index >= torch.cuda.device_count():
            raise ResourceError(
                f"Expected a GPU for every process, found {torch.cuda.device_count()} for process "
                f"{device.index + 1} of this machine; lower --nproc_per_node."
            )
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(hours=patience_hours))
    if dist.get_rank() > 0:
        logging.disable(logging.WARNING)


def check_shares(slices: int) -> None:
    """Check that every process has a validation slice: one without would leave the others waiting.

    Args:
        slices: validation slices of all processes together.

    Raises:
        InputError: there are fewer slices than processes.
    """
    processes = dist.get_world_size()
    if slices < processes:
        raise InputError(
            f"Expected a validation slice for each of {processes} processes, got {slices}; lower "
            "--nproc_per_node."
        )


def leave_processes() -> None:
    """Wait for the others, the first one's calibration included, and leave."""
    dist.barrier()
    logging.disable(logging.NOTSET)
    # Ignite keeps its own view of the group, which outlives a group that is destroyed behind its back.
    idist.finalize()
    if dist.is_initialized():
        dist.destroy_process_group()
