"""The queue of tasks for which the daemon has no place, because too many requests of their session wait there.

The daemon takes a limited number of waiting requests of one session (1,000 by default), and refuses the next one with
``limit-waiters``. The task of a refused request waits here, in the order of the refusals, and sends its request again
when it has a turn. Each end of another request for a lock gives a turn to the oldest task that has none.

No task overtakes an older one that wants the same lock. Lines and replies keep their order: if a place in the daemon
becomes free after the daemon refused a request, the client reads the refusal first, so that task is the oldest without
a turn again when the end of the other request gives the turn.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Optional

from .._deadline import Deadline

if TYPE_CHECKING:
    from ._connection import Awaited, Connection

#: How often the oldest task has a turn in any case, in seconds: its lock may be free although no other request ended.
_PAUSE = 0.1
_FULL = [b"ERROR", b"limit-waiters"]


class _Place:
    """A task in the queue."""

    def __init__(self, connection: Connection, name: bytes) -> None:
        self.name = name
        self._loop = connection.loop
        self.turn: asyncio.Future[None] = self._loop.create_future()

    @property
    def has_turn(self) -> bool:
        return self.turn.done()

    def give_turn(self) -> None:
        if not self.has_turn:
            self.turn.set_result(None)

    def take_back(self) -> None:
        self.turn = self._loop.create_future()


class Turns:
    """The queue of one session; see the module."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: The places in their order.
        self._places: dict[_Place, None] = {}
        self._alarm: Optional[asyncio.TimerHandle] = None

    async def ask(self, name: bytes, text: bytes, deadline: Optional[Deadline]) -> Awaited:
        """Sends a request for a lock and waits for its reply, if necessary in this queue; as `Connection.ask`."""
        begin = monotonic()
        request: Optional[Awaited] = None
        may_queue = deadline is None or not deadline.is_now
        try:
            if may_queue and any(place.name == name and not place.has_turn for place in self._places):
                # The daemon must know of it all the same: it grants the lock at once if the task holds it already.
                request = await self._send(text + b" wait=0", deadline)
                is_queued = request.words[:1] == [b"BUSY"]
            else:
                request = await self._send_with_time(text, deadline)
                is_queued = may_queue and self._is_refused(request)
        finally:
            # These replies end no wait at the daemon.
            if request is None or request.words[:1] not in ([b"BUSY"], [b"ERROR"]):
                self.give_turn()
        return await self._ask_in_turn(name, text, deadline, begin) if is_queued else request

    async def _ask_in_turn(self, name: bytes, text: bytes, deadline: Optional[Deadline], begin: float) -> Awaited:
        place = _Place(self._connection, name)
        self._places[place] = None
        if self._alarm is None:
            self._set_alarm()
        try:
            while True:
                left = None if deadline is None else max(0, deadline.at - monotonic())
                await asyncio.wait({place.turn}, timeout=left)
                # After the timeout this asks with wait=0, and the daemon's answer names the holders.
                request = await self._send_with_time(text, deadline)
                if request.words[:1] == [b"BUSY"]:
                    reply = (request.reply or b"").replace(b" BUSY ", b" TIMEOUT ", 1)
                    request.reply = b"%s waited=%dms" % (reply, (monotonic() - begin) * 1_000)
                if not self._is_refused(request):
                    return request
                place.take_back()
        finally:
            del self._places[place]
            if place.has_turn:
                self.give_turn()

    def _is_refused(self, request: Awaited) -> bool:
        """Returns whether to wait for the end of other requests: those of the session take up its limit."""
        return request.words[:2] == _FULL and self._connection.is_waiting

    async def _send_with_time(self, text: bytes, deadline: Optional[Deadline]) -> Awaited:
        return await self._send(text if deadline is None else text + deadline.wait, deadline)

    async def _send(self, text: bytes, deadline: Optional[Deadline]) -> Awaited:
        return await self._connection.ask(text, None if deadline is None else deadline.left)

    def give_turn(self) -> None:
        """Gives a turn to the oldest task that has none."""
        for place in self._places:
            if not place.has_turn:
                place.give_turn()
                return

    def give_all(self) -> None:
        """Gives a turn to all tasks, which find that the session has ended."""
        for place in self._places:
            place.give_turn()

    def _set_alarm(self) -> None:
        self._alarm = self._connection.loop.call_later(_PAUSE, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._places:
            self.give_turn()
            self._set_alarm()
