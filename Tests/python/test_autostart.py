"""Without any set-up, the first lock starts one daemon for all clients, and nothing remains."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock._launch import daemon_program

from processes import wait_until

PROGRAM = """
import sys, prwlock
sys.stdin.read()
lock = prwlock.RWLock("jobs")
with lock.write() as grant:
    print(grant.token)
"""


@pytest.fixture
def leaves_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Daemons that clients start end after a moment without clients."""
    program = home / "daemon"
    program.write_text(f"#!/bin/sh\nexec '{daemon_program()}' \"$@\" --exit-when-idle=50ms\n")
    program.chmod(0o700)
    monkeypatch.setenv("PRWLOCK_DAEMON", str(program))


def test_the_first_lock_starts_a_daemon(running: Callable[[], list[int]], home: Path, own_socket: Path) -> None:
    lock = prwlock.RWLock()
    assert not running()
    assert lock.acquire_read()
    (daemon,) = running()
    lock.release()
    # Its parent is not this process, and it has inherited nothing from this process.
    status = Path(f"/proc/{daemon}/status").read_text()
    assert f"PPid:\t{os.getpid()}\n" not in status
    assert os.getsid(daemon) == daemon
    assert os.readlink(f"/proc/{daemon}/cwd") == "/"
    names = {os.readlink(f"/proc/{daemon}/fd/{number}").split(":")[0] for number in os.listdir(f"/proc/{daemon}/fd")}
    log = str(own_socket.parent / "prwlockd.log")
    # The slots of cached grants are in files in memory, which the daemon makes.
    assert names - {"/dev/null", log, "socket", "anon_inode", "/memfd"} <= {
        name for name in names if name.startswith((str(home), "/run"))
    }
    assert own_socket.parent.stat().st_mode & 0o777 == 0o700
    assert own_socket.stat().st_mode & 0o777 == 0o600


def test_nothing_of_a_program_goes_into_the_daemon(
    running: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hidden")
    inherited, other = os.pipe()
    os.set_inheritable(inherited, True)
    assert prwlock.RWLock().acquire_read()
    (daemon,) = running()
    assert b"SECRET" not in Path(f"/proc/{daemon}/environ").read_bytes()
    pipe = os.readlink(f"/proc/self/fd/{inherited}")
    assert pipe not in [os.readlink(f"/proc/{daemon}/fd/{number}") for number in os.listdir(f"/proc/{daemon}/fd")]
    os.close(inherited)
    os.close(other)


def test_a_hundred_processes_at_once_end_up_with_one(running: Callable[[], list[int]]) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(100)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    tokens = []
    for process in processes:
        assert process.stdout is not None
        tokens.append(int(process.stdout.read()))
        process.stdout.close()
        assert process.wait() == 0
    assert len(set(tokens)) == 100
    assert len(running()) == 1


def test_no_socket_is_left_over(
    leaves_at_once: None, running: Callable[[], list[int]], own_socket: Path, run: Any
) -> None:
    assert run("import prwlock\nprint(prwlock.RWLock().acquire_write())").strip() == "True"
    wait_until(lambda: not running())
    assert not {own_socket.name, f"{own_socket.name}.lock"} & {*os.listdir(own_socket.parent)}


def test_a_daemon_that_ends_while_clients_connect_refuses_none(leaves_at_once: None, run: Any) -> None:
    # The client connects again at moments around the end of the daemon.
    program = """
import prwlock, sys, time
last = 0
for turn in range(60):
    client = prwlock.Client()
    with client.acquire("jobs") as grant:
        assert grant.token > last
        last = grant.token
    client.close()
    time.sleep(0.04 + turn * 0.0005)
"""
    run(program)


def test_a_socket_that_a_dead_daemon_left_is_replaced(running: Callable[[], list[int]], home: Path) -> None:
    lock = prwlock.RWLock()
    assert lock.acquire_read()
    (daemon,) = running()
    os.kill(daemon, 9)
    connection = lock.client._connection
    assert connection is not None
    assert connection._socket.recv(1, socket.MSG_PEEK) == b""
    with prwlock.RWLock("jobs").write(timeout=60) as grant:
        assert grant.token > 1
    assert len(running()) == 1


def test_what_is_no_socket_is_left_alone(own_socket: Path) -> None:
    own_socket.parent.mkdir(mode=0o700)
    own_socket.write_text("precious")
    with pytest.raises(prwlock.DaemonUnavailable, match="not a socket"):
        prwlock.RWLock().acquire_read()
    assert own_socket.read_text() == "precious"
