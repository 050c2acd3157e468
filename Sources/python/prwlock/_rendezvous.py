"""How a client gets its connection: to a daemon that runs, or to one that it starts.

A connection is handed out once the daemon has answered on it, so that no request is ever sent twice. Whoever is
refused, or sees the end before the first reply, goes on under the lock file: either somebody listens by then, or
nobody does and nobody else can begin to (`protocol.md`, "Starting a daemon").
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from errno import EACCES, EAGAIN, ECONNREFUSED, ENOENT, ENOTDIR, EPERM

from . import _location
from ._errors import AccessRefused, DaemonUnavailable, LimitExceeded, LockError, ProtocolError
from ._location import Location
from ._request import PATIENCE
from ._wire import encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

#: How often a reader that waits looks whether it has waited for too long, in seconds.
LOOK = 5
_ATTEMPTS = 3


def connect(location: Location) -> tuple[socket.socket, bytes]:
    """A blocking connection on which the daemon has answered, and what it has said since.

    Raises:
        DaemonUnavailable: nobody listens, and none may be or could be started.
        AccessRefused: this user may not.
        ProtocolError: what listens there is no lock daemon.
    """
    if not location.is_user_own:
        for _ in range(_ATTEMPTS):
            connection = attempt(location)
            if connection:
                return connection
        raise DaemonUnavailable(_nobody(location))
    if _location.has_folder(location):
        connection = attempt(location)
        if connection:
            return connection
    if os.environ.get("PRWLOCK_AUTOSTART") == "0":
        raise DaemonUnavailable(
            f"no lock daemon listens at {location.path}, and PRWLOCK_AUTOSTART=0 forbids starting one: "
            "run `prwlockd`, or unset PRWLOCK_AUTOSTART"
        )
    return _connect_or_start(location)


def _connect_or_start(location: Location) -> tuple[socket.socket, bytes]:
    from . import _launch

    _location.make_folder(location)
    for _ in range(_ATTEMPTS):
        with _launch.StartLock(location.path) as lock:
            # Whoever had the lock file before may have started one.
            connection = attempt(location)
            if not connection and _launch.start_service(location):
                connection = attempt(location)
            if not connection:
                _launch.start(location, lock)
                connection = attempt(location)
            if connection:
                return connection
    raise DaemonUnavailable(
        f"a lock daemon was started for {location.path} and ended before it answered: "
        f"see {_launch.output_path(location)}"
    )


def attempt(location: Location) -> Optional[tuple[socket.socket, bytes]]:
    """A connection on which the daemon has answered; None if nobody listens, or the end comes before the answer."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", PATIENCE, 0))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE, 0))
        try:
            connection.connect(location.path)
            rest = _greet(connection, location)
        except OSError as error:
            rest = None
            _judge(error, location)
        if rest is None:
            connection.close()
            return None
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", LOOK, 0))
        return connection, rest
    except BaseException:
        connection.close()
        raise


def _greet(connection: socket.socket, location: Location) -> Optional[bytes]:
    """Waits for the answer to a PING; returns what came behind it, or None at the end."""
    connection.send(b"HELLO client=%s\nPING\n" % _own_name())
    received = b""
    while True:
        chunk = connection.recv(4096)
        if not chunk:
            return None
        received += chunk
        *lines, rest = received.split(b"\n")
        for index, line in enumerate(lines):
            if line == b"PONG":
                return b"\n".join([*lines[index + 1 :], rest])
            if line.startswith(b"ERROR limit-"):
                raise LimitExceeded(f"the lock daemon at {location.path} takes no more: {line.decode()}")
            if not line.startswith((b"! ", b"HELLO ", b"ERROR bad-", b"ERROR unknown-")):
                raise _stranger(location)
        if len(rest) > 4096:
            raise _stranger(location)


def _own_name() -> bytes:
    """What `prwlock status` calls this process."""
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    try:
        return encode_name(f"python:{program}")
    except ValueError:
        return b"python"


def _stranger(location: Location) -> ProtocolError:
    return ProtocolError(f"what listens at {location.path} is not a lock daemon")


def _judge(error: OSError, location: Location) -> None:
    """Returns if nobody listens; raises what else an error of the attempt means."""
    if isinstance(error, LockError):
        raise error
    if error.errno in (EACCES, EPERM):
        hint = "it belongs to another user"
        if location.origin == "system":
            hint = "ask to be added to the group prwlock (`adduser USER prwlock`), then log in again"
        raise AccessRefused(f"you may not connect to the lock daemon at {location.path}: {hint}") from error
    if error.errno == EAGAIN:
        raise DaemonUnavailable(
            f"the lock daemon at {location.path} does not answer (waited {PATIENCE} s): "
            "look whether it is stopped, or stop it and try again"
        ) from error
    if error.errno is None or "AF_UNIX path too long" in str(error):
        raise ValueError(f"{location.path!r} is too long for the path of a socket") from error
    # The end of a connection, however it shows, is the end of a daemon: the next attempt tells.
    if not isinstance(error, ConnectionError) and error.errno not in (ENOENT, ENOTDIR, ECONNREFUSED):
        raise DaemonUnavailable(f"cannot connect to {location.path}: {error}") from error


def _nobody(location: Location) -> str:
    nobody = f"no lock daemon listens at {location.path}"
    if location.origin == "system":
        return (
            f"{nobody}, though this system has the service: run `systemctl start prwlockd.socket`, "
            "or remove the folder if the service is gone"
        )
    if location.origin == "environment":
        return f"{nobody}, where PRWLOCK_SOCKET points: run `prwlockd`, or unset PRWLOCK_SOCKET"
    return f"{nobody}: run `prwlockd --socket {location.path}`"
