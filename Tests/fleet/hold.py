"""What the judge knows of a request for a lock of a fleet, and the holds that came of it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from operation import MILLISECOND, conflicts

__all__ = ["Hold", "Request", "Window", "conflicts"]


@dataclasses.dataclass
class Window:
    """A time in which something is wrong. It has no end until that is seen."""

    begin: int
    kind: str
    #: Whether a host may lose its claims by it.
    loses: bool = False
    end: float = math.inf


@dataclasses.dataclass
class Hold:
    """A mode that a client certainly has from one time to another."""

    request: Request
    mode: str
    begin: int
    end: float


@dataclasses.dataclass(eq=False)
class Request:
    process: int
    session: Any
    host: str
    op: Any
    lock: str
    mode: str
    ask: int
    wait: int | None
    lease: int | None
    #: Of an upgrade: the grant that it replaces.
    of: Request | None = None
    granted: int | None = None
    token: int = 0
    #: The word of `ownerdied=`, or empty.
    died: str = ""
    #: The time until which the grant counts, by what the client has read; none if the name is not shared.
    until: int | None = None
    refused: int | None = None
    how: str = ""
    revoked: int | None = None
    downgrading: int | None = None
    to: str = ""
    is_downgraded: bool = False
    #: The end of the session or of its process.
    gone: int | None = None
    ended: int | None = None
    #: When it was certainly over for the daemon as well.
    over: int | None = None
    #: What ended it first, and all that was seen of its end.
    ends: list[str] = dataclasses.field(default_factory=list)

    @property
    def is_shared(self) -> bool:
        return "/" in self.lock

    @property
    def is_over(self) -> bool:
        return self.ended is not None or self.gone is not None or self.refused is not None

    def end(self, time: int, how: str) -> None:
        self.ended = time if self.ended is None else self.ended
        self.ends.append(how)

    def go(self, time: int, how: str) -> None:
        self.gone = time
        self.ends.append(how)

    def extend(self, time: int, until: int) -> None:
        """A grant that has reached its `until=` does not begin to count again."""
        if self.until is not None and time <= self.until:
            self.until = max(self.until, until)

    def downgrade(self, time: int, to: str) -> None:
        self.downgrading, self.to = time, to

    def holds(self, at_most: float = math.inf) -> list[Hold]:
        if self.granted is None:
            return []
        ends: list[float] = [time for time in (self.ended, self.gone, self.until) if time is not None]
        if self.lease is not None:
            ends.append(self.first_ask + self.lease * MILLISECOND)
        end = min([*ends, at_most])
        if self.downgrading is None:
            return [Hold(self, self.mode, self.granted, end)]
        before = Hold(self, self.mode, self.granted, min(end, self.downgrading))
        return [before, Hold(self, self.to, self.downgrading, end)] if self.is_downgraded else [before]

    @property
    def first_ask(self) -> int:
        """The earliest start of its lease: an upgrade keeps that of its grant."""
        return self.ask if self.of is None else self.of.first_ask

    @property
    def died_as_writer(self) -> bool:
        """Whether it certainly held for writing when its session ended, or when it was revoked."""
        if self.downgrading is not None or {"upgraded", "releasing", "ended"} & set(self.ends):
            return False
        return bool(self.ends) and self.ends[0] in ("revoked", "closing", "lost", "killing")

    @property
    def may_leave_mark(self) -> bool:
        """Whether it may have held for writing and ended by anything but a release or a downgrade."""
        return (self.mode != "read" or self.of is not None) and self.refused is None and "released" not in self.ends

    def __str__(self) -> str:
        name = f"{self.process}/{self.op} {self.mode} {self.lock} of {self.host}"
        return name + (f" token {self.token}" if self.token else "")
