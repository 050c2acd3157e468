"""One user has one daemon and rising tokens, whatever happens to folders, homes and environments."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _location, _rendezvous

from processes import Peer, wait_until

GRANT = "import prwlock; print(prwlock.RWLock('jobs').write(60).token)"


def token(**environment: str) -> int:
    """Returns the token of a grant to a new process with that environment."""
    text = subprocess.check_output([sys.executable, "-c", GRANT], env={**os.environ, **environment}, timeout=120)
    return int(text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("home_is", ["there", "missing", "a file", "another"])
def test_tokens_rise_over_restarts(number: int, home_is: str, home: Path, running: Callable[[], list[int]]) -> None:
    if home_is in ("missing", "a file"):
        (home / "home").rmdir()
    if home_is == "a file":
        (home / "home").write_text("")
    tokens = []
    for turn in range(3):
        environment = {"HOME": f"{home}/{turn}", "XDG_STATE_HOME": f"{home}/{turn}"} if home_is == "another" else {}
        tokens += [token(**environment), token()]
        (daemon,) = running()
        os.kill(daemon, number)
        wait_until(lambda daemon=daemon: daemon not in running())
    assert tokens == sorted({*tokens})


def test_a_login_and_a_logout_move_nothing(home: Path, running: Callable[[], list[int]]) -> None:
    runtime = home / "run" / "user" / str(os.geteuid())
    with prwlock.RWLock("jobs").write():
        runtime.mkdir(parents=True, mode=0o700)
        peer = Peer()
        assert peer.ask("write", "jobs", "0") == "False"
        peer.end()
        shutil.rmtree(home / "run" / "user")
        peer = Peer()
        assert peer.ask("write", "jobs", "0") == "False"
        peer.end()
    assert len(running()) == 1


def test_a_removed_folder_lets_no_second_writer_in(own_socket: Path, running: Callable[[], list[int]]) -> None:
    held = prwlock.RWLock("jobs").write()
    # The daemon may make the folder again while it is removed.
    for remove in (lambda: shutil.rmtree(own_socket.parent, ignore_errors=True), own_socket.unlink):
        remove()
        peer = Peer()
        assert peer.ask("write", "jobs", "0") == "False"
        peer.end()
    assert held.is_valid()
    assert len(running()) == 1


def test_a_folder_that_is_removed_again_and_again(
    own_socket: Path, home: Path, running: Callable[[], list[int]], run: Any
) -> None:
    # Each holder creates a file that must not exist, and removes it.
    text = """
import os, sys, prwlock
for turn in range(20):
    with prwlock.Client() as client, client.acquire("jobs", timeout=60) as grant:
        os.close(os.open(sys.argv[1], os.O_CREAT | os.O_EXCL))
        print(grant.token)
        os.unlink(sys.argv[1])
"""
    is_over = threading.Event()

    def remove() -> None:
        # Remove it when a daemon answers there, and never while one starts.
        while not is_over.is_set():
            if own_socket.exists():
                answered = _rendezvous.attempt(_location.Location(str(own_socket)))
                if answered:
                    answered[0].close()
                    shutil.rmtree(own_socket.parent, ignore_errors=True)
            is_over.wait(0.01)

    remover = threading.Thread(target=remove)
    remover.start()
    words = [sys.executable, "-c", text, str(home / "inside")]
    clients = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [client.communicate(timeout=300) for client in clients]
    is_over.set()
    remover.join()
    for client, (tokens, errors) in zip(clients, said):
        assert client.returncode == 0, errors
        numbers = [int(line) for line in tokens.split()]
        assert numbers == sorted(numbers)
    assert len({line for tokens, _ in said for line in tokens.split()}) == 80
    wait_until(lambda: len(running()) <= 1)


def test_a_process_with_another_tmp_learns_where_the_daemon_is(
    home: Path, own_socket: Path, running: Callable[[], list[int]]
) -> None:
    with prwlock.RWLock("jobs").write():
        (daemon,) = running()
        hide = f"mount -t tmpfs none {home}/run && mount -t tmpfs none {home}/tmp"
        words = ["unshare", "--mount", "sh", "-c", f'{hide} || exit 99; exec "$@"', "-"]
        words += [sys.executable, "-m", "prwlock", "run", "-n", "jobs", "true"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 99 or "unshare" in done.stderr:
            pytest.skip("mount namespaces cannot be made here")
        assert done.returncode == 69
        assert f"process {daemon}" in done.stderr
        assert str(own_socket) in done.stderr
        assert "PRWLOCK_SOCKET" in done.stderr
    assert running() == [daemon]
