"""The helper thread of a connection on which somebody wants to be told of lost grants; only loaded for that."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable
from weakref import WeakKeyDictionary, ref

from ._connection import Connection
from ._log import log

if TYPE_CHECKING:
    from ._grant import Grant


class _Listening:
    """Who wants to be told, by the token at the time; the grants are not kept alive by it."""

    def __init__(self, connection: Connection) -> None:
        self._callbacks: dict[ref[Grant], Callable[[Grant], Any]] = {}
        connection.listen()
        # The thread must not keep the connection alive: it ends with it.
        thread = threading.Thread(target=self._run, args=(connection,), name="prwlock-notices", daemon=True)
        thread.start()

    def add(self, grant: Grant, on_lost: Callable[[Grant], Any]) -> None:
        self._callbacks[ref(grant, self._forget)] = on_lost

    def _forget(self, reference: ref[Grant]) -> None:
        self._callbacks.pop(reference, None)

    def _run(self, connection: Connection) -> None:
        while True:
            notice = connection.next_notice()
            self.look()
            if notice is None:
                return

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


_listening: WeakKeyDictionary[Connection, _Listening] = WeakKeyDictionary()
_making = threading.Lock()


def tell(grant: Grant, connection: Connection, on_lost: Callable[[Grant], Any]) -> None:
    """Has `on_lost` called with the grant, once, if it ends before it is released."""
    with _making:
        listening = _listening.get(connection)
        if listening is None:
            _listening[connection] = listening = _Listening(connection)
    listening.add(grant, on_lost)
    # It may have ended before there was anybody to tell.
    listening.look()
