"""``RWLock``: the lock of the original package, and its own."""

from __future__ import annotations

import os
from os import getpid

from . import _location
from ._errors import AcquireTimeout, Deadlock, NotHeld
from ._once import once
from ._wire import decode_name, encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Optional, Union

    from ._book import Book
    from ._client import Client
    from ._grant import Grant
    from ._status import LockStatus
    from ._wire import Seconds, Text

#: What `set_pthread_process_shared` was given.
process_shared = 1


class RWLock:
    """A reader-writer lock for processes and threads.

    Without a name it is a lock of its own, for whoever is handed it: by fork, or pickled, to any process of the same
    user on this host. With a name it is the lock of everybody who says that name to the same daemon.

    An owner is a thread. A thread may read again what it holds; whatever else could only wait for itself is refused
    (``Deadlock``). What is held is given back by `release`, when the lock object is collected, and when the process
    ends, however it ends. A forked child holds nothing of what its parent holds.

    Making one costs nothing: no descriptor, no connection, no daemon until the lock is first asked for.

    Args:
        name: Any text or bytes of at most 255 bytes as it is encoded; none for a lock of its own.
        client: Whose daemon it is at; by default the one that `protocol.md` says.

    Raises:
        TypeError: the name is neither a string nor bytes.
        ValueError: the name is empty or too long.
    """

    def __init__(self, name: Optional[Text] = None, *, client: Optional[Client] = None) -> None:
        if process_shared not in (0, 1):
            from errno import EINVAL

            raise OSError(EINVAL, f"{process_shared} is not a value of PTHREAD_PROCESS_SHARED")
        if name is None:
            # 128 bits that nobody can guess or meet by chance.
            self._name = b"anonymous/" + os.urandom(16).hex().encode()
            self._location = _location.find_for_anonymous() if client is None else client._location
        else:
            self._name = encode_name(name)
            self._location = _location.find() if client is None else client._location
        self._client: Optional[Client] = client
        self._books: dict[int, Book] = {}
        self._book: Optional[Book] = None

    @property
    def name(self) -> str:
        """The lock's name; a random one for a lock without."""
        return decode_name(self._name)

    @property
    def client(self) -> Client:
        """Whose daemon it is at."""
        if self._client is None:
            from ._client import Client

            # Threads that come together set the same one.
            self._client = Client._at(self._location)
        return self._client

    @property
    def _own_book(self) -> Book:
        book = self._book
        if book is None:
            from ._book import Book

            # What one thread acquires others may release: all that are first together have the same book.
            book = self._book = once(self._books, 0, Book.make)
        return book.own()

    def __repr__(self) -> str:
        return f"<prwlock.RWLock {self.name!r} at {self._location.path}>"

    # As the original has it

    @property
    def nlocks(self) -> int:
        """How often this process holds it by `acquire_read`, `acquire_write` and the like, in all threads."""
        return 0 if self._book is None else len(self._own_book.grants)

    @property
    def pid(self) -> int:
        """The process that this object is in."""
        return getpid()

    @property
    def _fd(self) -> int:
        """A descriptor of this lock's own, used for nothing; for programs that look at it or close it."""
        return self._own_book.descriptor()

    def acquire_read(self, timeout: Optional[Seconds] = None) -> bool:
        """Waits for a read lock for `timeout` seconds, for ever if None. Returns whether it has it.

        Raises:
            Deadlock: without a timeout, where to wait would close a circle; an ``OSError`` and a ``ValueError``.
            ValueError: the timeout is negative or not a number, infinite or too long.
            DaemonTimeout: no daemon answered within the timeout and a second.
            LockError: the daemon could not be reached, or something else that its class says.
        """
        return self._acquire(b"READ", timeout)

    def acquire_write(self, timeout: Optional[Seconds] = None) -> bool:
        """Waits for the write lock; as `acquire_read`."""
        return self._acquire(b"WRITE", timeout)

    def try_acquire_read(self) -> bool:
        """Takes a read lock if it can be had at once; whether it has it."""
        return self._acquire(b"READ", 0)

    def try_acquire_write(self) -> bool:
        """Takes the write lock if it can be had at once; whether it has it."""
        return self._acquire(b"WRITE", 0)

    def _acquire(self, verb: bytes, timeout: Optional[Seconds]) -> bool:
        deadline = None
        if timeout is not None:
            from ._deadline import Deadline

            deadline = Deadline(timeout)
        client = self._client or self.client
        book = self._book
        if book is None or book.pid != getpid():
            book = self._own_book
        try:
            client._acquire(verb, self._name, b"", deadline, book.grants)
        except (AcquireTimeout, Deadlock):
            if timeout is None:
                raise
            return False
        return True

    def release(self) -> None:
        """Gives back what was acquired last by this thread; if nothing was, by another thread through this object.

        Raises:
            ValueError: this process holds nothing through this object.
            LockLost: it had ended before: by its daemon's end, or revoked.
        """
        book = self._book
        if book is None:
            raise NotHeld("it is not held")
        if book.pid != getpid():
            book = self._own_book
        book.take()._release()

    def reader_lock(self, timeout: Optional[Seconds] = None) -> GenericLockContextManager:
        """A context manager that holds a read lock; it raises ``ValueError`` when the time is up."""
        return GenericLockContextManager(self, "read", timeout)

    def writer_lock(self, timeout: Optional[Seconds] = None) -> GenericLockContextManager:
        """A context manager that holds the write lock; it raises ``ValueError`` when the time is up."""
        return GenericLockContextManager(self, "write", timeout)

    # Grants

    def read(
        self,
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[Callable[[Grant], Any]] = None,
    ) -> Grant:
        """Waits for a read lock, and returns it as a grant, for a ``with`` statement; see `Client.acquire`."""
        return self.client.acquire(self.name, "read", timeout, lease=lease, note=note, on_lost=on_lost)

    def update(
        self,
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[Callable[[Grant], Any]] = None,
    ) -> Grant:
        """Waits for the update lock, beside readers, which may later become the write lock; see `Grant.upgrade`."""
        return self.client.acquire(self.name, "update", timeout, lease=lease, note=note, on_lost=on_lost)

    def write(
        self,
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[Callable[[Grant], Any]] = None,
    ) -> Grant:
        """Waits for the write lock, and returns it as a grant, for a ``with`` statement; see `Client.acquire`."""
        return self.client.acquire(self.name, "write", timeout, lease=lease, note=note, on_lost=on_lost)

    def status(self) -> LockStatus:
        """Who holds it and who waits for it."""
        return self.client.status(self.name)

    # Pickling

    def __getstate__(self) -> dict[str, Union[str, int]]:
        from ._book import host_identity

        return {
            "name": self.name,
            "socket": self._location.path,
            "origin": self._location.origin,
            "host": host_identity(),
            "pid": getpid(),
            "book": self._own_book.key,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        from ._book import Book, check_state

        check_state(state)
        self._name = encode_name(state["name"])
        self._location = _location.Location(state["socket"], state["origin"])
        self._client = None
        # In its own process it is the same lock once more; in any other it begins with nothing held.
        self._book = Book.find(state["book"]) if state["pid"] == getpid() else None
        self._books = {} if self._book is None else {0: self._book}


class GenericLockContextManager:
    """Holds a lock for a ``with`` statement; made by `RWLock.reader_lock` and `RWLock.writer_lock`."""

    def __init__(self, lock: RWLock, method: str, timeout: Optional[Seconds] = None) -> None:
        if method not in ("read", "write"):
            raise ValueError(f"a lock is held for 'read' or 'write', not {method!r}")
        self.lock = lock
        self.method = method
        self.timeout = timeout
        self.locked = False

    def __enter__(self) -> None:
        acquire = self.lock.acquire_read if self.method == "read" else self.lock.acquire_write
        self.locked = acquire(timeout=self.timeout)
        if not self.locked:
            raise ValueError("the lock could not be acquired in time")

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if self.locked:
            self.locked = False
            self.lock.release()
