"""Sockets to a daemon: creating them, limiting their waits, and identifying the peer."""

from __future__ import annotations

import os
import socket
import struct
from errno import EACCES, EAFNOSUPPORT, EPERM

from ._errors import DaemonTimeout, DaemonUnavailable


def bound_wait(connection: socket.socket, option: int, seconds: float) -> None:
    """Sets a timeout of a blocking socket: for connecting and sending (``SO_SNDTIMEO``), or for receiving."""
    microseconds = max(1, int(seconds * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", *divmod(microseconds, 1_000_000)))


def no_answer(connection: socket.socket, path: str) -> DaemonTimeout:
    """Returns the error for a daemon that does not answer. It names the daemon's process, if that is visible."""
    pid = peer(connection)
    # Until a new daemon calls `listen` itself, the kernel reports the process that bound the socket for it.
    if pid in (0, os.getpid()):
        return DaemonTimeout(f"the lock daemon at {path} does not answer: try again, or look at what it waits for")
    silent = f"the lock daemon at {path} (pid {pid}) does not answer"
    if is_stopped(pid):
        return DaemonTimeout(f"{silent}, as it is stopped: `kill -CONT {pid}` lets it go on")
    return DaemonTimeout(f"{silent}: try again, or look at what it waits for")


def peer(connection: socket.socket) -> int:
    """Returns the process that listens at the other end; 0 if it is not visible."""
    try:
        (pid,) = struct.unpack_from("i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        return 0
    return int(pid)


def is_stopped(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] in (b"T", b"t")
    except OSError:
        return False


class _Socket(socket.socket):
    """A socket that is closed without a warning when it is collected.

    A client that is dropped ends its session, so that is no mistake. In a cycle of garbage Python may finalize the
    socket before the connection that would close it. The finalizer of `socket.socket` warns then, in the middle of any
    call.
    """

    def __del__(self) -> None:
        # Without a descriptor it was never made, or it is closed: `close` fails on a socket that was never made.
        if self.fileno() >= 0:
            self.close()


def make_socket() -> socket.socket:
    """Returns a socket that can be connected to a daemon.

    Raises:
        DaemonUnavailable: this process may not create Unix sockets.
    """
    try:
        return _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno not in (EAFNOSUPPORT, EPERM, EACCES):
            raise
        raise DaemonUnavailable(
            f"this process may not make Unix sockets ({error.strerror}), and the lock daemon is reached by one: "
            "a service with RestrictAddressFamilies= has to list AF_UNIX in it"
        ) from error
