"""The client for asyncio, on whichever event loop it runs.

    from prwlock import aio

    async with aio.RWLock("jobs").write(timeout=5) as grant:
        ...

An owner is a task: tasks exclude each other as threads and processes do. Whoever is cancelled while it waits waits no
more, and a grant that crosses that is given back. Each event loop has a connection of its own.
"""

from __future__ import annotations

from ._client import Client
from ._grant import Acquiring, Grant
from ._rwlock import RWLock
from ._watch import Watch

__all__ = ["Acquiring", "Client", "Grant", "RWLock", "Watch"]
