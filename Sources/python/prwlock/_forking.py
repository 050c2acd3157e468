"""What a forked child must let go of: it never speaks on its parent's connection, nor holds what its parent holds."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Protocol
    from weakref import WeakSet

    class Forgetful(Protocol):
        def after_fork(self) -> None:
            """Lets go of what belongs to the parent process."""


_alive: Optional[WeakSet[Forgetful]] = None


def remember(thing: Forgetful) -> None:
    """Has its `after_fork` called in every forked child, as long as it lives."""
    global _alive
    if _alive is None:
        from weakref import WeakSet

        os.register_at_fork(after_in_child=_in_child)
        _alive = WeakSet()
    _alive.add(thing)


def _in_child() -> None:
    for thing in list(_alive or ()):
        thing.after_fork()
