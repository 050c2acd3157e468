"""A host of the fleet: a daemon with its own socket, state directory and host name, on a node of the network."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import history
from cluster import die_with_parent
from network import Network

#: How long a daemon grants nothing after one that was killed.
GRACE = 500
ENVIRONMENT = {"PRWLOCK_TEST_INVARIANTS": "1", "SWIFT_BACKTRACE": "enable=no"}


class Host:
    def __init__(
        self, name: str, network: Network, folder: Path, recorder: history.Recorder, program: str, options: list[str]
    ) -> None:
        self.name, self.network, self.recorder = name, network, recorder
        self.program, self.options = program, options
        self.folder = folder / name
        self.folder.mkdir(mode=0o700)
        self.socket = str(self.folder / "socket")
        # Until then its worker is not killed: five deaths at the start, one after another, are a reason to trust nothing.
        self._probe: socket.socket | None = None
        self.start()

    def start(self) -> None:
        command = [
            self.program, "--socket", self.socket, "--state-directory", str(self.folder), "--keep",
            "--grace", f"{GRACE}ms", "--drain", "1s", "--log-level", "info", *self.options,
        ]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.network.inside(self.name, command), env=os.environ | ENVIRONMENT, stdout=log, stderr=log,
                preexec_fn=die_with_parent)
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with self._connected(20) as trial:
                    trial.sendall(b"PING\n")
                    if trial.recv(64):
                        self.recorder.note("host-serving", host=self.name)
                        return
            except OSError:
                time.sleep(0.002)
        raise SystemExit(f"the daemon of {self.name} does not start: {self.log()[-2000:]}")

    def _connected(self, patience: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(patience)
        connection.connect(self.socket)
        return connection

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def worker(self) -> int | None:
        """The process that serves, if this moment has one."""
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def kill_worker(self) -> bool:
        """Kills the process that serves, if it has answered or let a client in since the last kill; returns whether it did."""
        if (worker := self.worker()) is None:
            return False
        try:
            if self._probe is None:
                self._probe = self._connected(5)
                self._probe.setblocking(False)
            elif not self._probe.recv(4096):
                self._probe = None
                return False
        except BlockingIOError:
            return False
        except OSError:
            self._probe = None
            return False
        self.recorder.note("worker-killing", host=self.name)
        os.kill(worker, signal.SIGKILL)
        try:
            self._probe.send(b"PING\n")
        except OSError:
            # It was accepted in the instant of the kill.
            self._probe = None
        return True

    def kill(self) -> None:
        """Kills the keeper and the worker at once, as a power cut would."""
        self.recorder.note("host-killing", host=self.name)
        # Else the keeper may start another worker meanwhile.
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        worker = self.worker()
        ended = os.pidfd_open(worker) if worker is not None else None
        for process in (self.process.pid, worker):
            if process is not None:
                os.kill(process, signal.SIGKILL)
        self.process.wait()
        if ended is not None:
            # Until the worker has ended, its socket listens.
            select.select([ended], [], [])
            os.close(ended)
        self._probe = None

    def stop(self) -> None:
        """Stops both processes, as a suspended machine does."""
        self.recorder.note("host-stopping", host=self.name)
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        self.recorder.note("host-continued", host=self.name)

    def _signal(self, number: int) -> None:
        # A keeper that runs would replace or pass over a worker that is stopped.
        processes = [self.process.pid, self.worker()]
        for process in processes if number == signal.SIGSTOP else reversed(processes):
            if process is not None:
                os.kill(process, number)

    def figures(self) -> dict[str, str]:
        """The rows of STATS."""
        try:
            with self._connected(5) as connection:
                connection.sendall(b"STATS\n")
                reader = connection.makefile("r")
                rows: dict[str, str] = {}
                for line in reader:
                    words = line.split()
                    if not words or words[0] in ("END", "ERROR"):
                        break
                    if len(words) >= 3:
                        rows[words[-2]] = words[-1]
                return rows
        except OSError:
            return {}

    def end(self) -> int:
        if self.process.poll() is None:
            self.recorder.note("host-killing", host=self.name)
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode
