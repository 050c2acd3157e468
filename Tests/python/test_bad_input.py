"""Bad input causes a clear exception of the right class, no hang, no leaked descriptor, and no accidental grant."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _rendezvous

from processes import descriptors, wait_until


@pytest.mark.parametrize("name", [7, None.__class__, ["jobs"], Path("jobs")])
def test_a_name_that_is_no_text(name: Any) -> None:
    with pytest.raises(TypeError, match="is a str"):
        prwlock.RWLock(name)


@pytest.mark.parametrize("name", ["", "x" * 256, "ü" * 43])
def test_a_name_that_is_empty_or_too_long(name: str) -> None:
    with pytest.raises(ValueError, match="the name of a lock"):
        prwlock.RWLock(name)


@pytest.mark.parametrize("name", ["a b", "Füße", "%41", "a\nb", "\udc80", "x" * 255, "ü" * 42, "*", "#1", "wait=0"])
def test_a_name_of_any_other_kind_is_one_lock(name: str, client: prwlock.Client) -> None:
    with prwlock.RWLock(name).write(note=name[:80]) as grant:
        assert grant.name == name
        assert [holder.token for holder in client.status(name).holders] == [grant.token]
        assert [lock.name for lock in client.list()] == [name]


def test_a_mode_that_is_none(daemon: Any) -> None:
    lock = prwlock.RWLock("jobs")
    with pytest.raises(ValueError, match="mode"):
        lock.client.acquire("jobs", "exclusive")  # type: ignore[arg-type]
    with lock.write() as grant, pytest.raises(ValueError, match="downgraded"):
        grant.downgrade("write")  # type: ignore[arg-type]
    with lock.read() as grant, pytest.raises(prwlock.ProtocolError, match="wrong-mode"):
        grant.downgrade()


def test_a_grant_that_is_released_twice(daemon: Any) -> None:
    grant = prwlock.RWLock("jobs").write()
    grant.release()
    with pytest.raises(ValueError, match="released before"):
        grant.release()
    with pytest.raises(ValueError, match="released before"):
        grant.renew(3)


def test_an_acquire_after_close(daemon: Any) -> None:
    client = prwlock.Client()
    lock = client.lock("jobs")
    grant = lock.write()
    client.close()
    with pytest.raises(prwlock.Closed):
        lock.acquire_read()
    with pytest.raises(prwlock.LockLost):
        grant.release()
    client.close()


def test_a_close_wakes_the_threads_that_wait(peer: Any) -> None:
    assert peer().ask("write", "jobs") == "True"
    client = prwlock.Client()
    errors: list[Exception] = []

    def wait() -> None:
        try:
            client.acquire("jobs")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(prwlock.status("jobs").waiters) == 5)
    client.close()
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [prwlock.DaemonUnavailable] * 5


@pytest.fixture
def on_signal() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Returns a function that sets the handler of SIGUSR1."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda body: signal.signal(signal.SIGUSR1, lambda *_: body()) and None
    signal.signal(signal.SIGUSR1, before)


def test_a_handler_that_interrupts_nothing_may_ask(on_signal: Any, client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    on_signal(lock.acquire_write)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert lock.nlocks == 1
    lock.release()


def test_a_handler_that_interrupts_a_wait_gets_an_error(on_signal: Any, client: prwlock.Client, peer: Any) -> None:
    other = peer()
    assert other.ask("write", "jobs") == "True"
    lock = prwlock.RWLock("jobs")
    held = prwlock.RWLock("held")
    held.acquire_read()
    errors: list[BaseException] = []

    def handle() -> None:
        try:
            prwlock.RWLock("other").acquire_write()
        except prwlock.NestedUse as error:
            errors.append(error)
        # A handler may always release.
        held.release()
        other.tell("release", "jobs")

    on_signal(handle)
    thread = threading.Thread(
        target=lambda: (
            wait_until(lambda: client.status("jobs").waiters),
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1),
        )
    )
    thread.start()
    assert lock.acquire_write()
    thread.join()
    assert isinstance(errors[0], RuntimeError)
    lock.release()
    assert not client.list("held")


def test_a_finalizer_may_ask(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")

    class Thing:
        def __del__(self) -> None:
            with lock.writer_lock():
                seen.append(len(client.status("jobs").holders))

    seen: list[int] = []
    Thing()
    gc.collect()
    assert seen == [1]


def test_a_program_may_ask_on_its_way_out(run: Any, client: prwlock.Client) -> None:
    program = """
import atexit, prwlock
lock = prwlock.RWLock("jobs")
class Thing:
    def __del__(self):
        try:
            with lock.writer_lock():
                print("deleted", flush=True)
        except Exception as error:
            print("refused", type(error).__name__, flush=True)
def leave():
    with lock.writer_lock():
        print("left", flush=True)
