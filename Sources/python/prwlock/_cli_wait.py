"""``wait``: until locks are free, or may be read, without a place in their queues."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Optional

from . import _held
from ._deadline import PATIENCE, Deadline
from ._errors import DaemonUnavailable, LockError
from ._exit_status import NO, NOT_PERMITTED
from ._harmless import harmless
from ._location import Location
from ._rendezvous import connect
from ._shown import as_json
from ._sockets import no_answer
from ._standard import Complaint, complain, say
from ._talk import Ended, Talk
from ._wire import check, decode_name, fields, refusal

_TEMPORARY = 75
#: How long to search for another daemon after one has ended, and the pause between two attempts, in seconds.
_SEARCH = 2.0
_PAUSE = 0.1
#: When to ask again although no notice has come, in seconds. A rule may deny `watch` without a word.
_FIRST_LOOK = 1.0
_LONGEST_LOOK = 10.0


class Asked(NamedTuple):
    """The options of a command line."""

    location: Location
    #: The names, encoded.
    names: Sequence[bytes]
    #: The mode in which the locks are to be free.
    mode: str
    timeout: Optional[float]
    #: The exit status if a lock is not free.
    conflict: int
    is_json: bool


class Occupancy:
    """Who holds one lock and who waits for it, kept up to date by the notices of its changes.

    A row of a waiting request lacks the number that the notices have. So requests of one process and owner in one mode
    are only counted.
    """

    def __init__(self) -> None:
        self._holders: dict[bytes, str] = {}
        self._waiting: Counter[tuple[bytes, bytes, str]] = Counter()

    @property
    def holders(self) -> int:
        """The number of grants."""
        return len(self._holders)

    @property
    def waiters(self) -> int:
        """The number of requests that wait."""
        return sum(self._waiting.values())

    def add(self, words: list[bytes]) -> None:
        """Adds a row of the listing."""
        row = fields(words)
        if words[1] == b"holder":
            self._holders[row[b"token"]] = row[b"mode"].decode()
        elif words[1] == b"waiter":
            self._waiting[_key(row)] += 1

    def apply(self, words: list[bytes]) -> None:
        """Follows a change."""
        row, what = fields(words), words[3]
        if what in (b"granted", b"downgraded"):
            self._holders[row[b"token"]] = row[b"mode"].decode()
        elif what == b"waiting":
            self._waiting[_key(row)] += 1
        elif row[b"token"] != b"-":
            self._holders.pop(row[b"token"], None)
        if row[b"request"] != b"-" and what in (b"granted", b"timeout", b"cancelled", b"refused"):
            self._waiting -= Counter({_key(row): 1})

    def is_free(self, mode: str) -> bool:
        """Returns whether a request in this mode that came now would be granted at once."""
        modes = [*self._holders.values(), *(mode for _, _, mode in self._waiting)]
        return not any("write" in (mode, other) for other in modes)


def _key(row: dict[bytes, bytes]) -> tuple[bytes, bytes, str]:
    return row[b"pid"], row[b"owner"], row[b"mode"].decode()


class Search:
    """Waits for one lock after another, and then asks for all of them."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._start = time.monotonic()
        self._deadline = Deadline.of(asked.timeout)
        self._talk = self._connect()

    @property
    def elapsed(self) -> float:
        """The time since the start of the search."""
        return time.monotonic() - self._start

    @property
    def _is_over(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline.at

    def _connect(self) -> Talk:
        connected, received = connect(self._asked.location, None if self._deadline is None else self._deadline.end)
        return Talk(connected, received, self._asked.location.path)

    def run(self) -> bool:
        """Returns whether all locks were free before the time was over."""
        for name in self._asked.names:
            self._refuse_own(name)
        while True:
            if not all(self._wait_for(name) for name in self._asked.names):
                return False
            if len(self._asked.names) == 1 or all(
                self.status(name).is_free(self._asked.mode) for name in self._asked.names
            ):
                return True

    def _refuse_own(self, name: bytes) -> None:
        ancestor = _held.find(name, self._talk.ask)
        if ancestor is not None and ancestor.forbids(self._asked.mode):
            raise Complaint(ancestor.refusal("it is not free before that ends"), NO)

    def _wait_for(self, name: bytes) -> bool:
        while True:
            try:
                return self._watch(name)
            except Ended as error:
                if self._is_over:
                    raise
                self._move(error)

    def _watch(self, name: bytes) -> bool:
        mode = self._asked.mode
        if self._asked.timeout == 0:
            return self.status(name).is_free(mode)
        check(self._talk.ask(b"WATCH " + name)[0], b"OK")
        occupancy = self.status(name)
        pause = _FIRST_LOOK
        look_at = time.monotonic() + pause
        while not occupancy.is_free(mode):
            moments = [look_at] if self._deadline is None else [look_at, self._deadline.at]
            line = self._talk.event(until=min(moments))
            words = line.split(b" ") if isinstance(line, bytes) else []
            if words[:2] == [b"!", b"CHANGED"] and words[2] == name:
                occupancy.apply(words)
            elif words[:2] == [b"!", b"MISSED"]:
                occupancy = self.status(name)
            elif line is None and self._is_over:
                return False
            elif line is None:
                occupancy = self.status(name)
                pause = min(pause * 2, _LONGEST_LOOK)
                look_at = time.monotonic() + pause
        return True

    def status(self, name: bytes) -> Occupancy:
        """Asks for the holders and waiters of a lock, and follows the notices that come behind the first row."""
        occupancy, claims, has_rows = Occupancy(), [], False
        self._talk.send(b"STATUS " + name)
        while True:
            line = self._talk.event(until=time.monotonic() + PATIENCE)
            if not isinstance(line, bytes):
                raise no_answer(self._talk.socket, self._talk.path)
            words = line.split(b" ")
            if words[0] == b"*":
                has_rows = True
                occupancy.add(words)
                if words[1] == b"claim":
                    claims.append(fields(words))
            elif words[0] == b"!":
                if has_rows and words[1] == b"CHANGED" and words[2] == name:
                    occupancy.apply(words)
            elif words[0] == b"DENIED":
                reason = words[-1].partition(b"=")[2].decode("ascii", "replace")
                raise Complaint(f"you may not look at {_shown(name)}: {harmless(reason)}", NOT_PERMITTED)
            elif words[0] != b"END":
                raise refusal(words)
            else:
                if occupancy.is_free(self._asked.mode):
                    self._refuse_foreign(claims, name)
                return occupancy

    def _refuse_foreign(self, claims: list[dict[bytes, bytes]], name: bytes) -> None:
        """Refuses to call a lock free that another host claims, because only that host knows its holders."""
        for claim in claims:
            host = claim[b"host"].decode("ascii", "replace")
            if host != socket.gethostname() and b"write" in (claim[b"mode"], self._asked.mode.encode()):
                raise Complaint(
                    f"{_shown(name)}: host {harmless(host)} claims it, and only that host knows whether it is held; "
                    "`prwlock run` asks it for the lock",
                    _TEMPORARY,
                )

    def has_mark(self, name: bytes) -> Optional[bytes]:
        """Returns how the lock is marked: that its last writer died, or may have; None if it is not."""
        # The name itself comes before all longer ones.
        for row in self._talk.ask(b"LIST %s limit=1" % name)[1]:
            mark = fields(row)[b"ownerdied"]
            if row[2] == name and mark != b"0":
                return mark
        return None

    def _move(self, reason: DaemonUnavailable) -> None:
        """Connects to the next daemon, which may need a while to start."""
        end = time.monotonic() + _SEARCH
        while True:
            time.sleep(_PAUSE)
            try:
                self._talk = self._connect()
                return
            except DaemonUnavailable as error:
                if time.monotonic() >= end or self._is_over:
                    raise error from reason


def wait(asked: Asked) -> int:
    """Waits, and returns the exit status."""
    search = Search(asked)
    is_free = search.run()
    elapsed = search.elapsed
    if asked.is_json:
        locks = []
        for name in asked.names:
            occupancy, mark = search.status(name), search.has_mark(name)
            members = {"name": decode_name(name), "encoded": name.decode()}
            counts = {"holders": occupancy.holders, "waiters": occupancy.waiters}
            locks.append({**members, **counts, "owner_died": mark is not None})
        say(as_json({"free": is_free, "waited_ms": int(elapsed * 1_000), "locks": locks}))
    elif is_free:
        for name in asked.names:
            _report_mark(search, name)
    return 0 if is_free else asked.conflict


def _report_mark(search: Search, name: bytes) -> None:
    try:
        mark = search.has_mark(name)
    except LockError:
        # The lock was free, whatever becomes of the daemon now.
        return
    if mark is not None:
        died = "may have died" if mark == b"maybe" else "died"
        complain(f"{_shown(name)}: its last writer {died}: what the lock protects may be half written")


def _shown(name: bytes) -> str:
    return harmless(decode_name(name))
