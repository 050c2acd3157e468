"""Locks of this daemon in the shape of others, for programs that are written for those.

| here | in the shape of |
|---|---|
| `Lock`, `RLock` | `threading.Lock`, `threading.RLock` |
| `MultiprocessingLock`, `MultiprocessingRLock` | `multiprocessing.Lock`, `multiprocessing.RLock` |
| `compat.fasteners` | fasteners: `InterProcessLock`, `InterProcessReaderWriterLock` and the decorators |
| `compat.filelock` | filelock: `FileLock`, `SoftFileLock`, `ReadWriteLock`, `Timeout` |

Where those take a path, the path is only a name: a file is made, for who looks for it, and means nothing.
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
