"""``RWLock``: the lock of the original package, and its own."""

from __future__ import annotations

import os
from os import getpid

from . import _location
from ._errors import AcquireTimeout, Deadlock, NotHeld
from ._once import once
from ._process import process_id
from ._wire import decode_name, encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Optional, Union

    from ._book import Book
    from ._client import Client
    from ._grant import Grant
    from ._slots import Cell
    from ._status import LockStatus
    from ._wire import Seconds, Text

#: The value of the last `set_pthread_process_shared`.
process_shared = 1


class RWLock:
    """A reader-writer lock for processes and threads.

    A lock without a name is a new lock. Pass it on by fork or pickle to any process of the same user on this host. A
    lock with a name is shared by all processes that use that name with the same daemon.

    An owner is a thread. A thread that holds the lock may acquire it again for reading. Any other request that would
    wait for its own thread is refused (``Deadlock``). A grant ends with `release`, when the lock object is collected,
    and when the process ends, however that happens. A forked child holds none of its parent's grants.

    A request without a timeout can wait for ever: as long as other owners hold the lock. The daemon refuses a circle of
    owners that wait for locks, but it cannot see that a thread waits for another one. If a thread that holds the lock
    waits for a thread or a child process (`join`, `Future.result`, `subprocess.run`) which requests the lock in a
    conflicting mode, both wait for ever. `Client` says what all calls do at a timeout, at an interrupt, and when the
    daemon goes away.

    Creating a lock costs nothing: no descriptor, no connection and no daemon before the first request.

    Args:
        name: Any text or bytes of at most 255 bytes when encoded; None for a new lock.
        client: The client of the lock's daemon; by default the daemon that `protocol.md` defines.

    Raises:
        TypeError: the name is neither a string nor bytes.
        ValueError: the name is empty or too long.
    """

    def __init__(self, name: Optional[Text] = None, *, client: Optional[Client] = None) -> None:
        if process_shared not in (0, 1):
            from errno import EINVAL

            raise OSError(EINVAL, f"{process_shared} is not a value of PTHREAD_PROCESS_SHARED")
        if name is None:
            # 128 random bits: no other process can guess them or choose them by chance.
            self._name = b"anonymous/" + os.urandom(16).hex().encode()
            self._location = _location.find_for_anonymous() if client is None else client._location
        else:
            self._name = encode_name(name)
            self._location = _location.find() if client is None else client._location
        self._client: Optional[Client] = client
        self._books: dict[int, Book] = {}
        self._book: Optional[Book] = None
        #: What is cached of the lock; None as long as nothing is.
        self._cell: Optional[Cell] = None

    @property
    def name(self) -> str:
        """The lock's name; random for a lock that was made without one."""
        return decode_name(self._name)

    @property
    def client(self) -> Client:
        """The client of the lock's daemon."""
        if self._client is None:
            from ._client import Client

            # Several threads at the same time set the same client.
            self._client = Client._at(self._location)
        return self._client

    @property
    def _own_book(self) -> Book:
        book = self._book
        if book is None:
            from ._book import Book

            # One thread may release what another acquired, so all threads must have the same book.
            book = self._book = once(self._books, 0, Book.make)
        return book.own()

    def __repr__(self) -> str:
        return f"<prwlock.RWLock {self.name!r} at {self._location.path}>"

    # The surface of the original

    @property
    def nlocks(self) -> int:
        """How many grants this process has through `acquire_read` and the like, in all threads."""
        return 0 if self._book is None else len(self._own_book.grants)

    @property
    def pid(self) -> int:
        """The id of this process."""
        return getpid()

    @property
    def _fd(self) -> int:
        """A descriptor without a use, for programs that inspect or close the original's descriptor."""
        return self._own_book.descriptor()

    def acquire_read(self, timeout: Optional[Seconds] = None) -> bool:
        """Waits for a read lock for `timeout` seconds, for ever if None. Returns whether the lock was granted.

        With a timeout, a circle of waiting is no error: the result is False at once. If this raises, also out of a
        signal handler, there is neither a grant nor a request.

        Raises:
            Deadlock: there is no timeout, and waiting would close a circle; an ``OSError`` and a ``ValueError``.
            ValueError: the timeout is negative or not a number (NaN). An infinite or very long one waits for ever.
            DaemonTimeout: no daemon answered within the timeout and a second.
            DaemonUnavailable: no daemon runs and none could be started, or the daemon went away during the wait.
            LockError: another reason that the class names.
        """
        cell = self._cell  # Before the book, without which no thread sets it.
        book = self._book
        before = list(book.grants) if book is not None and book.grants else ()
        try:
            if cell is not None and timeout is None and cell.enter_read(book.grants):  # type: ignore[union-attr]
                return True
            return self._request(b"READ", timeout)
        except BaseException:
            self._give_back(before)
            raise

    def acquire_write(self, timeout: Optional[Seconds] = None) -> bool:
        """Waits for the write lock; as `acquire_read`."""
        cell = self._cell  # Before the book, without which no thread sets it.
        book = self._book
        before = list(book.grants) if book is not None and book.grants else ()
        try:
            if cell is not None and timeout is None and cell.enter_write(book.grants):  # type: ignore[union-attr]
                return True
            return self._request(b"WRITE", timeout)
        except BaseException:
            self._give_back(before)
            raise

    def try_acquire_read(self) -> bool:
        """Acquires a read lock if that needs no wait; returns whether it was granted.

        It ends within a second, or within two if the daemon has just started after an unclean end. The errors are those
        of `acquire_read`.
        """
        return self._acquire(b"READ", 0)

    def try_acquire_write(self) -> bool:
        """Acquires the write lock if that needs no wait; as `try_acquire_read`."""
        return self._acquire(b"WRITE", 0)

    def _acquire(self, verb: bytes, timeout: Optional[Seconds], alone: bytes = b"") -> bool:
        before: Sequence[Grant] = () if self._book is None else list(self._book.grants)
        try:
            return self._request(verb, timeout, alone)
        except BaseException:
            self._give_back(before)
            raise

    def _give_back(self, before: Sequence[Grant]) -> None:
        """Gives back what this thread has acquired besides these grants, after an exception.

        Python runs signal handlers after each call of C. So one may raise when the call that acquires has succeeded.
        """
        if self._book is not None:
            self._book.give_back(before)

    def _request(self, verb: bytes, timeout: Optional[Seconds], alone: bytes = b"") -> bool:
        """Acquires the lock; the caller gives it back after an exception."""
        deadline = None
        if timeout is not None:
            from ._deadline import Deadline

            deadline = Deadline.of(timeout)
        client = self._client or self.client
        book = self._book
        if book is None or book.pid != process_id():
            book = self._own_book
        cell = None if alone else self._cell
        if cell is not None and (cell.enter_write if verb == b"WRITE" else cell.enter_read)(book.grants):
            return True
        try:
            client._acquire(verb, self._name, b"", deadline, book.grants, alone, not alone)
        except (AcquireTimeout, Deadlock):
            if deadline is None:
                raise
            return False
        # The client has another cell after a reconnection or a fork, and if it has had very many locks.
        if client._caches and not alone:
            self._cell = client._cell(self._name)
        return True

    def release(self) -> None:
        """Releases the last grant of this thread; if it has none, the last one of another thread through this object.

        It ends within ten seconds, and releases the grant also if it is interrupted; see `Grant.release`.

        Raises:
            ValueError: this process has no grant through this object.
            LockLost: the grant has ended before, with the daemon or by a revocation.
            DaemonTimeout: the daemon did not answer. It releases the grant when it continues.
        """
        book = self._book
        if book is None:
            raise NotHeld("it is not held")
        if self._cell is not None and self._cell.leave(book.grants):
            return
        if book.pid != process_id():
            book = self._own_book
        book.take()._release()

    def reader_lock(self, timeout: Optional[Seconds] = None) -> GenericLockContextManager:
        """Returns a context manager that holds a read lock; it raises ``ValueError`` after the timeout.

        The block begins as `acquire_read` and ends as `release`: without a timeout its beginning can wait for ever, and
        its end raises ``LockLost`` if the grant was lost.
        """
        return GenericLockContextManager(self, "read", timeout)

    def writer_lock(self, timeout: Optional[Seconds] = None) -> GenericLockContextManager:
        """Returns a context manager that holds the write lock; as `reader_lock`."""
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
        """Waits for a read lock, and returns a grant for a ``with`` statement; see `Client.acquire`.

        It can wait for ever without a timeout. `Client.acquire` has the errors; after an error or an interrupt there is
        neither a grant nor a request.
        """
        return self.client.acquire(self.name, "read", timeout, lease=lease, note=note, on_lost=on_lost)

    def update(
        self,
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[Callable[[Grant], Any]] = None,
    ) -> Grant:
        """Waits for the update lock, which coexists with readers and can become the write lock; see `Grant.upgrade`.

        Otherwise as `read`.
        """
        return self.client.acquire(self.name, "update", timeout, lease=lease, note=note, on_lost=on_lost)

    def write(
        self,
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[Callable[[Grant], Any]] = None,
    ) -> Grant:
        """Waits for the write lock, and returns a grant for a ``with`` statement; as `read`."""
        return self.client.acquire(self.name, "write", timeout, lease=lease, note=note, on_lost=on_lost)

    def status(self) -> LockStatus:
        """Returns the holders and waiters of the lock, within ten seconds; see `Client.status`."""
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
        self._cell = None
        # In the process that pickled it, the copy shares the grants. In any other process it begins without grants.
        self._book = Book.find(state["book"]) if state["pid"] == getpid() else None
        self._books = {} if self._book is None else {0: self._book}


class GenericLockContextManager:
    """Holds a lock for a ``with`` statement; made by `RWLock.reader_lock` and `RWLock.writer_lock`, which say how."""

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
            book = self.lock._book
            before: Optional[Sequence[Grant]] = None
            try:
                if book is not None:
                    before = list(book.grants)
                self.lock.release()
            except BaseException:
                # A signal handler may have raised before the release has begun.
                if book is not None:
                    book.give_back_last(before)
                raise
