"""The keeper: a thread that waits until nothing is left of requests that were given up. Only loaded for that.

A call that is interrupted, or whose time is over, does not wait. But its request may cross the ``CANCEL``, and be
granted: the daemon may have been busy, or stopped, and reads later what was sent before. If no thread of the process
asks for anything more, no thread reads that reply. So the keeper does. It is never interrupted, since signal handlers
run in the main thread only.
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
    # Not closed: what else is held may still be released by others that are called at the end.
    for connection in list(_connections):
        connection.send_last_words()


atexit.register(_at_exit)


def keep(connection: Connection) -> None:
    """Starts a keeper. The caller has given up its request before it saw that there was none.

    A keeper clears `has_keeper` before it looks for the last time: it sees the request, or the caller starts another
    one. Two keepers do no harm.
    """
    _connections.add(connection)
    try:
        # Not by `threading`: an interrupt in the middle of `Thread.start` may leave it waiting for ever.
        start_new_thread(_run, (connection,))
    except RuntimeError:
        # No thread can be started, and the session's end gives everything back.
        connection.close("the lock daemon did not answer, and no thread can wait for it")


def _run(connection: Connection) -> None:
    while not connection.is_settled:
        connection.has_keeper = True
        try:
            # It is answered behind all that was sent before.
            connection.ask(b"PING", None)
        except DaemonTimeout:
            # There is no room even for that yet.
            continue
        except LockError:
            return
        finally:
            connection.has_keeper = False
