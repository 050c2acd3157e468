"""The interface of filelock's locks: a program only changes its import.

    from prwlock.compat.filelock import FileLock, ReadWriteLock, Timeout

| filelock | here |
|---|---|
| polls every `poll_interval` | the daemon reports when the lock is free; the interval is accepted, and not used |
| the file of that path is locked (for `ReadWriteLock`, a database) | the path is only a name; the file is created for programs that expect it, and may be missing |
| `SoftFileLock` remains when its process dies | it ends with the process |
| `ReadWriteLock`: the process that tries at the right moment is first | writers before later readers, writers in the order of their requests |
| options about files (`mode`, `preserve_lock_file`, …) | accepted, and without effect |
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from typing import Any, Callable, ClassVar, Optional, Union
from weakref import WeakValueDictionary

from .._errors import AcquireTimeout, DaemonTimeout, Deadlock
from .._forking import Guarded
from .._grant import Grant
from .._owner import threads
from .._rwlock import RWLock
from ._paths import PathLike, name_of, touch


class Timeout(TimeoutError):
    """The lock of `lock_file` was not acquired in time."""

    def __init__(self, lock_file: str) -> None:
        super().__init__(lock_file)
        self._lock_file = lock_file

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._lock_file,)

    def __str__(self) -> str:
        return f"The file lock '{self._lock_file}' could not be acquired."

    @property
    def lock_file(self) -> str:
        """The path that was given."""
        return self._lock_file


class AcquireReturnProxy:
    """The result of `acquire`, which releases the lock at the end of a ``with`` statement."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock

    def __enter__(self) -> Any:
        return self.lock

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def _wait(timeout: float, blocking: bool) -> Optional[float]:
    """Returns how long to wait by the rules of filelock: a negative timeout means for ever."""
    return 0 if not blocking else None if timeout < 0 else timeout


def _ask(take: Callable[[Optional[float]], Grant], wait: Optional[float], path: str) -> Grant:
    try:
        return take(wait)
    except AcquireTimeout:
        raise Timeout(path) from None
    except DaemonTimeout as error:
        # This interface can only report a timeout. The exception's cause is the reason.
        if wait is None:
            raise
        raise Timeout(path) from error
    except Deadlock as error:
        # A request that would wait for itself cannot succeed, so its timeout may end at once.
        if wait is None:
            raise RuntimeError(str(error)) from error
        raise Timeout(path) from None


class _Hold:
    """A grant, how often it was acquired, and the thread that did."""

    def __init__(self) -> None:
        self.grant: Optional[Grant] = None
        self.count = 0
        self.thread: object = None

    def is_real(self) -> bool:
        """Returns whether this process holds it, rather than a parent process."""
        return self.grant is not None and self.grant.is_held


class _LocalHold(_Hold, threading.local):
    """A separate hold in every thread."""


#: Guards the singletons, of which there is one for each path, while one is found or made.
_making = Guarded()


