"""Where the daemon is, by the rules that all clients share (`protocol.md`, "Where the daemon is").

Every process of a user must find the same daemon. So the place depends only on ``PRWLOCK_SOCKET`` and on the effective
user, not on variables that differ between processes (`HOME`, `TMPDIR`, `XDG_RUNTIME_DIR`).
"""

from __future__ import annotations

import os
from errno import EACCES, ENOENT, ENOTDIR, EPERM, EROFS
from stat import S_ISDIR

from ._errors import AccessRefused
from ._users import acts_as_owner, is_ambiguous

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

SOCKET_NAME = "prwlock.sock"
ANONYMOUS_NAME = "anonymous.sock"


class Location:
    """The path of a daemon's socket, and where that path comes from.

    `origin` is one of:

    - ``explicit``: the caller; ``environment``: the variable ``PRWLOCK_SOCKET``. Only this socket is tried.
    - ``usual``: the rules for all clients. Each connection applies them again, because the system's service may be
      installed at any time. `path` is the place of the last connection, or the expected place before the first one.
    - ``system`` and ``own``: one of the places that ``usual`` tries. No lock object has such a location.
    - ``anonymous``: the user's own daemon for locks without a name, if this user may not use the system's daemon.
    """

    __slots__ = ("origin", "path")

    def __init__(self, path: str, origin: str = "explicit") -> None:
        self.path = path
        self.origin = origin

    @property
    def key(self) -> tuple[str, str]:
        """The same for all locations that share a connection. It does not change when `path` changes."""
        return (own_candidates()[0] if self.origin == "usual" else self.path, self.origin)

    @property
    def space(self) -> str:
        """Which processes share the locks of the daemon that was found there.

        ``system``: those of all users of the host. ``user``: those of one user. ``socket``: those that use this socket.
        """
        if self.path == system_socket():
            return "system"
        return "user" if self.path in own_candidates() else "socket"

    def __repr__(self) -> str:
        return f"{self.path} ({self.origin})"


def find() -> Location:
    """Returns the location of named locks. One name means one lock, so a dead system service has no substitute."""
    path = os.environ.get("PRWLOCK_SOCKET")
    if path:
        return Location(path, "environment")
    return Location(system_socket() if has_system() else own_candidates()[0], "usual")


def find_for_anonymous() -> Location:
    """Returns the location of locks without a name: as `find`, or an own socket if this user may not use the system's.

    A process can only use such a lock if it received it from another process, together with the path of the socket.
    """
    location = find()
    if location.origin == "usual" and has_system() and not os.access(system_socket(), os.W_OK, effective_ids=True):
        return Location(f"{os.path.dirname(writable_candidate())}/{ANONYMOUS_NAME}", "anonymous")
    return location


def root_for_tests() -> str:
    """Returns the folder that takes the place of ``/`` in the tests of this project; empty otherwise."""
    return os.environ.get("PRWLOCK_TEST_ROOT", "")


def has_system() -> bool:
    """Whether this system has the service, running or not."""
    return os.path.isdir(f"{root_for_tests()}/run/prwlock")


def system_socket() -> str:
    """The socket of the system's daemon."""
    return f"{root_for_tests()}/run/prwlock/{SOCKET_NAME}"


def own_candidates() -> list[str]:
    """The sockets at which this user's own daemon may be, in the order in which they are tried.

    Only root can make a folder in ``/run``, so no other user can take that name.
    """
    user = os.geteuid()
    temporary = f"{root_for_tests()}/tmp/prwlock-{user}/{SOCKET_NAME}"
    return [f"{root_for_tests()}/run/prwlock-0/{SOCKET_NAME}", temporary] if user == 0 else [temporary]


def writable_candidate() -> str:
    """Returns the place at which to start the user's own daemon: the first with a folder that can be used or made."""
    *preferred, last = own_candidates()
    for path in preferred:
        folder = os.path.dirname(path)
        if not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            return path
    return last


def make_folder(path: str) -> None:
    """Creates the folder of the user's own socket, and checks that no other user controls it.

    Raises:
        AccessRefused: another user may have created the folder, or may write to it.
    """
    folder = os.path.dirname(path)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in (EACCES, EPERM, EROFS, ENOENT, ENOTDIR):
            raise
        raise AccessRefused(
            f"{folder} cannot be made ({error.strerror}), so no lock daemon of this user can be there: "
            "set PRWLOCK_SOCKET to the socket of a daemon"
        ) from error
    has_folder(path)


def has_folder(path: str) -> bool:
    """Returns whether the folder of the user's own socket exists.

    The folder is checked by its descriptor, so it cannot be exchanged meanwhile.

    Raises:
        AccessRefused: another user may have created the folder, or may write to it.
    """
    folder_path = os.path.dirname(path)
    owner = _owner(folder_path)
    if owner is None:
        return False
    user, mode, is_own = owner
    if user != os.geteuid() or not is_own:
        raise _unsafe(folder_path, "belongs to another user")
    if mode & 0o077:
        raise _unsafe(folder_path, "is open to other users")
    return True


def _owner(path: str) -> Optional[tuple[int, int, bool]]:
    """Returns the user and the mode of a folder, and whether the user is not another one of that number.

    None if the folder does not exist.
    """
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unsafe(path, "cannot be opened, or is no folder of its own") from error
    try:
        status = os.fstat(folder)
        is_own = not is_ambiguous(status.st_uid) or acts_as_owner(folder, ".")
    finally:
        os.close(folder)
    return (status.st_uid, status.st_mode, is_own) if S_ISDIR(status.st_mode) else None


def _unsafe(path: str, reason: str) -> AccessRefused:
    return AccessRefused(
        f"{path} {reason}, so a lock daemon in it cannot be trusted: "
        "have its owner or root remove it, or set PRWLOCK_SOCKET to the socket of a daemon"
    )
