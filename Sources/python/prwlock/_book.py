"""What a process holds through one lock object and its copies; made when the lock is first used or pickled."""

from __future__ import annotations

import os
from os import getpid
from weakref import WeakValueDictionary

from . import _forking
from ._errors import NotHeld
from ._once import once
from ._owner import threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ._grant import Grant

_books: WeakValueDictionary[int, Book] = WeakValueDictionary()


class _Descriptor:
    """A descriptor of its own, used for nothing; open as long as it is referred to, unless somebody closes it."""

    def __init__(self) -> None:
        self.number = os.memfd_create("prwlock", os.MFD_CLOEXEC)
        self._inode = os.fstat(self.number)

    def __del__(self) -> None:
        try:
            # Only if it is still ours: once it was closed elsewhere, its number may be that of another file.
            if os.path.samestat(os.fstat(self.number), self._inode):
                os.close(self.number)
        except Exception:  # Closed before, or at the interpreter's end.
            pass


class Book:
    """The grants of one lock object in this process.

    A copy that was pickled and unpickled in the same process has the same book: it is the same lock once more, and what
    was acquired through one can be released through the other. With the last of them all is given back.
    """

    def __init__(self) -> None:
        #: Tells it from all others, also from those of earlier processes that had the same number.
        self.key = int.from_bytes(os.urandom(8), "big")
        #: What is held, in the order in which it was acquired; each with how often it counts.
        self.grants: dict[Grant, int] = {}
        self.pid = getpid()
        self._of_process = {self.pid: self.grants}
        self._descriptors: dict[int, _Descriptor] = {}

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
        pid = getpid()
        # Threads that come together in a child that was forked without Python's knowledge get the same one.
        self.grants = once(self._of_process, pid, dict)
        self.pid = pid
        for other in list(self._of_process):
            if other != pid:
                self._of_process.pop(other, None)

    def take(self) -> Grant:
        """Takes out what this thread acquired last, or else what another did.

        First it is decided which grant that is, on a copy; then that very grant is taken out, in one step. If another
        thread has taken it meanwhile, it is decided anew.
        """
        thread = threads.own
        grants = self.grants
        while True:
            held = list(grants)
            for grant in reversed(held):
                if grant._thread is thread:
                    break
            else:
                if not held:
                    raise NotHeld("it is not held")
                grant = held[-1]
            if grants.pop(grant, None) is not None:
                return grant

    def descriptor(self) -> int:
        """A descriptor for programs that look at the original's; open as long as the book is, unless they close it."""
        return once(self._descriptors, 0, _Descriptor).number


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
