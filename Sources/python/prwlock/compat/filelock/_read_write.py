"""`ReadWriteLock` for threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Optional, cast
from weakref import WeakKeyDictionary

from ..._errors import LockError
from ..._grant import Grant
from ..._rwlock import RWLock
from .._paths import PathLike, name_of, touch
from ._context import Hold, Holds, Turns, own
from ._errors import deadlock
from ._lock import AcquireReturnProxy
from ._options import AcquireWait, acquire_wait, check_blocking, read_write_timeout, same_timeout, seconds
from ._request import request, take
from ._singleton import SingletonMeta

if TYPE_CHECKING:
    import asyncio

Mode = Literal["read", "write"]


class TaskHold(Hold):
    """The hold of a task, and how often the task acquired it through each object."""

    def __init__(self) -> None:
        super().__init__()
        self.through: dict[object, int] = {}


TaskHolds = WeakKeyDictionary["asyncio.Task[Any]", TaskHold]


def refuse_closed() -> NoReturn:
    """Raises the error of a lock that was closed: that of the original's database."""
    try:
        from sqlite3 import ProgrammingError
    except ImportError:
        raise ValueError("Cannot operate on a closed database.") from None
    raise ProgrammingError("Cannot operate on a closed database.")


def is_excluded(name: str, mode: Mode, holds: Holds) -> bool:
    """Returns whether the thread or task with these holds cannot get the lock in a mode before it releases."""
    hold = holds.get(name)
    grant = hold.grant if hold is not None and hold.is_held_in(holds) else None
    return grant is not None and "write" in (mode, grant.mode)


class ReadWriteMeta(SingletonMeta):
    """Finds the object of a singleton. Only a new object is initialised."""

    def __call__(
        cls,  # noqa: N805
        lock_file: PathLike,
        timeout: float = -1,
        *,
        blocking: bool = True,
        is_singleton: bool = True,
    ) -> Any:
        os.fspath(lock_file)
        check_blocking(blocking)
        timeout = seconds("timeout", timeout)

        def make() -> Any:
            return super(ReadWriteMeta, cls).__call__(lock_file, timeout, blocking=blocking, is_singleton=is_singleton)

        if not is_singleton:
            return make()
        lock, _ = cls._find(lock_file, make)
        if lock.blocking != blocking or not same_timeout(lock.timeout, timeout, is_any_negative=False):
            raise ValueError(
                f"Singleton lock created with timeout={lock.timeout}, blocking={lock.blocking}, "
                f"cannot be changed to timeout={timeout}, blocking={blocking}"
            )
        return lock


