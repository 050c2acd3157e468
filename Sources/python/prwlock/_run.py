"""``run``: a command under a lock, which is held exactly as long as the command runs.

               fork
    [ MONITOR ] ─────────▶ [ ASKING ] ── granted: exec ──▶ [ COMMAND ]
         │  ▲                                                 │    ▲
         │  └─────────── its end: the same status ────────────┘    │
         └─────── signals; TERM, later KILL if the grant is lost ──┘

A session ends with the process that connected (G6). So the child connects, acquires the lock, and executes the command
in its own process: the lock belongs to the command, whatever happens to the parent. The parent is the monitor
(`_monitor`).
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from errno import ENOENT, ENOEXEC
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Optional

from . import _held
from ._connection import Connection
from ._deadline import Deadline, retry_pause
from ._errors import AcquireTimeout, DaemonUnavailable
from ._harmless import harmless
from ._location import Location
from ._rendezvous import connect
from ._shown import in_words
from ._standard import Complaint, complain
from ._until import UNCONFIRMED, boot_now, until_of
from ._wire import acquire_options, decode_name

if TYPE_CHECKING:
    from ._wire import Mode

#: A descriptor number that scripts do not use.
_DESCRIPTOR = 200


class Asked(NamedTuple):
    """The options of a command line."""

    location: Location
    #: The name, encoded.
    name: bytes
    mode: Mode
    timeout: Optional[float]
    lease: Optional[float]
    note: Optional[bytes]
    command: list[bytes]
    #: The exit status if the lock is not granted.
    conflict: int
    #: Whether the command gets no copy of the connection.
    closes: bool
    #: Whether a grant of an ancestor is enough.
    inherits: bool
    is_verbose: bool


def run(asked: Asked, kill_after: Optional[float]) -> int:
    """Runs the command, with a monitor unless `kill_after` is None; returns only if the command was not executed.

    Raises:
        LockError: there is no daemon, or another fault.
    """
    # Refuse impossible options before anything is started.
    Deadline.of(asked.timeout)
    acquire_options(asked.lease, asked.note)
    if kill_after is None:
        return _become(asked, None)
    from . import _monitor

    near, far = socket.socketpair()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _monitor.taken())
    # If the caller ignores SIGCHLD, the kernel would keep no status of the child.
    child_action = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child > 0:
        far.close()
        _monitor.Monitor(child, near, asked, kill_after).guard()
    near.close()
    signal.signal(signal.SIGCHLD, child_action)
    _end_with(far)
    # An interrupt ends this process by the signal, as it would end the command, and the monitor sees that.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return _become(asked, far)


def _end_with(channel: socket.socket) -> None:
    """Lets the kernel end this process if the monitor ends before the lock is granted.

    The monitor writes nothing to the channel. So the channel becomes readable only when the monitor ends. The kernel
    sends SIGIO then, which ends a process by default.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(channel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(channel, fcntl.F_SETFL, fcntl.fcntl(channel, fcntl.F_GETFL) | os.O_ASYNC)
    # The monitor may have ended before SIGIO was enabled.
    try:
        ended = channel.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        ended = False
    if ended:
        os._exit(1)


def _become(asked: Asked, channel: Optional[socket.socket]) -> int:  # noqa: RET503
    start = time.monotonic()
    deadline = Deadline.of(asked.timeout)
    connection = _connect(asked, deadline)
    ancestor = _held.find(asked.name, lambda line: _asked(connection, line))
    if ancestor is not None:
        if asked.inherits and ancestor.covers(asked.mode):
            _execute(asked.command, {**_environment(), b"PRWLOCK_TOKEN": b"%d" % ancestor.token})
        if asked.inherits or ancestor.forbids(asked.mode):
            complain(_nested(asked, ancestor))
            return asked.conflict
        # Do not wait: a waiting writer waits for this process's ancestor, and a new reader would wait for that writer.
        deadline = Deadline(0)
    try:
        connection, words = _acquire(asked, deadline, connection)
    except AcquireTimeout as error:
        if ancestor is not None:
            complain(_nested(asked, ancestor))
        elif asked.is_verbose or not error.held_by:
            complain(_held.conflict(asked.name, error, time.monotonic() - start))
        return asked.conflict
    if asked.is_verbose:
        complain(f"{_shown(asked.name)}: granted after {in_words(time.monotonic() - start)}")
    token, until = int(words[4][6:]), until_of(b" ".join(words))
    # A command that has ended cannot release, so ask for the release in advance.
    answer = connection.ask(b"RELEASE %s %s at=end" % (asked.name, words[4])).words
    if answer[:1] != [b"OK"]:
        raise DaemonUnavailable(f"the lock daemon at {connection.path} cannot release at the end of a process")
    environment = _environment()
    environment[b"PRWLOCK_TOKEN"] = b"%d" % token
    environment.pop(b"PRWLOCK_OWNERDIED", None)
    for died in (b"1", b"maybe"):
        if b"ownerdied=" + died in words[5:]:
            environment[b"PRWLOCK_OWNERDIED"] = died
    environment[b"PRWLOCK_HELD"] = _held.added(asked.name, asked.mode, token)
    if until and max(until, connection.until) <= boot_now():
        from ._monitor import LOST

        raise Complaint(f"the lock {_shown(asked.name)} was lost before the command began: {UNCONFIRMED}", LOST)
    if channel is not None:
        # From here on the command must survive the end of the monitor.
        fcntl.fcntl(channel, fcntl.F_SETFL, fcntl.fcntl(channel, fcntl.F_GETFL) & ~os.O_ASYNC)
        _hand_over(channel, token, max(until, connection.until), connection)
    if not asked.closes:
        _keep_open(connection)
    _execute(asked.command, environment)


def _hand_over(channel: socket.socket, token: int, until: float, connection: Connection) -> None:
    try:
        socket.send_fds(channel, [b"%d %d" % (token, until * 1_000)], [connection._socket.fileno()])
    except OSError:  # The monitor was killed.
        pass


def _keep_open(connection: Connection) -> None:
    """Keeps the session open in the command, so that it survives the monitor."""
    try:
        connection.keep(_DESCRIPTOR)
    except OSError:
        # The limit of descriptors is lower than this number.
        os.set_inheritable(connection._socket.fileno(), True)


def _connect(asked: Asked, deadline: Optional[Deadline]) -> Connection:
    return Connection(*connect(asked.location, None if deadline is None else deadline.end), asked.location.path)


def _acquire(
    asked: Asked, deadline: Optional[Deadline], connection: Connection
) -> tuple[Connection, list[bytes]]:
    """Requests the lock until there is a decision, also from the next daemon if one ends."""
    options = acquire_options(asked.lease, asked.note)
    text = b"%s %s%s" % (asked.mode.upper().encode(), asked.name, options)
    while True:
        try:
            if deadline is None:
                request = connection.ask(text, None)
            else:
                request = connection.ask(text + deadline.wait, deadline.left)
            words = request.words
        except DaemonUnavailable:
            if connection.fault is None:
                raise
            words = [b"ERROR", b"draining"]
        if words[0] == b"GRANTED":
            return connection, [b"", *words]
        pause = retry_pause(words, deadline)
        if pause is None:
            time.sleep(0.1)
            connection = _connect(asked, deadline)
        else:
            time.sleep(pause)


def _asked(connection: Connection, line: bytes) -> tuple[list[bytes], list[list[bytes]]]:
    request = connection.ask(line)
    return request.words, [row.split(b" ") for row in request.rows]


def _nested(asked: Asked, ancestor: _held.Held) -> str:
    hint = "--inherit runs the command under that grant"
    return ancestor.refusal(hint if ancestor.covers(asked.mode) else f"it cannot be inherited for {asked.mode}")


def _shown(name: bytes) -> str:
    return harmless(decode_name(name))


def _environment() -> dict[bytes, bytes]:
    """Returns the environment that this process was started with."""
    environment = dict(os.environb)
    # In the C locale Python sets this variable for itself and its children (PEP 538).
    if environment.get(b"LC_CTYPE") in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        try:
            with open("/proc/self/environ", "rb") as file:
                was_there = any(entry.startswith(b"LC_CTYPE=") for entry in file.read().split(b"\0"))
        except OSError:
            was_there = True
        if not was_there:
            del environment[b"LC_CTYPE"]
    return environment


def _execute(command: list[bytes], environment: dict[bytes, bytes]) -> NoReturn:
    """Executes the command as `execvp` does; if that fails, exits with the status that shells use."""
    # Python ignores these signals, and the executed program would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    error = _try_execute(command, environment)
    complain(f"{harmless(os.fsdecode(command[0]))}: {error.strerror}")
    # Exit at once: if the connection ended before the process, the monitor would report a loss.
    os._exit(127 if error.errno == ENOENT else 126)


def _try_execute(command: list[bytes], environment: dict[bytes, bytes]) -> OSError:
    program = command[0]
    paths = [program]
    if b"/" not in program:
        folders = environment.get(b"PATH", b"/bin:/usr/bin").split(b":")
        paths = [os.path.join(folder or b".", program) for folder in folders] if program else []
    found: OSError = FileNotFoundError(ENOENT, os.strerror(ENOENT))
    for path in paths:
        try:
            _execute_file(path, command, environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            found = error
        except OSError as error:
            return error
    return found


def _execute_file(path: bytes, command: list[bytes], environment: dict[bytes, bytes]) -> None:
    try:
        os.execve(path, command, environment)
    except OSError as error:
        if error.errno != ENOEXEC:
            raise
    # The file is a script without an interpreter line.
    os.execve(b"/bin/sh", [b"/bin/sh", path, *command[1:]], environment)
