"""The helper thread of a connection on which grants are to be watched for their loss; only loaded for that."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable
from weakref import ref

from ._log import log
from ._once import once

if TYPE_CHECKING:
    from ._connection import Connection
    from ._grant import Grant


class _Listening:
    """Which callables are to be called, and for which grants; it does not keep the grants alive."""

    def __init__(self) -> None:
        self._callbacks: dict[ref[Grant], Callable[[Grant], Any]] = {}
        self._thread: dict[int, threading.Thread] = {}

    def add(self, grant: Grant, on_lost: Callable[[Grant], Any]) -> None:
        self._callbacks[ref(grant, self._forget)] = on_lost

    def _forget(self, reference: ref[Grant]) -> None:
        self._callbacks.pop(reference, None)

    def start(self, connection: Connection) -> None:
        """Has a thread listen, if none does.

        Several may be started, and one of them listens: the role is taken by the thread that has it, where no
        interrupt comes between the role and its use.
        """
        if not self._thread:
            threading.Thread(target=self._run, args=(connection,), name="prwlock-notices", daemon=True).start()

    def _run(self, connection: Connection) -> None:
        own = threading.current_thread()
        if self._thread.setdefault(0, own) is not own:
            return
        connection.listen()
        # What ended before there was a listener is told here, and what ends later by a notice.
        self.look()
        while connection.next_notice() is not None:
            self.look()
        self.look()

    def look(self) -> None:
        """Tells of every grant that is lost by now, once."""
        for reference, on_lost in list(self._callbacks.items()):
            grant = reference()
            if grant is None or grant._is_over:
                self._forget(reference)
            elif grant._lost() is not None and self._callbacks.pop(reference, None) is not None:
                try:
                    on_lost(grant)
                except Exception as error:  # It is the caller's; this thread serves others too.
                    log("ERROR", f"on_lost of {grant!r} raised {error!r}")


def tell(grant: Grant, connection: Connection, on_lost: Callable[[Grant], Any]) -> None:
    """Has `on_lost` called with the grant, once, if it ends before it is released."""
    listening = once(connection.listening, 0, _Listening)
    listening.add(grant, on_lost)
    listening.start(connection)
    # It may have ended before it was added, and the thread may have looked before.
    listening.look()
