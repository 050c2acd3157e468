"""Threads as owners of locks, and how a thread's call survives interrupts.

A signal handler that raises (``KeyboardInterrupt``) may do so between any two steps of a thread. So a call stores its
request in `Thread.request` before it sends anything, and clears that field when the request needs no more work. If an
interrupt ends the call in between, the call's exception handler abandons the request. If another interrupt ends that
handler too, the thread's next call abandons the request, or the thread's end.

A handler or a finalizer may also call in the middle of another call of its thread. Waiting there would never end, so
the inner call raises ``NestedUse``. In both cases `Thread.request` is set; only the stack shows which case it is.
"""

from __future__ import annotations

import _thread
import sys
from itertools import count

from ._errors import NestedUse
from ._once import Numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any, Callable, Optional, Protocol, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])

    class Unfinished(Protocol):
        def abandon(self) -> None:
            """Stops waiting for a request, and undoes it at the daemon."""


#: How often the end of a request or a grant is repeated after an interrupt. The limit is for those that never stop.
MOST_INTERRUPTS = 100
_calls: set[CodeType] = set()


def call(function: Function) -> Function:
    """Marks a function that sets `Thread.request` while it runs."""
    _calls.add(function.__code__)
    return function


class Thread:
    """A thread as an owner: its word within the session, and the request of its call."""

    __slots__ = ("numbers", "owner", "request", "tag")

    _numbers = Numbers()

    def __init__(self) -> None:
        self.owner = b"t%d" % Thread._numbers.next()
        #: The tag of its requests, for `%` with a number.
        self.tag = b"#%s.%%d " % self.owner
        #: The numbers of its requests. Only this thread uses them.
        self.numbers = count(1)
        #: The request of the call; the thread itself before the call has a request; None between two calls.
        self.request: Optional[Unfinished] = None

    def abandon(self) -> None:
        """Does nothing: a call that has stored its thread in `request` has sent nothing."""

    def clean_up(self) -> None:
        """Abandons a request that an interrupt left. A `call` uses this first, if `request` is set.

        Raises:
            NestedUse: another call is on the stack below the caller.
        """
        frame: Optional[FrameType] = sys._getframe(2)
        while frame is not None:
            if frame.f_code in _calls:
                raise NestedUse("a signal handler or finalizer asks in the middle of another request of its thread")
            frame = frame.f_back
        if self.request is not None:
            self.request.abandon()
        self.request = None


class _End:
    """Is collected when its thread ends. Then it abandons a request that an interrupt left, because no call follows."""

    __slots__ = ("_thread",)

    def __init__(self, thread: Thread) -> None:
        self._thread = thread

    def __del__(self) -> None:
        # At the interpreter's exit, the session ends anyway.
        if self._thread.request is not None and not sys.is_finalizing():
            self._thread.request.abandon()
            self._thread.request = None


class _Threads(_thread._local):
    def __init__(self) -> None:
        self.own = Thread()
        self._end = _End(self.own)


#: `threads.own` is the running thread.
threads = _Threads()
