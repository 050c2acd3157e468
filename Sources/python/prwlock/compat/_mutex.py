"""Locks for one holder at a time, with the interfaces of the standard library's locks.

A lock is the book of its `RWLock`, with at most one grant that is held. Each thread has one of these states:

    [ FREE ] ── `acquire`, at once or after a wait ──▶ [ HELD ] ◀── `acquire`, which drops the lost grant ──┐
       ▲                                                 │   │ the session ends, or the grant is revoked     │
       ├── `release` ────────────────────────────────────┘   ▼                                               │
       └── `release`: LockLost ────────────────────────── [ LOST ] ──────────────────────────────────────────┘

While one thread is in LOST, another one may be in HELD. A release ends the thread's own grant first, so a thread that
has lost the lock does not release it for the next holder.

A condition has counted its waiter when it releases the lock, and would never forget that waiter after an error. So this
release raises no loss: the thread waits, acquires the lock again, and its next `release` raises the loss.

`Lock` and `MultiprocessingLock` belong to no thread: any thread may release them, so a second `acquire` by the same
thread waits for that. The daemon would refuse this wait as a deadlock if both requests had the same owner, so each
request has an owner of its own.

`RLock` and `MultiprocessingRLock` belong to the thread that holds them. HELD counts: `acquire` by that thread adds one,
`release` subtracts one, and the last `release` frees the lock. The thread is the owner of the request, so a circle of
threads that wait for each other is refused.

A forked child begins with FREE, and holds nothing of what its parent holds.
"""

from __future__ import annotations

import re
from contextlib import suppress
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, ClassVar, Optional

from .._deadline import Deadline
from .._errors import AcquireTimeout, DaemonTimeout, Deadlock, DurationTooLong, LockError, LockLost, NotHeld
from .._log import log
from .._owner import threads
from .._rwlock import RWLock

if TYPE_CHECKING:
    from .._grant import Grant
    from .._owner import Thread
    from .._wire import Text

#: The first word of the owners of plain locks' requests. No other owner begins with it.
_PLAIN = b"plain"
_PLAIN_OWNER = re.compile(r"plain\.t[0-9]+\.[0-9]+")


class _Mutex:
    """A lock that is always acquired for writing."""

    #: The class and the text of the original's error for the release of a lock that is not held.
    _error: ClassVar[tuple[type[Exception], str]]
    #: The first word of the owner that each request has for itself; empty if its owner is the thread.
    _alone: ClassVar[bytes]

    def __init__(self, name: Optional[Text] = None) -> None:
        self._begin(RWLock(name))

    def _begin(self, lock: RWLock) -> None:
        self._lock = lock
        #: The threads that are about to wait on a condition: their next release begins that wait.
        self._leaving: set[Thread] = set()
        #: What a condition's release did not raise, for the next release of the same thread.
        self._owed: dict[Thread, LockLost] = {}

    @property
    def name(self) -> str:
        """The lock's name; random for a lock that was made without one."""
        return self._lock.name

    def locked(self) -> bool:
        """Returns whether any process holds it, within ten seconds; the errors are those of `prwlock.Client.ping`."""
        return bool(self._lock.status().holders)

    @property
    def _grants(self) -> dict[Grant, int]:
        """The grants of this process, each with how often its thread has acquired it."""
        return self._lock._own_book.grants

    def _own_grant(self) -> Optional[Grant]:
        """Returns the last grant of this thread; None if it has none."""
        thread = threads.own
        return next((grant for grant in reversed(list(self._grants)) if grant._thread is thread), None)

    def _acquire(self, timeout: Optional[float]) -> bool:
        try:
            is_acquired = self._lock._acquire(b"WRITE", timeout, self._alone)
        except DaemonTimeout as error:
            # These interfaces can only report a timeout, so log the reason.
            if Deadline.of(timeout) is None:
                raise
            log("WARNING", str(error))
            return False
        try:
            if is_acquired:
                self._drop_lost()
        except BaseException:
            with suppress(LockError):
                self._lock.release()
            raise
        return is_acquired

    def _drop_lost(self) -> None:
        """Drops what this thread lost before it acquired its last grant."""
        grants, last, thread = self._grants, self._own_grant(), threads.own
        for grant in list(grants) if len(grants) > 1 else ():
            if grant._thread is thread and grant is not last and not grant.is_held:
                grants.pop(grant, None)
                grant._connection.ended.pop(grant._words[4], None)
                grant._disown()

    def release(self) -> None:
        raise NotImplementedError

    def _release(self) -> None:
        thread = threads.own
        owed = self._owed.pop(thread, None)
        is_leaving = thread in self._leaving
        self._leaving.discard(thread)
        try:
            self._lock.release()
        except NotHeld:
            raise (owed or self._not_held()) from None
        except LockLost as error:
            if not is_leaving:
                raise
            owed = error
        except DaemonTimeout as error:
            # The daemon releases it when it continues.
            if not is_leaving:
                raise
            log("WARNING", str(error))
        if owed is not None:
            if not is_leaving:
                raise owed
            self._owed[thread] = owed

    def _check_lost(self) -> None:
        """Raises ``LockLost`` if this thread has lost the lock, before a condition counts the thread as a waiter."""
        own = self._own_grant()
        if own is not None and not own.is_held:
            raise own._loss(own._lost)

    def _not_held(self) -> Exception:
        kind, text = self._error
        return kind(text)

    def __enter__(self) -> bool:
        return self._acquire(None)

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<prwlock.compat.{type(self).__name__} {self.name!r}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"lock": self._lock}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._begin(state["lock"])


