"""What the checker knows of a request, and of a daemon's life."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

MILLISECOND = 1_000_000


@dataclasses.dataclass
class Operation:
    """A request for a lock, and its results."""

    process: int
    op: Any
    session: Any
    lock: str
    mode: str
    owner: str
    ask: int
    wait: int | None = None
    lease: int | None = None
    of: Any = None
    queued: int | None = None
    granted: int | None = None
    token: int = 0
    died: bool = False
    refused: int | None = None
    how: str = ""
    releasing: int | None = None
    released: int | None = None
    not_held: int | None = None
    downgrading: int | None = None
    downgraded: int | None = None
    to: str = ""
    # The end of the session or process: the earliest and the latest time.
    gone: int | None = None
    gone_at_last: int | None = None
    life: int | None = None
    upgrade: Operation | None = None
    # The earliest start of the lease; an upgrade keeps the lease of its grant.
    lease_from: int | None = None
    # The earliest point of its grant.
    earliest: float = 0

    @property
    def held_until(self) -> float:
        """The time until which the grant was held at least."""
        ends: list[float] = [time for time in (self.releasing, self.gone) if time is not None]
        if self.lease is not None:
            begin = self.ask if self.lease_from is None else self.lease_from
            ends.append(begin + self.lease * MILLISECOND)
        if self.upgrade is not None:
            ends.append(self.upgrade.ask)
        return min(ends, default=math.inf)

    @property
    def held_at_most_until(self) -> float:
        """The time from which the grant was no longer held."""
        ends: list[float] = [time for time in (self.released, self.not_held, self.gone_at_last) if time is not None]
        return min(ends, default=math.inf)

    def kept_out_until(self, mode: str) -> float:
        """The time until which the daemon could not grant that mode beside it."""
        if not conflicts(mode, self.mode):
            return 0
        if self.downgrading is None or conflicts(mode, self.to):
            return self.held_until
        return min(self.held_until, self.downgrading)

    @property
    def ended_cleanly(self) -> bool | None:
        """Whether it ended by RELEASE or DOWNGRADE; None if that is unknown, or it has not ended."""
        if self.downgraded is not None:
            return True
        if self.released is not None:
            return True
        if self.not_held is not None:
            return False
        if self.releasing is not None or self.downgrading is not None:
            return None
        return False if self.gone is not None or self.lease is not None else None

    def __str__(self) -> str:
        return f"{self.process}/{self.op} {self.mode} {self.lock}" + (f" token {self.token}" if self.token else "")


def conflicts(one: str, other: str) -> bool:
    return "write" in (one, other) or one == other == "update"


@dataclasses.dataclass
class Life:
    """A daemon, from its start to its end."""

    start: int
    grace: int
    end: int | None = None
    ended: int | None = None
