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

    ``Missed`` reports changes that were left out because they were not read in time. The iterator raises
    ``DaemonUnavailable`` when the session ends, and stops when it is closed.
    """

    def __init__(self, location: Location, prefix: Text = "") -> None:
        self._connection = Connection(*connect(location), location.path)
        self._is_closed = False
        self._connection.listen()
        text = b"WATCH" if not prefix else b"WATCH " + encode_name(prefix, "a prefix")
        check(self._connection.ask(text).words, b"OK")

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
        """Stops the iteration. Any thread may call this."""
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
