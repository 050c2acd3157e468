"""The keeper: a thread that waits until all requests that were given up are settled. Loaded only when needed.

A call that is interrupted, or that reaches its timeout, stops waiting. But the daemon may grant its request before it
reads the ``CANCEL``; a stopped daemon reads both later. If no thread of the process sends another request, no thread
reads that reply. So the keeper reads it. Signal handlers run only in the main thread, so they never interrupt a keeper.
"""

from __future__ import annotations

import atexit
from _thread import start_new_thread
from typing import TYPE_CHECKING
from weakref import WeakSet

from ._errors import DaemonTimeout, LockError

if TYPE_CHECKING:
    from ._connection import Connection

_connections: WeakSet[Connection] = WeakSet()


def _at_exit() -> None:
    # Do not close: other exit handlers may still release grants.
    for connection in list(_connections):
        connection.send_last_words()


atexit.register(_at_exit)


def keep(connection: Connection) -> None:
    """Starts a keeper. The caller has given up its request before it checked `has_keeper`.

    A keeper clears `has_keeper` before its last check. So it sees the request, or the caller starts another keeper.
    Two keepers at the same time do no harm.
    """
    _connections.add(connection)
    try:
        # One call of C: an interrupt in the middle of `threading.Thread.start` may make that wait for ever.
        start_new_thread(_run, (connection,))
    except RuntimeError:
        # No thread can be started. The end of the session releases everything.
        connection.close("the lock daemon did not answer, and no thread can wait for it")


def _run(connection: Connection) -> None:
    while not connection.is_settled:
        connection.has_keeper = True
        try:
            # The daemon answers it after all lines that were sent before.
            connection.ask(b"PING", None)
        except DaemonTimeout:
            # The socket still has no room.
            continue
        except LockError:
            return
        finally:
            connection.has_keeper = False
