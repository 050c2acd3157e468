"""The thread of a connection that hears of lost grants, and calls those who want to know; only loaded for that."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable

from ._losses import Losses
from ._once import once

if TYPE_CHECKING:
    from ._connection import Connection
    from ._grant import Grant


class Listening(Losses):
    """The losses of a connection, and the thread that looks for them."""

    def __init__(self) -> None:
        super().__init__()
        self._thread: dict[int, threading.Thread] = {}

    def start(self, connection: Connection) -> None:
        """Has a thread listen, if none does. Several may be started; the first one that runs listens."""
        if not self._thread:
            threading.Thread(target=self._run, args=(connection,), name="prwlock-notices", daemon=True).start()

    def _run(self, connection: Connection) -> None:
        own = threading.current_thread()
        if once(self._thread, 0, lambda: own) is not own:
            return
        connection.listen()
        # What ended before there was a listener is found here. What ends later comes with a notice.
        self.look()
        while connection.next_notice() is not None:
            self.look()
        self.look()


def tell(grant: Grant, connection: Connection, on_lost: Callable[[Grant], Any]) -> None:
    """Has `on_lost` called with the grant, once, if it ends before it is released."""
    listening = once(connection.losses, 0, Listening)
    listening.add(grant, on_lost)
    listening.start(connection)
    # It may have ended before it was added, and the thread may have looked before.
    listening.look()
