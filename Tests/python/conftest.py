"""Fixtures: a home for each test, daemons, and other processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _location
from prwlock._private_daemon import PrivateDaemon

from loops import Run
from processes import Peer


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A separate place for the daemons that the clients of a test start; also a folder for files."""
    # Always in /tmp: the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="prw", dir="/tmp"))
    for name in ("run", "tmp", "home"):
        (folder / name).mkdir()
    monkeypatch.setenv("PRWLOCK_TEST_ROOT", str(folder))
    monkeypatch.setenv("HOME", str(folder / "home"))
    for name in ("PRWLOCK_SOCKET", "PRWLOCK_AUTOSTART", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    for process in auto_started(folder):
        os.kill(process, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def auto_started(root: Path) -> list[int]:
    """Returns the daemons that write to a log below that folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            output = os.readlink(entry / "fd" / "2") if entry.name.isdigit() else ""
            if output.startswith(f"{root}/") and "/prwlockd.log" in output:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def own_socket(home: Path) -> Path:
    """The socket of the daemon that clients start."""
    return Path(_location.own_candidates()[0])


@pytest.fixture
def running(home: Path) -> Callable[[], list[int]]:
    """Returns a function that returns the daemons that clients have started in this place."""
    return lambda: auto_started(home)


@pytest.fixture
def daemon(prwlock_daemon: PrivateDaemon) -> PrivateDaemon:
    """A daemon that all clients of the test find."""
    return prwlock_daemon


@pytest.fixture
def client(daemon: PrivateDaemon) -> Iterator[prwlock.Client]:
    """A client with another session than that of the test's locks, to inspect them."""
    with prwlock.Client() as client:
        yield client


@pytest.fixture
def peer(daemon: PrivateDaemon) -> Iterator[Callable[[], Peer]]:
    """Returns a function that starts other processes, which use locks on command."""
    peers: list[Peer] = []

    def make() -> Peer:
        peers.append(Peer())
        return peers[-1]

    yield make
    for peer in peers:
        peer.end()


@pytest.fixture
def run(home: Path) -> Callable[..., str]:
    """Returns a function that runs a program text in another process, and returns its output."""

    def run(text: str, *arguments: str, status: int = 0) -> str:
        script = home / "program.py"
        script.write_text(text)
        done = subprocess.run(
            [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    return run


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_run(request: pytest.FixtureRequest) -> Run:
    """Returns a function that runs a coroutine to its end, with a limit against hangs."""

    async def bounded(body: Coroutine[Any, Any, Any]) -> Any:
        return await asyncio.wait_for(body, 90)

    if request.param == "asyncio":
        return lambda body: asyncio.run(bounded(body))
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

    def run(body: Coroutine[Any, Any, Any]) -> Any:
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        try:
            return asyncio.run(bounded(body))
        finally:
            asyncio.set_event_loop_policy(None)

    return run
