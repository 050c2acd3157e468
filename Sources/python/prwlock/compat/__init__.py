"""Locks of this daemon with the interfaces of other packages.

| here | interface of |
|---|---|
| `Lock`, `RLock` | `threading.Lock`, `threading.RLock` |
| `MultiprocessingLock`, `MultiprocessingRLock` | `multiprocessing.Lock`, `multiprocessing.RLock` |
| `compat.fasteners` | fasteners: `InterProcessLock`, `InterProcessReaderWriterLock` and the decorators |
| `compat.filelock` | filelock: `FileLock`, `SoftFileLock`, `ReadWriteLock`, `AsyncFileLock` and the like, `Timeout` |

A second `acquire` of a plain lock by the same thread waits, as the original's does, because another thread (or process)
may release the lock. `threading.Condition` and `multiprocessing.Condition` accept these locks.

Where the original locks a file, the path is only a name here. The file is created for programs that expect it, and has
no meaning.
"""

from __future__ import annotations

from ._mutex import Lock, MultiprocessingLock, MultiprocessingRLock, RLock
from .fasteners import InterProcessLock, InterProcessReaderWriterLock
from .filelock import FileLock, ReadWriteLock, SoftFileLock, Timeout

__all__ = [
    "FileLock",
    "InterProcessLock",
    "InterProcessReaderWriterLock",
    "Lock",
    "MultiprocessingLock",
    "MultiprocessingRLock",
    "RLock",
    "ReadWriteLock",
    "SoftFileLock",
    "Timeout",
]
