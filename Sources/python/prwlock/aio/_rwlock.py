"""``RWLock`` for asyncio."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Optional

from .. import _rwlock
from .._errors import AcquireTimeout, Deadlock, NotHeld
from .._once import once
from .._status import LockStatus
from ._client import Client, OnLost, owner
from ._grant import Acquiring, Grant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .._wire import Mode, Seconds, Text


class RWLock:
    """A reader-writer lock for tasks, and for threads and processes that have the same one; see `prwlock.RWLock`.

    An owner is a task. What a task acquired is given back by `release`, when the lock object is collected, with the
    client, and with the process; not when the task ends.

    It is pickled as `prwlock.RWLock` is, and `RWLock.of` makes one of a `prwlock.RWLock` that was handed on.
    """

    def __init__(self, name: Optional[Text] = None, *, client: Optional[Client] = None) -> None:
        blocking = _rwlock.RWLock(name)
        if client is not None:
            blocking._location = client._location
        self._setup(blocking, client)

    @classmethod
    def of(cls, lock: _rwlock.RWLock) -> RWLock:
        """The same lock as that one, for tasks."""
        own = cls.__new__(cls)
        own._setup(lock, None)
        return own

    def _setup(self, lock: _rwlock.RWLock, client: Optional[Client]) -> None:
        self._lock = lock
        self._client = client
        #: What each process holds, in the order in which it was acquired: a forked child has none of its parent's.
        self._by_process: dict[int, dict[Grant, None]] = {}

    @property
    def _grants(self) -> dict[Grant, None]:
        return once(self._by_process, os.getpid(), dict)

    @property
    def name(self) -> str:
        """The lock's name; a random one for a lock without."""
        return self._lock.name

    @property
    def client(self) -> Client:
        """Whose daemon it is at."""
        if self._client is None:
            # Threads that come together set the same one.
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
        """A read lock: ``await`` it, or ``async with`` it; see `prwlock.Client.acquire`."""
        return self.client.acquire(self.name, "read", timeout, lease=lease, note=note, on_lost=on_lost)

    def update(
        self,
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[OnLost] = None,
    ) -> Acquiring:
        """The update lock, beside readers, which may later become the write lock; as `read`."""
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
        """Who holds it and who waits for it."""
        return await self.client.status(self.name)

    # As the original has it

    @property
    def nlocks(self) -> int:
        """How often this process holds it by `acquire_read`, `acquire_write` and the like, in all tasks."""
        return len(self._grants)

    async def acquire_read(self, timeout: Optional[Seconds] = None) -> bool:
        """As `prwlock.RWLock.acquire_read`."""
        return await self._acquire("read", timeout)

    async def acquire_write(self, timeout: Optional[Seconds] = None) -> bool:
        """As `prwlock.RWLock.acquire_write`."""
        return await self._acquire("write", timeout)

    async def try_acquire_read(self) -> bool:
        """As `prwlock.RWLock.try_acquire_read`."""
        return await self._acquire("read", 0)

    async def try_acquire_write(self) -> bool:
        """As `prwlock.RWLock.try_acquire_write`."""
        return await self._acquire("write", 0)

    async def _acquire(self, mode: Mode, timeout: Optional[Seconds]) -> bool:
        try:
            grant = await self.client.acquire(self.name, mode, timeout)
        except (AcquireTimeout, Deadlock):
            if timeout is None:
                raise
            return False
        self._grants[grant] = None
        return True

    async def release(self) -> None:
        """Gives back what was acquired last by this task; if nothing was, by another through this object."""
        await self._take().release()

    def _take(self) -> Grant:
        """Takes out what this task acquired last, or else what another did; as `Book.take`."""
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

    @asynccontextmanager
    async def _held(self, mode: Mode, timeout: Optional[Seconds]) -> AsyncIterator[None]:
        if not await self._acquire(mode, timeout):
            raise ValueError("the lock could not be acquired in time")
        try:
            yield
        finally:
            await self.release()

    def reader_lock(self, timeout: Optional[Seconds] = None) -> Any:
        """Holds a read lock for ``async with``; ``ValueError`` when the time is up."""
        return self._held("read", timeout)

    def writer_lock(self, timeout: Optional[Seconds] = None) -> Any:
        """Holds the write lock for ``async with``; ``ValueError`` when the time is up."""
        return self._held("write", timeout)
