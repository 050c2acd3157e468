"""A server by hand, which answers only what a case tells it to: for lines that no daemon of today sends."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from struct import unpack
from typing import Optional

from . import failure
from .failure import Failure

HELLO = "HELLO version=1 server=hand session=1 max-line=65536 max-session-grants=10000 max-session-waiters=1000"
#: The request of ioctl(2) for the number of bytes that the other side has not read.
_UNREAD = 0x5411
#: How long a client without a thread that reads may leave a byte, in seconds.
_A_WHILE = 0.05


def send_slowly(connection: socket.socket, data: bytes) -> None:
    """Sends byte by byte: each one when the other side has read the one before, or has read nothing for a while."""
    for byte in data:
        connection.sendall(bytes([byte]))
        end = time.monotonic() + _A_WHILE
        while unpack("i", ioctl(connection, _UNREAD, b"\0\0\0\0"))[0] > 0 and time.monotonic() < end:
            os.sched_yield()


def close(ended: socket.socket) -> None:
    """Closes a socket, and wakes the thread that waits for it. May be repeated."""
    try:
        ended.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    ended.close()


class Connection:
    """One connection of a client. `sent` counts bytes as `! RESUMED` does."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.sent = 0
        self.is_slow = False

    def send(self, text: str) -> None:
        """Sends text as it is, also half a line."""
        data = text.encode()
        self.sent += len(data)
        self._put(data)

    def resume(self, start: int) -> None:
        """Sends `! RESUMED`, which counts for nothing."""
        self.sent = start
        self._put(f"! RESUMED from={start}\n".encode())

    def _put(self, data: bytes) -> None:
        try:
            if self.is_slow:
                send_slowly(self._socket, data)
            else:
                self._socket.sendall(data)
        except OSError as error:
            raise Failure(f"the client has closed its connection: {error}") from None

    def lines(self) -> Callable[[], str]:
        input = self._socket.makefile("r", encoding="ascii", newline="\n")
        return lambda: input.readline()

    def close(self) -> None:
        close(self._socket)


@dataclass
class Line:
    """A request of the client."""

    connection: Connection
    text: str

    def __post_init__(self) -> None:
        words = self.text.split()
        self.tag = words.pop(0) + " " if words[:1] and words[0].startswith("#") else ""
        self.verb = words.pop(0).upper() if words else ""
        self.words = words
        self.options = dict(word.split("=", 1) for word in words if "=" in word)

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    def reply(self, text: str) -> None:
        """Answers the request: the tag, the text, the line's end."""
        self.connection.send(f"{self.tag}{text}\n")

    def grant(self, token: int, end: str = "") -> None:
        self.reply(f"GRANTED {self.name} {self.verb.lower()} token={token}{end}")


class Fake:
    """Listens at a path. It answers `PING` and `HELLO` by itself, and keeps all other lines for the case."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        Path(path).unlink(missing_ok=True)
        self._listener.bind(path)
        self._listener.listen(64)
        self._lines: queue.Queue[Line] = queue.Queue()
        self._greetings = 0
        self.connections: list[Connection] = []
        #: Answers what would be kept otherwise.
        self.automatic: Optional[Callable[[Line], None]] = None
        self.knows_cache = True
        #: Called for each line before it is answered; may wait.
        self.before: Optional[Callable[[str], None]] = None
        self.is_slow = False
        threading.Thread(target=self._accept, daemon=True).start()

    def next(self, *verbs: str) -> Line:
        """The next request that is neither `PING` nor `HELLO`. It must have one of the verbs."""
        try:
            line = self._lines.get(timeout=failure.patience)
        except queue.Empty:
            raise Failure(f"the client sent no {' or '.join(verbs)}") from None
        if verbs and line.verb not in verbs:
            raise Failure(f"the client sent {line.text!r}, and should have sent {' or '.join(verbs)}")
        return line

    def await_line(self, verb: str, matches: Callable[[Line], bool] = lambda _: True) -> Line:
        """The next request with a verb that matches; the client may send others before it, which get no reply."""
        while True:
            line = self.next()
            if line.verb == verb and matches(line):
                return line

    @property
    def lines_before(self) -> int:
        """How many `PING` and `HELLO` have come."""
        return self._greetings

    def waiting(self) -> list[str]:
        """The requests that have come and were not taken."""
        return [line.text for line in list(self._lines.queue)]

    def end(self) -> None:
        close(self._listener)
        for connection in self.connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(accepted)
            connection.is_slow = self.is_slow
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        read = connection.lines()
        try:
            while text := read():
                if self.before is not None:
                    self.before(text)
                line = Line(connection, text.rstrip("\r\n"))
                self._greetings += line.verb in ("PING", "HELLO")
                if line.verb == "PING":
                    line.reply("PONG")
                elif line.verb == "HELLO" and "cache" in line.options and not self.knows_cache:
                    line.reply("ERROR unknown-argument no such argument")
                elif line.verb == "HELLO":
                    line.reply(HELLO + (" slots=0" if "cache" in line.options else ""))
                elif self.automatic is not None:
                    self.automatic(line)
                elif line.verb:
                    self._lines.put(line)
        except (OSError, ValueError, Failure):
            return