atexit.register(leave)
thing = Thing()
thing.itself = thing
"""
    lines = run(program).splitlines()
    assert lines[0] == "left"
    assert lines[1:] in (["deleted"], ["refused RuntimeError"], [])
    assert not client.status("jobs").holders


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_daemon_that_ends_in_the_middle_of_a_wait(end: str, daemon: Any, peer: Any) -> None:
    assert peer().ask("write", "jobs") == "True"
    lock = prwlock.RWLock("jobs")
    errors: list[Exception] = []

    def wait() -> None:
        try:
            lock.acquire_write()
        except prwlock.DaemonUnavailable as error:
            errors.append(error)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(daemon.client.status("jobs").waiters) == 3)
    if end == "kill":
        daemon.kill()
    else:
        daemon.restart()
    for thread in threads:
        thread.join()
    assert len(errors) == 3
    assert isinstance(errors[0], ConnectionError)
    assert lock.nlocks == 0


def test_a_lock_that_is_lost_with_its_daemon_says_so(daemon: Any) -> None:
    lock = prwlock.RWLock("jobs")
    lock.acquire_write()
    daemon.kill()
    with pytest.raises(prwlock.LockLost) as caught:
        lock.release()
    assert caught.value.reason == "connection"
    assert lock.nlocks == 0


def test_the_next_daemon_serves_without_a_word(daemon: Any) -> None:
    lock = prwlock.RWLock("jobs")
    tokens = []
    for _ in range(3):
        with lock.write() as grant:
            tokens.append(grant.token)
        daemon.restart()
    assert tokens == sorted(set(tokens))


def test_no_daemon_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PRWLOCK_SOCKET", str(home / "nothing"))
    before = descriptors()
    with pytest.raises(prwlock.DaemonUnavailable, match="PRWLOCK_SOCKET"):
        prwlock.RWLock().acquire_read()
    assert descriptors() == before


def test_a_path_that_no_socket_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRWLOCK_SOCKET", "/" + "x" * 200)
    with pytest.raises(ValueError, match="too long"):
        prwlock.RWLock().acquire_read()


STRANGERS = {
    "closes at once": (None, prwlock.DaemonUnavailable),
    "speaks of something else": (b"HTTP/1.1 400 Bad Request\r\n\r\n", prwlock.ProtocolError),
    "speaks without end": (b"x" * 10_000, prwlock.ProtocolError),
    "says nothing": (b"", prwlock.DaemonUnavailable),
    "takes no more": (b"ERROR limit-sessions there are too many sessions\n", prwlock.LimitExceeded),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_socket_that_is_no_daemon(stranger: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    words, expected = STRANGERS[stranger]
    monkeypatch.setenv("PRWLOCK_SOCKET", str(home / "stranger"))
    monkeypatch.setattr(_rendezvous, "PATIENCE", 1)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(home / "stranger"))
    listener.listen()
    taken: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            if words is None:
                connection.close()
            else:
                taken.append(connection)
                connection.sendall(words)

    thread = threading.Thread(target=serve)
    thread.start()
    before = len(descriptors())
    with pytest.raises(expected):
        prwlock.RWLock().acquire_read()
    while taken:
        taken.pop().close()
    assert len(descriptors()) == before
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_may_write_to(mode: int, own_socket: Path) -> None:
    folder = own_socket.parent
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(prwlock.AccessRefused, match="open to other users"):
        prwlock.RWLock().acquire_read()


def test_a_folder_that_is_a_link(home: Path, own_socket: Path) -> None:
    own_socket.parent.symlink_to(home)
    with pytest.raises(PermissionError):
        prwlock.RWLock().acquire_read()


def test_a_start_that_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRWLOCK_AUTOSTART", "0")
    with pytest.raises(prwlock.DaemonUnavailable, match="PRWLOCK_AUTOSTART=0"):
        prwlock.RWLock().acquire_read()


@pytest.mark.parametrize("program", ["/nowhere/prwlockd", "prwlockd", "/etc"])
def test_a_daemon_program_that_is_none(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRWLOCK_DAEMON", program)
    with pytest.raises(prwlock.DaemonUnavailable, match="PRWLOCK_DAEMON="):
        prwlock.RWLock().acquire_read()


def test_a_daemon_program_that_this_system_cannot_run(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    program = home / "foreign"
    program.write_text("#!/lib/ld-of-another-libc.so\n")
    program.chmod(0o700)
    monkeypatch.setenv("PRWLOCK_DAEMON", str(program))
    with pytest.raises(prwlock.DaemonUnavailable, match="glibc"):
        prwlock.RWLock().acquire_read()


def test_a_daemon_program_that_ends_at_once(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    program = home / "failing"
    program.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PRWLOCK_DAEMON", str(program))
    before = descriptors()
    with pytest.raises(prwlock.DaemonUnavailable, match=r"prwlockd\.log") as caught:
        prwlock.RWLock().acquire_read()
    log = str(caught.value).split("see ")[1]
    assert "out of order" in Path(log).read_text()
    assert descriptors() == before
