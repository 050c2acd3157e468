"""The file of a lock. It is not a part of the lock: it is there for programs that look at it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional
from weakref import finalize

from ._options import UNSET_MODE, CloseErrorPolicy


def _opened(path: str, mode: int, flags: int = 0) -> int:
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    flags |= os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    return os.open(path, flags, 0o666 if mode == UNSET_MODE else mode)


@contextmanager
def _tolerated(path: str, mode: int) -> Iterator[None]:
    """Ignores that a file cannot be created or written, unless that matters to the caller.

    Raises:
        OSError: the path is empty or that of a folder, or the file should get a mode.
    """
    try:
        yield
    except OSError as error:
        if mode != UNSET_MODE or not path or isinstance(error, IsADirectoryError):
            raise


def make(path: str, mode: int) -> None:
    """Creates the file of a native lock. The umask does not apply to a mode that was asked for."""
    with _tolerated(path, mode):
        is_new = mode != UNSET_MODE and not os.path.lexists(path)
        descriptor = _opened(path, mode)
        try:
            if is_new:
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


class LockFile:
    """A file that lives as long as the hold."""

    def end(self) -> None:
        """Closes or removes the file, before the lock is released."""


class OpenFile(LockFile):
    """The file of a native lock, open for `on_acquired`."""

    def __init__(self, path: str, mode: int, policy: CloseErrorPolicy) -> None:
        self.descriptor = _opened(path, mode)
        self._close = finalize(self, os.close, self.descriptor)
        # The callable gets an empty file with its mode, also if the file was there before.
        os.ftruncate(self.descriptor, 0)
        if mode != UNSET_MODE:
            os.fchmod(self.descriptor, mode)
        self._policy = policy

    def end(self) -> None:
        if self._close.detach() is None:
            return
        try:
            os.close(self.descriptor)
        except OSError:
            if self._policy == "raise":
                raise


class Marker(LockFile):
    """The file of a soft lock: it names the holder, and is removed when the hold ends, also at the process's exit."""

    def __init__(self, path: str, mode: int) -> None:
        self._remove: Optional[finalize[[str, int], Marker]] = None
        with _tolerated(path, mode):
            descriptor = _opened(path, mode, os.O_TRUNC)
            try:
                os.write(descriptor, f"{os.getpid()}\n{socket.gethostname()}\n".encode())
            finally:
                os.close(descriptor)
            self._remove = finalize(self, _remove, os.path.abspath(path), os.getpid())

    def end(self) -> None:
        if self._remove is not None:
            self._remove()


def _remove(path: str, pid: int) -> None:
    # A forked child runs this too, at its exit.
    if pid == os.getpid():
        try:
            os.unlink(path)
        except OSError:
            pass
