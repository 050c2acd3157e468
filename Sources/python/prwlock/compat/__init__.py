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

For all these locks:

- **Waiting for ever.** An acquisition without a timeout can wait for ever: as long as another holder has the lock, and
  always if the caller holds it and waits for a thread, a task or a child process which acquires it in a mode that
  conflicts.
- **Timeout.** The result is that of the original (False, or ``Timeout``). It comes within a second after the timeout
  also if no daemon answers.
- **Interrupt.** After an exception out of a signal handler (``KeyboardInterrupt``, for example), or a cancellation of
  the task, nothing is acquired. A release is carried out nevertheless.
- **The daemon goes away** (it dies, ends or is replaced). A call that waits raises ``prwlock.DaemonUnavailable``. What
  is held is lost, and its release raises ``prwlock.LockLost`` (or what `compat.fasteners` says). The next call connects
  to the next daemon, or starts one.
- **No answer.** A release or another question gives the daemon ten seconds, and raises ``prwlock.DaemonTimeout`` then.
  The daemon carries out the release when it continues.
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
