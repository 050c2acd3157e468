"""The request of ``hold``: the grants that are there already, and the decision."""

from __future__ import annotations

import socket
import time
from typing import NamedTuple, Optional

from . import _held, _hold_mark
from ._caller import shown
from ._deadline import PATIENCE, Deadline, retry_pause
from ._errors import DaemonTimeout, DaemonUnavailable
from ._hold_keeper import Wanted
from ._hold_mark import Grant
from ._location import Location
from ._rendezvous import connect
from ._shown import typed
from ._sockets import no_answer
from ._standard import Complaint
from ._talk import Ended, Talk
from ._until import until_of

_TEMPORARY = 75
#: How long to search for another daemon after one has ended, in seconds.
_SEARCH = 2.0
#: The pause before another request for the same client is looked for, in seconds.
_PAUSE = 0.1
#: How often the mark of a grant is looked for, and the pause in between.
_MOST_LOOKS = 12
_LOOK = 0.025


class Asked(NamedTuple):
    """The options of a command line."""

    location: Location
    #: The name, encoded.
    name: bytes
    mode: str
    timeout: Optional[float]
    lease: Optional[float]
    note: Optional[bytes]
    #: The process to hold the lock for; None for the parent.
    process: Optional[int]
    #: The exit status if the lock is not granted.
    conflict: int
    is_verbose: bool
    prints_token: bool
    signals_loss: bool


