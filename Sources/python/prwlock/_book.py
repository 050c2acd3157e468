"""The grants of a process through one lock object and its copies; made when the lock is first used or pickled."""

from __future__ import annotations

import os
from os import getpid
from weakref import WeakValueDictionary

from . import _forking
from ._errors import NotHeld
from ._once import once
from ._owner import MOST_INTERRUPTS, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional

    from ._grant import Grant

_books: WeakValueDictionary[int, Book] = WeakValueDictionary()


class _Descriptor:
    """A descriptor without a use; open as long as this object exists, unless the program closes it."""

    def __init__(self) -> None:
        self.number = os.memfd_create("prwlock", os.MFD_CLOEXEC)
        self._inode = os.fstat(self.number)

    def __del__(self) -> None:
        try:
            # If the program has closed it, the number may belong to another file now.
            if os.path.samestat(os.fstat(self.number), self._inode):
                os.close(self.number)
        except Exception:  # Closed before, or at the interpreter's exit.
            pass


class Book:
    """The grants of one lock object in this process.

    A copy that was pickled and unpickled in the same process has the same book: a grant that was acquired through one
    object can be released through the other. The grants are released with the last of these objects.
    """

    def __init__(self) -> None:
        #: Unique, also among earlier processes with the same process id.
        self.key = int.from_bytes(os.urandom(8), "big")
        #: The grants, in the order in which they were acquired.
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
        """Returns the book with that key, if a lock object still refers to it."""
        return _books.get(key)

    def own(self) -> Book:
        """Returns this book, which is emptied first if it comes from a parent process."""
        if self.pid != getpid():
            self.after_fork()
        return self

    def after_fork(self) -> None:
        """Drops the parent's grants."""
        pid = getpid()
        # In a child that was forked without Python's knowledge, several threads may run this at the same time.
        self.grants = once(self._of_process, pid, dict)
        self.pid = pid
        for other in list(self._of_process):
            if other != pid:
                self._of_process.pop(other, None)

    def take(self) -> Grant:
        """Removes and returns the last grant of this thread, or else the last one of another thread.

        The grant is chosen on a copy and then removed in one step. If another thread has removed it meanwhile, this
        chooses again.
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

    def give_back(self, kept: Sequence[Grant]) -> None:
        """Ends the grants of this thread besides these, for a call that an interrupt ends."""
        for _ in range(MOST_INTERRUPTS):
            try:
                for grant in list(self.grants):
                    if grant not in kept and grant._thread is threads.own:
                        grant._give_back()
                        self.grants.pop(grant, None)
                return
            except BaseException:  # Another interrupt. The call already ends because of the first one.
                continue

    def give_back_last(self, held: Optional[Sequence[Grant]]) -> None:
        """Ends the last grant of this thread of these, by default of all, unless a release has taken it."""
        own = [grant for grant in list(self.grants if held is None else held) if grant._thread is threads.own]
        if own and own[-1] in self.grants:
            self.give_back([grant for grant in list(self.grants) if grant is not own[-1]])

    def descriptor(self) -> int:
        """Returns a descriptor for programs that use the original's; open as long as the book, unless they close it."""
        return once(self._descriptors, 0, _Descriptor).number


def host_identity() -> str:
    """Returns an id of this host until its next boot; the same in all its containers."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def check_state(state: Any) -> None:
    """Checks that a pickled lock can be used here.

    Raises:
        UnpicklingError: the original package or another host has pickled it.
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
