"""Until when a call may take: one deadline for all that it waits for."""

from __future__ import annotations

from time import monotonic

from ._errors import DaemonTimeout
from ._wire import milliseconds, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ._wire import Seconds

#: How long a daemon may think about a reply that needs no wait, or to take a line, in seconds.
PATIENCE = 10
#: How often a thread that waits looks whether it has waited for too long, in seconds, and at the end of its time.
LOOK = 4.0
_LEAST_LOOK = 1 / 64
#: How much longer than its timeout a call waits for the daemon to answer, in seconds.
SLACK = 0.8
#: How long a request without a wait waits out the time after an unclean end in which the daemon grants nothing.
GRACE = 1.0
#: How often it asks meanwhile.
GRACE_PAUSE = 0.025


class Deadline:
    """The end of a call that has a timeout.

    The time runs from when the call begins, also while a daemon is started, or one that drains is waited for. The
    daemon counts the request's wait, which is what is left when the line is sent. The client looks at its own clock
    too: at `end` it gives up, for a daemon that is stopped counts nothing.
    """

    __slots__ = ("_grace_end", "at", "end", "is_now")

    def __init__(self, timeout: Seconds) -> None:
        length = milliseconds(timeout)
        #: Whether the call asks for an answer at once.
        self.is_now = length == 0
        self.at = monotonic() + length / 1_000
        self.end = self.at + SLACK
        self._grace_end: Optional[float] = None

    @property
    def wait(self) -> bytes:
        """What is left, as an option of a request that is sent at this moment."""
        if self.is_now:
            return b" wait=0"
        left = self.at - monotonic()
        # Rounded up; what the client itself took since the call began is far less than a millisecond, mostly.
        return b" wait=%dms" % (left * 1_000 + 0.999) if left > 0 else b" wait=0"

    @property
    def left(self) -> float:
        """How long the client still waits for an answer, in seconds."""
        return self.end - monotonic()

    def is_grace(self, words: list[bytes]) -> bool:
        """Whether to ask again after a pause: it is refused for no holder, and the daemon will soon grant.

        `words` are those of the reply, behind its tag.
        """
        if not self.is_now or words[0] != b"BUSY" or words[-1] != b"held-by=?":
            return False
        now = monotonic()
        if self._grace_end is None:
            self._grace_end = now + GRACE
            self.end = self._grace_end + SLACK
        return now < self._grace_end


def retry_pause(words: list[bytes], deadline: Optional[Deadline]) -> Optional[float]:
    """After how long to ask for a lock again that was not granted; None if of the next daemon, as this one is leaving.

    `words` are those of the reply, behind its tag.

    Raises:
        LockError: what the reply says, if it is final.
    """
    if words[:2] == [b"ERROR", b"draining"]:
        return None
    if deadline is not None and deadline.is_grace(words):
        return GRACE_PAUSE
    raise refusal(words)


def step(most: float, end: Optional[float]) -> float:
    """How long one step of a call may wait, in seconds: `most`, or until the call's end, if it has one.

    Raises:
        DaemonTimeout: the call's end has come.
    """
    if end is None:
        return most
    left = end - monotonic()
    if left <= 0:
        raise DaemonTimeout(
            "no lock daemon has answered in time: one is being started, or ends: try again, or wait for longer"
        )
    return min(most, left)


def look_within(seconds: float) -> float:
    """After how long to look at the clock, if so much time is left; one of few values, to be changed seldom."""
    pause = LOOK
    while pause > seconds and pause > _LEAST_LOOK:
        pause /= 2
    return pause
