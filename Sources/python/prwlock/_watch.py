"""The watch for threads. Loaded only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Union

from ._connection import Connection
from ._errors import DaemonUnavailable
from ._location import Location
from ._rendezvous import connect
from ._status import Change, Missed, news
from ._wire import check, encode_name

if TYPE_CHECKING:
    from ._wire import Text


class Watch:
    """An iterator over the changes of all locks with names that begin with a prefix. It has a session of its own.

    ``Missed`` reports changes that were left out because they were not read in time.

    The next change can take for ever: there is no timeout, and a daemon that is stopped (SIGSTOP) is waited for. Only
    one thread at a time may iterate; another one may call `close`, which stops the iteration. The iterator raises
    ``DaemonUnavailable`` when the daemon goes away (it dies, ends or is replaced); then begin a new watch.

    An exception out of a signal handler (``KeyboardInterrupt``, for example) ends the wait, and the iteration may go on
    after it. At most the change that was just to be returned is missing then.
    """

    def __init__(self, location: Location, prefix: Text = "") -> None:
        self._connection = Connection(*connect(location), location.path)
        self._is_closed = False
        try:
            self._connection.listen()
            text = b"WATCH" if not prefix else b"WATCH " + encode_name(prefix, "a prefix")
            check(self._connection.ask(text).words, b"OK")
        except BaseException:
            self._connection.close()
            raise

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Union[Change, Missed]:
        while True:
            notice = self._connection.next_notice()
            if notice is None:
                if self._is_closed:
                    raise StopIteration
                raise DaemonUnavailable(f"the lock daemon went away: {self._connection.fault}")
            seen = news(notice)
            if seen is not None:
                return seen

    def close(self) -> None:
        """Stops the iteration, also one that waits. Any thread may call this; it never waits."""
        self._is_closed = True
        self._connection.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def watch(prefix: Text = "", location: Optional[Location] = None) -> Watch:
    """Watches the locks at a location, by default that of named locks."""
    from ._location import find

    return Watch(location or find(), prefix)
