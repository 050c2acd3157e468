"""The watch for asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Optional, Union

from .._errors import DaemonUnavailable
from .._location import Location
from .._session import Request
from .._status import Change, Missed, news
from .._wire import check, encode_name
from ._connection import Connection, open_connection

if TYPE_CHECKING:
    from .._wire import Text

#: The most notices that wait for their reader. Without a limit, a reader that is stopped would use up the memory.
_MOST_UNREAD = 10_000


class Watch:
    """The changes of all locks with names that begin with a prefix; see `prwlock.Watch`.

    Enter it by ``async with``, then iterate by ``async for``. The entry waits for the daemon's answer, so no change
    after it is missed; its errors are those of `Client.ping`. After an error or a cancellation of the entry there is no
    watch.

    `Missed` reports changes that were left out because they were not read in time: the oldest ones, if more than 10,000
    wait to be read.

    The next change can take for ever: there is no timeout, and a daemon that is stopped (SIGSTOP) is waited for. A task
    that is cancelled stops waiting, and loses no change: it may iterate again. The iteration raises
    ``DaemonUnavailable`` when the daemon goes away (it dies, ends or is replaced); then begin a new watch.
    """

    def __init__(self, location: Location, prefix: Text = "") -> None:
        self._location = location
        self._text = b"WATCH" if not prefix else b"WATCH " + encode_name(prefix, "a prefix")
        self._connection: Optional[Connection] = None
        self._has_news = asyncio.Event()
        self._is_closed = False
        #: The number of changes that were left out before the oldest notice.
        self._missed = 0

    async def __aenter__(self) -> Watch:
        self._has_news = asyncio.Event()
        connection = self._connection = await open_connection(self._location)
        connection.listener = Request(b"", b"")
        connection.hear = self._hear
        try:
            check((await connection.ask(self._text)).words, b"OK")
        except BaseException:
            connection.close()
            raise
        return self

    def _hear(self) -> None:
        """Leaves out the oldest notices if there are too many, and wakes the reader."""
        notices = self._connection.notices if self._connection is not None else []
        surplus = max(0, len(notices) - _MOST_UNREAD)
        for seen in map(news, notices[:surplus]):
            self._missed += seen.number if isinstance(seen, Missed) else seen is not None
        del notices[:surplus]
        self._has_news.set()

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Union[Change, Missed]:
        connection = self._connection
        if connection is None:
            raise RuntimeError("a watch begins with `async with`")
        while True:
            self._has_news.clear()
            if self._missed:
                missed, self._missed = Missed(self._missed), 0
                return missed
            while connection.notices:
                seen = news(connection.notices.pop(0))
                if seen is not None:
                    return seen
            if self._is_closed:
                raise StopAsyncIteration
            if connection.fault is not None:
                raise DaemonUnavailable(f"the lock daemon went away: {connection.fault}")
            await self._has_news.wait()

    def close(self) -> None:
        """Stops the iteration, also one that waits; it never waits itself. Call it on the event loop of the watch."""
        self._is_closed = True
        if self._connection is not None:
            self._connection.close()
        self._has_news.set()
