"""Locks for one holder at a time, in the shape of the standard library's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from .._errors import DaemonTimeout, NotHeld
from .._log import log
from .._owner import threads
from .._rwlock import RWLock

if TYPE_CHECKING:
    from .._grant import Grant


class _Mutex:
    """The write lock, held or not: by whichever thread or process has it.

    All that it knows is the book of its lock: the grant, and how often its thread has acquired it.
    """

    _is_recursive = False

    def __init__(self, name: Optional[str] = None) -> None:
        self._lock = RWLock(name)

    @property
    def name(self) -> str:
        """The lock's name; a random one for a lock without."""
        return self._lock.name

    def _acquire(self, timeout: Optional[float]) -> bool:
        if self._is_recursive:
            own = self._own_grant()
            if own is not None and own.is_held:
                # Only its thread counts it.
                self._lock._own_book.grants[own] += 1
                return True
        try:
            return self._lock.acquire_write(timeout)
        except DaemonTimeout as error:
            # The time is up, which these shapes know; why it is, they have no word for.
            if timeout is None:
                raise
            log("WARNING", str(error))
            return False

    def _own_grant(self) -> Optional[Grant]:
        """What this thread acquired last, and has not released."""
        thread = threads.own
        held = list(self._lock._own_book.grants)
        return next((grant for grant in reversed(held) if grant._thread is thread), None)

    def release(self) -> None:
        """Gives it back.

        Raises:
            RuntimeError: it is not held by this process, or (recursive ones) by this thread.
            LockLost: it had ended before.
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
    """In the shape of `threading.Lock`, for all processes that have it or say its name.

    Any thread of the process that holds it may release it. A thread that asks again for what it holds gets ``Deadlock``
    where `threading.Lock` would wait for ever, and False with a timeout.
    """

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `threading.Lock.acquire`: whether it has it; -1 waits for ever."""
        return self._acquire(_seconds(blocking, timeout))

    def locked(self) -> bool:
        """Whether anybody holds it, in any process."""
        return bool(self._lock.status().holders)


class RLock(_Mutex):
    """In the shape of `threading.RLock`: the thread that holds it may acquire it again."""

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
    """In the shape of `multiprocessing.Lock`, and pickled at any time, not only while a process is started."""

    def acquire(self, block: bool = True, timeout: Optional[float] = None) -> bool:
        """As `multiprocessing.Lock.acquire`: a negative timeout is one of 0."""
        return self._acquire(None if block and timeout is None else max(0, timeout or 0) if block else 0)


class MultiprocessingRLock(MultiprocessingLock):
    """In the shape of `multiprocessing.RLock`: the thread that holds it may acquire it again."""

    _is_recursive = True
