"""Where the daemon is, by the rules that all clients share (`protocol.md`, "Where the daemon is")."""

from __future__ import annotations

import os
from stat import S_ISDIR

from ._errors import AccessRefused

SYSTEM_DIRECTORY = "/run/prwlock"
RUNTIME_ROOT = "/run/user"
TEMPORARY_ROOT = "/tmp"
SOCKET_NAME = "prwlock.sock"


class Location:
    """The path of a daemon's socket, and on whose word.

    `origin` is ``explicit`` (the caller's), ``environment`` (``PRWLOCK_SOCKET``), ``system`` (the service of the
    host), or ``runtime`` or ``temporary``: the user's own, the only ones in which a client may start a daemon.
    """

    __slots__ = ("origin", "path")

    def __init__(self, path: str, origin: str = "explicit") -> None:
        self.path = path
        self.origin = origin

    @property
    def is_user_own(self) -> bool:
        """Whether it is the user's own daemon, which clients may start."""
        return self.origin in ("runtime", "temporary")

    def __repr__(self) -> str:
        return f"{self.path} ({self.origin})"


def find() -> Location:
    """Where named locks are: one name means one lock, so a system's service that is dead is no reason to go on."""
    path = os.environ.get("PRWLOCK_SOCKET")
    if path:
        return Location(path, "environment")
    if os.path.isdir(SYSTEM_DIRECTORY):
        return Location(f"{SYSTEM_DIRECTORY}/{SOCKET_NAME}", "system")
    return user_own()


def find_for_anonymous() -> Location:
    """Where locks without a name are: as `find`, or the user's own where the system's is not for this user.

    Nobody can mean such a lock who was not handed it together with its socket.
    """
    location = find()
    if location.origin == "system" and not os.access(location.path, os.W_OK, effective_ids=True):
        return user_own()
    return location


def user_own() -> Location:
    """The user's own daemon, also where the system has one."""
    user = os.geteuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for folder in (runtime if runtime.startswith("/") else "", f"{RUNTIME_ROOT}/{user}"):
        if folder and _is_folder_of(folder, user):
            return Location(f"{folder}/prwlock/{SOCKET_NAME}", "runtime")
    return Location(f"{TEMPORARY_ROOT}/prwlock-{user}/{SOCKET_NAME}", "temporary")


def _is_folder_of(path: str, user: int) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return S_ISDIR(status.st_mode) and status.st_uid == user


def make_folder(location: Location) -> None:
    """Makes the folder of a user's own socket where it is missing, and makes sure that it is the user's alone."""
    try:
        os.mkdir(os.path.dirname(location.path), 0o700)
    except FileExistsError:
        pass
    has_folder(location)


def has_folder(location: Location) -> bool:
    """Whether the folder of a user's own socket is there.

    It is looked at when open, so that it cannot be another one by then; nobody but its owner can move it.

    Raises:
        AccessRefused: it could be a stranger's doing.
    """
    path = os.path.dirname(location.path)
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unsafe(path, "cannot be opened, or is no folder of its own") from error
    try:
        status = os.fstat(folder)
    finally:
        os.close(folder)
    if status.st_uid != os.geteuid():
        raise _unsafe(path, "belongs to another user")
    # Below a runtime folder, which is the user's alone, the service manager makes it as it likes.
    if status.st_mode & (0o077 if location.origin == "temporary" else 0o022):
        raise _unsafe(path, "is open to other users")
    return True


def _unsafe(path: str, reason: str) -> AccessRefused:
    return AccessRefused(
        f"{path} {reason}, so a lock daemon in it cannot be trusted: "
        "remove it, or set XDG_RUNTIME_DIR to a folder of your own"
    )
