"""The thread of a connection that reports lost grants. Loaded only when a grant has an `on_lost`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable

from ._losses import Losses
from ._once import once

if TYPE_CHECKING:
    from ._connection import Connection
    from ._grant import Grant


class Listening(Losses):
    """The losses of a connection, and the thread that reads its notices."""

    def __init__(self) -> None:
        super().__init__()
        self._thread: dict[int, threading.Thread] = {}

    def start(self, connection: Connection) -> None:
        """Starts a thread that listens, if there is none. If several are started, the first one that runs listens."""
        if not self._thread:
            threading.Thread(target=self._run, args=(connection,), name="prwlock-notices", daemon=True).start()

    def _run(self, connection: Connection) -> None:
        own = threading.current_thread()
        if once(self._thread, 0, lambda: own) is not own:
            return
        connection.listen()
        # Find the grants that were lost before there was a listener. Later losses come with a notice.
        self.look()
        while connection.next_notice() is not None:
            self.look()
        self.look()


def listen(connection: Connection) -> None:
    """Makes sure that a thread listens, so that notices are read also while no thread calls."""
    listening = once(connection.losses, 0, Listening)
    try:
        listening.start(connection)
    except RuntimeError:  # No thread can be started. Then the grants count until the moment that is known.
        pass


def tell(grant: Grant, connection: Connection, on_lost: Callable[[Grant], Any]) -> None:
    """Lets `on_lost` be called once with the grant, if the grant ends before it is released."""
    listening = once(connection.losses, 0, Listening)
    listening.add(grant, on_lost)
    listening.start(connection)
    # The grant may have been lost, and the thread may have looked, before the grant was added.
    listening.look()
