"""The queue of tasks for which the daemon has no place, because too many requests of their session wait there.

The daemon takes a limited number of waiting requests of one session (1,000 by default), and refuses the next one with
``limit-waiters``. The task of a refused request waits here, in the order of the first requests, and sends its request
again when it has a turn. Each end of another request for a lock gives a turn to the oldest task that has none. So does
an alarm, now and then, because places may become free by what other sessions do; but never while an older task's
request for the same lock has no answer.

No task overtakes an older one that wants the same lock and stands in the queue. It stands there until its lock is
granted, also when it has a turn: until then the daemon may refuse it once more. Lines and replies keep their order: if
a place in the daemon becomes free after the daemon refused a request, the client reads the refusal first, so that task
is the oldest without a turn again when the end of the other request gives the turn.

Requests that were all sent before the client read the first refusal may overtake each other, and one for a lock that
just then is free is granted at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Optional

from .._deadline import Deadline

if TYPE_CHECKING:
    from ._connection import Awaited, Connection

#: How often the oldest task has a turn in any case, in seconds: its lock may be free although no other request ended.
_PAUSE = 0.1


class _Place:
    """A task in the queue."""

    def __init__(self, connection: Connection, number: int, name: bytes) -> None:
        #: Rises with each first request for a lock.
        self.number = number
        self.name = name
        self._loop = connection.loop
        self.turn: asyncio.Future[None] = self._loop.create_future()
        #: Whether its task waits for the answer to ``wait=0``, and so cannot send its request yet.
        self.is_probing = False

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
        self._numbers = count()
        #: The places, ordered by their numbers.
        self._places: list[_Place] = []
        #: Turns that wait for the end of a probe, so that no younger task sends its request first.
        self._owed = 0
        self._alarm: Optional[asyncio.TimerHandle] = None

    async def ask(self, name: bytes, text: bytes, deadline: Optional[Deadline]) -> Awaited:
        """Sends a request for a lock and waits for its reply, if necessary in this queue; as `Connection.ask`."""
        begin = monotonic()
        number = next(self._numbers)
        may_queue = deadline is None or not deadline.is_now
        if may_queue and any(place.name == name for place in self._places):
            with self._place(number, name) as place:
                # The daemon must know of it all the same: it grants the lock at once if the task holds it already.
                with self._probing(place):
                    request = await self._send(text + b" wait=0", deadline)
                if request.words[:1] == [b"BUSY"]:
                    request = await self._ask_in_turn(place, text, deadline, begin)
                return request
        try:
            request = await self._send_with_time(text, deadline)
        except BaseException:
            self.give_turn()
            raise
        if may_queue and _may_wait(request):
            with self._place(number, name) as place:
                return await self._ask_in_turn(place, text, deadline, begin)
        # These replies end no wait at the daemon.
        if request.words[:1] not in ([b"BUSY"], [b"ERROR"]):
            self.give_turn()
        return request

    @contextmanager
    def _place(self, number: int, name: bytes) -> Iterator[_Place]:
        """A place in the queue. It leaves its turn, if it has one, to the next."""
        place = _Place(self._connection, number, name)
        self._places.append(place)
        # A request that was refused may be older than those that came into the queue meanwhile.
        self._places.sort(key=attrgetter("number"))
        if self._alarm is None:
            self._set_alarm()
        try:
            yield place
        finally:
            self._places.remove(place)
            if place.has_turn:
                self.give_turn()

    @contextmanager
    def _probing(self, place: _Place) -> Iterator[None]:
        place.is_probing = True
        try:
            yield
        finally:
            place.is_probing = False
            owed, self._owed = self._owed, 0
            for _ in range(owed):
                self.give_turn()

    async def _ask_in_turn(self, place: _Place, text: bytes, deadline: Optional[Deadline], begin: float) -> Awaited:
        while True:
            left = None if deadline is None else max(0, deadline.at - monotonic())
            await asyncio.wait({place.turn}, timeout=left)
            # After the timeout this asks with wait=0, and the daemon's answer names the holders.
            request = await self._send_with_time(text, deadline)
            if request.words[:1] == [b"BUSY"]:
                reply = (request.reply or b"").replace(b" BUSY ", b" TIMEOUT ", 1)
                request.reply = b"%s waited=%dms" % (reply, (monotonic() - begin) * 1_000)
            if not _may_wait(request):
                return request
            place.take_back()

    async def _send_with_time(self, text: bytes, deadline: Optional[Deadline]) -> Awaited:
        return await self._send(text if deadline is None else text + deadline.wait, deadline)

    async def _send(self, text: bytes, deadline: Optional[Deadline]) -> Awaited:
        return await self._connection.ask(text, None if deadline is None else deadline.left)

    def give_turn(self) -> None:
        """Gives a turn to the oldest task that has none."""
        for place in self._places:
            if place.is_probing:
                self._owed += 1
                return
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
            self._give_extra_turn()
            self._set_alarm()

    def _give_extra_turn(self) -> None:
        """Gives a turn to the oldest task that has none, and no older task before it for the same lock.

        An older one with a turn may have been refused, and have no answer yet: then the younger one could overtake it.
        """
        asked: set[bytes] = set()
        for place in self._places:
            if place.is_probing or place.has_turn:
                asked.add(place.name)
            elif place.name not in asked:
                place.give_turn()
                return


def _may_wait(request: Awaited) -> bool:
    """Returns whether to wait for the end of other requests: those of the session take up its limit."""
    return request.is_refused and request.is_among_others
