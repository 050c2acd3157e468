"""Numbers of users in a user namespace, where several users may have one number."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

#: The number that several users may have, once it is known; empty if each user has a number.
_shared: Optional[list[int]] = None


def is_ambiguous(user: int) -> bool:
    """Returns whether a number does not tell which user it is.

    In a user namespace, the kernel shows every user without a number there as one, the overflow user.
    """
    global _shared
    if user == 0:
        return False
    if _shared is None:
        _shared = _read_shared()
    return user in _shared


def _read_shared() -> list[int]:
    try:
        with open("/proc/self/uid_map") as file:
            numbers = file.read().split()
    except OSError:
        return []
    # One line for all users: the host, or a namespace in which each user has a number.
    if len(numbers) == 3 and numbers[2] == str(2**32 - 1):
        return []
    try:
        with open("/proc/sys/kernel/overflowuid") as file:
            return [int(file.read())]
    except OSError:
        return [65534]


def acts_as_owner(folder: int, name: str) -> bool:
    """Returns whether the kernel treats this process as the owner of a file: only the owner may open with O_NOATIME."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOATIME | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(name, flags, dir_fd=folder))
    except OSError:
        return False
    return True