class FileLock(Guarded, ContextDecorator):
    """`filelock.FileLock`: re-entrant, counted, one holder at a time.

    With `thread_local` (the default), threads exclude each other also through one object. Without it, they share the
    hold. A thread holds the guard while it reads and changes the hold, and never while it waits for the daemon.
    """

    _instances: ClassVar[WeakValueDictionary[str, FileLock]] = WeakValueDictionary()

    def __new__(cls, lock_file: PathLike, *_: Any, is_singleton: bool = False, **__: Any) -> FileLock:
        if not is_singleton:
            return super().__new__(cls)
        name = f"{cls.__name__}:{name_of(lock_file)}"
        with _making.guard:
            instance = cls._instances.get(name)
            if instance is None:
                instance = cls._instances[name] = super().__new__(cls)
        return instance

    def __init__(
        self,
        lock_file: PathLike,
        timeout: float = -1,
        mode: int = 0o644,
        thread_local: bool = True,
        *,
        blocking: bool = True,
        is_singleton: bool = False,
        poll_interval: float = 0.05,
        **options: Any,
    ) -> None:
        with _making.guard:
            # Several threads may get the same new object. One of them initialises it.
            if is_singleton and "_lock" in self.__dict__:
                return
            super().__init__()
            self._path = os.fspath(lock_file)
            self._hold = _LocalHold() if thread_local else _Hold()
            self._is_thread_local = thread_local
            self._is_singleton = is_singleton
            self.timeout = timeout
            self.mode = mode
            self.blocking = blocking
            self.poll_interval = poll_interval
            self._lock = RWLock(name_of(lock_file))

    @property
    def lock_file(self) -> str:
        """The path that was given."""
        return self._path

    @property
    def timeout(self) -> float:
        """The default timeout of `acquire`; a negative timeout means for ever."""
        return self._timeout

    @timeout.setter
    def timeout(self, value: Union[float, str]) -> None:
        self._timeout = float(value)

    @property
    def is_locked(self) -> bool:
        """Whether this object holds it (with `thread_local`: in this thread)."""
        return self._hold.is_real()

    @property
    def lock_counter(self) -> int:
        """How many acquisitions are not released."""
        return self._hold.count if self._hold.is_real() else 0

    @property
    def is_singleton(self) -> bool:
        """Whether there is one object for each path."""
        return self._is_singleton

    def is_thread_local(self) -> bool:
        """Whether threads exclude each other through this object."""
        return self._is_thread_local

    def acquire(
        self,
        timeout: Optional[float] = None,
        poll_interval: Optional[float] = None,
        *,
        poll_intervall: Optional[float] = None,
        blocking: Optional[bool] = None,
        cancel_check: Optional[Callable[[], bool]] = None,
    ) -> AcquireReturnProxy:
        """Waits for it, or takes it once more; a context manager that releases it.

        Raises:
            Timeout: it could not be had in time.
            RuntimeError: to wait would be to wait for oneself.
        """
        hold = self._hold
        with self.guard:
            if hold.is_real():
                hold.count += 1
                return AcquireReturnProxy(self)
        wait = _wait(
            self._timeout if timeout is None else timeout, self.blocking if blocking is None else blocking
        )
        touch(self._path)
        grant = _ask(self._lock.write, wait, self._path)
        with self.guard:
            hold.grant, hold.count = grant, 1
        return AcquireReturnProxy(self)

    def release(self, force: bool = False) -> None:
        """Releases one acquisition, or all of them with `force`; does nothing if there is none."""
        hold = self._hold
        with self.guard:
            if not hold.is_real():
                return
            hold.count = 0 if force else hold.count - 1
            if hold.count > 0:
                return
            grant, hold.grant = hold.grant, None
        if grant is not None:
            grant.release()

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class SoftFileLock(FileLock):
    """The same as `FileLock`: these locks end with their process, so no file has to show that."""


UnixFileLock = FileLock


