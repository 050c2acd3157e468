"""The process of the daemon, and the unit or login session that it ends with."""

from __future__ import annotations

import socket
from typing import NamedTuple, Optional

from ._sockets import peer

_UNITS = (".service", ".scope", ".socket", ".mount", ".swap")


class DaemonUnit(NamedTuple):
    """The daemon's process, and its place in systemd's layout of control groups."""

    process: int
    #: The name of the unit or scope; None if there is none.
    unit: Optional[str] = None
    #: The user in a manager of which the unit is; None for the system's manager.
    user: Optional[str] = None
    #: The number of the login session; None if the process belongs to a unit.
    session: Optional[str] = None

    @property
    def line(self) -> str:
        """Returns one line for people."""
        head = f"process {self.process}"
        if self.unit is None:
            return f"{head}, in no unit or session"
        if self.session is not None:
            return (
                f"{head}, in login session {self.session}: it ends with that session where logind has "
                "KillUserProcesses=yes"
            )
        is_own = self.unit.startswith("prwlockd")
        if self.user is None:
            end = "" if is_own else ": it ends when that unit is stopped"
            return f"{head}, in a unit of its own, {self.unit}" if is_own else f"{head}, in the unit {self.unit}{end}"
        if is_own:
            return (
                f"{head}, in a unit of its own, {self.unit}: it ends with the service manager of user {self.user}, "
                "after the last logout unless the user lingers"
            )
        return f"{head}, in the unit {self.unit} of user {self.user}: it ends when that unit is stopped"


def listening_at(path: str) -> Optional[DaemonUnit]:
    """Returns the daemon that listens at the path; None if this process cannot see it."""
    # A connection that was made while the daemon was starting still names the starter as its peer.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1)
        try:
            connection.connect(path)
        except OSError:
            return None
        process = peer(connection)
    if process == 0:
        return None
    try:
        with open(f"/proc/{process}/cgroup", encoding="utf-8", errors="replace") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return DaemonUnit(process)
    # If there are several hierarchies, systemd manages either the one with its name or the unified one.
    paths = [group[2] for group in groups if group[1] == "name=systemd" or group[:2] == ["0", ""]]
    owners = (owner_in(path) for path in paths)
    return DaemonUnit(process, *next((owner for owner in owners if owner[0] is not None), ()))


def owner_in(path: str) -> tuple[Optional[str], Optional[str], Optional[str]]:
    """Returns the unit, the user and the session that a control group belongs to.

    The first part after the slices is the system's unit. Only after a user's manager does the search continue, because
    units do not contain other units. In a container the path may lead upwards (``/../..``), or be empty.
    """
    parts = [part for part in path.split("/") if part and part != ".."]
    index = next((index for index, part in enumerate(parts) if not part.endswith(".slice")), None)
    if index is None or not _is_unit(parts[index]):
        return None, None, None
    part = parts[index]
    user = _inside(part, "user@", ".service")
    if user is not None and user.isdecimal():
        return next((inner for inner in parts[index + 1 :] if _is_unit(inner)), None), user, None
    session = _inside(part, "session-", ".scope")
    if session is not None and index > 0 and parts[index - 1].startswith("user-"):
        return part, None, session
    return part, None, None


def _is_unit(part: str) -> bool:
    return part != "init.scope" and any(part.endswith(kind) and len(part) > len(kind) for kind in _UNITS)


def _inside(part: str, prefix: str, suffix: str) -> Optional[str]:
    inner = part[len(prefix) : -len(suffix)]
    return inner if part == prefix + inner + suffix and inner else None
