"""Where the original package had its class; for programs, and pickles, that name it."""

from __future__ import annotations

from ._rwlock import RWLock

RWLockPosix = RWLock

__all__ = ["RWLock", "RWLockPosix"]
