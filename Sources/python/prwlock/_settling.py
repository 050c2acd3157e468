"""Waits for a daemon that did not answer in time, so that nothing is granted to a request that was given up.

Only loaded for that. A daemon that is stopped may go on at any time, and reads then what was sent before. The request
and its ``CANCEL`` stand in its queue, and may cross the grant; if the process asks for nothing more, no thread reads
the reply. So a thread does: what was granted goes back at once.
"""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

from ._errors import DaemonTimeout, LockError

if TYPE_CHECKING:
    from ._connection import Connection
    from ._request import Request


_connections: WeakSet[Connection] = WeakSet()


def _at_exit() -> None:
    # Not closed: what else is held may still be released by others that are called at the end.
    for connection in list(_connections):
        connection.release_given_up()


atexit.register(_at_exit)


def settle(connection: Connection) -> None:
    """Has a thread read on until the daemon has answered all that was given up on this connection.

    The caller has cancelled and marked its request before. A thread that is at work gives up its role before it looks
    for marks for the last time: it sees the mark, or this function does not see the thread.
    """
    _connections.add(connection)
    if connection.settling:
        return
    try:
        threading.Thread(target=_run, args=(connection,), name="prwlock-settling", daemon=True).start()
    except RuntimeError:
        # No thread can be started, and the session's end gives everything back.
        connection.close("the lock daemon did not answer, and no thread can wait for it")


def _run(connection: Connection) -> None:
    own = threading.current_thread()
    while connection.settling.setdefault(0, own) is own:
        try:
            _settle(connection)
        except LockError:
            return
        finally:
            connection.settling.pop(0, None)
        if not _left(connection) and not connection._later:
            return


def _left(connection: Connection) -> list[Request]:
    return [request for request in list(connection._pending.values()) if request.was_left]


def _settle(connection: Connection) -> None:
    while True:
        requests = _left(connection)
        left_over = len(connection._later)
        if not requests and not left_over:
            return
        try:
            # Sends along what is left over.
            connection.ask(b"PING", None)
        except DaemonTimeout:
            # There is no room even for that yet.
            continue
        # Replies come in the order of the lines: behind this one, nothing is open that was sent and cancelled before.
        if not left_over:
            for request in requests:
                connection._pending.pop(request.tag, None)
