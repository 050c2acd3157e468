"""Hearing of every change, for asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Optional, Union

from .._errors import DaemonUnavailable
from .._location import Location
from .._status import Change, Missed, change
from .._wire import encode_name, refusal
from ._session import Session, open_session

if TYPE_CHECKING:
    from .._wire import Text


class Watch:
    """Every change on locks whose names begin with a prefix; see `prwlock.Watch`.

    ``async with`` it, and then ``async for``.
    """

    def __init__(self, location: Location, prefix: Text = "") -> None:
        self._location = location
        self._text = b"WATCH" if not prefix else b"WATCH " + encode_name(prefix, "a prefix")
        self._notices: Optional[asyncio.Queue[list[bytes]]] = None
        self._session: Optional[Session] = None
        self._is_closed = False

    async def __aenter__(self) -> Watch:
        self._notices = asyncio.Queue()
        self._session = await open_session(self._location)
        self._session.hear = self._notices.put_nowait
        words = (await self._session.ask(self._text)).words
        if words[0] != b"OK":
            raise refusal(words)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Union[Change, Missed]:
        if self._session is None or self._notices is None:
            raise RuntimeError("a watch begins with `async with`")
        while True:
            if self._session.fault is not None and self._notices.empty():
                words: list[bytes] = []
            else:
                words = await self._notices.get()
            if not words:
                if self._is_closed:
                    raise StopAsyncIteration
                raise DaemonUnavailable(f"the lock daemon went away: {self._session.fault}")
            if words[1] == b"CHANGED":
                return change(words)
            if words[1] == b"MISSED":
                return Missed(int(words[2]))

    def close(self) -> None:
        """Ends the watching."""
        self._is_closed = True
        if self._session is not None:
            self._session.close()
