"""Who asks, what was asked, and what the daemon said unasked: the values that a connection works with."""

from __future__ import annotations

import _thread
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from typing import Optional

#: How long a daemon may think about a reply that needs no wait, or to take a line, in seconds.
PATIENCE = 10


class Thread:
    """A thread as an owner: its word within the session, and whether it is in a request at this moment."""

    __slots__ = ("is_inside", "owner")

    _numbers = count(1)

    def __init__(self) -> None:
        self.owner = b"t%d" % next(Thread._numbers)
        self.is_inside = False


class Request:
    """A line that was sent, or will be, and its reply."""

    __slots__ = ("is_orphan", "patience", "reply", "rows", "tag", "thread", "wake")

    _numbers = count(1)

    def __init__(self, thread: Thread, patience: Optional[float] = PATIENCE) -> None:
        self.tag = b"#%d" % next(Request._numbers)
        self.thread = thread
        #: How long the daemon may still take to answer, in seconds, as far as it was looked; None if for ever.
        self.patience = patience
        #: The whole line without its end; empty if the connection ended first.
        self.reply: Optional[bytes] = None
        self.rows: list[bytes] = []
        #: Released to wake a follower; None for everybody else.
        self.wake: Optional[LockType] = None
        #: Whether nobody waits any more: what is granted is given back.
        self.is_orphan = False


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
