"""``python watched.py FILE MODULE ARGUMENTS``: run a module; refuse and write down every use of the network.

Python tells an audit hook about sockets before anything happens; a hook cannot be taken away, and forked
workers have it, too. Not counted: Unix sockets, and a port that nobody outside this machine reaches (so
urllib3, when it is imported, finds out whether there is IPv6).
"""

from __future__ import annotations

import os
import runpy
import socket
import sys
from typing import Any

EVENTS = {
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "socket.getnameinfo",
}


def watch(name: str) -> None:
    def refuse(event: str, given: tuple[Any, ...]) -> None:
        if event not in EVENTS or getattr(given[0], "family", None) == getattr(socket, "AF_UNIX", 0):
            return
        if event == "socket.bind" and given[1][0] in ("127.0.0.1", "::1"):
            return
        with open(name, "a") as file:
            print(event, given, file=file)
        raise OSError(f"the test refuses {event}")

    sys.addaudithook(refuse)


if __name__ == "__main__":
    watch(sys.argv[1])
    del sys.argv[:2]
    sys.path[0] = os.getcwd()  # as ``python -m`` has it
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
