"""Runs bundle commands in forks of a process that has imported MONAI: that costs more than most commands.

Each line of standard input is a request, a JSON object:

- ``arguments``, ``cwd``, ``environment``: of the command;
- ``out``, ``err``: files for what it prints;
- ``sockets``: a file for the addresses it asks for or connects to, or null;
- ``hidden``: a folder that it shall not import from, or null;
- ``pictures``: false makes overview and page of a scan one pixel; they take longer than everything else.

The answers are two lines: the process id of the command at once, its exit status when it has ended.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
from collections.abc import Callable
from typing import Any

import matplotlib.figure
import matplotlib.image
import monai.bundle
import pandas as pd
import scipy.ndimage
import sklearn.metrics

LOADED = (matplotlib.figure, matplotlib.image, monai.bundle, pd, scipy.ndimage, sklearn.metrics)
"""Libraries that every workflow needs; none of our own modules."""


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _serve(json.loads(line))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _serve(request: dict[str, Any]) -> None:
    """Become ``python -m monai.bundle <arguments>`` in the folder ``cwd``, and end."""
    for number, name in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(request["cwd"])
    os.environ.update(request["environment"])
    sys.path[:] = [request["cwd"], *(path for path in sys.path[1:] if path != request["hidden"])]
    if request["sockets"] is not None:
        _record_sockets(request["sockets"])
    if not request["pictures"]:
        _leave_pictures_out()
    sys.argv = ["monai.bundle", *request["arguments"]]
    code = 1
    try:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:  # as Python does it: hand over to the hook, which may choose the exit code
        try:
            sys.excepthook(*sys.exc_info())
        except SystemExit as end:
            code = _exit_code(end)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _leave_pictures_out() -> None:
    from scripts.report import overview, scan_page

    def write_a_pixel(*given: Any, **_: Any) -> None:
        matplotlib.image.imsave(given[4], [[0.0]], format="png")

    overview.plot_overview = scan_page.write_scan_page = write_a_pixel


def _record_sockets(name: str) -> None:
    def recorded(original: Callable[..., Any], address: int) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            with open(name, "a") as file:
                print(original.__name__, given[address], file=file)
            return original(*given, **named)

        return call

    socket.socket.connect = recorded(socket.socket.connect, 1)  # type: ignore[method-assign]
    socket.socket.connect_ex = recorded(socket.socket.connect_ex, 1)  # type: ignore[method-assign]
    socket.getaddrinfo = recorded(socket.getaddrinfo, 0)


def _exit_code(end: SystemExit) -> int:
    return end.code if isinstance(end.code, int) else int(end.code is not None)


if __name__ == "__main__":
    main()
