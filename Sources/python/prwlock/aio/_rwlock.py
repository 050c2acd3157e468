"""``RWLock`` for asyncio."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

from .. import _rwlock
from .._deadline import Deadline
from .._errors import AcquireTimeout, Deadlock, NotHeld
from .._once import once
from .._status import LockStatus
from ._client import Client, OnLost, owner
from ._grant import Acquiring, Grant, Unasked

if TYPE_CHECKING:
    from .._wire import Mode, Seconds, Text


class RWLock:
    """A reader-writer lock for tasks, shared with threads and other processes; see `prwlock.RWLock`.

    An owner is a task. A grant ends with `release`, when the lock object is collected, with the client, and with the
    process, but not when the task ends.

    A request without a timeout can wait for ever: as long as other owners hold the lock. The daemon refuses a circle of
    owners that wait for locks, but it cannot see that a task awaits another one. If a task that holds the lock awaits a
    task which requests it in a conflicting mode, both wait for ever. `asyncio.create_task`, `gather`, task groups and,
    before Python 3.12, `asyncio.wait_for` make such tasks; use `timeout` rather than `wait_for`. `Client` says what all
    calls do at a cancellation, at a timeout, and when the daemon goes away.

    It can be pickled as `prwlock.RWLock` can, and `RWLock.of` makes one from a `prwlock.RWLock`.
    """

    def __init__(self, name: Optional[Text] = None, *, client: Optional[Client] = None) -> None:
        blocking = _rwlock.RWLock(name)
        if client is not None:
            blocking._location = client._location
        self._setup(blocking, client)

    @classmethod
    def of(cls, lock: _rwlock.RWLock) -> RWLock:
        """Returns the same lock for tasks."""
        own = cls.__new__(cls)
        own._setup(lock, None)
        return own

    def _setup(self, lock: _rwlock.RWLock, client: Optional[Client]) -> None:
        self._lock = lock
        self._client = client
        #: The grants of each process, in the order of their acquisition. A forked child has none of its parent's.
        self._by_process: dict[int, dict[Grant, None]] = {}

    @property
    def _grants(self) -> dict[Grant, None]:
        return once(self._by_process, os.getpid(), dict)

    @property
    def name(self) -> str:
        """The lock's name; random for a lock that was made without one."""
        return self._lock.name

    @property
    def client(self) -> Client:
        """The client of the lock's daemon."""
        if self._client is None:
            # Several threads at the same time set the same client.
            self._client = Client._at(self._lock._location)
        return self._client

    def __repr__(self) -> str:
        return f"<prwlock.aio.RWLock {self.name!r} at {self._lock._location.path}>"

    def __getstate__(self) -> dict[str, Any]:
        return self._lock.__getstate__()

    def __setstate__(self, state: dict[str, Any]) -> None:
        lock = _rwlock.RWLock.__new__(_rwlock.RWLock)
        lock.__setstate__(state)
        self._setup(lock, None)

    # Grants

    def read(
        self,
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[OnLost] = None,
    ) -> Acquiring:
        """A read lock: ``await`` it, or ``async with`` it; see `Client.acquire`.

        It can wait for ever without a timeout. `prwlock.Client.acquire` has the errors; after an error or a
        cancellation there is neither a grant nor a request.
        """
        return self.client.acquire(self.name, "read", timeout, lease=lease, note=note, on_lost=on_lost)

    def update(
        self,
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[OnLost] = None,
    ) -> Acquiring:
        """The update lock, which coexists with readers and can become the write lock; as `read`."""
        return self.client.acquire(self.name, "update", timeout, lease=lease, note=note, on_lost=on_lost)

    def write(
        self,
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[OnLost] = None,
    ) -> Acquiring:
        """The write lock; as `read`."""
        return self.client.acquire(self.name, "write", timeout, lease=lease, note=note, on_lost=on_lost)

    async def status(self) -> LockStatus:
        """Returns the holders and waiters of the lock, within ten seconds; see `Client.status`."""
        return await self.client.status(self.name)

    # The surface of the original

    @property
    def nlocks(self) -> int:
        """How many grants this process has through `acquire_read` and the like, in all tasks."""
        return len(self._grants)

    async def acquire_read(self, timeout: Optional[Seconds] = None) -> bool:
        """As `prwlock.RWLock.acquire_read`: it can wait for ever without a timeout.

        If this raises, also because the task is cancelled, there is neither a grant nor a request.
        """
        return await self._acquire("read", timeout)

    async def acquire_write(self, timeout: Optional[Seconds] = None) -> bool:
        """As `prwlock.RWLock.acquire_write`; see `acquire_read`."""
        return await self._acquire("write", timeout)

    async def try_acquire_read(self) -> bool:
        """As `prwlock.RWLock.try_acquire_read`: it ends within a second or two."""
        return await self._acquire("read", 0)

    async def try_acquire_write(self) -> bool:
        """As `prwlock.RWLock.try_acquire_write`."""
        return await self._acquire("write", 0)

    async def _acquire(self, mode: Mode, timeout: Optional[Seconds]) -> bool:
        try:
            grant = await self.client.acquire(self.name, mode, timeout)
        except (AcquireTimeout, Deadlock):
            if Deadline.of(timeout) is None:
                raise
            return False
        self._grants[grant] = None
        return True

    async def release(self) -> None:
        """Releases the last grant of this task; if it has none, the last one of another task through this object.

        It ends within ten seconds, and releases the grant also if the task is cancelled. The errors are those of
        `prwlock.RWLock.release`.
        """
        await self._take().release()

    def release_nowait(self) -> None:
        """As `release`, without waiting for the daemon; see `Grant.release_nowait`."""
        self._take().release_nowait()

    def _take(self) -> Grant:
        """Removes and returns the last grant of this task, or else that of another one; as `Book.take`."""
        word = owner()
        grants = self._grants
        missing = object()
        while True:
            held = list(grants)
            if not held:
                raise NotHeld("it is not held")
            grant = next((grant for grant in reversed(held) if grant._owner == word), held[-1])
            if grants.pop(grant, missing) is None:
                return grant

    def reader_lock(self, timeout: Optional[Seconds] = None) -> Holding:
        """Holds a read lock for ``async with``; raises ``ValueError`` after the timeout.

        The block begins as `acquire_read` and ends as `release`: without a timeout its beginning can wait for ever, and
        its end raises ``LockLost`` if the grant was lost.
        """
        return Holding(self, "read", timeout)

    def writer_lock(self, timeout: Optional[Seconds] = None) -> Holding:
        """Holds the write lock for ``async with``; as `reader_lock`."""
        return Holding(self, "write", timeout)


class Holding(Unasked):
    """Holds a lock for ``async with``; made by `RWLock.reader_lock` and `RWLock.writer_lock`, which say how."""

    def __init__(self, lock: RWLock, mode: Mode, timeout: Optional[Seconds]) -> None:
        self._lock = lock
        self._mode: Mode = mode
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<prwlock.aio.Holding {self._lock.name!r} {self._mode}>"

    async def __aenter__(self) -> None:
        self._is_used = True
        if not await self._lock._acquire(self._mode, self._timeout):
            raise ValueError("the lock could not be acquired in time")

    async def __aexit__(self, *_: object) -> None:
        await self._lock.release()
