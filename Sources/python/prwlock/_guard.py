"""The guard of a user's own daemon: an abstract socket that reports where that daemon serves.

At most one process can bind the name of an abstract socket, no cleaner removes it, and processes with different
``/tmp`` or ``/run`` folders see the same one. But another user could bind the name first. So the client checks the
peer's user, as the kernel reports it, and ignores a guard of another user.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from errno import EAGAIN

from . import _location
from ._sockets import make_socket
from ._wire import decode_name, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

#: How long a daemon of this user may take to report where it serves, in seconds.
_PATIENCE = 0.2
#: How long the guard may accept no connection until the client treats it as another user's, in seconds.
_UNCERTAINTY = 0.1


class Guard:
    """The guard's report: the daemon's process (None if it is not visible from here), and its socket's path."""

    __slots__ = ("path", "pid")

    def __init__(self, pid: Optional[int], path: Optional[str]) -> None:
        self.pid = pid
        self.path = path


def name() -> bytes:
    """Returns the name of this user's guard."""
    return b"\0prwlock-%d%s" % (os.geteuid(), os.fsencode(_location.root_for_tests()))


def ask() -> Optional[Guard]:
    """Returns the report of the daemon of this user that holds the guard; None if none does."""
    with make_socket() as connection:
        end = time.monotonic() + _UNCERTAINTY
        connection.setblocking(False)
        try:
            while True:
                try:
                    connection.connect(name())
                    break
                except OSError as error:
                    if error.errno != EAGAIN or time.monotonic() > end:
                        raise
                    # The guard's backlog is full.
                    time.sleep(0.01)
            pid, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if user != os.geteuid():
                return None
        except OSError:
            # No process has bound the name, or this process may not use abstract sockets.
            return None
        said = _line(connection)
    values = fields(said.split())
    path = values.get(b"socket")
    return Guard(pid or None, None if path is None else decode_name(path))


def _line(connection: socket.socket) -> bytes:
    end = time.monotonic() + _PATIENCE
    said = b""
    while b"\n" not in said and len(said) < 4096:
        connection.settimeout(max(0.001, end - time.monotonic()))
        try:
            chunk = connection.recv(4096)
        except OSError:
            break
        if not chunk:
            break
        said += chunk
    return said.partition(b"\n")[0]
