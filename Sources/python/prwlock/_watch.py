"""Hearing of every change; only loaded for who watches."""

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
    """Every change on locks whose names begin with a prefix, as an iterator; on a session of its own.

    ``Missed`` says that changes were left out because they were not read in time. The iterator raises
    ``DaemonUnavailable`` when the daemon goes away, and ends when it is closed.
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
        """Ends the watching; from any thread."""
        self._is_closed = True
        self._connection.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def watch(prefix: Text = "", location: Optional[Location] = None) -> Watch:
    """Watches at a place, by default where named locks are."""
    from ._location import find

    return Watch(location or find(), prefix)