class ReadWriteLock(metaclass=ReadWriteMeta):
    """`filelock.ReadWriteLock`: re-entrant in its mode, and held by one object in one mode at a time.

    Several threads may read through one object; each one releases only what it acquired. A write hold is its thread's.
    To ask for the other mode of what the object holds is a ``RuntimeError``.

    One thread at a time acquires through one object, also while it waits for the lock. `prwlock.compat` says what
    happens at an interrupt and when the daemon goes away.
    """

    def __init__(
        self, lock_file: PathLike, timeout: float = -1, *, blocking: bool = True, is_singleton: bool = True
    ) -> None:
        self.lock_file = os.fspath(lock_file)
        self.timeout = timeout
        self.blocking = blocking
        self._hold = Hold()
        self._turns = Turns()
        #: Guards the hold and the depths. No thread has this turn while it waits for the lock.
        self._changes = Turns()
        #: How often each thread has acquired it, by the thread's number.
        self._depths: dict[int, int] = {}
        self._is_closed = False
        #: The holds of tasks, through all objects of `AsyncReadWriteLock` for this one.
        self._tasks: TaskHolds = WeakKeyDictionary()
        self._lock = RWLock(name_of(lock_file))

    @classmethod
    def get_lock(cls, lock_file: PathLike, timeout: float = -1, *, blocking: bool = True) -> Any:
        """Returns the one object for that path.

        Raises:
            ValueError: it has another timeout, or differs in `blocking`.
        """
        return cls(lock_file, timeout, blocking=blocking)

    def acquire_read(
        self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None
    ) -> AcquireReturnProxy[ReadWriteLock]:
        """Waits for a read lock, or takes it once more.

        A timeout of -1 waits for ever; that has no end if the holder waits for this thread (`join`). After an error or
        an interrupt nothing is acquired.

        Raises:
            Timeout: it was not free in time, or no daemon answered within the timeout.
            RuntimeError: this object holds the write lock, or waiting would be waiting for oneself.
            DaemonUnavailable: the daemon went away, or there is none.
        """
        return self._acquire("read", timeout, blocking)

    def acquire_write(
        self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None
    ) -> AcquireReturnProxy[ReadWriteLock]:
        """Waits for the write lock, or takes it once more; otherwise as `acquire_read`.

        Raises:
            Timeout: it was not free in time, or no daemon answered within the timeout.
            RuntimeError: this object holds a read lock, another thread has the write lock through it, or waiting would
                be waiting for oneself.
        """
        return self._acquire("write", timeout, blocking)

    def _acquire(
        self, mode: Mode, timeout: Optional[float], blocking: Optional[bool]
    ) -> AcquireReturnProxy[ReadWriteLock]:
        is_waiting = self.blocking if blocking is None else blocking
        seconds = read_write_timeout(self.timeout if timeout is None else timeout, is_waiting)
        wait = acquire_wait(seconds, 0.05, is_waiting, None)
        thread = threading.get_ident()
        with self._turns.take(wait, self.lock_file):
            with self._changes.turn:
                if self._is_closed:
                    refuse_closed()
                if self._hold.is_real:
                    self._join(mode, thread)
                    return AcquireReturnProxy(self)
                self._hold.end()
            self._take(mode, wait, thread)
        return AcquireReturnProxy(self)

    def _is_at(self, key: str) -> bool:
        return self._lock.name == name_of(key)

    def _join(self, mode: Mode, thread: int) -> None:
        """Counts one more acquisition of what this object holds."""
        hold, depths = self._hold, self._depths
        held = self._current_mode
        place = f"Cannot acquire {mode} lock on {self.lock_file} (lock id: {id(self)})"
        if held != mode:
            if thread in depths:
                change = "upgrade" if mode == "write" else "downgrade"
                raise RuntimeError(f"{place}: already holding a {held} lock ({change} not allowed)")
            raise RuntimeError(
                f"{place}: another thread holds a {held} lock on this instance, which coordinates processes rather "
                "than threads; give each thread its own instance with is_singleton=False"
            )
        if mode == "write" and thread not in depths:
            raise RuntimeError(f"{place} from thread {thread} while it is held by thread {next(iter(depths))}")
        depths[thread] = depths.get(thread, 0) + 1
        hold.count += 1

    def _take(self, mode: Mode, wait: AcquireWait, thread: int) -> None:
        lock, holds = self._lock, own.holds
        self._check_deadlock(mode, wait, holds)
        touch(self.lock_file)
        verb = mode.upper().encode()
        # Threads that hold it together may each be the last, so the daemon's deadlock may be none.
        grant = take(wait, self.lock_file, lambda left: request(lock, verb, left, b"", False), may_end=True)
        with self._changes.turn:
            if self._is_closed:
                grant.release()
                refuse_closed()
            self._hold.begin(grant, lock.name, holds)
            self._depths = {thread: 1}

    def _check_deadlock(self, mode: Mode, wait: AcquireWait, holds: Holds) -> None:
        if wait.left is None and is_excluded(self._lock.name, mode, holds):
            raise deadlock(self.lock_file, "ReadWriteLock instance in this thread")

    def release(self, *, force: bool = False) -> None:
        """Releases one acquisition of this thread, or with `force` all of them, also those of other threads and tasks.

        It gives the daemon ten seconds for each hold, and releases the lock also if it is interrupted. A thread that
        waits for the lock through this object goes on waiting. After an error, `force` goes on with the other holds,
        and raises the first error at the end.

        Raises:
            RuntimeError: this thread has none, and `force` is false.
            LockLost: the lock was lost before, for example with the daemon.
            DaemonTimeout: the daemon did not answer. It releases the lock when it continues.
        """
        thread = threading.get_ident()
        if force:
            self._release_all()
            return
        with self._changes.turn:
            hold, depths = self._hold, self._depths
            if not hold.is_own:
                raise RuntimeError(f"Cannot release a lock on {self.lock_file} (lock id: {id(self)}) that is not held")
            self._check_own(thread)
            if hold.count > 1:
                hold.count -= 1
                depths[thread] -= 1
                if not depths[thread]:
                    del depths[thread]
                return
            self._end()

    def _end(self) -> None:
        grant, _ = self._hold.end()
        self._depths = {}
        if grant is not None:
            cast(Grant, grant).release()

    def _release_all(self) -> None:
        """Releases what threads hold through this object, and tasks through the asynchronous objects for it."""
        with self._changes.turn:
            first: Optional[LockError] = None
            try:
                if self._hold.is_own:
                    self._end()
            except LockError as error:
                first = error
            first = self._release_tasks(first)
            if first is not None:
                raise first

    def _release_tasks(self, first: Optional[LockError]) -> Optional[LockError]:
        """Releases what tasks hold; returns the first error, which is `first` if that is one."""
        for task, hold in list(self._tasks.items()):
            if self._tasks.pop(task, None) is hold and hold.is_own:
                from ...aio import _grant as task_grant
                from . import _engine

                grant, _ = hold.end()
                try:
                    if grant is not None:
                        _engine.release_blocking(cast(task_grant.Grant, grant))
                except LockError as error:
                    first = first or error
        return first

    def _check_own(self, thread: int) -> None:
        if thread in self._depths:
            return
        grant = self._hold.grant
        place = f"lock on {self.lock_file} (lock id: {id(self)}) from thread {thread}"
        if grant is not None and grant.mode == "write":
            raise RuntimeError(f"Cannot release write {place} while it is held by thread {next(iter(self._depths))}")
        raise RuntimeError(f"Cannot release read {place}, which does not hold it")

    def _leave(self, error: Optional[BaseException]) -> None:
        self.release()

    @property
    def _lock_level(self) -> int:
        """How many acquisitions are not released; for tests that read the original's private attributes."""
        return self._hold.count if self._hold.is_real else 0

    @property
    def _current_mode(self) -> Optional[str]:
        """The mode in which it is held; for tests that read the original's private attributes."""
        grant = self._hold.grant
        return grant.mode if grant is not None and self._hold.is_real else None

    @contextmanager
    def read_lock(self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None) -> Iterator[None]:
        """Holds a read lock for a ``with`` statement, which begins as `acquire_read` and ends as `release`."""
        with self.acquire_read(timeout, blocking=blocking):
            yield

    @contextmanager
    def write_lock(self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None) -> Iterator[None]:
        """Holds the write lock for a ``with`` statement, which begins as `acquire_write` and ends as `release`."""
        with self.acquire_write(timeout, blocking=blocking):
            yield

    def close(self) -> None:
        """Releases all acquisitions of this object. It cannot be acquired again.

        It does as `release` with `force`. If another thread waits for the lock through this object, that thread's call
        ends when the lock is free or its time has passed: with the original's error for a closed lock, or ``Timeout``.
        """
        with self._changes.turn:
            self._is_closed = True
            self._release_all()
