"""The exceptions of filelock."""

from __future__ import annotations

from typing import Any, Optional


class Timeout(TimeoutError):
    """The lock of `lock_file` was not acquired in time, or `cancel_check` ended the wait.

    Its cause is the error of the daemon, which names the holders.
    """

    def __init__(self, lock_file: str, holder: Optional[str] = None) -> None:
        super().__init__()
        self._lock_file = lock_file
        self._holder = holder

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._lock_file,), self.__dict__

    def __str__(self) -> str:
        text = f"The file lock '{self._lock_file}' could not be acquired."
        return text if self._holder is None else f"{text} It is held by {self._holder}, which this host cannot probe."

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._lock_file!r})"

    @property
    def lock_file(self) -> str:
        """The path that was given."""
        return self._lock_file


class SoftFileLockProtocolError(OSError):
    """The original's error for the files of a strict soft lock. It is never raised here, where files do not matter."""

    def __init__(self, lock_file: str, claim_name: Optional[str], reason: str) -> None:
        place = lock_file if claim_name is None else f"{lock_file}: claim {claim_name!r}"
        super().__init__(f"Invalid strict soft-lock state at {place}: {reason}")
        self.lock_file = lock_file
        self.claim_name = claim_name
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.lock_file, self.claim_name, self.reason), self.__dict__


class SoftFileLockLifetimeWarning(FutureWarning):
    """A soft lock has a lifetime, so two live processes may hold it at the same time."""


def deadlock(lock_file: str, holder: str) -> RuntimeError:
    """Returns the error of a wait for ever for a lock that the caller itself holds through another object."""
    return RuntimeError(
        f"Deadlock: lock '{lock_file}' is already held by a different {holder}. "
        "Use is_singleton=True to enable reentrant locking across instances."
    )
