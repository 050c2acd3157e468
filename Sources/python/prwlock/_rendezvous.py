"""How a client gets its connection: to a daemon that runs, or to one that it starts.

A connection is returned only after the daemon has answered on it, so no request is ever sent twice. A client that is
refused, or that sees the end of input before the first reply, continues under the lock file. Either a process listens
by then, or no process does and no other one can begin to (`protocol.md`, "Starting a daemon").
"""

from __future__ import annotations

import os
import socket
import sys
import time
from errno import EACCES, EAGAIN, ECONNREFUSED, EMFILE, ENFILE, ENOENT, ENOTDIR, EPERM

from . import _location
from ._deadline import LOOK, PATIENCE, step
from ._errors import AccessRefused, DaemonUnavailable, LimitExceeded, LockError, ProtocolError
from ._location import Location
from ._sockets import bound_wait, is_stopped, make_socket, no_answer, peer
from ._trust import SocketFolder
from ._way_in import own_service, way_in
from ._wire import encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ._guard import Guard

_ATTEMPTS = 3
#: How often `connect` begins again because other processes are quicker, or remove the folder.
_MOST_OVERTAKINGS = 100
#: How long a daemon that holds the guard may take until it answers at the user's own place, in seconds.
_ELSEWHERE = 1.5
#: How long a daemon may be silent until the client checks whether the daemon's process is stopped, in seconds.
_STOPPED = 1.5


def connect(location: Location, end: Optional[float] = None) -> tuple[socket.socket, bytes]:
    """Returns a blocking connection on which the daemon has answered, and all bytes that the daemon has sent.

    Every wait ends at `end`, by `time.monotonic`, if that is given.

    Raises:
        DaemonTimeout: no daemon has answered by then.
        DaemonUnavailable: no daemon listens, and none may be started or could be started; or no descriptor is left.
        AccessRefused: this user may not connect, or does not trust the user that serves there.
        ProtocolError: the process that listens is not a lock daemon.
    """
    try:
        return _connect(location, end)
    except OSError as error:
        if isinstance(error, LockError) or error.errno not in (EMFILE, ENFILE):
            raise
        owner = "this process" if error.errno == EMFILE else "this system"
        raise DaemonUnavailable(
            f"the lock daemon cannot be reached, as {owner} has too many open files ({error.strerror}): close some, or "
            "raise the limit"
        ) from error


def _connect(location: Location, end: Optional[float]) -> tuple[socket.socket, bytes]:
    if location.origin == "usual":
        return _connect_usual(location, end)
    if location.origin == "anonymous":
        return _connect_anonymous(location, end)
    return _connect_running(location, end)


def _connect_running(location: Location, end: Optional[float]) -> tuple[socket.socket, bytes]:
    """Connects to a daemon that this package does not start."""
    for _ in range(_ATTEMPTS):
        connection = attempt(location, end)
        if connection:
            return connection
    raise DaemonUnavailable(_nobody(location))


def _connect_usual(usual: Location, end: Optional[float]) -> tuple[socket.socket, bytes]:
    """Connects by the rules for all clients: to the user's own daemon, else to the system's; else it starts one.

    The order keeps two processes of a user out of two lock spaces while ``/run/prwlock`` appears. One process, A, looks
    for that folder *before* it tries the user's own place. The other process, B, starts a daemon and looks for the
    folder again *after* it has bound the socket (`_start_own`):

    - B binds, then looks and does not find the folder, so the folder appears later. If A found the folder, A tries the
      own place after that and finds B's socket: A waits in its backlog.
    - B binds, then looks and finds the folder: B removes the socket and begins again. If A was in the backlog already,
      A sees the end of input before the first reply and begins again as well. Both find the system's daemon.

    If A tried the own place first and looked for the folder afterwards, B could bind in between. A would then use the
    system's daemon while B's daemon has the same names.

    A live daemon still holds the guard after its socket was removed. So the guard is queried before any other daemon is
    used.
    """
    from ._launch import Overtaken

    failures = overtakings = 0
    while failures < _ATTEMPTS and overtakings < _MOST_OVERTAKINGS:
        has_system = _location.has_system()
        connection = _reach_own(usual, end) or _await_holder(usual, end)
        if connection:
            return connection
        if has_system:
            usual.path = _location.system_socket()
            return _connect_running(Location(usual.path, "system"), end)
        try:
            connection = _start_own(usual, end)
        except (Overtaken, FileNotFoundError):
            # FileNotFoundError: the folder was removed after it was made.
            overtakings += 1
            continue
        if connection:
            return connection
        failures += 1
    raise _ended_at_start(usual.path)