class ReadWriteLock(Guarded):
    """`filelock.ReadWriteLock`: re-entrant in its mode, and held by one object in one mode at a time.

    A write hold is its thread's. To ask for the other mode of what one holds is a ``RuntimeError``. Its guard is used
    as that of `FileLock`.
    """

    _instances: ClassVar[WeakValueDictionary[str, ReadWriteLock]] = WeakValueDictionary()

    def __new__(
        cls, lock_file: PathLike, timeout: float = -1, *, blocking: bool = True, is_singleton: bool = True
    ) -> ReadWriteLock:
        if not is_singleton:
            return super().__new__(cls)
        name = name_of(lock_file)
        with _making.guard:
            instance = cls._instances.get(name)
            if instance is None:
                instance = cls._instances[name] = super().__new__(cls)
                # Another thread may get the object before it is initialised.
                instance.timeout, instance.blocking = timeout, blocking
        if (instance.timeout, instance.blocking) != (timeout, blocking):
            raise ValueError(
                f"the lock of {lock_file!r} is there with timeout={instance.timeout}, blocking={instance.blocking}"
            )
        return instance

    def __init__(
        self, lock_file: PathLike, timeout: float = -1, *, blocking: bool = True, is_singleton: bool = True
    ) -> None:
        with _making.guard:
            if "_lock" in self.__dict__:
                return
            super().__init__()
            self.lock_file = os.fspath(lock_file)
            self.timeout = timeout
            self.blocking = blocking
            self._hold = _Hold()
            self._lock = RWLock(name_of(lock_file))

    @classmethod
    def get_lock(cls, lock_file: PathLike, timeout: float = -1, *, blocking: bool = True) -> ReadWriteLock:
        """Returns the one object for that path."""
        return cls(lock_file, timeout, blocking=blocking)

    def acquire_read(self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None) -> AcquireReturnProxy:
        """Waits for a read lock, or takes it once more.

        Raises:
            Timeout: it could not be had in time.
            RuntimeError: this object holds the write lock.
        """
        return self._acquire("read", timeout, blocking)

    def acquire_write(self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None) -> AcquireReturnProxy:
        """Waits for the write lock, or takes it once more.

        Raises:
            Timeout: it could not be had in time.
            RuntimeError: this object holds a read lock, or another thread has the write lock through it.
        """
        return self._acquire("write", timeout, blocking)

    def _acquire(self, mode: str, timeout: Optional[float], blocking: Optional[bool]) -> AcquireReturnProxy:
        wait = _wait(self.timeout if timeout is None else timeout, self.blocking if blocking is None else blocking)
        if self._again(mode):
            return AcquireReturnProxy(self)
        touch(self.lock_file)
        grant = _ask(self._lock.read if mode == "read" else self._lock.write, wait, self.lock_file)
        with self.guard:
            hold = self._hold
            if mode == "write" or not hold.is_real():
                hold.grant, hold.count, hold.thread = grant, 1, threads.own
                return AcquireReturnProxy(self)
            # Another thread has stored its grant meanwhile. One grant is enough.
            hold.count += 1
        grant.release()
        return AcquireReturnProxy(self)

    def _again(self, mode: str) -> bool:
        with self.guard:
            hold = self._hold
            if hold.grant is None or not hold.is_real():
                return False
            if hold.grant.mode != mode:
                change = "upgrade" if mode == "write" else "downgrade"
                raise RuntimeError(f"Cannot acquire {mode} lock on {self.lock_file}: {change} not allowed")
            if mode == "write" and hold.thread is not threads.own:
                raise RuntimeError(f"Cannot acquire write lock on {self.lock_file}: another thread holds it")
            hold.count += 1
            return True

    @property
    def _lock_level(self) -> int:
        """How many acquisitions are not released; for tests that read the original's private attributes."""
        return self._hold.count if self._hold.is_real() else 0

    @property
    def _current_mode(self) -> Optional[str]:
        """The mode in which it is held; for tests that read the original's private attributes."""
        grant = self._hold.grant
        return grant.mode if grant is not None and self._hold.is_real() else None

    def release(self, *, force: bool = False) -> None:
        """Releases one acquisition, or all of them with `force`.

        Raises:
            RuntimeError: it is not held, and `force` is false.
        """
        with self.guard:
            hold = self._hold
            if not hold.is_real():
                if force:
                    return
                raise RuntimeError(f"Cannot release a lock on {self.lock_file} that is not held")
            hold.count = 0 if force else hold.count - 1
            if hold.count > 0:
                return
            grant, hold.grant = hold.grant, None
        if grant is not None:
            grant.release()

    @contextmanager
    def read_lock(self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None) -> Iterator[None]:
        """Holds a read lock for a ``with`` statement."""
        with self.acquire_read(timeout, blocking=blocking):
            yield

    @contextmanager
    def write_lock(self, timeout: Optional[float] = None, *, blocking: Optional[bool] = None) -> Iterator[None]:
        """Holds the write lock for a ``with`` statement."""
        with self.acquire_write(timeout, blocking=blocking):
            yield

    def close(self) -> None:
        """Releases all acquisitions of this object."""
        self.release(force=True)
