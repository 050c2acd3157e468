"""Other clients, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Callable, Optional

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


class Peer:
    """Another process that uses locks on command: `ask("write", "jobs")` waits for the answer, `tell` does not."""

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
    """Polls until the condition is true, for a minute at most."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"it never came: {what}"
        time.sleep(0.001)


def descriptors(pid: Optional[int] = None) -> set[str]:
    """Returns the numbers of a process's open descriptors."""
    return set(os.listdir(f"/proc/{pid or 'self'}/fd"))