def _reach_own(usual: Location, end: Optional[float]) -> Optional[tuple[socket.socket, bytes]]:
    """Returns a connection to the user's own daemon; None if it does not answer."""
    for path in _location.own_candidates():
        try:
            if not _location.has_folder(path):
                continue
        except AccessRefused:
            # In /tmp any user can create a folder of this name. It holds no daemon of this user, and it must not keep
            # this user from the system's daemon.
            continue
        connection = attempt(Location(path, "own"), end)
        if connection:
            usual.path = path
            return connection
    return None


def _await_holder(usual: Location, call_end: Optional[float]) -> Optional[tuple[socket.socket, bytes]]:
    """Returns a connection to the daemon of this user that holds the guard but did not answer; None if there is none.

    Such a daemon may be about to listen again, or to end.

    Raises:
        DaemonUnavailable: the daemon serves where this process cannot reach it.
    """
    from . import _guard

    end = time.monotonic() + step(_ELSEWHERE, call_end)
    while True:
        holder = _guard.ask()
        if holder is None:
            return None
        connection = _reach_own(usual, call_end)
        if connection:
            return connection
        if time.monotonic() > end:
            raise _served_elsewhere(holder)
        time.sleep(0.02)


def _start_own(usual: Location, end: Optional[float]) -> Optional[tuple[socket.socket, bytes]]:
    """Starts the user's own daemon under the start lock; returns None if the daemon ended before it answered.

    Raises:
        Overtaken: another daemon has started meanwhile.
    """
    from . import _guard, _launch

    usual.path = _location.writable_candidate()
    _check_may_start(usual)
    own = Location(usual.path, "own")
    _location.make_folder(own.path)
    with _launch.StartLock(own.path, end=end) as lock:
        # The process that held the lock file before may have started a daemon.
        connection = _reach_own(usual, end)
        if connection:
            return connection
        # A daemon needs the lock file to listen again, so waiting for it here would be a deadlock.
        if _guard.ask() is not None:
            raise _launch.Overtaken("a lock daemon of this user is about to listen again")
        _launch.check_limits(own)
        program = _launch.daemon_program()
        with lock.listen() as listener:
            if _location.has_system():
                lock.remove_socket()
                raise _launch.Overtaken("the system's lock daemon has come")
            made = os.lstat(own.path)
            _launch.start(own, program, listener, end)
        connection = attempt(own, end)
        if connection is None and not _is_still(made, own.path):
            # A daemon ends when its path no longer leads to its socket (`rm -r` of the folder). That is no failure.
            raise _launch.Overtaken("the socket was removed")
        return connection


def _is_still(made: os.stat_result, path: str) -> bool:
    try:
        return os.path.samestat(made, os.lstat(path))
    except OSError:
        return False


def _connect_anonymous(location: Location, end: Optional[float]) -> tuple[socket.socket, bytes]:
    """Connects to the daemon for locks without a name. Neither the guard nor the system's daemon matters there."""
    from . import _launch

    if _location.has_folder(location.path):
        connection = attempt(location, end)
        if connection:
            return connection
    _check_may_start(location)
    _location.make_folder(location.path)
    for _ in range(_ATTEMPTS):
        with _launch.StartLock(location.path, end=end) as lock:
            connection = attempt(location, end)
            if not connection:
                _launch.check_limits(location)
                program = _launch.daemon_program()
                with lock.listen() as listener:
                    _launch.start(location, program, listener, end)
                connection = attempt(location, end)
            if connection:
                return connection
    raise _ended_at_start(location.path)


