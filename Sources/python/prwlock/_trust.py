"""Which users a client trusts: as servers (`protocol.md`, "Which server a client trusts"), and to replace a program.

A path keeps the rules of `_Walk` until a trusted user changes it. So it is checked first and used afterwards.
"""

from __future__ import annotations

import os
import socket
import stat
import struct

from ._errors import AccessRefused
from ._location import Location, system_socket
from ._users import acts_as_owner, is_ambiguous

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

_MOST_LINKS = 40


class Replaceable(Exception):
    """Another user could replace what a path names; the text says at which part of the path, `user` who owns it."""

    def __init__(self, text: str, user: Optional[int] = None) -> None:
        super().__init__(text)
        self.user = user


class SocketFolder:
    """The folder of a socket: who could put a socket there. It is looked at before a connection is made."""

    __slots__ = ("owner", "reason")

    def __init__(self, location: Location) -> None:
        #: The folder's owner, if no other user but root and the client's own can put a file there.
        self.owner: Optional[int] = None
        #: Why another user could.
        self.reason = "it is your own place"
        if location.origin in ("own", "anonymous") and not is_ambiguous(os.geteuid()):
            # The folder is private to the user.
            return
        # Only root makes folders in /run, so root has chosen the owner of the system's folder.
        walk = _Walk({os.geteuid()}, takes_any_last_owner=location.path == system_socket())
        try:
            status = walk.parent(location.path)
        except Replaceable as error:
            self.reason = str(error)
        except OSError as error:
            self.reason = f"its folder cannot be looked at ({error.strerror})"
        else:
            if stat.S_IMODE(status.st_mode) & 0o022:
                self.reason = "the socket is in a folder that others may write to"
            else:
                self.owner = status.st_uid

    def check(self, connection: socket.socket, location: Location) -> None:
        """Checks the user at the other end of a connection, before anything is sent.

        Raises:
            AccessRefused: this client does not trust that user.
        """
        _, user, _ = struct.unpack("3I", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        reason = self._reason_against(user, location.path)
        if reason is None:
            return
        who = f"a user without a number in this user namespace ({user})" if is_ambiguous(user) else f"user {user}"
        raise AccessRefused(
            f"{who} serves at {location.path}, neither root nor you, and {reason}: connect to a daemon that you trust, "
            f"or trust this user's with PRWLOCK_SERVER_UID={user}"
        )

    def _reason_against(self, user: int, path: str) -> Optional[str]:
        own = os.geteuid()
        if user == 0 or (user == own and not is_ambiguous(user)):
            return None
        if os.environ.get("PRWLOCK_SERVER_UID") == str(user):
            return None
        if self.owner is None:
            return self.reason
        trusted = (0, own, user)
        if self.owner not in trusted:
            return f"the folder of the socket belongs to user {self.owner}"
        try:
            status = os.lstat(path)
        except OSError:
            return "the path does not name a socket"
        if not stat.S_ISSOCK(status.st_mode):
            return "the path does not name a socket"
        return None if status.st_uid in trusted else f"the socket's file belongs to user {status.st_uid}"


def program_fault(path: str) -> Optional[str]:
    """Returns why another user could replace a program; None if no user could.

    A user that could replace this package decides what this process runs anyway, and does not count.
    """
    walk = _Walk({os.geteuid()}, trusts_groups=True, takes_unknown_root=True)
    fault = walk.fault(path)
    if fault is None:
        return None
    own = walk.fault(__file__)
    while own is not None and own.user is not None and own.user not in walk.users:
        walk.users.add(own.user)
        own = walk.fault(__file__)
    return None if walk.fault(path) is None else str(fault)


class _Walk:
    """Finds whether a user who is not trusted could replace a part of a path. Root is always trusted.

    1. A folder belongs to a trusted user, and no other user may write to it.
    2. A folder with the sticky bit (``/tmp``) may be open to others. Then the next part must belong to a trusted user.
    3. A link belongs to a trusted user. Its target is walked by these rules too.

    `takes_unknown_root`: if ``/`` belongs to the overflow user, that number counts as root, but not in a folder that
    others may write to.
    """

    def __init__(
        self,
        users: set[int],
        *,
        trusts_groups: bool = False,
        takes_unknown_root: bool = False,
        takes_any_last_owner: bool = False,
    ) -> None:
        self.users = users
        self._writers = 0o002 if trusts_groups else 0o022
        self._takes_unknown_root = takes_unknown_root
        self._takes_any_last_owner = takes_any_last_owner

    def parent(self, path: str) -> os.stat_result:
        """Returns the status of the file's folder. The file may be missing; a link in its place is not followed."""
        folder, _ = self._walk(path, follows=False)
        try:
            return os.fstat(folder)
        finally:
            os.close(folder)

    def fault(self, path: str) -> Optional[Replaceable]:
        """Returns why another user could replace an existing file; None if none could."""
        try:
            folder, name = self._walk(path, follows=True)
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                self._check_owner(status, path, folder, name)
            finally:
                os.close(folder)
        except Replaceable as error:
            return error
        except OSError as error:
            return Replaceable(f"{path}: {error.strerror}")
        return Replaceable(f"{path} is open to other users") if status.st_mode & self._writers else None

    def _walk(self, path: str, *, follows: bool) -> tuple[int, str]:
        """Returns the open folder of the path's last part, and the name of that part."""
        rest = _parts(os.path.join(os.getcwd(), path))
        folder = -1
        links = 0
        try:
            folder, at = self._root(len(rest) == 1), ""
            while rest:
                name = rest.pop()
                try:
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    if rest:
                        raise
                    return folder, name
                if stat.S_ISLNK(status.st_mode) and (rest or follows):
                    self._check_owner(status, f"{at}/{name}", folder, name)
                    links += 1
                    if links > _MOST_LINKS:
                        raise Replaceable(f"{path} has too many links")
                    target = os.readlink(name, dir_fd=folder)
                    rest += _parts(target)
                    if target.startswith("/"):
                        os.close(folder)
                        folder, at = self._root(len(rest) == 1), ""
                    continue
                if not rest and name != "..":
                    if self._is_shared:
                        self._check_owner(status, f"{at}/{name}", folder, name)
                    return folder, name
                new = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                folder, old = new, folder
                at = at.rpartition("/")[0] if name == ".." else f"{at}/{name}"
                try:
                    self._check_folder(os.fstat(folder), at, old, name, is_last=len(rest) == 1)
                finally:
                    os.close(old)
            raise IsADirectoryError(0, "is a directory", path)
        except BaseException:
            if folder >= 0:
                os.close(folder)
            raise

    def _root(self, is_last: bool) -> int:
        self._is_shared = False
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(root)
            self._has_unknown_root = self._takes_unknown_root and is_ambiguous(status.st_uid)
            self._check_folder(status, "/", root, ".", is_last=is_last)
        except BaseException:
            os.close(root)
            raise
        return root

    def _check_owner(self, status: os.stat_result, path: str, folder: int, name: str) -> None:
        user = status.st_uid
        if user == 0:
            return
        if not is_ambiguous(user):
            if user in self.users:
                return
            raise Replaceable(f"{path} belongs to user {user}", user)
        if self._has_unknown_root and not self._is_shared:
            return
        if user not in self.users or not acts_as_owner(folder, name):
            raise Replaceable(f"{path} belongs to a user without a number in this user namespace")

    def _check_folder(self, status: os.stat_result, path: str, parent: int, name: str, *, is_last: bool) -> None:
        if not (is_last and self._takes_any_last_owner and not self._is_shared):
            self._check_owner(status, path, parent, name)
        self._is_shared = bool(status.st_mode & self._writers)
        if self._is_shared and not status.st_mode & stat.S_ISVTX:
            raise Replaceable(f"{path} is open to other users")


def _parts(path: str) -> list[str]:
    """Returns the parts of a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
