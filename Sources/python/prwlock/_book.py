"""What a process holds through one lock object and its copies; made when the lock is first used or pickled."""

from __future__ import annotations

import os
from itertools import count
from weakref import WeakValueDictionary

from . import _forking
from ._errors import NotHeld
from ._request import threads
from ._stream import getpid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ._grant import Grant

_books: WeakValueDictionary[int, Book] = WeakValueDictionary()
_keys = count(1)


class Book:
    """The grants of one lock object in this process.

    A copy that was pickled and unpickled in the same process has the same book: it is the same lock once more, and what
    was acquired through one can be released through the other. With the last of them all is given back.
    """

    def __init__(self) -> None:
        #: Tells it from all others of this process.
        self.key = next(_keys)
        self.grants: list[Grant] = []
        self.pid = getpid()
        self._descriptor: Optional[int] = None
        self._inode: Optional[os.stat_result] = None

    @classmethod
    def make(cls) -> Book:
        book = cls()
        _books[book.key] = book
        _forking.remember(book)
        return book

    @staticmethod
    def find(key: int) -> Optional[Book]:
        """The one with that key, if somebody still has it."""
        return _books.get(key)

    def own(self) -> Book:
        """This book, empty if it comes from a parent process."""
        if self.pid != getpid():
            self.after_fork()
        return self

    def after_fork(self) -> None:
        """Holds nothing of what the parent holds."""
        self.grants = []
        self.pid = getpid()

    def take(self) -> Grant:
        """Takes out what this thread acquired last, or else another."""
        thread = threads.own
        grants = self.grants
        # By far the most usual.
        if len(grants) == 1 and grants[0]._thread is thread:
            return grants.pop()
        for grant in reversed(grants):
            if grant._thread is thread:
                break
        else:
            if not grants:
                raise NotHeld("it is not held")
            grant = grants[-1]
        grants.remove(grant)
        return grant

    def descriptor(self) -> int:
        """A descriptor for programs that look at the original's; open as long as the book is, unless they close it."""
        if self._descriptor is None:
            self._descriptor = os.memfd_create("prwlock", os.MFD_CLOEXEC)
            self._inode = os.fstat(self._descriptor)
        return self._descriptor

    def __del__(self) -> None:
        if self._descriptor is None or self._inode is None:
            return
        try:
            # Only if it is still ours: once somebody closed it, its number may be a stranger's.
            if os.path.samestat(os.fstat(self._descriptor), self._inode):
                os.close(self._descriptor)
        except Exception:  # Closed before, or at the interpreter's end.
            pass


def host_identity() -> str:
    """What tells this host, while it runs, from others; the same in all its containers."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def check_state(state: Any) -> None:
    """Refuses the pickle of a lock that cannot be reached from here.

    Raises:
        UnpicklingError: it is one of the original package, or of another host.
    """
    from pickle import UnpicklingError

    if isinstance(state, dict) and "_fd" in state:
        raise UnpicklingError(
            "this lock was pickled by prwlock 0.4 or earlier, and was a descriptor of the process that made it: "
            "make it anew and pickle it with this version"
        )
    if not isinstance(state, dict) or not {"name", "socket", "origin", "host", "pid", "book"} <= state.keys():
        raise UnpicklingError("this is not a pickled lock")
    here = host_identity()
    if state["host"] and here and state["host"] != here:
        raise UnpicklingError(
            "this lock was pickled on another host, or before this one was started anew: its daemon is not here"
        )
