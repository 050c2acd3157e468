"""The locks for tasks: `AsyncFileLock` and the like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Callable, NoReturn, Optional, TypeVar, cast
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..._errors import AcquireTimeout, DaemonTimeout
from ..._forking import Guarded
from ..._granted import Granted
from ..._rwlock import RWLock
from ...aio._grant import Grant
from .._paths import PathLike
from . import _engine
from ._context import Hold, Holds, own
from ._errors import Timeout
from ._file import LockFile
from ._groups import raise_both
from ._lock import BaseFileLock, UnixFileLock, logger
from ._options import (
    UNSET_MODE,
    AcquireWait,
    CloseErrorPolicy,
    ContextErrorPolicy,
    lifetime_seconds,
    poll_seconds,
    seconds,
)
from ._request import finite, lease_seconds
from ._singleton import FileLockMeta
from ._soft import SoftFileLock, StrictSoftFileLock

Self = TypeVar("Self", bound="BaseAsyncFileLock")

_holds: WeakKeyDictionary[asyncio.Task[Any], Holds] = WeakKeyDictionary()


def own_holds() -> Holds:
    """Returns the holds of the running task."""
    task = asyncio.current_task()
    if task is None:
        return own.holds
    holds = _holds.get(task)
    if holds is None:
        holds = _holds[task] = WeakValueDictionary()
    return holds


class AsyncAcquireReturnProxy:
    """The result of an asynchronous `acquire`, which releases the lock at the end of an ``async with`` statement."""

    def __init__(self, lock: BaseAsyncFileLock) -> None:
        self.lock = lock

    async def __aenter__(self) -> BaseAsyncFileLock:
        return self.lock

    async def __aexit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> None:
        await self.lock._leave_async(error)


class AsyncFileLockMeta(FileLockMeta):
    """Checks the options of a lock for tasks."""

    def __call__(
        cls,  # noqa: N805
        lock_file: PathLike,
        timeout: float = -1,
        mode: int = UNSET_MODE,
        thread_local: bool = False,
        *,
        blocking: bool = True,
        is_singleton: bool = False,
        poll_interval: float = 0.05,
        lifetime: Optional[float] = None,
        context_error_policy: ContextErrorPolicy = "chain",
        close_error_policy: CloseErrorPolicy = "default",
        fallback_to_soft: bool = True,
        preserve_lock_file: bool = False,
        on_acquired: Optional[Callable[[int], None]] = None,
        loop: Optional[asyncio.AbstractEventLoop] = None,
        run_in_executor: bool = True,
        executor: Optional[Executor] = None,
        **extras: Any,
    ) -> Any:
        if thread_local and run_in_executor:
            raise ValueError("run_in_executor is not supported when thread_local is True")
        return cls._made(
            lock_file,
            {
                "timeout": seconds("timeout", timeout),
                "mode": mode,
                "thread_local": thread_local,
                "blocking": blocking,
                "is_singleton": is_singleton,
                "poll_interval": poll_seconds(poll_interval),
                "lifetime": lifetime_seconds(lifetime, cls.__name__, cls._lifetime_replacements, 3),
                "context_error_policy": context_error_policy,
                "close_error_policy": close_error_policy,
                "fallback_to_soft": fallback_to_soft,
                "preserve_lock_file": preserve_lock_file,
                "on_acquired": on_acquired,
            },
            {"loop": loop, "run_in_executor": run_in_executor, "executor": executor, **extras},
        )


class BaseAsyncFileLock(BaseFileLock, metaclass=AsyncFileLockMeta):
    """A lock that counts, for tasks: all tasks share one hold, and any task may release.

    The hold outlives the event loop in which it was acquired. A task that waits needs no thread. `run_in_executor` and
    `executor` say where `on_acquired` and the work on the file run. The original uses `loop` only to release a lock
    that was dropped; here that needs no loop of the program.
    """

    _holder = "BaseAsyncFileLock instance in this task"

    def __init__(
        self,
        lock_file: PathLike,
        timeout: float = -1,
        mode: int = UNSET_MODE,
        thread_local: bool = False,
        *,
        blocking: bool = True,
        is_singleton: bool = False,
        poll_interval: float = 0.05,
        lifetime: Optional[float] = None,
        context_error_policy: ContextErrorPolicy = "chain",
        close_error_policy: CloseErrorPolicy = "default",
        fallback_to_soft: bool = True,
        preserve_lock_file: bool = False,
        on_acquired: Optional[Callable[[int], None]] = None,
        loop: Optional[asyncio.AbstractEventLoop] = None,
        run_in_executor: bool = True,
        executor: Optional[Executor] = None,
    ) -> None:
        super().__init__(
            lock_file,
            timeout,
            mode,
            thread_local,
            blocking=blocking,
            is_singleton=is_singleton,
            poll_interval=poll_interval,
            lifetime=lifetime,
            context_error_policy=context_error_policy,
            close_error_policy=close_error_policy,
            fallback_to_soft=fallback_to_soft,
            preserve_lock_file=preserve_lock_file,
            on_acquired=on_acquired,
        )
        self._loop = loop
        self._run_in_executor = run_in_executor
        self._executor = executor
        self._gate = None if thread_local else _engine.Gate()
        #: Guards the count: the tasks of several event loops may share the lock.
        self._counting = Guarded()

    @property
    def loop(self) -> Optional[asyncio.AbstractEventLoop]:
        """The option that was given."""
        return self._loop

    @property
    def run_in_executor(self) -> bool:
        """Whether `on_acquired` and the work on the file run in an executor."""
        return self._run_in_executor

    @property
    def executor(self) -> Optional[Executor]:
        """The executor; None for that of the running loop."""
        return self._executor

    @executor.setter
    def executor(self, value: Optional[Executor]) -> None:
        self._executor = value

    # Acquire and release

    async def acquire(  # type: ignore[override]
        self,
        timeout: Optional[float] = None,
        poll_interval: Optional[float] = None,
        *,
        blocking: Optional[bool] = None,
        cancel_check: Optional[Callable[[], bool]] = None,
    ) -> AsyncAcquireReturnProxy:
        """As `BaseFileLock.acquire`. A task that is cancelled while it waits has acquired nothing.

        A wait for ever has no end if the holder awaits this task. Work on the file that has begun, and `on_acquired`,
        end before the cancellation has its effect.

        With `cancel_check`, the request keeps its place in the queue.
        """
        wait = self._wait(timeout, poll_interval, blocking, cancel_check)
        hold = self._context.hold
        async with self._inside(wait):
            with self._counting.guard:
                if hold.is_real:
                    hold.count += 1
                    return AsyncAcquireReturnProxy(self)
            try:
                await self._take_async(hold, wait)
                logger.debug("Lock %s acquired on %s", id(self), self.lock_file)
                return AsyncAcquireReturnProxy(self)
            except BaseException as error:
                if hold.is_own:
                    await self._undo_async(hold, error)
                raise

    @asynccontextmanager
    async def _inside(self, wait: AcquireWait) -> AsyncIterator[None]:
        """Waits until no other task acquires this object."""
        gate = self._gate
        if gate is None:
            yield
            return
        try:
            await gate.enter(partial(_step, wait), lambda: wait.is_over)
        except _engine.GaveUp:
            raise Timeout(self.lock_file) from None
        try:
            yield
        finally:
            gate.leave()

    async def _take_async(self, hold: Hold, wait: AcquireWait) -> None:
        self._refuse_backend()
        hold.end()
        lock, holds = await self._off_loop(self._prepare), own_holds()
        self._check_deadlock(wait, lock, holds)
        logger.debug("Attempting to acquire lock %s on %s", id(self), self.lock_file)
        grant = await take(
            wait, self.lock_file, lambda left: _engine.ask(lock, "write", left, lease_seconds(self.lifetime))
        )
        hold.begin(grant, lock.name, holds)
        if self._is_soft or self.on_acquired is not None:
            await self._off_loop(partial(self._finish, hold))

    def _prepare(self) -> RWLock:
        """Does the work on the path that comes before the request."""
        self._make_file()
        return self._named_lock()

    async def _off_loop(self, call: Callable[[], Any]) -> Any:
        return await _engine.in_thread(self._executor, self._run_in_executor, call)

    async def _undo_async(self, hold: Hold, error: BaseException) -> None:
        try:
            self._begun.pop(hold, None)
            await self._end_async(*hold.end())
        except BaseException as second:
            raise_both("lock body and release both failed", error, second)

    async def release(self, force: bool = False) -> None:  # type: ignore[override]
        """As `BaseFileLock.release`. If the caller is cancelled, the release finishes first, within ten seconds."""
        hold = self._context.hold
        with self._counting.guard:
            if not hold.is_own:
                return
            if hold.count > 1 and not force:
                hold.count -= 1
                return
            self._begun.pop(hold, None)
            ended = hold.end()
        await self._end_async(*ended)

    async def _end_async(self, grant: Optional[Granted], file: Optional[LockFile]) -> None:
        with self._ending(grant, file):
            if grant is not None:
                await _engine.release(cast(Grant, grant))

    async def __aenter__(self: Self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> None:
        await self._leave_async(error)

    async def _leave_async(self, error: Optional[BaseException]) -> None:
        try:
            await self.release()
        except BaseException as second:
            if error is None or self._context_error_policy == "chain":
                raise
            raise_both("lock body and release both failed", error, second)

    def __enter__(self) -> NoReturn:
        raise NotImplementedError(
            "Use `async with`: acquire/release are coroutines and cannot be awaited in a sync context manager."
        )

    def __exit__(self, *_: object) -> NoReturn:
        self.__enter__()

    def _differences(self, extras: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        there = {"loop": self._loop, "executor": self._executor, "run_in_executor": self._run_in_executor}
        return {name: (value, extras[name]) for name, value in there.items() if extras[name] is not value}


def _step(wait: AcquireWait) -> Optional[float]:
    return wait.left if wait.cancel_check is None else wait.pause


async def take(wait: AcquireWait, lock_file: str, ask: Callable[[Optional[float]], Future[Grant]]) -> Grant:
    """Requests a lock for a task, as `_request.take` does for a thread; the request keeps its place in the queue."""
    left = finite(wait.left)
    check = wait.cancel_check or (lambda: False)
    try:
        return await _engine.wait_for(ask(left), lambda: None if wait.cancel_check is None else wait.pause, check)
    except _engine.GaveUp:
        raise Timeout(lock_file) from None
    except AcquireTimeout as error:
        raise Timeout(lock_file) from error
    except DaemonTimeout as error:
        if left is None:
            raise
        raise Timeout(lock_file) from error


class AsyncUnixFileLock(UnixFileLock, BaseAsyncFileLock):
    """`filelock.AsyncUnixFileLock`, which is `filelock.AsyncFileLock` here."""


class AsyncSoftFileLock(SoftFileLock, BaseAsyncFileLock):
    """`filelock.AsyncSoftFileLock`: a file shows that the lock is held."""

    _lifetime_replacements = ("AsyncStrictSoftFileLock", "AsyncSoftFileLease")


class AsyncStrictSoftFileLock(StrictSoftFileLock, BaseAsyncFileLock):
    """`filelock.AsyncStrictSoftFileLock`: a soft lock without a lifetime."""
