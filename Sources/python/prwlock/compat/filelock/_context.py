"""The settings and the hold of a lock: one for all threads, or a separate one for each thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from os import getpid
from typing import Optional
from weakref import WeakValueDictionary

from ..._forking import remember
from ..._granted import Granted
from ._errors import Timeout
from ._file import LockFile
from ._options import AcquireWait

#: The newest hold of each lock that one thread (or task) has acquired, by the lock's name.
Holds = WeakValueDictionary[str, "Hold"]


class Hold:
    """A grant, how often it was acquired, and the file that goes with it."""

    def __init__(self) -> None:
        self.grant: Optional[Granted] = None
        self.count = 0
        self.file: Optional[LockFile] = None
        self._pid = 0
        self._holds: Optional[Holds] = None

    @property
    def is_real(self) -> bool:
        """Whether this process holds the lock, and knows of no loss."""
        return self.grant is not None and self.grant.is_held

    @property
    def is_own(self) -> bool:
        """Whether this process acquired it and did not release it; the grant may be lost."""
        return self.grant is not None and self._pid == getpid()

    def begin(self, grant: Granted, name: str, holds: Holds) -> None:
        """Begins with one acquisition, by the thread or task with these holds."""
        self.grant, self.count, self.file, self._pid, self._holds = grant, 1, None, getpid(), holds
        holds[name] = self

    def is_held_in(self, holds: Holds) -> bool:
        """Returns whether the thread or task with these holds acquired it, and it is held."""
        return self._holds is holds and self.is_real

    def end(self) -> tuple[Optional[Granted], Optional[LockFile]]:
        """Forgets the grant and the file, and returns them."""
        grant, file = self.grant, self.file
        self.grant, self.file, self.count = None, None, 0
        return grant, file


class Context:
    """The settings of a lock, and its hold."""

    def __init__(
        self, timeout: float, mode: int, blocking: bool, poll_interval: float, lifetime: Optional[float]
    ) -> None:
        self.timeout = timeout
        self.mode = mode
        self.blocking = blocking
        self.poll_interval = poll_interval
        self.lifetime = lifetime
        self.hold = Hold()


class ThreadContext(Context, threading.local):
    """The same for each thread. A thread begins with the settings of the constructor, and without a hold."""


class _Own(threading.local):
    def __init__(self) -> None:
        self.holds: Holds = WeakValueDictionary()


#: `own.holds` are the holds of the running thread.
own = _Own()


class Turns:
    """Lets the threads that share a lock object acquire it one after the other.

    A thread keeps its turn while it waits for the daemon. The next thread then counts the hold of the first one. A
    forked child begins with a turn that is free.
    """

    def __init__(self) -> None:
        self._turn = threading.RLock()
        remember(self)

    def after_fork(self) -> None:
        """Makes a turn that no thread of the parent has."""
        self._turn = threading.RLock()

    @contextmanager
    def take(self, wait: AcquireWait, lock_file: str) -> Iterator[None]:
        """Waits for the turn, at most as long as the call may wait.

        Raises:
            Timeout: the time has passed, or the caller has cancelled.
        """
        turn = self._turn
        while not turn.acquire(timeout=self._step(wait)):
            if wait.is_over:
                raise Timeout(lock_file)
        try:
            yield
        finally:
            turn.release()

    @staticmethod
    def _step(wait: AcquireWait) -> float:
        left = wait.left
        if wait.cancel_check is not None:
            return wait.pause
        return -1 if left is None else min(left, threading.TIMEOUT_MAX)

    @property
    def turn(self) -> threading.RLock:  # type: ignore[valid-type, unused-ignore]
        """The turn, for a ``with`` statement of a call that does not wait for the daemon."""
        return self._turn
