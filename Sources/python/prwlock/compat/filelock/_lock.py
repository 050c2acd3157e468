"""The locks for threads: `FileLock`, and what all locks of filelock have in common."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ContextDecorator, contextmanager, nullcontext
from typing import Any, Callable, Generic, Optional, Protocol, TypeVar, cast

from ..._errors import LockLost
from ..._grant import Grant
from ..._granted import Granted
from ..._rwlock import RWLock
from .._paths import name_of
from ._context import Hold, Holds, own
from ._errors import deadlock
from ._file import LockFile, OpenFile, make
from ._groups import raise_both
from ._options import AcquireWait, acquire_wait
from ._request import lease_option, request, take
from ._settings import Settings
from ._singleton import FileLockMeta


class Leavable(Protocol):
    def _leave(self, error: Optional[BaseException]) -> None:
        """Releases one acquisition at the end of a block that has raised that error."""


Lock = TypeVar("Lock", bound=Leavable)
Self = TypeVar("Self", bound="BaseFileLock")

#: The original's logger, which programs set up by its name.
logger = logging.getLogger("filelock")


class AcquireReturnProxy(Generic[Lock]):
    """The result of `acquire`, which releases the lock at the end of a ``with`` statement."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock

    def __enter__(self) -> Lock:
        return self.lock

    def __exit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> None:
        self.lock._leave(error)


