"""What `/proc` shows of a process, as far as this user may see it."""

from __future__ import annotations

import os
import pwd
import time
from typing import Any, Callable, NamedTuple, Optional

from ._client import Client
from ._hold_mark import namespace


class Described(NamedTuple):
    """The user, the command line and the systemd unit of a process. The texts are not escaped."""

    user: Optional[str] = None
    command: Optional[str] = None
    unit: Optional[str] = None

    @property
    def members(self) -> dict[str, Any]:
        """The members that every JSON object about a process has."""
        return {"user": self.user, "unit": self.unit, "command": self.command}


def describe(process: Optional[int]) -> Described:
    """Describes the process that has this id now."""
    if process is None:
        return Described()
    folder = f"/proc/{process}"
    try:
        user = user_name(os.stat(folder).st_uid)
    except OSError:
        user = None
    comm = _read(f"{folder}/comm").decode("utf-8", "replace").rstrip("\n")
    # A kernel thread and a zombie have no command line.
    command = _command(_read(f"{folder}/cmdline")) or (f"[{comm}]" if comm else None)
    return Described(user, command, _unit(_read(f"{folder}/cgroup").decode("utf-8", "replace")))


def lookup(client: Client) -> Callable[[Optional[int]], Described]:
    """Returns a function that describes the processes that a daemon names.

    If the daemon is in another namespace of process ids, the function returns nothing, because the same id is a
    different process here.
    """
    number = client.stats().get("pid-namespace")
    if number is not None and number != namespace():
        return lambda _: Described()
    return describe


def user_name(number: int) -> str:
    """Returns the name of a user; the number if the user has no name."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _command(line: bytes) -> str:
    """Returns the arguments in one line. An argument that is empty or contains a space is quoted."""
    if not line.strip(b"\0"):
        return ""
    words = [word.decode("utf-8", "replace") for word in (line[:-1] if line.endswith(b"\0") else line).split(b"\0")]
    return " ".join(f"'{word}'" if not word or " " in word else word for word in words)


def _unit(lines: str) -> Optional[str]:
    """Returns the innermost unit. Only the unified hierarchy (`0::`) is read."""
    path = next((line for line in lines.splitlines() if line.startswith("0::")), "")
    return next((part for part in reversed(path.split("/")) if part.endswith((".service", ".scope"))), None)


def clock(age: float = 0) -> str:
    """Returns the time of day so many seconds ago, with the date if that was another day."""
    now = time.time()
    then, today = time.localtime(now - age), time.localtime(now)
    is_today = (then.tm_yday, then.tm_year) == (today.tm_yday, today.tm_year)
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", then)
