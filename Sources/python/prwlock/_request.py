"""Who asks, what was asked, and what the daemon said unasked: the values that a connection works with."""

from __future__ import annotations

import _thread
import sys
from itertools import count
from time import monotonic

from ._errors import NestedUse
from ._once import Numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Sequence
    from types import CodeType, FrameType
    from typing import Callable, Optional, TypeVar

    from ._connection import Connection

    Asking = TypeVar("Asking", bound=Callable[..., object])

#: How long a daemon may think about a reply that needs no wait, or to take a line, in seconds.
PATIENCE = 10
#: How often a thread that waits looks whether it has waited for too long, in seconds, and at the end of its time.
LOOK = 4.0
_LEAST_LOOK = 1 / 64


def look_within(seconds: float) -> float:
    """After how long to look at the clock, if so much time is left; one of few values, to be changed seldom."""
    pause = LOOK
    while pause > seconds and pause > _LEAST_LOOK:
        pause /= 2
    return pause


class Thread:
    """A thread as an owner: its word within the session, and the request that it is in at this moment."""

    __slots__ = ("numbers", "owner", "request")

    _numbers = Numbers()

    def __init__(self) -> None:
        self.owner = b"t%d" % Thread._numbers.next()
        #: Of its requests; no other thread uses it.
        self.numbers = count(1)
        #: None between requests; and what an interrupt has left over, until the next one.
        self.request: Optional[Request] = None

    def settle(self) -> None:
        """Ends what an interrupt has left over. For a function that is `asking`, before a request of its own.

        Raises:
            NestedUse: this thread is in the middle of that request: to ask would be to wait for itself.
        """
        if self.is_nested():
            raise NestedUse("a signal handler or finalizer asks in the middle of another request of its thread")
        left = self.request
        if left is not None and left.connection is not None:
            left.connection.withdraw(left)
        self.request = None

    def is_nested(self) -> bool:
        """Whether the function that asks was itself called in the middle of another request of this thread."""
        # Who asks calls this, or `settle` for it; above it nobody else may be asking.
        is_above = False
        frame: Optional[FrameType] = sys._getframe(1)
        while frame is not None:
            if frame.f_code in _asking:
                if is_above:
                    return True
                is_above = True
            frame = frame.f_back
        return False


class Request:
    """A line that was sent, or will be, and its reply."""

    #: The line as it was sent, without its tag.
    text = b""
    #: The whole line without its end; empty if the connection ended first.
    reply: Optional[bytes] = None
    rows: Sequence[bytes] = ()
    #: Released to wake a follower; None for everybody else.
    wake: Optional[LockType] = None
    was_withdrawn = False
    #: Whether its time was over before a reply came.
    was_given_up = False
    #: Whether it was cancelled after that, by a line that has been sent or is among those that are left over.
    was_left = False
    #: Whether its time is over, and it looks for a reply once more.
    is_late = False

    def __init__(
        self,
        connection: Optional[Connection],
        thread: Thread,
        patience: Optional[float] = PATIENCE,
        settle: Optional[Callable[[bytes], None]] = None,
    ) -> None:
        #: With the space behind it, as it stands before the request and its reply.
        self.tag = b"#%s.%d " % (thread.owner, next(thread.numbers))
        #: None while there is none yet.
        self.connection = connection
        self.thread = thread
        #: Until when the daemon may take to answer; None if for ever. And how often to look at the clock.
        self.end: Optional[float] = None
        self.look = LOOK
        if patience is not None:
            self.end = monotonic() + patience
            if patience < LOOK:
                self.look = look_within(patience)
        #: Told of the reply if the request is withdrawn; without it, what was granted is given back.
        self.settle = settle


class Notice:
    """What the daemon said unasked, or the connection's end (`kind` is then ``LOST``)."""

    __slots__ = ("kind", "words")

    def __init__(self, kind: bytes, words: list[bytes]) -> None:
        self.kind = kind
        self.words = words


class _Threads(_thread._local):
    def __init__(self) -> None:
        self.own = Thread()


#: `threads.own` is the thread that runs.
threads = _Threads()

_asking: set[CodeType] = set()


def asking(function: Asking) -> Asking:
    """Marks a function that has its thread's `request` set while it runs."""
    _asking.add(function.__code__)
    return function
