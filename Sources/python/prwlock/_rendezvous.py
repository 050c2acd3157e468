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
import time
from errno import EACCES, EAFNOSUPPORT, EAGAIN, ECONNREFUSED, ENOENT, ENOTDIR, EPERM

from . import _location
from ._errors import AccessRefused, DaemonUnavailable, LimitExceeded, LockError, ProtocolError
from ._location import Location
from ._request import PATIENCE
from ._wire import encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ._guard import Guard

#: How often a reader that waits looks whether it has waited for too long, in seconds.
LOOK = 5
_ATTEMPTS = 3
#: How long a daemon that has the guard may take until it answers at the user's own place, in seconds.
_ELSEWHERE = 1.5


def connect(location: Location) -> tuple[socket.socket, bytes]:
    """A blocking connection on which the daemon has answered, and what it has said since.

    Raises:
        DaemonUnavailable: nobody listens, and none may be or could be started.
        AccessRefused: this user may not.
        ProtocolError: what listens there is no lock daemon.
    """
    if location.origin == "usual":
        return _connect_usual(location)
    if location.origin == "anonymous":
        return _connect_anonymous(location)
    return _connect_running(location)


def _connect_running(location: Location) -> tuple[socket.socket, bytes]:
    """To a daemon that others look after."""
    for _ in range(_ATTEMPTS):
        connection = attempt(location)
        if connection:
            return connection
    raise DaemonUnavailable(_nobody(location))


def _connect_usual(usual: Location) -> tuple[socket.socket, bytes]:
    """By the rules for all clients: the user's own daemon if it answers, else the system's, else one is started.

    The order keeps two processes of a user out of two lock spaces while ``/run/prwlock`` appears. One process, A, looks
    for that folder *before* it tries the user's own place. The other, B, which starts a daemon, looks for it once more
    *after* it has bound the socket (`_start_own`):

    - B binds, then looks and does not find the folder, so it appears later. If A found the folder, A tries the own
      place after that, and B's socket is there: A waits in its queue.
    - B binds, then looks and finds the folder: B removes the socket and begins again. If A was in the queue already, A
      sees the end before the first reply, and begins again as well. Both find the system's daemon.

    If A tried the own place first and looked for the folder then, B could bind in between, and A would go to the
    system's daemon while B's has the same names.
    """
    for _ in range(_ATTEMPTS):
        has_system = _location.has_system()
        for path in _location.own_candidates():
            connection = _attempt_own(path)
            if connection:
                usual.path = path
                return connection
        if has_system:
            usual.path = _location.system_socket()
            return _connect_running(Location(usual.path, "system"))
        usual.path = _location.make_own_folder() if _may_start() else _location.own_candidates()[0]
        connection = _start_own(Location(usual.path, "own"))
        if connection:
            return connection
    raise _ended_at_start(usual.path)


def _attempt_own(path: str) -> Optional[tuple[socket.socket, bytes]]:
    # Another user can make the folder in /tmp. No daemon of this user is in it, and other places may still serve.
    if _location.is_strangers(path) or not _location.has_folder(path):
        return None
    return attempt(Location(path, "own"))


def _start_own(own: Location) -> Optional[tuple[socket.socket, bytes]]:
    """Starts the user's own daemon under the start lock; None where the rules are to be followed from the beginning."""
    from . import _guard, _launch

    _check_may_start(own)
    with _launch.StartLock(own.path) as lock:
        # The process that had the lock file before may have started one.
        connection = attempt(own)
        if connection:
            return connection
        guard = _guard.ask()
        if guard is None:
            with lock.listen() as listener:
                if _location.has_system():
                    lock.remove_socket()
                    return None
                _launch.start(own, listener)
            return attempt(own)
    return _await_other(guard)


def _await_other(guard: Guard) -> tuple[socket.socket, bytes]:
    """Waits for a daemon of this user that lives, and does not answer here: it may be binding again, or ending.

    Raises:
        DaemonUnavailable: it serves where this process cannot reach it.
    """
    end = time.monotonic() + _ELSEWHERE
    while True:
        for path in _location.own_candidates():
            connection = _attempt_own(path)
            if connection:
                return connection
        if time.monotonic() > end:
            raise _served_elsewhere(guard)
        time.sleep(0.02)


def _connect_anonymous(location: Location) -> tuple[socket.socket, bytes]:
    """As at the user's own place, without the guard and without a look at the system's daemon."""
    from . import _launch

    if _location.has_folder(location.path):
        connection = attempt(location)
        if connection:
            return connection
    _check_may_start(location)
    _location.make_folder(location.path)
    for _ in range(_ATTEMPTS):
        with _launch.StartLock(location.path) as lock:
            connection = attempt(location)
            if not connection:
                with lock.listen() as listener:
                    _launch.start(location, listener)
                connection = attempt(location)
            if connection:
                return connection
    raise _ended_at_start(location.path)


def _may_start() -> bool:
    return os.environ.get("PRWLOCK_AUTOSTART") != "0"


def _check_may_start(location: Location) -> None:
    if not _may_start():
        raise DaemonUnavailable(
            f"no lock daemon listens at {location.path}, and PRWLOCK_AUTOSTART=0 forbids starting one: "
            "run `prwlockd`, or unset PRWLOCK_AUTOSTART"
        )


def _ended_at_start(path: str) -> DaemonUnavailable:
    from . import _launch

    return DaemonUnavailable(
        f"a lock daemon was started for {path} and ended before it answered: see {_launch.output_path(path)}"
    )


def _served_elsewhere(guard: Guard) -> DaemonUnavailable:
    process = "a process that is not visible from here" if guard.pid is None else f"process {guard.pid}"
    place = "a place that it does not tell" if guard.path is None else guard.path
    return DaemonUnavailable(
        f"the lock daemon of this user, {process}, serves {place}, which this process cannot reach: "
        "it has another /tmp or /run than the daemon (PrivateTmp=, a mount namespace, a container). "
        "Set PRWLOCK_SOCKET to a socket that both can reach, or install the system's service"
    )


def attempt(location: Location) -> Optional[tuple[socket.socket, bytes]]:
    """A connection on which the daemon has answered; None if nobody listens, or the end comes before the answer."""
    connection = _make_socket()
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


def _make_socket() -> socket.socket:
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno not in (EAFNOSUPPORT, EPERM, EACCES):
            raise
        raise DaemonUnavailable(
            f"this process may not make Unix sockets ({error.strerror}), and the lock daemon is reached by one: "
            "a service with RestrictAddressFamilies= has to list AF_UNIX in it"
        ) from error


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
        return encode_name(b"python:" + os.fsencode(program))
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
            hint = (
                "ask to be added to the group prwlock (`adduser USER prwlock`), then log in again; "
                "for a service, set SupplementaryGroups=prwlock"
            )
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
            f"{nobody}, though this system has the service: look at `systemctl status prwlockd.socket prwlockd`, "
            "and run `systemctl start prwlockd.socket`; or remove the folder if the service is gone"
        )
    if location.origin == "environment":
        return f"{nobody}, where PRWLOCK_SOCKET points: run `prwlockd`, or unset PRWLOCK_SOCKET"
    return f"{nobody}: run `prwlockd --socket {location.path}`"