class Attempt:
    """A request for a lock until its decision. If the daemon ends, it is sent to the next daemon.

    A waiting request holds nothing, so sending it again loses only its place in the queue, which ended with the daemon.
    """

    def __init__(self, asked: Asked, wanted: Wanted) -> None:
        self._asked = asked
        self._wanted = wanted
        self._start = time.monotonic()
        self._deadline = Deadline.of(asked.timeout)
        #: Whether the request goes to the process that holds the lock for the same client.
        self.asks_holder = False
        #: Until when the grant counts; 0 if hosts do not share the lock.
        self.until = 0.0
        self.talk = self._connect()

    @property
    def elapsed(self) -> float:
        """The time since the start of the attempt."""
        return time.monotonic() - self._start

    def _connect(self) -> Talk:
        end = None if self._deadline is None else self._deadline.end
        connected, received = connect(self._asked.location, end)
        return Talk(connected, received, self._asked.location.path)

    @property
    def _patience(self) -> float:
        return PATIENCE if self._deadline is None else max(0.0, min(PATIENCE, self._deadline.left))

    # Grants that are there already

    def _own_grants(self) -> list[Grant]:
        grants = _hold_mark.grants(self.talk, self._wanted.name, self._patience)
        return [grant for grant in grants if grant.owner == self._wanted.owner]

    def earlier_holder(self) -> Optional[socket.socket]:
        """Connects to the process of this user that holds the lock for the client already; None if there is none."""
        seen: list[int] = []
        while True:
            own = self._own_grants()
            # A change gives the grant another token, and the holder another mark. A new holder opens its mark soon.
            if not own or seen.count(own[-1].token) == _MOST_LOOKS:
                return None
            if own[-1].token in seen:
                time.sleep(_LOOK)
            seen.append(own[-1].token)
            mark = _hold_mark.mark_name(self._wanted.name, self._wanted.owner, seen[-1], self.talk)
            holding = _hold_mark.find(mark, own[-1].pid)
            connection = None if holding is None else holding.connect()
            if connection is not None:
                return connection

    def refuse_circles(self, is_held: bool) -> None:
        """Refuses a request that would wait for this process, by a grant that cannot be changed from here."""
        mode = self._wanted.mode.decode()
        if not is_held and any(_held.Held(b"", grant.mode, 0).forbids(mode) for grant in self._own_grants()):
            raise Complaint(
                f"{shown(self._wanted.name)}: this process holds it already, by a process that cannot be reached from "
                f"here; `prwlock release {typed(self._wanted.name)}` first",
                self._asked.conflict,
            )
        ancestor = _held.find(
            self._wanted.name, lambda line: self.talk.ask(line, self._patience), self._wanted.owner
        )
        if ancestor is not None and ancestor.forbids(mode):
            raise Complaint(ancestor.refusal("it need not be held once more"), self._asked.conflict)

    def turn_to(self, holder: socket.socket) -> None:
        """Sends the request to the process that holds the lock for the same client, and no more to the daemon."""
        self.talk = Talk(holder, b"", self._asked.location.path)
        self.asks_holder = True

    # The decision

    def decide(self, watched: list[int]) -> Optional[int]:
        """Returns the token; None if one of the descriptors became ready first.

        Raises:
            AcquireTimeout: others hold the lock.
            LockError: it is refused for another reason, or the daemon does not answer.
        """
        self._send()
        look_at = None if self.asks_holder else time.monotonic() + _PAUSE
        while True:
            end = None if self._deadline is None else self._deadline.end
            try:
                event = self.talk.event(watched, min(filter(None, (end, look_at)), default=None))
            except Ended as error:
                self._move(error)
                continue
            if isinstance(event, int):
                return None
            if event is None:
                if end is not None and time.monotonic() >= end:
                    raise self._given_up()
                look_at = time.monotonic() + _PAUSE if self._has_other_request() else None
                continue
            words = event.split(b" ")
            if words[0] == b"GRANTED":
                self.until = until_of(event)
                return int(words[3].partition(b"=")[2])
            if words[0] == b"!":
                continue
            pause = retry_pause(words, self._deadline)
            if pause is None:
                self._move(DaemonUnavailable(b" ".join(words[2:]).decode()))
            else:
                time.sleep(pause)
                self._send()

    def _has_other_request(self) -> bool:
        """Looks whether a ``hold`` that runs at the same time has requested the lock for the client.

        This process would wait for it until the client ends. The daemon does not see that, because the two requests are
        of two sessions. If the other one was granted, this sends the request to its holder. Returns whether to look
        again.
        """
        try:
            other = Attempt(self._asked._replace(timeout=1), self._wanted)
            _, rows = other.talk.ask(b"STATUS " + self._wanted.name)
            own = [row[1] for row in rows if b"owner=" + self._wanted.owner in row]
            holder = other.earlier_holder() if b"holder" in own else None
        except DaemonUnavailable:
            return False
        if holder is not None:
            self._withdraw()
            self.turn_to(holder)
            self._send()
        # One of them is the request of this process.
        return holder is None and len(own) > 1

    def _send(self) -> None:
        wait = b"" if self._deadline is None else self._deadline.wait
        self.talk.send(self._wanted.line(self._wanted.mode, wait))

    def _move(self, reason: DaemonUnavailable) -> None:
        """Sends the request to the next daemon, which may need a while to start."""
        name = shown(self._wanted.name)
        if self.asks_holder:
            raise Complaint(f"{name}: the process that held it for this one has ended; try again", _TEMPORARY)
        end = time.monotonic() + _SEARCH
        while True:
            time.sleep(0.1)
            try:
                self.talk = self._connect()
                self._send()
                return
            except DaemonUnavailable as error:
                if time.monotonic() >= end:
                    raise error from reason

    def _given_up(self) -> Exception:
        """Cancels the request, and releases its grant in case the daemon answers later."""
        if self.asks_holder:
            # The holder cancels the request when the connection ends.
            return Complaint(
                f"{shown(self._wanted.name)}: the process that holds it for this one, or the lock daemon, does not "
                "answer; is one of them stopped?",
                _TEMPORARY,
            )
        self._withdraw()
        error: DaemonTimeout = no_answer(self.talk.socket, self.talk.path)
        return error

    def _withdraw(self) -> None:
        of_this = b"%s owner=%s" % (self._wanted.name, self._wanted.owner)
        self.talk.send(b"CANCEL " + of_this)
        self.talk.send(b"RELEASE " + of_this)