def _check_may_start(location: Location) -> None:
    if os.environ.get("PRWLOCK_AUTOSTART") == "0":
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
    process = "a process that cannot be seen from here" if guard.pid is None else f"process {guard.pid}"
    place = "a socket that it does not name" if guard.path is None else guard.path
    return DaemonUnavailable(
        f"this user's lock daemon ({process}) serves {place}, which cannot be reached from here: this process may have "
        "another /tmp or /run (PrivateTmp=, a container), or the daemon hangs. Set PRWLOCK_SOCKET to a socket that "
        "both can reach, install the service, or end that process"
    )


def attempt(location: Location, call_end: Optional[float] = None) -> Optional[tuple[socket.socket, bytes]]:
    """Returns a connection on which the daemon has answered; None if no process listens or it hangs up first.

    The wait ends with the call, if `call_end` is given, and takes ten seconds at most.
    """
    connection = make_socket()
    try:
        end = time.monotonic() + step(PATIENCE, call_end)
        bound_wait(connection, socket.SO_SNDTIMEO, end - time.monotonic())
        folder = SocketFolder(location)
        try:
            connection.connect(location.path)
            folder.check(connection, location)
            rest = _greet(connection, location, end)
        except OSError as error:
            rest = None
            _judge(error, location, connection)
        if rest is None:
            connection.close()
            return None
        bound_wait(connection, socket.SO_RCVTIMEO, LOOK)
        return connection, rest
    except BaseException:
        connection.close()
        raise


def _greet(connection: socket.socket, location: Location, end: float) -> Optional[bytes]:
    """Waits for the answer to a PING; returns all bytes that have come, or None at the end of input."""
    try:
        connection.send(b"HELLO client=%s\nPING\n" % _own_name())
    except (BrokenPipeError, ConnectionResetError):
        # A daemon that refuses the client closes the connection. Its reason can still be read.
        pass
    received = b""
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise BlockingIOError(EAGAIN, "no answer in time")
        bound_wait(connection, socket.SO_RCVTIMEO, min(_STOPPED, left))
        try:
            chunk = connection.recv(4096)
        except BlockingIOError:
            if is_stopped(peer(connection)):
                raise
            continue
        if not chunk:
            return None
        received += chunk
        *lines, rest = received.split(b"\n")
        for line in lines:
            if line == b"PONG":
                return received
            if line.startswith(b"ERROR limit-"):
                words = line.decode("utf-8", "replace")
                raise LimitExceeded(f"the lock daemon at {location.path} takes no more: {words}")
            if not line.startswith((b"! ", b"HELLO ", b"ERROR bad-", b"ERROR unknown-")):
                raise _stranger(location)
        if len(rest) > 4096:
            raise _stranger(location)


def _own_name() -> bytes:
    """Returns the name of this process in `prwlock status`."""
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    try:
        return encode_name(b"python:" + os.fsencode(program))
    except ValueError:
        return b"python"


def _stranger(location: Location) -> ProtocolError:
    return ProtocolError(f"what listens at {location.path} is not a lock daemon")


def _judge(error: OSError, location: Location, connection: socket.socket) -> None:
    """Returns if no process listens there; raises a `LockError` for any other reason."""
    if isinstance(error, LockError):
        raise error
    if error.errno in (EACCES, EPERM):
        hint = "it belongs to another user"
        if location.origin == "system":
            hint = way_in(own_service())
        raise AccessRefused(f"you may not connect to the lock daemon at {location.path}: {hint}") from error
    if error.errno == EAGAIN:
        raise no_answer(connection, location.path) from error
    if error.errno is None or "AF_UNIX path too long" in str(error):
        raise ValueError(f"{location.path!r} is too long for the path of a socket") from error
    # Any kind of connection error means that a daemon has ended. The next attempt finds out.
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
