"""``run``: becomes a command under a lock, which lives exactly as long as the command does.

A session ends with the process that connected. So the process that connected is the one that executes the command. A
small process beside it, the monitor, waits for bad news on the connection and ends the command with it; it holds
nothing itself.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, Optional

from ._connection import Connection
from ._errors import DaemonUnavailable
from ._location import Location
from ._rendezvous import connect
from ._request import PATIENCE
from ._wire import acquire_options, encode_name, refusal

if TYPE_CHECKING:
    from ._wire import Mode, Seconds

#: A number that no script uses for itself.
_DESCRIPTOR = 200


def become(
    location: Location,
    name: str,
    mode: Mode,
    timeout: Optional[Seconds],
    note: Optional[str],
    command: Sequence[str],
) -> NoReturn:
    """Waits for the lock and executes the command in the place of this program.

    Raises:
        WouldBlock, AcquireTimeout, Deadlock: it could not be had.
        LockError: no daemon, or another fault.
    """
    encoded = encode_name(name)
    options = acquire_options(timeout, None, note)
    connection = Connection(*connect(location), location.path)
    patience = None if timeout is None else PATIENCE + float(timeout)  # type: ignore[arg-type]
    words = (connection.ask(b"%s %s%s" % (mode.upper().encode(), encoded, options), patience).reply or b"").split(b" ")
    if words[1] != b"GRANTED":
        raise refusal(words[1:])
    # Nobody is left to say it at the end.
    answer = (connection.ask(b"RELEASE %s %s at=end" % (encoded, words[4])).reply or b"").split(b" ")
    if answer[1] != b"OK":
        raise DaemonUnavailable(f"the lock daemon at {location.path} cannot release at the end of a process")
    environment = {**os.environ, "PRWLOCK_TOKEN": words[4][6:].decode()}
    environment.pop("PRWLOCK_OWNERDIED", None)
    if words[5:6] == [b"ownerdied=1"]:
        environment["PRWLOCK_OWNERDIED"] = "1"

    descriptor = connection.keep(_DESCRIPTOR)
    _start_monitor(descriptor, name)
    try:
        os.execvpe(command[0], list(command), environment)
    except OSError as error:
        print(f"prwlock: {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        # At once: an end of the connection before that of the process would be a loss to the monitor.
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _start_monitor(connection: int, name: str) -> None:
    if not hasattr(os, "pidfd_open"):
        return
    command = os.pidfd_open(os.getpid())
    # Fork twice: the command must not find a child that it did not start.
    between = os.fork()
    if between > 0:
        os.waitpid(between, 0)
        os.close(command)
        return
    if os.fork() > 0:
        os._exit(0)
    status = 1
    try:
        _monitor(connection, command, name)
        status = 0
    finally:
        os._exit(status)


def _monitor(connection: int, command: int, name: str) -> None:
    """Waits for the command's end, or for that of the grant."""
    os.setsid()
    heard = b""
    while True:
        ready, _, _ = select.select([connection, command], [], [])
        if command in ready:
            return
        chunk = os.read(connection, 4096)
        # A notice is at most this long, and may come in pieces.
        heard = (heard + chunk)[-1024:]
        if not chunk or b"! EXPIRED " in heard or b"! REVOKED " in heard:
            print(f"prwlock: the lock {name!r} was lost, and so the command is ended", file=sys.stderr, flush=True)
            signal.pidfd_send_signal(command, signal.SIGTERM)  # type: ignore[attr-defined,unused-ignore]
            return
