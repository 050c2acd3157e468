"""An obstacle to the start of a daemon is reported, and soon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Callable

import prwlock
import pytest
from prwlock import _launch

from processes import wait_until

COMMAND = [sys.executable, "-m", "prwlock"]


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("-t 100", "CPU time, 100 s"),
        ("-n 200", "open descriptors, 200"),
        ("-f 100", "file size, 100 KiB"),
        ("-d 200000", "data memory, 200000 KiB"),
    ],
)
def test_a_limit_that_a_daemon_would_inherit_is_named(limit: str, words: str, running: Callable[[], list[int]]) -> None:
    line = ["bash", "-c", f'ulimit {limit}; exec "$@"', "-", *COMMAND, "ping"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 69
    assert words in done.stderr
    assert not running()


def test_a_soft_limit_is_no_obstacle(running: Callable[[], list[int]]) -> None:
    line = ["bash", "-c", 'ulimit -S -t 100 -n 30; exec "$@"', "-", *COMMAND, "ping"]
    assert subprocess.run(line, capture_output=True, timeout=60, check=False).returncode == 0
    assert len(running()) == 1


def test_a_client_under_a_limit_uses_a_daemon_that_runs(running: Callable[[], list[int]]) -> None:
    prwlock.Client().ping()
    line = ["bash", "-c", 'ulimit -t 100; exec "$@"', "-", *COMMAND, "run", "jobs", "true"]
    assert subprocess.run(line, timeout=60, check=False).returncode == 0
    assert len(running()) == 1


def test_a_process_that_keeps_the_lock_file_is_named(own_socket: Path) -> None:
    own_socket.parent.mkdir(mode=0o700)
    with subprocess.Popen(["flock", f"{own_socket}.lock", "sleep", "1000"], start_new_session=True) as keeper:
        try:
            wait_until(lambda: _launch.lock_holder(f"{own_socket}.lock") is not None)
            with pytest.raises(prwlock.DaemonUnavailable, match=rf"process {keeper.pid} \(flock\)") as caught:
                prwlock.Client().ping()
            assert caught.value.is_temporary
        finally:
            os.killpg(keeper.pid, signal.SIGKILL)


def test_a_lock_file_that_is_passed_on_is_waited_for(own_socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_socket.parent.mkdir(mode=0o700)
    # Each check finds another process.
    looks: list[int] = []

    def holder(_: str) -> int:
        looks.append(len(looks))
        return len(looks)

    monkeypatch.setattr(_launch, "lock_holder", holder)
    words = ["flock", f"{own_socket}.lock", "cat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        keeper.stdin.write(b"x")
        keeper.stdin.flush()
        keeper.stdout.read(1)
        lock = _launch.StartLock(str(own_socket), patience=0.2)
        monkeypatch.setattr(_launch, "_MOST_WAITING", 1)
        with pytest.raises(prwlock.DaemonUnavailable), lock:
            pass
        assert len(looks) > 5
        keeper.stdin.close()
    with lock:
        pass
