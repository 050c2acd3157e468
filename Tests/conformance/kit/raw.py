"""A session by hand: the other party of the client that is tested."""

from __future__ import annotations

import socket

from . import failure
from .failure import Failure


class Raw:
    """One connection to a daemon. Notices that come before a reply are kept in `notices`.

    It passes over what comes again behind `! RESUMED`.
    """

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(failure.patience)
        self._socket.connect(path)
        self._input = self._socket.makefile("r", encoding="ascii", newline="\n")
        self.notices: list[str] = []
        #: The bytes at which the next line begins, and the most that were received.
        self._position = self._received = 0

    def send(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def line(self) -> str:
        """The next line that is no notice."""
        while True:
            line = self._next()
            if not line.startswith("! "):
                return line
            self.notices.append(line)

    def notice(self) -> str:
        """The next notice."""
        if self.notices:
            return self.notices.pop(0)
        line = self._next()
        if not line.startswith("! "):
            raise Failure(f"a session by hand waited for a notice, and read {line!r}")
        return line

    def _next(self) -> str:
        while True:
            try:
                line = self._input.readline()
            except (TimeoutError, ConnectionError) as error:
                raise Failure(f"a session by hand waited in vain for a line of the daemon: {error}") from None
            if not line.endswith("\n"):
                raise Failure("the daemon ended a session by hand")
            if line.startswith("! RESUMED from="):
                self._position = int(line.partition("=")[2])
                continue
            self._position += len(line)
            if self._position > self._received:
                self._received = self._position
                return line[:-1]

    def ask(self, line: str, answer: str = "") -> str:
        """Sends a line, and returns the reply, which must begin with `answer`."""
        self.send(line)
        return self.expect(answer)

    def expect(self, answer: str) -> str:
        reply = self.line()
        if not reply.startswith(answer):
            raise Failure(f"a session by hand should have read {answer!r}, and read {reply!r}")
        return reply

    def rows(self, line: str) -> list[str]:
        """The rows of a listing."""
        self.send(line)
        rows = []
        while (row := self.line()).startswith("* "):
            rows.append(row)
        if not row.startswith("END "):
            raise Failure(f"{line} has the answer {row!r}")
        return rows

    def token(self, reply: str) -> int:
        """The token of a reply."""
        return int(reply.partition(" token=")[2].split()[0])

    def await_end(self) -> None:
        """Waits until the daemon ends the session."""
        self._input.read()

    def close(self) -> None:
        self._input.close()
        self._socket.close()


def await_waiters(path: str, name: str, count: int) -> None:
    """Waits until so many requests wait for a lock. `WATCH` makes this an event."""
    watch = Raw(path)
    try:
        watch.ask(f"WATCH {name}", "OK")
        while sum(row.startswith("* waiter ") for row in watch.rows(f"STATUS {name}")) != count:
            watch.notice()
            watch.notices.clear()
    finally:
        watch.close()