class _Plain(_Mutex):
    """A lock that any thread may release."""

    _alone = _PLAIN

    def release(self) -> None:
        """Releases the lock, whichever thread of this process has acquired it.

        It ends within ten seconds, and releases the lock also if it is interrupted.

        Raises:
            RuntimeError: this process does not hold it.
            LockLost: the grant has ended before, with the daemon or by a revocation.
            DaemonTimeout: the daemon did not answer. It releases the lock when it continues.
        """
        self._release()

    def _is_owned(self) -> bool:
        """Returns whether this process holds it, for `threading.Condition`.

        Without this method, the condition tries to acquire the lock, and so would disturb other processes.

        Raises:
            LockLost: this thread has lost it.
        """
        self._check_lost()
        return any(grant.is_held for grant in list(self._grants))

    def _release_save(self) -> int:
        """Frees the lock for a wait on a condition."""
        self._leaving.add(threads.own)
        self._release()
        return 1

    def _acquire_restore(self, _: int) -> None:
        """Waits for the lock after a wait on a condition."""
        self._acquire(None)


class _Recursive(_Mutex):
    """A lock that the thread that holds it may acquire again."""

    _alone = b""

    def _acquire(self, timeout: Optional[float]) -> bool:
        own = self._own_grant()
        if own is not None and own.is_held:
            # Only the thread of the grant changes this count.
            self._grants[own] += 1
            return True
        return super()._acquire(timeout)

    def release(self) -> None:
        """Releases one acquisition of this thread; the last one frees the lock.

        The last one ends within ten seconds, and frees the lock also if it is interrupted.

        Raises:
            RuntimeError: this thread does not hold it (`multiprocessing.RLock`: ``AssertionError``).
            LockLost: the grant has ended before, with the daemon or by a revocation.
            DaemonTimeout: the daemon did not answer. It frees the lock when it continues.
        """
        own = self._own_grant()
        if own is None:
            raise self._not_held()
        if self._grants[own] > 1:
            self._grants[own] -= 1
        else:
            self._release()

    # What `threading.Condition` calls

    def _is_owned(self) -> bool:
        self._check_lost()
        return self._own_grant() is not None

    def _recursion_count(self) -> int:
        own = self._own_grant()
        return self._grants[own] if own is not None and own.is_held else 0

    def _release_save(self) -> int:
        """Frees the lock, and returns how often its thread has acquired it."""
        own = self._own_grant()
        if own is None:
            raise self._not_held()
        count = self._grants[own]
        self._leaving.add(threads.own)
        self._release()
        return count

    def _acquire_restore(self, count: int) -> None:
        """Waits for the lock, and acquires it that many times."""
        self._acquire(None)
        own = self._own_grant()
        if own is not None:
            self._grants[own] = count


