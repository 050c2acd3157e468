"""Paths as names of locks."""

from __future__ import annotations

import hashlib
import os
from typing import Union

from .._wire import encode_name

PathLike = Union[str, "os.PathLike[str]"]


def touch(path: PathLike) -> None:
    """Creates the file of that path and its folder, for programs that look for the file or remove it.

    The file is not a part of the lock, so a failure does not matter.
    """
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666))
    except OSError:
        pass


def name_of(path: Union[PathLike, bytes, "os.PathLike[bytes]"]) -> str:
    """Returns the name of the lock of a path: ``file:`` and the path, absolute and without links.

    If that name is too long, the SHA-256 of the path's bytes takes the place of the path.

    Raises:
        TypeError: `path` is not a path.
    """
    # Use the path's bytes, so that processes in different locales get the same name.
    absolute = os.path.realpath(os.fsencode(os.fspath(path)))
    name = "file:" + absolute.decode("utf-8", "surrogateescape")
    try:
        encode_name(name)
    except ValueError:
        digest = hashlib.sha256(absolute).hexdigest()
        name = f"file:sha256:{digest}"
    return name
