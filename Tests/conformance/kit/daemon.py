"""Real daemons."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Optional

from . import failure
from .failure import Failure
from .raw import Raw


class Daemon:
    """A `prwlockd` with a socket and a state in a folder. It can be killed, stopped and started again."""

    def __init__(self, programs: Path, folder: Path, *options: str, path: Optional[Path] = None) -> None:
        self._program = programs / "prwlockd"
        self.folder = folder
        self.path = str(path or folder / "s")
        self._options = ["--socket", self.path, "--state-directory", str(folder / "state"), "--grace", "0", *options]
        self._process: subprocess.Popen[bytes]
        self.start()

    def start(self, *options: str) -> None:
        """Starts it, and returns when it answers."""
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), *self._options, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PRWLOCK_TEST_ROOT": str(self.folder), "PATH": "/usr/bin:/bin"}, start_new_session=True,
            )
        await_daemon(self.path, self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def worker(self) -> int:
        """The process that serves under a keeper."""
        end = time.monotonic() + failure.patience
        while time.monotonic() < end:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            if children:
                return int(children[0])
            time.sleep(0.001)
        raise Failure("the daemon has no process that serves")

    def raw(self) -> Raw:
        return Raw(self.path)

    def kill(self) -> None:
        """Kills it as `kill -9` does."""
        self._process.kill()
        self._process.wait()

    def drain(self) -> None:
        self._process.terminate()

    def await_end(self) -> None:
        self._process.wait(failure.patience)

    def stop(self) -> None:
        """Stops it, and returns when it is stopped."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Ends it, and the process that serves, in any state."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()


def await_daemon(path: str, process: subprocess.Popen[bytes]) -> None:
    """Waits until a daemon answers at a path."""
    end = time.monotonic() + failure.patience
    while True:
        try:
            raw = Raw(path)
            raw.ask("PING", "PONG")
            # The end of this session must not come behind the first session of the case.
            raw.ask("QUIT", "BYE")
            raw.await_end()
            return raw.close()
        except (OSError, Failure) as error:
            if process.poll() is not None or time.monotonic() > end:
                raise Failure(f"no daemon answers at {path}: {error}") from None
            time.sleep(0.001)
