"""A player: a process with a session of its own, which shows a command line of its own in `/proc`."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from urllib.parse import quote

#: An option of prctl(2).
SIGNAL_AT_DEATH_OF_PARENT = 1


def encode(text: str) -> str:
    """The text in the alphabet of names and notes (protocol.md, Arguments)."""
    return quote(text, safe="+-./:@_~")


class Session:
    """A connection to the daemon that makes one request at a time."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._input = self._socket.makefile("r", encoding="ascii", newline="\n")

    def ask(self, request: str) -> str:
        """The reply, without its argument: `GRANTED`, `TIMEOUT`, `DEADLOCK` and so on."""
        self._socket.sendall(request.encode() + b"\n")
        while True:
            line = self._input.readline()
            if not line:
                raise SystemExit("the daemon has ended the session")
            if not line.startswith("!"):
                return line.split()[0]


class Player:
    """One of the processes. All durations are in seconds of the hour that is played; `speed` divides them."""

    def __init__(self, path: str, seed: str, speed: float) -> None:
        self.random = random.Random(seed)
        self._session = Session(path)
        self._speed = speed

    def acquire(self, mode: str, name: str, note: str = "", wait: float | None = None) -> str:
        options = f" note={encode(note)}" if note else ""
        if wait is not None:
            options += f" wait={max(1, round(1000 * wait / self._speed))}ms"
        return self._session.ask(f"{mode.upper()} {encode(name)} cache=0{options}")

    def release(self, name: str) -> None:
        self._session.ask(f"RELEASE {encode(name)}")

    def pause(self, seconds: float) -> None:
        time.sleep(seconds / self._speed)

    def pause_about(self, mean: float) -> None:
        self.pause(min(self.random.expovariate(1 / mean), 5 * mean))

    def pause_until_next(self, period: float) -> None:
        """Until the clock shows a multiple of the period, so that several players begin together."""
        length = period / self._speed
        time.sleep(length - time.monotonic() % length)

    def sleep_for_ever(self) -> None:
        while True:
            signal.pause()


def start(title: str, play: Callable[[], None]) -> int:
    """Forks a process that shows the title as its command line, and calls `play` in it. It dies with its parent."""
    parent = os.getpid()
    process = os.fork()
    if process:
        return process
    ctypes.CDLL(None).prctl(SIGNAL_AT_DEATH_OF_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    show_as(title)
    try:
        play()
    finally:
        os._exit(1)


def show_as(title: str) -> None:
    """Writes the title over the arguments of this process, and over its environment if it needs the room.

    If the last byte of the arguments is not NUL, the kernel shows the text up to the first NUL: it does that for
    setproctitle(3).
    """
    with open("/proc/self/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    begin, end, end_of_environment = (int(fields[index]) for index in (45, 46, 48))
    text = title.encode()[: end_of_environment - begin - 1] + b"\0"
    ctypes.memmove(begin, text, len(text))
    if len(text) < end - begin:
        ctypes.memset(end - 1, ord("."), 1)
