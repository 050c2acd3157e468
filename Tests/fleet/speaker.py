"""A session with a daemon, line by line."""

from __future__ import annotations

import socket
from collections import deque

#: How long an answer may take, in seconds, before the test fails.
PATIENCE = 30


class Speaker:
    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(path)
        self._partial = b""
        self._lines: deque[str] = deque()

    def say(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def hear(self) -> str:
        """The next line, a notice or an answer."""
        while not self._lines:
            part = self._socket.recv(65536)
            if not part:
                raise EOFError("the daemon has closed the session")
            self._take(part)
        return self._lines.popleft()

    def hear_answer(self) -> str:
        while (line := self.hear()).startswith("!"):
            pass
        return line

    def ask(self, line: str) -> str:
        """The answer to a request, without the notices before it."""
        self.say(line)
        return self.hear_answer()

    def forget(self) -> list[str]:
        """All that has come and was not read yet, without waiting."""
        self._socket.setblocking(False)
        try:
            while part := self._socket.recv(65536):
                self._take(part)
        except BlockingIOError:
            pass
        finally:
            self._socket.settimeout(PATIENCE)
        lines = list(self._lines)
        self._lines.clear()
        return lines

    def close(self) -> None:
        self._socket.close()

    def _take(self, part: bytes) -> None:
        *lines, self._partial = (self._partial + part).split(b"\n")
        self._lines.extend(line.decode() for line in lines)


def token(line: str) -> int:
    """The token of a grant."""
    if not line.startswith("GRANTED "):
        raise SystemExit(f"no grant: {line}")
    return next(int(word[6:]) for word in line.split() if word.startswith("token="))
