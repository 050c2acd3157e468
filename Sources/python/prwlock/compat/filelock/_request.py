"""The requests of the blocking locks, by the rules of filelock."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Optional, TypeVar

from ..._deadline import Deadline
from ..._errors import AcquireTimeout, DaemonTimeout, Deadlock, DurationTooLong, LockError
from ..._grant import Grant
from ..._rwlock import RWLock
from ..._wire import milliseconds
from ._errors import Timeout
from ._options import AcquireWait

Granted = TypeVar("Granted")


def lease_option(lifetime: Optional[float]) -> bytes:
    """Returns the option of a request for a grant that ends after its lifetime; the shortest lifetime is 1 ms."""
    length = lease_seconds(lifetime)
    return b"" if length is None else b" lease=%dms" % milliseconds(length, "a lifetime")


def lease_seconds(lifetime: Optional[float]) -> Optional[float]:
    """Returns a lifetime as a lease; None if it is longer than a daemon accepts, so that it never matters."""
    if lifetime is None:
        return None
    try:
        milliseconds(lifetime, "a lifetime")
    except DurationTooLong:
        return None
    return max(lifetime, 0.001)


def finite(left: Optional[float]) -> Optional[float]:
    """Returns a time to wait as a timeout of a request; None (for ever) if it is longer than a daemon accepts."""
    if left is None:
        return None
    try:
        milliseconds(left)
    except DurationTooLong:
        return None
    return left


def request(lock: RWLock, verb: bytes, left: Optional[float], options: bytes, is_alone: bool) -> Grant:
    """Requests a grant once. With `is_alone`, the daemon never counts the grant as a part of a deadlock."""
    left = finite(left)
    grants: dict[Grant, int] = {}
    deadline = None if left is None else Deadline(left)
    lock.client._acquire(verb, lock._name, options, deadline, grants, b"file" if is_alone else b"")
    (grant,) = grants
    return grant


def take(
    wait: AcquireWait, lock_file: str, ask: Callable[[Optional[float]], Granted], *, may_end: bool = False
) -> Granted:
    """Requests a lock until it is granted or the wait is over; `ask` requests it for so many seconds.

    One request waits in the daemon's queue for the whole time. Only where the caller may cancel, or where the daemon
    refuses to wait because of a deadlock that may end before the time has passed, the request is repeated. With
    `may_end`, a deadlock may also end without a timeout, because another thread may release.

    Raises:
        Timeout: the time has passed, or the caller has cancelled.
        RuntimeError: there is no timeout, and waiting would close a circle.
    """
    is_repeated = wait.cancel_check is not None
    while True:
        length = wait.pause if is_repeated else wait.left
        cause: LockError
        try:
            return ask(length)
        except AcquireTimeout as error:
            cause = error
        except DaemonTimeout as error:
            if length is None:
                raise
            cause = error
        except Deadlock as error:
            if wait.left is None and not may_end:
                raise RuntimeError(f"Deadlock: lock '{lock_file}': {error}") from error
            cause = error
            if wait.blocking:
                sleep(wait.pause)
                is_repeated = True
        if not is_repeated or wait.is_over:
            try:
                raise Timeout(lock_file) from cause
            finally:
                # A cycle of this frame and the error would keep the caller's lock alive.
                del cause