class BaseFileLock(Settings, ContextDecorator, metaclass=FileLockMeta):
    """A lock that counts, with one holder at a time: a thread, or with `thread_local=False` this object.

    With `thread_local` (the default), each thread has its own hold and its own settings, and threads exclude each other
    also through one object. Without it, all threads share both: one may acquire and another one release.

    Only `acquire` can wait for ever; `prwlock.compat` says what happens at an interrupt and when the daemon goes away.

    The options that are about files:

    - `mode`: the file is created with this mode; an ``OSError`` if that is not possible.
    - `on_acquired`: called with a descriptor of the file, which is open while the lock is held. If it raises, the lock
      is released.
    - `close_error_policy`: whether an error of closing that descriptor is raised.
    - `preserve_lock_file`: a native lock never removes its file.
    - `fallback_to_soft`: the lock is the daemon's, on any file system, so there is never a need to fall back.
    """

    _lifetime_replacements: Optional[tuple[str, str]] = None
    _is_soft = False
    _holder = "FileLock instance in this thread"

    # Acquire and release

    def acquire(
        self: Self,
        timeout: Optional[float] = None,
        poll_interval: Optional[float] = None,
        *,
        poll_intervall: Optional[float] = None,
        blocking: Optional[bool] = None,
        cancel_check: Optional[Callable[[], bool]] = None,
    ) -> AcquireReturnProxy[Self]:
        """Waits for the lock, or takes it once more; returns a context manager that releases it.

        A negative or infinite timeout waits for ever. `cancel_check` is called every `poll_interval` seconds, and ends
        the wait by returning true; between two of its calls, other requests may overtake this one.

        A wait for ever has no end if the holder waits for this thread (`join`), and if it is for a lock with
        `thread_local=False` that no thread releases. After an error or an interrupt nothing is acquired.

        Raises:
            Timeout: the lock was not free in time, the caller cancelled, or no daemon answered within the timeout.
            RuntimeError: there is no timeout, and waiting would be waiting for oneself.
            TypeError, ValueError: an option is none.
            DaemonUnavailable: the daemon went away, or there is none.
            LockError: another reason that the class names.
        """
        if poll_intervall is not None:
            warnings.warn("use poll_interval instead of poll_intervall", DeprecationWarning, stacklevel=2)
            poll_interval = poll_intervall
        wait = self._wait(timeout, poll_interval, blocking, cancel_check)
        hold = self._context.hold
        with self._turn(wait):
            if hold.is_real:
                hold.count += 1
                return AcquireReturnProxy(self)
            try:
                self._take(hold, wait)
                logger.debug("Lock %s acquired on %s", id(self), self._path)
                return AcquireReturnProxy(self)
            except BaseException as error:
                if hold.is_own:
                    self._undo(hold, error)
                raise

    def _wait(
        self,
        timeout: Optional[float],
        poll_interval: Optional[float],
        blocking: Optional[bool],
        cancel_check: Optional[Callable[[], bool]],
    ) -> AcquireWait:
        context = self._context
        return acquire_wait(
            context.timeout if timeout is None else timeout,
            context.poll_interval if poll_interval is None else poll_interval,
            context.blocking if blocking is None else blocking,
            cancel_check,
        )

    def _turn(self, wait: AcquireWait) -> AbstractContextManager[None]:
        return nullcontext() if self._turns is None else self._turns.take(wait, self._path)

    def _named_lock(self) -> RWLock:
        """Returns the lock of the path. A change of the folder redirects a relative path."""
        lock = self._lock
        if lock is None or not os.path.isabs(self._path):
            name = name_of(self._path)
            if lock is None or lock.name != name:
                lock = self._lock = RWLock(name)
        return lock

    def _is_at(self, key: str) -> bool:
        """Returns whether its path leads to that path; while it is held, a change of the folder does not matter."""
        if self.is_locked and self._lock is not None:
            return self._lock.name == name_of(key)
        return os.path.realpath(self._path) == key

    def _take(self, hold: Hold, wait: AcquireWait) -> None:
        self._refuse_backend()
        lock, holds = self._named_lock(), own.holds
        hold.end()
        self._check_deadlock(wait, lock, holds)
        self._make_file()
        logger.debug("Attempting to acquire lock %s on %s", id(self), self._path)
        options = lease_option(self._context.lifetime)
        # Another thread may release what is held by all threads, so a wait for it is no deadlock.
        is_alone = self._turns is not None
        grant = take(wait, self._path, lambda left: request(lock, b"WRITE", left, options, is_alone))
        hold.begin(grant, lock.name, holds)
        self._finish(hold)

    def _finish(self, hold: Hold) -> None:
        """Does what follows when the lock has been granted."""
        self._begun[hold] = threading.current_thread()
        self._open_file(hold)
        if not hold.is_own:
            raise RuntimeError(f"lock '{self._path}' is released while this thread's acquire of it is still running")

    def _check_deadlock(self, wait: AcquireWait, lock: RWLock, holds: Holds) -> None:
        """Refuses to wait for ever for what the thread or task itself holds through another object."""
        # A function of its own: the frames of a later error must not keep the other object's hold alive.
        other = holds.get(lock.name)
        if wait.left is None and other is not None and other.is_held_in(holds):
            raise deadlock(self._path, self._holder)

    def _make_file(self) -> None:
        """Creates the file, before the lock is requested."""

    def _open_file(self, hold: Hold) -> None:
        """Opens or creates the file that is there while the lock is held, after it was granted."""

    @abstractmethod
    def _acquire(self) -> None:
        """The original's place for another way to lock. It is not called here: `acquire` refuses an override."""

    @abstractmethod
    def _release(self) -> None:
        """See `_acquire`."""

    def _refuse_backend(self) -> None:
        for name in ("_acquire", "_release"):
            if not getattr(type(self), name).__module__.startswith(__package__):
                raise NotImplementedError(f"{type(self).__name__}.{name} cannot be used: the daemon holds the lock")

    def _undo(self, hold: Hold, error: BaseException) -> None:
        """Releases a hold whose acquisition has failed with an error."""
        try:
            self._give_back(hold)
        except BaseException as second:
            raise_both("lock body and release both failed", error, second)

    def release(self, force: bool = False) -> None:
        """Releases one acquisition, or all of them with `force`; does nothing if there is none.

        `force` also releases what threads hold that have ended: the end of a thread releases nothing. The call gives
        the daemon ten seconds, and releases the lock also if it is interrupted.

        Raises:
            LockLost: the lock was lost before: it was not held until now. A lifetime that has ended is no loss.
            DaemonTimeout: the daemon did not answer. It releases the lock when it continues.
        """
        hold = self._context.hold
        if hold.is_own:
            with nullcontext() if self._turns is None else self._turns.turn:
                if hold.count > 1 and not force:
                    hold.count -= 1
                    return
                self._give_back(hold)
        if force:
            for left, thread in list(self._begun.items()):
                if self._turns is None and left.is_own and not thread.is_alive():
                    self._give_back(left)

    def _give_back(self, hold: Hold) -> None:
        self._begun.pop(hold, None)
        with self._ending(*hold.end()) as grant:
            if grant is not None:
                cast(Grant, grant).release()

    @contextmanager
    def _ending(self, grant: Optional[Granted], file: Optional[LockFile]) -> Iterator[Optional[Granted]]:
        """Ends the file of a hold, and then lets the block release the grant."""
        logger.debug("Attempting to release lock %s on %s", id(self), self._path)
        try:
            if file is not None:
                file.end()
        finally:
            try:
                yield grant
            except LockLost as lost:
                if lost.reason != "expired" or self._context.lifetime is None:
                    raise
        logger.debug("Lock %s released on %s", id(self), self._path)

    def __enter__(self: Self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: Any, error: Optional[BaseException], traceback: Any) -> None:
        self._leave(error)

    def _leave(self, error: Optional[BaseException]) -> None:
        try:
            self.release()
        except BaseException as second:
            if error is None or self._context_error_policy == "chain":
                raise
            raise_both("lock body and release both failed", error, second)

    def _differences(self, extras: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Returns the options of a subclass in which this singleton differs: (what it has, what was passed)."""
        return {}


class UnixFileLock(BaseFileLock):
    """`filelock.UnixFileLock`, which is `filelock.FileLock` here: the file remains when the lock is released."""

    def _acquire(self) -> None:
        pass

    def _release(self) -> None:
        pass

    def _make_file(self) -> None:
        make(self._path, self._context.mode)

    def _open_file(self, hold: Hold) -> None:
        if self._on_acquired is not None:
            file = OpenFile(self._path, self._context.mode, self._close_error_policy)
            hold.file = file
            self._on_acquired(file.descriptor)
