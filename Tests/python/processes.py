"""Daemons and other clients, as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Optional

from prwlock._launch import daemon_program

PEER = """
import os, sys, prwlock
held = {}
for line in sys.stdin:
    verb, name, *rest = line.split()
    lock = held.setdefault(name, prwlock.RWLock(name))
    try:
        if verb == "release":
            lock.release()
            print("done", flush=True)
        else:
            timeout = float(rest[0]) if rest else None
            print(getattr(lock, "acquire_" + verb)(timeout), flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


class Daemon:
    """A real daemon on a socket in a folder; ended by its process id."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.socket = str(folder / "s")
        self.arguments = arguments
        self.start()

    def start(self) -> None:
        """Starts it, and returns when it listens."""
        state = str(self.folder / "daemon-state")
        command = [daemon_program(), "--socket", self.socket, "--state-directory", state, "--grace", "0"]
        self.process = subprocess.Popen(
            [*command, *self.arguments], stderr=open(self.folder / "log", "a"), start_new_session=True
        )
        wait_until(lambda: self.process.poll() is not None or self._listens())
        assert self.process.poll() is None, (self.folder / "log").read_text()

    def _listens(self) -> bool:
        import socket

        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.socket) == 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Has it end in good order."""
        self.process.terminate()
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            self.kill()


class Peer:
    """Another process with locks: `ask("write", "jobs")` waits for its answer, `tell` does not."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, *words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, *words: str) -> str:
        self.tell(*words)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.kill()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Looks until it is so; what takes a minute does not come any more."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"it never came: {what}"
        time.sleep(0.001)


def descriptors(pid: Optional[int] = None) -> set[str]:
    """The numbers of a process's open descriptors."""
    return set(os.listdir(f"/proc/{pid or 'self'}/fd"))
