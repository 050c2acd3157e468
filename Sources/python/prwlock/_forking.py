"""What a forked child must drop: it never uses its parent's connections, and holds none of its parent's grants."""

from __future__ import annotations

import os
from _thread import RLock
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Forgetful(Protocol):
        def after_fork(self) -> None:
            """Drops what belongs to the parent process."""


# Created with the module, so that there is exactly one set.
_alive: WeakSet[Forgetful] = WeakSet()


def remember(thing: Forgetful) -> None:
    """Registers an object: `after_fork` is called on it in every forked child, as long as the object lives."""
    _alive.add(thing)


def _in_child() -> None:
    for thing in list(_alive):
        thing.after_fork()


os.register_at_fork(after_in_child=_in_child)


class Guarded:
    """Has a lock, `guard`, for several steps that must not be divided. A thread must not block while it holds the lock.

    A forked child gets a new lock, because a thread of the parent may hold the old one at that moment. Use it by
    ``with``: a signal handler cannot raise between the entry and the block, or between the block and the exit. A
    handler or a finalizer of the thread that holds the lock may take it again.
    """

    def __init__(self) -> None:
        self.guard = RLock()
        remember(self)

    def after_fork(self) -> None:
        """Makes a lock that no thread of the parent holds."""
        self.guard = RLock()
