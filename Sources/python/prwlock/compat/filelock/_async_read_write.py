"""`AsyncReadWriteLock`: the reader-writer lock for tasks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from typing import Any, Optional, cast

from ..._errors import LockError
from ...aio._grant import Grant
from .._paths import PathLike, touch
from . import _engine
from ._async import own_holds, take
from ._errors import Timeout, deadlock
from ._options import AcquireWait, acquire_wait, read_write_timeout
from ._read_write import Mode, ReadWriteLock, TaskHold, TaskHolds, is_excluded, refuse_closed


class AsyncAcquireReadWriteReturnProxy:
    """The result of an asynchronous `acquire_read` or `acquire_write`, which releases at the end of the block."""

    def __init__(self, lock: AsyncReadWriteLock) -> None:
        self.lock = lock

    async def __aenter__(self) -> AsyncReadWriteLock:
        return self.lock

    async def __aexit__(self, *_: object) -> None:
        await self.lock.release()


class AsyncReadWriteLock:
    """`filelock.AsyncReadWriteLock`: each task holds for itself, and may take its own mode once more.

    The objects for one path share the holds, unless `is_singleton` is false. A task releases through the object through
    which it acquired.

    Only the acquisitions can wait for ever; `prwlock.compat` says what happens when the daemon goes away.

    A hold outlives its event loop. A task that waits needs no thread, so `executor` and `loop` have no effect but to
    be returned by the attributes of these names.
    """

    def __init__(
        self,
        lock_file: PathLike,
        timeout: float = -1,
        *,
        blocking: bool = True,
        is_singleton: bool = True,
        loop: Optional[asyncio.AbstractEventLoop] = None,
        executor: Optional[Executor] = None,
    ) -> None:
        # Checks the options, and those of the other objects for the path.
        self._own: Any = ReadWriteLock(lock_file, timeout, blocking=blocking, is_singleton=is_singleton)
        self.lock_file = os.fspath(lock_file)
        self.loop = loop
        self.executor = executor
        self._is_closed = False
        self._holds: TaskHolds = self._own._tasks
        #: The requests that wait, which `close` cancels.
        self._asking: set[Future[Grant]] = set()

    @property
    def timeout(self) -> float:
        """The timeout of a call without one; -1 means for ever."""
        timeout: float = self._own.timeout
        return timeout

    @property
    def blocking(self) -> bool:
        """Whether a call waits that does not say it."""
        blocking: bool = self._own.blocking
        return blocking

    async def acquire_read(
        self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None
    ) -> AsyncAcquireReadWriteReturnProxy:
        """Waits for a read lock, or takes it once more; a task that is cancelled while it waits has acquired nothing.

        A timeout of -1 waits for ever; that has no end if the holder awaits this task. `close` ends the wait, with the
        original's error for a closed lock.

        Raises:
            Timeout: it was not free in time, or no daemon answered within the timeout.
            RuntimeError: this task holds the write lock, or waiting would be waiting for itself.
            DaemonUnavailable: the daemon went away, or there is none.
        """
        return await self._acquire("read", timeout, blocking)

    async def acquire_write(
        self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None
    ) -> AsyncAcquireReadWriteReturnProxy:
        """Waits for the write lock, or takes it once more; as `acquire_read`."""
        return await self._acquire("write", timeout, blocking)

    async def _acquire(
        self, mode: Mode, timeout: Optional[float], blocking: Optional[bool]
    ) -> AsyncAcquireReadWriteReturnProxy:
        self._check_open()
        is_waiting = self.blocking if blocking is None else blocking
        wait = acquire_wait(
            read_write_timeout(self.timeout if timeout is None else timeout, is_waiting), 0.05, is_waiting, None
        )
        task = _task()
        hold = self._holds.get(task)
        if hold is None or hold.grant is None or not hold.is_real:
            hold = await self._take(mode, wait, task)
        elif hold.grant.mode != mode:
            change = "upgrade" if mode == "write" else "downgrade"
            raise RuntimeError(
                f"Cannot acquire {mode} lock on {self.lock_file} (lock id: {id(self)}): "
                f"already holding a {hold.grant.mode} lock ({change} not allowed)"
            )
        hold.through[self] = hold.through.get(self, 0) + 1
        return AsyncAcquireReadWriteReturnProxy(self)

    def _check_open(self) -> None:
        if self._is_closed or self._own._is_closed:
            refuse_closed()

    async def _take(self, mode: Mode, wait: AcquireWait, task: asyncio.Task[Any]) -> TaskHold:
        lock, holds = self._own._lock, own_holds()
        if wait.left is None and is_excluded(lock.name, mode, holds):
            raise deadlock(self.lock_file, "AsyncReadWriteLock instance in this task")
        await _engine.in_thread(self.executor, True, lambda: touch(self.lock_file))

        def ask(left: Optional[float]) -> Future[Grant]:
            future = _engine.ask(lock, mode, left)
            self._asking.add(future)
            future.add_done_callback(self._asking.discard)
            return future

        try:
            grant = await take(wait, self.lock_file, ask)
        except Timeout:
            self._check_open()
            raise
        if self._is_closed or self._own._is_closed:
            await _engine.release(grant)
            refuse_closed()
        hold = self._holds[task] = TaskHold()
        hold.begin(grant, lock.name, holds)
        return hold

    async def release(self, *, force: bool = False) -> None:
        """Releases one acquisition of this task, or with `force` all of them; finishes also if it is cancelled.

        It gives the daemon ten seconds, also after a cancellation.

        Raises:
            RuntimeError: this task has none through this object, and `force` is false.
            LockLost: the lock was lost before, for example with the daemon.
            DaemonTimeout: the daemon did not answer. It releases the lock when it continues.
        """
        task = _task()
        hold = self._holds.get(task)
        count = 0 if hold is None else hold.through.get(self, 0)
        if hold is None or count == 0:
            if force:
                return
            by = "by this task" if hold is None else "by this task through this wrapper"
            raise RuntimeError(f"Cannot release a lock on {self.lock_file} (lock id: {id(self)}) that is not held {by}")
        if count > 1 and not force:
            hold.through[self] = count - 1
            return
        await self._leave(task, hold)

    async def _leave(self, task: asyncio.Task[Any], hold: TaskHold) -> None:
        """Ends what a task holds through this object."""
        hold.through.pop(self, None)
        if not hold.through:
            self._holds.pop(task, None)
            grant, _ = hold.end()
            if grant is not None:
                await _engine.release(cast(Grant, grant))

    @asynccontextmanager
    async def read_lock(
        self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None
    ) -> AsyncIterator[None]:
        """Holds a read lock for an ``async with`` statement, which begins as `acquire_read` and ends as `release`."""
        async with await self.acquire_read(timeout, blocking=blocking):
            yield

    @asynccontextmanager
    async def write_lock(
        self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None
    ) -> AsyncIterator[None]:
        """Holds the write lock for an ``async with`` statement; as `read_lock`."""
        async with await self.acquire_write(timeout, blocking=blocking):
            yield

    async def close(self) -> None:
        """Releases the acquisitions of all tasks through this object, and ends its waits. It stays closed.

        It gives the daemon ten seconds for each hold. After an error or a cancellation it goes on with the other holds,
        and raises the first error at the end.
        """
        self._is_closed = True
        for future in list(self._asking):
            future.cancel()
        first: Optional[BaseException] = None
        for task, hold in list(self._holds.items()):
            if self in hold.through:
                try:
                    await self._leave(task, hold)
                except (LockError, asyncio.CancelledError) as error:
                    first = first or error
        if first is not None:
            raise first


def _task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a lock for tasks is acquired and released inside an asyncio task")
    return task