class _AsThreading(_Mutex):
    """Has the `acquire` of `threading`."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Waits for the lock, and returns whether it was acquired.

        A timeout of -1 waits for ever, as do an infinite one and one that is longer than a daemon accepts
        (`threading.TIMEOUT_MAX`, for example). At the timeout the result is False, also if no daemon has answered,
        which is logged. An interrupted call (``KeyboardInterrupt``) leaves neither a grant nor a request.

        A wait for ever ends only when the holder releases. So it has no end if this thread waits for its own plain lock
        and no other thread releases that, or if the holder waits for this thread (`join`).

        Raises:
            DaemonUnavailable: the daemon went away, or there is none.
            Deadlock: the lock is an `RLock`, there is no timeout, and waiting would close a circle of threads.
            ValueError: the timeout is negative but not -1, or NaN, or `blocking` is false and there is a timeout.
            OverflowError: the timeout is finite, and longer than `threading.TIMEOUT_MAX`.
        """
        if not blocking:
            if timeout != -1:
                raise ValueError("can't specify a timeout for a non-blocking call")
            return self._acquire(0)
        if timeout in (-1, float("inf")):
            return self._acquire(None)
        if abs(timeout) > TIMEOUT_MAX:
            raise DurationTooLong("timeout value is too large")
        if timeout < 0:
            raise ValueError("timeout value must be a non-negative number")
        return self._acquire(timeout)


class _AsMultiprocessing(_Mutex):
    """Has the `acquire` of `multiprocessing`, and the methods that `multiprocessing.Condition` calls."""

    def acquire(self, block: bool = True, timeout: Optional[float] = None) -> bool:
        """Waits for the lock, and returns whether it was acquired.

        None waits for ever, as do an infinite timeout and one that is longer than a daemon accepts. A negative one
        means 0. At the timeout the result is False, also if no daemon has answered, which is logged. An interrupted
        call (``KeyboardInterrupt``) leaves neither a grant nor a request.

        A wait for ever ends only when the holder releases. So it has no end if this thread waits for its own plain lock
        and no other thread or process releases that, or if the holder waits for this thread or process (`join`).

        Raises:
            DaemonUnavailable: the daemon went away, or there is none.
            Deadlock: the lock is recursive, there is no timeout, and waiting would close a circle of threads.
            ValueError: the timeout is NaN.
        """
        if not block:
            return self._acquire(0)
        return self._acquire(0 if timeout is not None and timeout < 0 else timeout)

    @property
    def _semlock(self) -> _AsMultiprocessing:
        return self

    def _is_mine(self) -> bool:
        self._check_lost()
        return self._own_grant() is not None

    def _count(self) -> int:
        """Returns how often this process has acquired what it holds; the condition releases it so often next."""
        self._leaving.add(threads.own)
        return sum(count for grant, count in list(self._grants.items()) if grant.is_held)


class Lock(_AsThreading, _Plain):
    """`threading.Lock`, for all processes that share it or use its name.

    Any thread of the process that holds it may release it. A thread that acquires it again waits for that.
    """

    _error = (RuntimeError, "release unlocked lock")


class RLock(_AsThreading, _Recursive):
    """`threading.RLock`: the thread that holds it may acquire it again."""

    _error = (RuntimeError, "cannot release un-acquired lock")


class MultiprocessingLock(_AsMultiprocessing, _Plain):
    """`multiprocessing.Lock`. It can be pickled at any time, not only while a process starts.

    Any thread of any process may release it. A thread that acquires it again waits for that.
    """

    _error = (ValueError, "semaphore or lock released too many times")

    def release(self) -> None:
        """Releases the lock, whichever thread of any process has acquired it.

        If another process holds it, this revokes that process's grant. A system's daemon allows this to root only,
        unless its rules allow it to other users.

        It never waits for the lock, and gives the daemon ten seconds for each answer. An interrupted release of what
        this process holds is carried out; the grant of another process may be revoked or not.

        Raises:
            ValueError: no process holds it.
            Denied: another process holds it, and this user may not revoke its grant.
            LockLost: the grant of this process has ended before, for example with the daemon.
            DaemonUnavailable: as `prwlock.Client.ping`.
        """
        # A thread that has lost the lock must not release it for the next holder.
        if self._grants or threads.own in self._owed:
            self._release()
            return
        client = self._lock.client
        # Only a plain lock may be released by a process that does not hold it.
        held = [holder for holder in self._lock.status().holders if _PLAIN_OWNER.fullmatch(holder.owner or "")]
        try:
            for holder in held[:1]:
                client.revoke(self.name, holder.token)
        except LockLost:
            # It was released meanwhile.
            held = []
        if not held:
            raise self._not_held()
        # A revocation marks the lock as left by a writer that died. A release removes the mark.
        try:
            client.acquire(self.name, "write", 0).release()
        except (AcquireTimeout, Deadlock):
            pass


class MultiprocessingRLock(_AsMultiprocessing, _Recursive):
    """`multiprocessing.RLock`: the thread that holds it may acquire it again."""

    _error = (AssertionError, "attempt to release recursive lock not owned by thread")
