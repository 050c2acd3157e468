"""Reader-writer locks for processes, from a daemon that releases the locks of a process that dies.

    from prwlock import RWLock

    lock = RWLock()                         # shared by fork or pickle; RWLock("jobs") is shared by its name
    with lock.reader_lock(timeout=5):
        ...

See the package's README, and `RWLock`, `Client` and `Grant`. `Client` says for all calls what happens at a timeout, at
an interrupt and when the daemon goes away, and which calls can wait for ever.
"""

from __future__ import annotations

from . import _rwlock
from ._errors import (
    AccessRefused,
    AcquireTimeout,
    Cancelled,
    Closed,
    ClusterUnavailable,
    DaemonTimeout,
    DaemonUnavailable,
    Deadlock,
    Denied,
    DurationTooLong,
    HeldBy,
    Hop,
    LimitExceeded,
    LockError,
    LockLost,
    NestedUse,
    NotHeld,
    ProtocolError,
    WouldBlock,
)
from ._rwlock import GenericLockContextManager, RWLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

    from ._client import Client
    from ._grant import Grant
    from ._status import Change, Holder, LockStatus, LockSummary, Missed, SessionStatus, Waiter
    from ._watch import Watch
    from ._wire import Seconds, Text

    #: The version of this release.
    __version__: str

__all__ = [
    "AccessRefused",
    "AcquireTimeout",
    "Cancelled",
    "Change",
    "Client",
    "Closed",
    "ClusterUnavailable",
    "DaemonTimeout",
    "DaemonUnavailable",
    "Deadlock",
    "Denied",
    "DurationTooLong",
    "GenericLockContextManager",
    "Grant",
    "HeldBy",
    "Holder",
    "Hop",
    "LimitExceeded",
    "LockError",
    "LockLost",
    "LockStatus",
    "LockSummary",
    "Missed",
    "NestedUse",
    "NotHeld",
    "ProtocolError",
    "RWLock",
    "SessionStatus",
    "Waiter",
    "Watch",
    "WouldBlock",
    "get_pthread_process_shared",
    "set_pthread_process_shared",
]

#: Names that are loaded at their first use: `import prwlock` must be quick for a program that only makes a lock.
_ELSEWHERE = {
    "Change": "_status",
    "Client": "_client",
    "Grant": "_grant",
    "Holder": "_status",
    "LockStatus": "_status",
    "LockSummary": "_status",
    "Missed": "_status",
    "SessionStatus": "_status",
    "Waiter": "_status",
    "Watch": "_watch",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from ._release import version

        globals()[name] = version()
        return globals()[name]
    module = _ELSEWHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *_ELSEWHERE})


def status(name: Text) -> LockStatus:
    """Returns the holders and waiters of the lock of that name, within ten seconds; see `Client.status`."""
    return _default_client().status(name)


def list(prefix: Text = "") -> List[LockSummary]:
    """Returns all locks with names that begin with a prefix, in the order of names; see `Client.list`.

    The daemon has ten seconds for each thousand locks.
    """
    return _default_client().list(prefix)


def watch(prefix: Text = "") -> Watch:
    """Iterates over the changes of all locks with names that begin with a prefix, from now on; see `Client.watch`.

    The iteration can wait for ever, and raises ``DaemonUnavailable`` when the daemon goes away.
    """
    return _default_client().watch(prefix)


def _default_client() -> Client:
    from ._client import Client
    from ._location import find

    return Client._at(find())


def reader_lock(lock: RWLock, timeout: Optional[Seconds] = None) -> GenericLockContextManager:
    """As `RWLock.reader_lock`: without a timeout, the block's beginning can wait for ever."""
    return lock.reader_lock(timeout)


def writer_lock(lock: RWLock, timeout: Optional[Seconds] = None) -> GenericLockContextManager:
    """As `RWLock.writer_lock`: without a timeout, the block's beginning can wait for ever."""
    return lock.writer_lock(timeout)


def set_pthread_process_shared(n_process: int) -> None:
    """Deprecated: all locks are shared by processes. A value other than 0 and 1 makes the next `RWLock()` fail."""
    _deprecated("set_pthread_process_shared")
    _rwlock.process_shared = n_process


def get_pthread_process_shared() -> int:
    """Deprecated: the value that was set; it has no meaning."""
    _deprecated("get_pthread_process_shared")
    return _rwlock.process_shared


def _deprecated(name: str) -> None:
    from warnings import warn

    warn(f"prwlock.{name} has no meaning any more", DeprecationWarning, stacklevel=3)
