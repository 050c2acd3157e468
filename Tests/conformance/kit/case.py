"""The cases, as they are declared in the modules of `cases`, and what a case has to work with."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Optional

from .adapter import Adapter
from .between import Between, Change
from .daemon import Daemon
from .failure import Skipped
from .fake import Fake
from .raw import Raw

_numbers = count(1)


@dataclass(frozen=True)
class Case:
    """One thing that a client must do."""

    name: str
    #: What states it: a guarantee, or a section of `protocol.md`.
    rule: str
    #: What the client must be able to do for the case to make sense.
    needs: frozenset[str]
    body: Callable[[Trial], None]

    @property
    def text(self) -> str:
        return (self.body.__doc__ or "").strip().splitlines()[0]


CASES: list[Case] = []


def case(rule: str, *needs: str) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Declares a case. Its name is that of its module and function: `waits/cancel`."""

    def declare(body: Callable[[Trial], None]) -> Callable[[Trial], None]:
        name = f"{body.__module__.rpartition('.')[2]}/{body.__name__}"
        CASES.append(Case(name, rule, frozenset(needs), body))
        return body

    return declare


@dataclass(frozen=True)
class Subject:
    """A client to test: how its adapter is started."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class Trial:
    """One run of one case with one client. What it makes ends with it."""

    def __init__(self, subject: Subject, programs: Path, shared: Daemon) -> None:
        self._subject = subject
        self.programs = programs
        #: A daemon without special options, which other trials use at the same time.
        self.daemon = shared
        self._prefix = f"c{next(_numbers)}"
        # In /tmp, because the path of a socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="prw", dir="/tmp"))
        for name in ("run", "tmp", "home"):
            (self.folder / name).mkdir()
        self._ends: list[Callable[[], None]] = []

    def name(self, text: str = "lock") -> str:
        """A lock's name that no other trial uses."""
        return f"{self._prefix}/{text}"

    # What a case makes

    def client(
        self, path: Optional[str] = None, environment: Optional[Mapping[str, str]] = None, uid: Optional[int] = None
    ) -> Adapter:
        """Starts a client of a daemon; of the shared one without a path, and of none with an empty path."""
        path = self.daemon.path if path is None else path
        whole = {
            "PATH": f"{self.programs}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "HOME": str(self.folder / "home"),
            "PRWLOCK_TEST_ROOT": str(self.folder),
            "PRWLOCK_DAEMON": str(self.programs / "prwlockd"),
            **({"PRWLOCK_SOCKET": path} if path else {}),
            **self._subject.environment,
            **(environment or {}),
        }
        adapter = Adapter(self._subject.command, whole, uid)
        self._ends.append(adapter.end)
        return adapter

    def own_daemon(self, *options: str) -> Daemon:
        """Starts a daemon for this trial only."""
        daemon = Daemon(self.programs, self.folder, *options)
        self._ends.append(daemon.end)
        return daemon

    def raw(self, path: Optional[str] = None) -> Raw:
        """Connects a session by hand."""
        raw = Raw(self.daemon.path if path is None else path)
        self._ends.append(raw.close)
        return raw

    def fake(self) -> Fake:
        """Makes a server by hand."""
        fake = Fake(str(self.folder / "f"))
        self._ends.append(fake.end)
        return fake

    def between(self, change: Change = bytes, is_slow: bool = False) -> str:
        """Makes a relay to the shared daemon, and returns the path of its socket."""
        between = Between(str(self.folder / "b"), self.daemon.path, change, is_slow)
        self._ends.append(between.end)
        return between.path

    def at_end(self, action: Callable[[], None]) -> None:
        self._ends.append(action)

    def end(self) -> None:
        for action in reversed(self._ends):
            action()
        for process in started_below(self.folder):
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def started_below(folder: Path) -> list[int]:
    """The daemons that clients have started below a folder: their log is there."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            output = os.readlink(entry / "fd" / "2") if entry.name.isdigit() else ""
        except OSError:
            continue
        if output.startswith(f"{folder}/") and "/prwlockd.log" in output:
            found.append(int(entry.name))
    return found


def require_root() -> None:
    """Skips the case unless this process may act as another user."""
    if os.geteuid() != 0:
        raise Skipped("needs root, to act as another user")
