"""What the tests share: a home of each test's own, daemons, and other processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import prwlock
import pytest
from prwlock._private_daemon import PrivateDaemon

from processes import Peer


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home and a runtime folder that nobody else uses; daemons that clients start in it end with it."""
    folder = Path(tempfile.mkdtemp(prefix="prw"))
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.delenv("PRWLOCK_SOCKET", raising=False)
    monkeypatch.delenv("PRWLOCK_AUTOSTART", raising=False)
    yield folder
    for process in auto_started(runtime / "prwlock" / "prwlock.sock"):
        os.kill(process, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def auto_started(socket: Path) -> list[int]:
    """The daemons whose output goes to the log of that home."""
    log = str(socket.parent.parent.parent / "state")
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "fd" / "2").startswith(log):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def running(home: Path) -> Callable[[], list[int]]:
    """Tells the daemons that clients have started in this home."""
    return lambda: auto_started(home / "run" / "prwlock" / "prwlock.sock")


@pytest.fixture
def daemon(prwlock_daemon: PrivateDaemon) -> PrivateDaemon:
    """A daemon of the test's own, which all clients of the test find."""
    return prwlock_daemon


@pytest.fixture
def client(daemon: PrivateDaemon) -> Iterator[prwlock.Client]:
    """Another session of this process than the one that the locks share, to look at them."""
    with prwlock.Client() as client:
        yield client


@pytest.fixture
def peer(daemon: PrivateDaemon) -> Iterator[Callable[[], Peer]]:
    """Makes other processes that do with locks what they are told."""
    peers: list[Peer] = []

    def make() -> Peer:
        peers.append(Peer())
        return peers[-1]

    yield make
    for peer in peers:
        peer.end()


@pytest.fixture
def run(home: Path) -> Callable[..., str]:
    """Runs a program text by this Python in a process of its own, and returns what it prints."""

    def run(text: str, *arguments: str, status: int = 0) -> str:
        script = home / "program.py"
        script.write_text(text)
        done = subprocess.run(
            [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    return run
