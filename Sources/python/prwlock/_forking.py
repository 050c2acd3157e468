"""What a forked child must let go of: it never speaks on its parent's connection, nor holds what its parent holds."""

from __future__ import annotations

import os
from _thread import RLock
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Forgetful(Protocol):
        def after_fork(self) -> None:
            """Lets go of what belongs to the parent process."""


# Made with the module, which is once: what a second set, made later, did not know would never be let go of.
_alive: WeakSet[Forgetful] = WeakSet()


def remember(thing: Forgetful) -> None:
    """Has its `after_fork` called in every forked child, as long as it lives."""
    _alive.add(thing)


def _in_child() -> None:
    for thing in list(_alive):
        thing.after_fork()


os.register_at_fork(after_in_child=_in_child)


class Guarded:
    """Has a lock, `guard`, for steps that belong together and wait for nothing.

    A forked child gets a lock of its own, since a thread of the parent may hold it at that moment. It is used by
    ``with``, which takes and leaves it without a step between in which a signal handler could raise. A handler or a
    finalizer of the thread that holds it may take it once more.
    """

    def __init__(self) -> None:
        self.guard = RLock()
        remember(self)

    def after_fork(self) -> None:
        """Has a lock that no thread of the parent holds."""
        self.guard = RLock()
