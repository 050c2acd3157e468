"""A session for one thread that also waits for other descriptors: for the processes of ``hold``."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from select import POLLIN, poll
from time import monotonic
from typing import Optional, Union

from ._deadline import PATIENCE
from ._errors import DaemonUnavailable
from ._received import Received
from ._sockets import no_answer
from ._wire import refusal


class Ended(DaemonUnavailable):
    """The session is over."""


class Talk:
    """Sends lines, and waits for the daemon's lines, for other descriptors, or until a moment."""

    def __init__(self, connected: socket.socket, received: bytes, path: str) -> None:
        self.socket = connected
        self.path = path
        self._rest = b""
        self._received = Received()
        self._lines: list[bytes] = []
        self._take(received)
        # The answer to the first `PING` answers no later line.
        if b"PONG" in self._lines:
            del self._lines[: self._lines.index(b"PONG") + 1]

    def send(self, line: bytes) -> None:
        """Sends a line. If the session has ended, the next `event` says so."""
        try:
            self.socket.send(line + b"\n", socket.MSG_NOSIGNAL)
        except OSError:
            pass

    def event(self, watched: Sequence[int] = (), until: Optional[float] = None) -> Union[bytes, int, None]:
        """Returns the next line, the index of a watched descriptor that is ready, or None at the moment `until`.

        The watched descriptors take precedence.

        Raises:
            Ended: the daemon has ended, or has closed the session.
        """
        is_first_look = True
        while True:
            # First look without a wait: lines that have arrived are not seen by `poll`.
            left = None if until is None else max(0.0, until - monotonic()) * 1_000
            look = poll()
            for descriptor in (*watched, self.socket.fileno()):
                look.register(descriptor, POLLIN)
            ready = {descriptor for descriptor, _ in look.poll(0 if is_first_look else left)}
            for index, descriptor in enumerate(watched):
                if descriptor in ready:
                    return index
            if ready:
                self._receive()
            if self._lines:
                return self._lines.pop(0)
            if not is_first_look and not ready and until is not None and monotonic() >= until:
                return None
            is_first_look = False

    def _receive(self) -> None:
        try:
            chunk = self.socket.recv(16_384, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise Ended(f"the connection to the lock daemon has ended: {error.strerror}") from error
        if not chunk:
            raise Ended("the connection to the lock daemon has ended; look at its journal, and try again")
        self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._received, lines = self._received.sift(lines)
        self._lines += lines

    def ask(self, line: bytes, patience: float = PATIENCE) -> tuple[list[bytes], list[list[bytes]]]:
        """Sends a request, and returns the words of its reply and of its rows. Notices are dropped.

        Raises:
            LockError: the reply is an error.
            DaemonTimeout: the daemon was silent for so long.
        """
        self.send(line)
        rows: list[list[bytes]] = []
        while True:
            text = self.event(until=monotonic() + patience)
            if text is None:
                raise no_answer(self.socket, self.path)
            words = text.split(b" ") if isinstance(text, bytes) else []
            if words[:1] == [b"*"]:
                rows.append(words)
            elif words[:1] == [b"ERROR"]:
                raise refusal(words)
            elif words[:1] != [b"!"]:
                return words, rows
