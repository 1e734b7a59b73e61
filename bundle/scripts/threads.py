"""Threads that each do a part of the work from the first layer to the last."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def one_core_threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads in which PyTorch uses one core each, and so does the caller's meanwhile.

    Where the work can be parted, that is faster than to share every single operation, above all on a
    machine with other work: no thread ever waits for another. (The caller's own helpers would go on
    spinning for a while after every operation, on the cores of the pool.)
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        # The number is a thread's own, but also what every later thread starts with.
        torch.set_num_threads(threads)
