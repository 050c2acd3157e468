"""A daemon for one test or one measurement, in a temporary folder."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from typing import Optional

from ._client import Client
from ._errors import DaemonUnavailable
from ._launch import daemon_program
from ._location import Location
from ._once import once
from ._rendezvous import connect

_PATIENCE = 10.0


class PrivateDaemon:
    """A running daemon at a socket that only its user knows.

    Raises:
        DaemonUnavailable: there is no daemon program, or it ended at once; the text has what it said.
    """

    def __init__(self, *options: str) -> None:
        # The kernel limits the length of a socket's path.
        self._folder = tempfile.mkdtemp(prefix="prw")
        #: The path of its socket.
        self.socket = f"{self._folder}/s"
        self._options = options
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._clients: dict[int, Client] = {}
        try:
            self._start()
        except BaseException:
            self.end()
            raise

    def _start(self) -> None:
        command = [daemon_program(), "--socket", self.socket, "--state-directory", f"{self._folder}/state"]
        with open(f"{self._folder}/log", "ab") as log:
            self._process = subprocess.Popen(
                [*command, "--grace", "0", *self._options], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._await()

    def _await(self) -> None:
        from time import monotonic, sleep

        end = monotonic() + _PATIENCE
        while monotonic() < end:
            try:
                connect(Location(self.socket), end)[0].close()
                return
            except DaemonUnavailable:  # Not yet.
                pass
            if self._process is None or self._process.poll() is not None:
                break
            sleep(0.002)
        with open(f"{self._folder}/log") as log:
            raise DaemonUnavailable(f"the private lock daemon did not start: {log.read().strip()}")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def client(self) -> Client:
        """A client to inspect the daemon."""
        return once(self._clients, 0, lambda: Client(self.socket))

    def kill(self) -> None:
        """Kills it, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Stops the daemon properly if it runs, and starts it again on the same socket, with the same tokens."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        self._start()

    def end(self) -> None:
        """Kills the daemon, and removes its folder."""
        for client in self._clients.values():
            client.close()
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> PrivateDaemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
