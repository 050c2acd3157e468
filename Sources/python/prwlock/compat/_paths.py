"""Paths as names of locks."""

from __future__ import annotations

import hashlib
import os
from typing import Union

from .._wire import encode_name

PathLike = Union[str, "os.PathLike[str]"]


def touch(path: PathLike) -> None:
    """Makes the file of that path, and its folder, as callers expect who look for it or remove it.

    It is no part of the lock, so that nothing is wrong where it cannot be made.
    """
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666))
    except OSError:
        pass


def name_of(path: Union[PathLike, bytes, "os.PathLike[bytes]"]) -> str:
    """The lock of a path: ``file:`` and the path, absolute and without links.

    A path whose name would be too long has the SHA-256 of its bytes in the place of its middle, so that it stays one
    lock with one name.

    Raises:
        TypeError: it is no path.
    """
    # By its bytes, so that processes in different locales mean the same lock.
    absolute = os.path.realpath(os.fsencode(os.fspath(path)))
    name = "file:" + absolute.decode("utf-8", "surrogateescape")
    try:
        encode_name(name)
    except ValueError:
        digest = hashlib.sha256(absolute).hexdigest()
        name = f"file:sha256:{digest}"
    return name
