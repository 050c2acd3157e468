"""The deadline of a call, which limits all its waits."""

from __future__ import annotations

from time import monotonic

from ._errors import DaemonTimeout, DurationTooLong
from ._wire import milliseconds, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ._wire import Seconds

#: How long a daemon may take to answer a request that does not wait for a lock, or to read a line, in seconds.
PATIENCE = 10
#: How often a waiting thread checks its clock, in seconds. It also does so at the end of its time.
LOOK = 4.0
_LEAST_LOOK = 1 / 64
#: How much longer than its timeout a call waits for the daemon to answer, in seconds.
SLACK = 0.8
#: For how long a request with ``wait=0`` is repeated while the daemon grants nothing after an unclean end, in seconds.
GRACE = 1.0
#: The pause before each repetition, in seconds.
GRACE_PAUSE = 0.025


class Deadline:
    """The end of a call that has a timeout.

    The time runs from the beginning of the call, also while a daemon starts or drains. The request carries the time
    that is left when the line is sent, and the daemon counts that. The client checks its own clock too and gives up at
    `end`, because a stopped daemon does not count.
    """

    __slots__ = ("_grace_end", "at", "end", "is_now")

    def __init__(self, timeout: Seconds) -> None:
        length = milliseconds(timeout)
        #: Whether the call asks for an answer at once.
        self.is_now = length == 0
        self.at = monotonic() + length / 1_000
        self.end = self.at + SLACK
        self._grace_end: Optional[float] = None

    @classmethod
    def of(cls, timeout: Optional[Seconds]) -> Optional[Deadline]:
        """Returns the deadline of a call with that timeout; None if the call waits for ever.

        A call waits for ever without a timeout, with an infinite timeout, and with a longer one than a daemon accepts.
        """
        if timeout is None:
            return None
        try:
            return cls(timeout)
        except DurationTooLong:
            return None

    @property
    def wait(self) -> bytes:
        """The time that is left, as an option for a request that is sent now."""
        if self.is_now:
            return b" wait=0"
        left = self.at - monotonic()
        # Rounded up: since the call began, usually much less than a millisecond has passed.
        return b" wait=%dms" % (left * 1_000 + 0.999) if left > 0 else b" wait=0"

    @property
    def left(self) -> float:
        """How long the client still waits for an answer, in seconds."""
        return self.end - monotonic()

    def is_grace(self, words: list[bytes]) -> bool:
        """Returns whether to ask again after a pause: the reply names no holder, and the daemon will grant soon.

        `words` are the words of the reply behind its tag.
        """
        if not self.is_now or words[0] != b"BUSY" or words[-1] != b"held-by=?":
            return False
        now = monotonic()
        if self._grace_end is None:
            self._grace_end = now + GRACE
            self.end = self._grace_end + SLACK
        return now < self._grace_end


def retry_pause(words: list[bytes], deadline: Optional[Deadline]) -> Optional[float]:
    """Returns after how long to ask again for a lock that was not granted; None if only the next daemon may grant it.

    `words` are the words of the reply behind its tag.

    Raises:
        LockError: the reply is final.
    """
    if words[:2] == [b"ERROR", b"draining"]:
        return None
    if deadline is not None and deadline.is_grace(words):
        return GRACE_PAUSE
    raise refusal(words)


def step(most: float, end: Optional[float]) -> float:
    """Returns how long one step of a call may wait, in seconds: `most`, or until `end` if that comes earlier.

    Raises:
        DaemonTimeout: the end has passed.
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
    """Returns when to check the clock next. It is one of a few values, because each change costs a system call."""
    pause = LOOK
    while pause > seconds and pause > _LEAST_LOOK:
        pause /= 2
    return pause
