"""A request of a thread, which sleeps while another thread reads for it."""

from __future__ import annotations

from _thread import allocate_lock
from time import monotonic

from ._deadline import LOOK, look_within
from ._session import ONCE_MORE, Request
from ._until import GLANCE, boot_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from typing import Optional

    from ._connection import Connection
    from ._owner import Thread


class Sleeper(Request):
    """A request of a thread, which sleeps while another thread reads."""

    #: A lock that `wake` releases; None as long as the thread has not slept.
    bell: Optional[LockType] = None
    #: How often to check the clock, in seconds.
    look = LOOK

    def __init__(
        self,
        connection: Connection,
        thread: Thread,
        text: bytes,
        patience: Optional[float],
        accept: Optional[Callable[[bytes], None]] = None,
    ) -> None:
        self.tag = thread.tag % next(thread.numbers)
        self.text = text
        self.connection = connection
        if accept is not None:
            self.accept = accept
        if patience is not None:
            self.end = monotonic() + patience
            if patience < LOOK:
                self.look = look_within(patience)

    def sleep(self, seconds: float) -> bool:
        """Sleeps until `wake` is called; returns False after so many seconds. The first call returns at once.

        After the first call there is a bell, so the caller checks again whether there is a reason to sleep.
        """
        if self.bell is None:
            bell = allocate_lock()
            bell.acquire()
            self.bell = bell
            return True
        return self.bell.acquire(True, seconds)

    def wake(self) -> None:
        if self.bell is not None:
            try:
                self.bell.release()
            except RuntimeError:  # It was released before, and the thread has not run since.
                pass

    def abandon(self) -> None:
        """Calls `Connection.abandon` for this request."""
        self.connection.abandon(self)


class Change(Sleeper):
    """A request about a grant on a shared lock, which waits for no longer than the grant counts."""

    _own_look = LOOK
    _last: Optional[float] = None

    @property
    def look(self) -> float:
        return min(self._own_look, look_within(max(0.0, min(GLANCE, self.connection.until - boot_now()))))

    @look.setter
    def look(self, seconds: float) -> None:
        self._own_look = seconds

    def is_over(self, now: float) -> bool:
        """As `Request.is_over`, and also when the moment has passed until which the grant counts."""
        if self.connection.until > boot_now():
            self._last = None
            return super().is_over(now)
        if self._last is None:
            # If this process was stopped, a newer moment may be there to be read.
            self._last = now + ONCE_MORE
        self.is_late = self.is_late or now >= self._last
        return self.is_late


class Listener(Sleeper):
    """Waits for notices, and for the moment until which grants on shared locks count. News is a reply."""

    #: Whether the moment has passed since `next_notice` returned.
    is_time = False
    _reported = 0.0

    @property
    def look(self) -> float:  # type: ignore[override]
        until = self.connection.until
        return LOOK if until <= self._reported else look_within(max(0.0, min(GLANCE, until - boot_now())))

    def is_over(self, now: float) -> bool:  # noqa: ARG002
        """Never. But it looks at the clock."""
        until = self.connection.until
        if self._reported < until <= boot_now():
            self._reported = until
            self.is_time = True
            self.reply = b"!"
        return False

    def take_time(self) -> bool:
        """Returns whether the moment has passed since the last call."""
        is_time, self.is_time = self.is_time, False
        return is_time
