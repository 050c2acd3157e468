"""How the processes of ``hold`` and ``release`` find each other: the same in this command line and in prwlock(1).

The owner of a grant that is held for a process is ``hold.PID.NAMESPACE``. The process that holds it has the name
``prwlock-holder``, and keeps a named in-memory file open, the mark. The mark's name has the owner, the token, and a
hash of the lock's name and the daemon's path. The mark contains the name of an abstract socket, at which the process
answers to later calls of ``hold``.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from select import POLLIN, poll
from time import monotonic, sleep
from typing import Optional

from ._talk import Talk
from ._wire import fields

PROCESS_NAME = b"prwlock-holder"


def namespace() -> Optional[int]:
    """Returns the number of this process's namespace of process ids; None if `/proc` does not show it."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None


def owner_for(process: int) -> bytes:
    """Returns the owner of what is held for a process of this namespace."""
    number = namespace()
    return b"hold.%d" % process if number is None else b"hold.%d.%d" % (process, number)


def client_of(owner: Optional[str]) -> Optional[tuple[int, bool]]:
    """Returns the process that a grant is held for, and whether it is of this namespace; None for other owners."""
    parts = (owner or "").split(".")
    if parts[0] != "hold" or len(parts) not in (2, 3) or not all(part.isdecimal() for part in parts[1:]):
        return None
    process, own = int(parts[1]), namespace()
    return (process, (int(parts[2]) if len(parts) == 3 else None) == own) if process > 0 else None


class Grant:
    """A row of a lock's status, for a grant that is held for a process."""

    def __init__(self, row: list[bytes]) -> None:
        values = fields(row)
        self.owner = values[b"owner"]
        self.mode = values[b"mode"].decode()
        self.token = int(values[b"token"])
        self.pid = None if values[b"pid"] == b"?" else int(values[b"pid"])


def grants(talk: Talk, name: bytes, patience: float) -> list[Grant]:
    """Returns the grants on a lock, the oldest first."""
    _, rows = talk.ask(b"STATUS " + name, patience)
    return [Grant(row) for row in rows if row[1] == b"holder"]


def mark_name(name: bytes, owner: bytes, token: int, talk: Talk) -> str:
    """Returns the name of a grant's mark."""
    path = talk.socket.getpeername()
    word = 0xCBF2_9CE4_8422_2325
    # FNV-1a (Fowler, Noll and Vo, 1991).
    for byte in b"%s %s" % (name, os.fsencode(path)):
        word = (word ^ byte) * 0x100_0000_01B3 % (1 << 64)
    return f"prwlock-{owner.decode()}-{token}-{word:x}"


def open_mark(name: str, socket_name: str) -> int:
    """Opens a mark in this process, and returns its descriptor."""
    mark = os.memfd_create(name)
    os.write(mark, socket_name.encode())
    return mark


class Holding:
    """A process that holds a grant, and the path of its mark in `/proc`."""

    def __init__(self, pid: int, name: str, mark: str) -> None:
        self.pid = pid
        self._name = name
        self._mark = mark

    @property
    def is_there(self) -> bool:
        """Whether the process has the mark open. If a `Watch` was made before, it watches the same process then."""
        return _path(self._name, self.pid) is not None

    def connect(self) -> Optional[socket.socket]:
        """Connects to the process; returns None if it is another user's, or cannot be reached."""
        try:
            with open(self._mark, "rb") as file:
                name = file.read(64)
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError:
            return None
        try:
            connection.setblocking(False)
            connection.connect(b"\0" + name)
            connection.setblocking(True)
            pid, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:
            pid = user = -1
        if name and pid == self.pid and user == os.geteuid():
            return connection
        connection.close()
        return None


def find(mark: str, likely: Optional[int]) -> Optional[Holding]:
    """Returns the process with a mark; None if this namespace has none, or it belongs to another user.

    `likely` is the process id that the daemon reports, which may be another process in this namespace.
    """
    others = (int(entry) for entry in os.listdir("/proc") if entry.isdecimal())
    for process in (*(() if likely is None else (likely,)), *others):
        path = _path(mark, process)
        if path is not None:
            return Holding(process, mark, path)
    return None


def _path(mark: str, process: int) -> Optional[str]:
    folder = f"/proc/{process}/fd"
    try:
        with open(f"/proc/{process}/comm", "rb") as file:
            if file.read().strip() != PROCESS_NAME:
                return None
        for number in os.listdir(folder):
            if os.readlink(f"{folder}/{number}") == f"/memfd:{mark} (deleted)":
                return f"{folder}/{number}"
    except OSError:  # The process has ended, or is another user's.
        pass
    return None


class Watch:
    """Another process: whether it has ended, also if its id belongs to a later process by then.

    Raises:
        ProcessLookupError: there is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._start = _start(pid)
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError as error:
            # The kernel is old, or a sandbox refuses the call.
            if isinstance(error, ProcessLookupError) or self._start is None:
                raise ProcessLookupError(f"there is no process {pid}") from error
            self._pidfd = -1

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptor that is readable once the process has ended; none if the process has to be looked at."""
        return (self._pidfd,) if self._pidfd >= 0 else ()

    @property
    def has_ended(self) -> bool:
        return self.ends_within(0)

    def ends_within(self, seconds: float) -> bool:
        """Waits for the end of the process; returns False if it does not end in time."""
        if self._pidfd >= 0:
            look = poll()
            look.register(self._pidfd, POLLIN)
            return bool(look.poll(seconds * 1_000))
        end = monotonic() + seconds
        while _start(self.pid) == self._start:
            if monotonic() >= end:
                return False
            sleep(0.05)
        return True

    def terminate(self) -> None:
        """Sends SIGTERM."""
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
        elif not self.has_ended:
            os.kill(self.pid, signal.SIGTERM)


def _start(pid: int) -> Optional[bytes]:
    """Returns the time at which a process was started; None if there is no such process, or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read().rpartition(b") ")[2].split(b" ")
    except OSError:
        return None
    return None if words[0] in (b"Z", b"X") else words[19]
