"""The interface of filelock's locks: a program only changes its import.

    from prwlock.compat.filelock import FileLock, ReadWriteLock, Timeout

| filelock | here |
|---|---|
| polls every `poll_interval` | the daemon reports when the lock is free; only `cancel_check` is polled |
| the file of that path is locked (for `ReadWriteLock`, a database) | the path is only a name; the file is created for programs that look at it, and may be missing |
| `SoftFileLock` remains when its process dies | it ends with the process |
| `SoftFileLock(lifetime=…)`: a waiter takes a lock whose file is older than its own lifetime | the hold ends after the lifetime of the holder |
| the process that tries at the right moment is first | requests are granted in their order; of readers and writers, a writer before later readers |
| a lock object that a forked child has inherited cannot be used | the child may use it; it holds nothing of its parent |
| a hold never ends by itself | it ends with the daemon, and the release then raises ``prwlock.LockLost`` |

Every option is checked, and an unknown one is a ``TypeError``. `BaseFileLock` says what each option does. Not here are
the functions for descriptors (`lock_descriptor`), `SoftFileLease`, `SoftReadWriteLock` and the types of their records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import SoftFileLockLifetimeWarning, SoftFileLockProtocolError, Timeout
from ._lock import AcquireReturnProxy, BaseFileLock, UnixFileLock
from ._options import AcquireWait, CloseErrorPolicy, ContextErrorPolicy, LockOptions
from ._read_write import ReadWriteLock
from ._soft import SoftFileLock, StrictSoftFileLock

if TYPE_CHECKING:
    from ._async import (
        AsyncAcquireReturnProxy,
        AsyncSoftFileLock,
        AsyncStrictSoftFileLock,
        AsyncUnixFileLock,
        BaseAsyncFileLock,
    )
    from ._async import AsyncUnixFileLock as AsyncFileLock
    from ._async_read_write import AsyncAcquireReadWriteReturnProxy, AsyncReadWriteLock

FileLock = UnixFileLock
#: The original's constant: whether `FileLock` is a native lock.
has_fcntl = True

__all__ = [
    "AcquireReturnProxy",
    "AcquireWait",
    "AsyncAcquireReadWriteReturnProxy",
    "AsyncAcquireReturnProxy",
    "AsyncFileLock",
    "AsyncReadWriteLock",
    "AsyncSoftFileLock",
    "AsyncStrictSoftFileLock",
    "AsyncUnixFileLock",
    "BaseAsyncFileLock",
    "BaseFileLock",
    "CloseErrorPolicy",
    "ContextErrorPolicy",
    "FileLock",
    "LockOptions",
    "ReadWriteLock",
    "SoftFileLock",
    "SoftFileLockLifetimeWarning",
    "SoftFileLockProtocolError",
    "StrictSoftFileLock",
    "Timeout",
    "UnixFileLock",
    "has_fcntl",
]


def __getattr__(name: str) -> Any:
    """Loads the locks for tasks at their first use: they load asyncio."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _async, _async_read_write

    here = "AsyncUnixFileLock" if name == "AsyncFileLock" else name
    found = globals()[name] = getattr(_async_read_write if "ReadWrite" in name else _async, here)
    return found
