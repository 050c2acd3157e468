"""Where the daemon is: one place for all processes of a user, whatever their environments are (`protocol.md`)."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _guard, _launch, _location, _rendezvous
from prwlock._private_daemon import PrivateDaemon

from processes import Peer

TOLD = b"prwlockd pid=1 socket=/elsewhere/a%20b\n"


@pytest.fixture
def system(home: Path) -> Path:
    """Returns the path of the system service's folder, which does not exist yet."""
    return home / "run" / "prwlock"


@pytest.fixture
def service(system: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Installs the system's service: the folder first, then a daemon in it."""
    started: list[subprocess.Popen[bytes]] = []

    def install() -> None:
        system.mkdir()
        command = [_launch.daemon_program(), "--socket", str(system / "prwlock.sock"), "--grace", "0"]
        command += ["--state-directory", str(system / "state")]
        log = system.parent / "service.log"
        with log.open("ab") as output:
            started.append(subprocess.Popen(command, stdout=output, stderr=output))
        # Without a client object, because some tests install it in the middle of a client's attempt to connect.
        while started[0].poll() is None:
            connected = _rendezvous.attempt(_location.Location(str(system / "prwlock.sock")))
            if connected:
                connected[0].close()
                return
        raise AssertionError(log.read_text())

    yield install
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def other() -> Iterator[Peer]:
    """Another process."""
    peer = Peer()
    yield peer
    peer.end()


def test_the_environment_goes_over_all(
    daemon: PrivateDaemon, monkeypatch: pytest.MonkeyPatch, own_socket: Path
) -> None:
    assert prwlock.RWLock("jobs").client.path == daemon.socket
    monkeypatch.delenv("PRWLOCK_SOCKET")
    assert prwlock.RWLock("jobs").client.path == str(own_socket)


@pytest.mark.parametrize("user", [0, 1000])
def test_the_place_depends_on_the_user_and_on_nothing_else(user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRWLOCK_TEST_ROOT")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "TMPDIR", "HOME"):
        monkeypatch.setenv(name, "/elsewhere")
    candidates = [f"/tmp/prwlock-{user}/prwlock.sock"]
    if user == 0:
        candidates.insert(0, "/run/prwlock-0/prwlock.sock")
    assert _location.own_candidates() == candidates


def test_processes_with_other_environments_meet(
    running: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    held = prwlock.RWLock("nightly").write()
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "TMPDIR", "HOME"):
        (home / name).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(home / name))
    peer = Peer()
    try:
        assert peer.ask("write", "nightly", "0") == "False"
        held.release()
        assert peer.ask("write", "nightly", "0") == "True"
    finally:
        peer.end()
    assert len(running()) == 1


def test_the_hosts_service_is_used_where_it_is(system: Path) -> None:
    system.mkdir()
    named = prwlock.RWLock("jobs")
    assert named.client.path == f"{system}/prwlock.sock"
    with pytest.raises(prwlock.DaemonUnavailable, match="systemctl start"):
        named.acquire_read()


def test_a_service_that_is_installed_later_is_found_by_a_lock_that_is_older(
    service: Callable[[], None], system: Path, running: Callable[[], list[int]]
) -> None:
    lock = prwlock.RWLock("jobs")
    service()
    with lock.write():
        assert lock.client.path == f"{system}/prwlock.sock"
    assert not running()


def test_the_users_own_daemon_keeps_its_clients_while_it_answers(
    service: Callable[[], None], system: Path, own_socket: Path, other: Peer
) -> None:
    held = prwlock.RWLock("jobs").write()
    service()
    # That daemon was the only one when it granted this, so no other daemon may grant the lock.
    assert other.ask("write", "jobs", "0") == "False"
    assert prwlock.Client().acquire("others").name == "others"
    assert not list(prwlock.Client(system / "prwlock.sock").list())
    held.release()


def test_a_lock_without_a_name_goes_beside_where_the_service_is_not_for_this_user(
    system: Path, own_socket: Path, running: Callable[[], list[int]]
) -> None:
    system.mkdir()
    lock = prwlock.RWLock()
    assert lock.client.path == str(own_socket.parent / "anonymous.sock")
    assert lock.acquire_write()
    assert len(running()) == 1
    # A pickled lock keeps its location.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{system}/prwlock.sock")
        assert prwlock.RWLock().client.path == f"{system}/prwlock.sock"
        text = "import pickle, sys; lock = pickle.loads(bytes.fromhex(sys.argv[1])); print(lock.acquire_read(0))"
        told = subprocess.check_output([sys.executable, "-c", text, pickle.dumps(lock).hex()])
        assert told.strip() == b"False"
    lock.release()


def test_a_strangers_folder_is_no_way_past_the_service(
    service: Callable[[], None], system: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_location, "own_candidates", lambda: [f"{home}/tmp/prwlock-1/prwlock.sock"])
    folder = home / "tmp" / "prwlock-1"
    folder.symlink_to(home)
    with pytest.raises(prwlock.AccessRefused, match="PRWLOCK_SOCKET"):
        prwlock.Client().ping()
    service()
    with prwlock.Client() as client:
        client.ping()
        assert client.path == f"{system}/prwlock.sock"


def test_the_folder_must_be_the_users_alone(own_socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_socket.parent.mkdir(mode=0o700)
    own_socket.parent.chmod(0o755)
    with pytest.raises(prwlock.AccessRefused, match="open to other users"):
        prwlock.Client().ping()


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A process of this user that binds the guard's name, and answers `TOLD`."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(_guard.name())
        listener.listen()

        def answer() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection:
                    connection.sendall(TOLD)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_daemon_that_cannot_be_reached_is_named_and_no_other_is_started(
    guard: socket.socket, running: Callable[[], list[int]], service: Callable[[], None]
) -> None:
    with pytest.raises(prwlock.DaemonUnavailable, match="elsewhere/a b") as caught:
        prwlock.Client().ping()
    assert f"process {os.getpid()}" in str(caught.value)
    assert "PRWLOCK_SOCKET" in str(caught.value)
    assert not running()
    # The client must not use the system's daemon instead.
    service()
    with pytest.raises(prwlock.DaemonUnavailable, match="elsewhere"):
        prwlock.Client().ping()


def test_a_daemon_that_has_the_guard_may_listen_again(
    guard: socket.socket, own_socket: Path, running: Callable[[], list[int]]
) -> None:
    own_socket.parent.mkdir(mode=0o700)
    begun = threading.Event()

    def serve() -> None:
        begun.wait()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(own_socket))
            listener.listen()
            connection = listener.accept()[0]
            connection.recv(4096)
            connection.sendall(b"PONG\n")
            connection.close()

    server = threading.Thread(target=serve)
    server.start()
    begun.set()
    connected, _ = _rendezvous.connect(_location.find())
    connected.close()
    server.join()
    assert not running()


def test_a_name_that_another_user_has_guards_nothing(running: Callable[[], list[int]]) -> None:
    if os.geteuid() != 0:
        pytest.skip("another user is needed")
    text = (
        "import os, socket, sys; os.setuid(12345); listener = socket.socket(socket.AF_UNIX)\n"
        "listener.bind(bytes.fromhex(sys.argv[1])); listener.listen(); print(flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", text, _guard.name().hex()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as squatter:
        assert squatter.stdout is not None
        squatter.stdout.readline()
        prwlock.Client().ping()
        assert len(running()) == 1
        squatter.kill()


def test_a_service_that_appears_while_a_daemon_is_started_is_used(
    service: Callable[[], None], system: Path, own_socket: Path, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = _launch.StartLock.listen

    def listen_late(lock: _launch.StartLock) -> socket.socket:
        listener = listen(lock)
        service()
        return listener

    monkeypatch.setattr(_launch.StartLock, "listen", listen_late)
    with prwlock.Client() as client:
        client.ping()
        assert client.path == f"{system}/prwlock.sock"
    assert not own_socket.exists()
    assert not running()
