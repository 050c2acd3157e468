"""The client for asyncio, on whichever event loop it runs.

    from prwlock import aio

    async with aio.RWLock("jobs").write(timeout=5) as grant:
        ...

An owner is a task: tasks exclude each other as threads and processes do. Each event loop has its own connection.
`Client` says for all calls what happens at a cancellation, at a timeout, and when the daemon goes away, and which calls
can wait for ever.

`Grant.release_nowait` and `RWLock.release_nowait` release without ``await``, as `asyncio.Lock.release`.
"""

from __future__ import annotations

from ._client import Client
from ._grant import Acquiring, Grant
from ._rwlock import Holding, RWLock
from ._watch import Watch

__all__ = ["Acquiring", "Client", "Grant", "Holding", "RWLock", "Watch"]
