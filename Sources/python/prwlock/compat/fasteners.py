"""The interface of fasteners' locks for processes: a program only changes its import.

    from prwlock.compat.fasteners import InterProcessReaderWriterLock

| fasteners | here |
|---|---|
| tries again after pauses (`delay`, `max_delay`, `sleep_func`) | the daemon tells when it is free; these are taken, and not used |
| the process that tries at the right moment is first | first come, first served, and writers before later readers |
| the file of that path is locked | the path is only a name; the file is made, for who looks for it, and may be missing |
| the locks of one process do not exclude each other (`fcntl`) | through two lock objects they do; through one, the thread that holds it may acquire it again, in its mode |
| a read lock that asks for the write lock becomes it, unseen | that is refused: it returns False at once |
| a child that was forked may release its parent's lock by closing a file | a child holds nothing of its parent's |
| a lock that is held is never lost | it is lost with the daemon: `acquired` is false, and the release of an `InterProcessLock` raises an error |

An acquisition without a timeout can wait for ever. It returns False at once, also without a timeout, if the wait would
close a circle of threads that wait for each other's locks. If the daemon goes away during a wait, it raises
``prwlock.DaemonUnavailable``. After an exception out of a signal handler (``KeyboardInterrupt``, for example) nothing
is acquired, and a release is carried out nevertheless. A release gives the daemon ten seconds
(``prwlock.DaemonTimeout``), and the daemon carries it out when it continues.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional, TypeVar

from .._deadline import Deadline
from .._errors import AcquireTimeout, DaemonTimeout, Deadlock
from .._forking import Guarded
from .._grant import Grant
from .._log import log
from .._owner import threads
from .._rwlock import RWLock
from ._paths import PathLike, name_of, touch

Function = TypeVar("Function", bound=Callable[..., Any])


def _check(delay: float, timeout: Optional[float]) -> None:
    if delay < 0:
        raise ValueError("Delay must be greater than or equal to zero")
    if timeout is not None and timeout < 0:
        raise ValueError("Timeout must be greater than or equal to zero")


class _PathLock(Guarded):
    """A lock that a path names, held by this object in at most one mode, any number of times.

    A thread holds the guard while it reads and changes the grants, and never while it waits for the daemon.
    """

    MAX_DELAY = 0.1
    DELAY_INCREMENT = 0.01

    def __init__(self, path: PathLike, sleep_func: Callable[[float], None] = time.sleep, logger: Any = None) -> None:
        super().__init__()
        self.path = os.fspath(path)
        if isinstance(self.path, bytes):
            self.path = os.fsdecode(self.path)
        self.sleep_func = sleep_func
        self.logger = logger
        self._lock = RWLock(name_of(path))
        self._grants: list[Grant] = []

    def _take(self, mode: str, blocking: bool, delay: float, timeout: Optional[float]) -> bool:
        _check(delay, timeout)
        with self.guard:
            last = self._last()
            if last is not None and last.mode == mode and last._thread is threads.own:
                # The same thread acquires it again: count its grant once more.
                self._grants.append(last)
                return True
        touch(self.path)
        wait = timeout if blocking else 0
        try:
            ask = self._lock.read if mode == "read" else self._lock.write
            grant = ask(wait)
        except (AcquireTimeout, Deadlock):
            return False
        except DaemonTimeout as error:
            # This interface can only report a timeout, so log the reason.
            if Deadline.of(wait) is None:
                raise
            log("WARNING", str(error))
            return False
        with self.guard:
            self._grants.append(grant)
        return True

    def _last(self) -> Optional[Grant]:
        """Returns the last grant of this thread, or else that of another one. The caller holds the guard.

        A forked child has none of its parent's grants.
        """
        held = self._grants
        held[:] = [grant for grant in held if grant.is_held]
        own = threads.own
        return next((grant for grant in reversed(held) if grant._thread is own), held[-1] if held else None)

    def _give_back(self) -> bool:
        with self.guard:
            grant = self._last()
            if grant is None:
                return False
            self._grants.remove(grant)
            if grant in self._grants:
                return True
        grant.release()
        return True

    def exists(self) -> bool:
        """Returns whether the file exists. This says nothing about the lock."""
        return os.path.exists(self.path)


class InterProcessLock(_PathLock):
    """`fasteners.InterProcessLock`."""

    @property
    def acquired(self) -> bool:
        """Whether this object holds it."""
        with self.guard:
            return self._last() is not None

    def acquire(
        self,
        blocking: bool = True,
        delay: float = 0.01,
        max_delay: float = 0.1,
        timeout: Optional[float] = None,
    ) -> bool:
        """Waits for the lock, for `timeout` seconds if that is given, otherwise for ever.

        Returns whether it was acquired. False also means that waiting would close a circle or, with a timeout, that no daemon answered, which is logged.
        After an error or an interrupt nothing is acquired.

        Raises:
            DaemonUnavailable: the daemon went away, or there is none.
            ValueError: the timeout or the delay is negative.
        """
        return self._take("write", blocking, delay, timeout)

    def trylock(self) -> None:
        """Acquires the lock without waiting, or raises ``BlockingIOError``; otherwise as `acquire`."""
        if not self.acquire(blocking=False):
            raise BlockingIOError(f"{self.path} is locked")

    def release(self) -> None:
        """Releases the lock within ten seconds, also if the call is interrupted.

        Raises:
            threading.ThreadError: this object does not hold it, or it knows that the lock was lost; a ``RuntimeError``.
            LockLost: the lock turns out to be lost.
            DaemonTimeout: the daemon did not answer. It releases the lock when it continues.
        """
        if not self._give_back():
            raise threading.ThreadError("Unable to release an unacquired lock")

    unlock = release

    def __enter__(self) -> InterProcessLock:
        if not self.acquire():
            raise threading.ThreadError(f"Unable to acquire the lock of {self.path}")
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class InterProcessReaderWriterLock(_PathLock):
    """`fasteners.InterProcessReaderWriterLock`."""

    def acquire_read_lock(
        self,
        blocking: bool = True,
        delay: float = 0.01,
        max_delay: float = 0.1,
        timeout: Optional[float] = None,
    ) -> bool:
        """Waits for a read lock, for `timeout` seconds if that is given, otherwise for ever.

        The result and the errors are those of `InterProcessLock.acquire`.
        """
        return self._take("read", blocking, delay, timeout)

    def acquire_write_lock(
        self,
        blocking: bool = True,
        delay: float = 0.01,
        max_delay: float = 0.1,
        timeout: Optional[float] = None,
    ) -> bool:
        """Waits for the write lock; as `acquire_read_lock`."""
        return self._take("write", blocking, delay, timeout)

    def release_read_lock(self) -> None:
        """Gives it back, within ten seconds; nothing happens if this object does not hold it, or knows of its loss.

        Raises:
            LockLost: the lock turns out to be lost.
            DaemonTimeout: the daemon did not answer. It releases the lock when it continues.
        """
        self._give_back()

    def release_write_lock(self) -> None:
        """As `release_read_lock`."""
        self._give_back()

    @contextmanager
    def read_lock(self, delay: float = 0.01, max_delay: float = 0.1) -> Iterator[None]:
        """Holds a read lock for a ``with`` statement. It has no timeout, so its beginning can wait for ever."""
        if not self.acquire_read_lock(delay=delay, max_delay=max_delay):
            raise threading.ThreadError(f"Unable to acquire the read lock of {self.path}")
        try:
            yield
        finally:
            self.release_read_lock()

    @contextmanager
    def write_lock(self, delay: float = 0.01, max_delay: float = 0.1) -> Iterator[None]:
        """Holds the write lock for a ``with`` statement; as `read_lock`."""
        if not self.acquire_write_lock(delay=delay, max_delay=max_delay):
            raise threading.ThreadError(f"Unable to acquire the write lock of {self.path}")
        try:
            yield
        finally:
            self.release_write_lock()


def _locked(hold: Callable[[], Any]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def wrapper(*arguments: Any, **named: Any) -> Any:
            with hold():
                return function(*arguments, **named)

        return wrapper  # type: ignore[return-value]

    return decorate


def interprocess_locked(path: PathLike) -> Callable[[Function], Function]:
    """Holds the lock of a path while the decorated function runs. It has no timeout, so a call can wait for ever."""
    return _locked(lambda: InterProcessLock(path))


def interprocess_read_locked(path: PathLike) -> Callable[[Function], Function]:
    """Holds the read lock of a path while the decorated function runs; as `interprocess_locked`."""
    return _locked(lambda: InterProcessReaderWriterLock(path).read_lock())


def interprocess_write_locked(path: PathLike) -> Callable[[Function], Function]:
    """Holds the write lock of a path while the decorated function runs; as `interprocess_locked`."""
    return _locked(lambda: InterProcessReaderWriterLock(path).write_lock())
