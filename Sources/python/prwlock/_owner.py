"""Threads as owners of locks, and what an interrupt may leave of a thread's call.

A signal handler that raises (``KeyboardInterrupt``) may do so between any two steps of a thread. So a call first writes
down what it begins (`Thread.request`), and crosses that out when nothing is left to be done. If an interrupt ends the
call in between, the clean-up of the call gives the request up; if another interrupt ends even that, the thread's next
call does it.

A handler or a finalizer may also call in the middle of another call of its thread. To wait there would be to wait for
itself, so it gets ``NestedUse``. What is written down looks the same in both cases; the stack tells them apart.
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
            """Leaves nothing of a request at the daemon."""


_calls: set[CodeType] = set()


def call(function: Function) -> Function:
    """Marks a function that writes down in `Thread.request` what it begins, as long as it runs."""
    _calls.add(function.__code__)
    return function


class Thread:
    """A thread as an owner: its word within the session, and what its call has begun."""

    __slots__ = ("numbers", "owner", "request")

    _numbers = Numbers()

    def __init__(self) -> None:
        self.owner = b"t%d" % Thread._numbers.next()
        #: Of its requests; no other thread uses it.
        self.numbers = count(1)
        #: What the call has begun and not finished.
        self.request: Optional[Unfinished] = None

    def abandon(self) -> None:
        """A call that has sent nothing writes down its thread, of which there is nothing to abandon."""

    def clean_up(self) -> None:
        """Finishes what an interrupt has left over. For a function that is a `call`, before it begins.

        Raises:
            NestedUse: the function was called in the middle of another call.
        """
        frame: Optional[FrameType] = sys._getframe(2)
        while frame is not None:
            if frame.f_code in _calls:
                raise NestedUse("a signal handler or finalizer asks in the middle of another request of its thread")
            frame = frame.f_back
        if self.request is not None:
            self.request.abandon()
        self.request = None


class _Threads(_thread._local):
    def __init__(self) -> None:
        self.own = Thread()


#: `threads.own` is the thread that runs.
threads = _Threads()
