"""A relay between a client and a daemon, which changes what the daemon sends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from .fake import close, send_slowly

#: Returns what becomes of a line of the daemon, with its end.
Change = Callable[[bytes], bytes]


class Between:
    """Listens at a path, and carries each connection to a daemon. Descriptors of the daemon are lost on the way."""

    def __init__(self, path: str, daemon: str, change: Change, is_slow: bool = False) -> None:
        self.path = path
        self._daemon = daemon
        self._change = change
        self._is_slow = is_slow
        self._sockets: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def end(self) -> None:
        for each in [self._listener, *self._sockets]:
            close(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                daemon = socket.socket(socket.AF_UNIX)
                self._sockets += [client, daemon]
                daemon.connect(self._daemon)
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client, daemon), daemon=True).start()
            threading.Thread(target=self._carry_changed, args=(daemon, client), daemon=True).start()

    def _carry(self, client: socket.socket, daemon: socket.socket) -> None:
        try:
            while data := client.recv(65536):
                daemon.sendall(data)
            daemon.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _carry_changed(self, daemon: socket.socket, client: socket.socket) -> None:
        rest = b""
        try:
            while data := daemon.recv(65536):
                *lines, rest = (rest + data).split(b"\n")
                changed = b"".join(self._change(line + b"\n") for line in lines)
                if self._is_slow:
                    send_slowly(client, changed)
                elif changed:
                    client.sendall(changed)
            client.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):  # The client, or the trial, has ended.
            pass
