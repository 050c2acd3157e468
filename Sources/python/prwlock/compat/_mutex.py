"""Locks for one holder at a time, with the interfaces of the standard library's locks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from .._errors import DaemonTimeout, NotHeld
from .._log import log
from .._owner import threads
from .._rwlock import RWLock

if TYPE_CHECKING:
    from .._grant import Grant


class _Mutex:
    """A lock that is always acquired for writing.

    Its whole state is the book of its `RWLock`: the grant, and how often its thread has acquired it.
    """

    _is_recursive = False

    def __init__(self, name: Optional[str] = None) -> None:
        self._lock = RWLock(name)

    @property
    def name(self) -> str:
        """The lock's name; random for a lock that was made without one."""
        return self._lock.name

    def _acquire(self, timeout: Optional[float]) -> bool:
        if self._is_recursive:
            own = self._own_grant()
            if own is not None and own.is_held:
                # Only the thread of the grant changes this count.
                self._lock._own_book.grants[own] += 1
                return True
        try:
            return self._lock.acquire_write(timeout)
        except DaemonTimeout as error:
            # These interfaces can only report a timeout, so log the reason.
            if timeout is None:
                raise
            log("WARNING", str(error))
            return False

    def _own_grant(self) -> Optional[Grant]:
        """Returns the last grant of this thread; None if it has none."""
        thread = threads.own
        held = list(self._lock._own_book.grants)
        return next((grant for grant in reversed(held) if grant._thread is thread), None)

    def release(self) -> None:
        """Releases the lock.

        Raises:
            RuntimeError: this process, or in a recursive lock this thread, does not hold it.
            LockLost: the grant has ended before.
        """
        if self._is_recursive:
            own = self._own_grant()
            if own is None:
                raise RuntimeError("cannot release a lock that is not held")
            grants = self._lock._own_book.grants
            if grants[own] > 1:
                grants[own] -= 1
                return
        try:
            self._lock.release()
        except NotHeld:
            raise RuntimeError("cannot release a lock that is not held") from None

    def __enter__(self) -> bool:
        return self._acquire(None)

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<prwlock.compat.{type(self).__name__} {self.name!r}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"lock": self._lock}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._lock = state["lock"]


class Lock(_Mutex):
    """`threading.Lock`, for all processes that share it or use its name.

    Any thread of the process that holds it may release it. A thread that acquires it twice gets ``Deadlock``, where
    `threading.Lock` waits for ever; with a timeout it gets False.
    """

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `threading.Lock.acquire`: returns whether the lock was acquired; -1 waits for ever."""
        return self._acquire(_seconds(blocking, timeout))

    def locked(self) -> bool:
        """Returns whether any process holds it."""
        return bool(self._lock.status().holders)


class RLock(_Mutex):
    """`threading.RLock`: the thread that holds it may acquire it again."""

    _is_recursive = True

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `threading.RLock.acquire`."""
        return self._acquire(_seconds(blocking, timeout))


def _seconds(blocking: bool, timeout: float) -> Optional[float]:
    if not blocking:
        if timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return 0
    if timeout == -1:
        return None
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    return timeout


class MultiprocessingLock(_Mutex):
    """`multiprocessing.Lock`. It can be pickled at any time, not only while a process starts."""

    def acquire(self, block: bool = True, timeout: Optional[float] = None) -> bool:
        """As `multiprocessing.Lock.acquire`: a negative timeout means 0."""
        return self._acquire(None if block and timeout is None else max(0, timeout or 0) if block else 0)


class MultiprocessingRLock(MultiprocessingLock):
    """`multiprocessing.RLock`: the thread that holds it may acquire it again."""

    _is_recursive = True
