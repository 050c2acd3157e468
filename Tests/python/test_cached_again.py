"""A lock object caches again in a forked child and with another session; and a session that is closed in a request."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _cached

from processes import wait_until
from test_cached import cached, requests
from test_fork import in_child, raw_fork

pytestmark = [
    pytest.mark.skipif(not _cached.is_possible(), reason="there is no extension"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def asks_nothing(lock: prwlock.RWLock, client: prwlock.Client) -> bool:
    """Returns whether a lock is cached once it was taken a few times."""
    for _ in range(3):
        lock.acquire_write()
        lock.release()
    first, before = requests(client), requests(client)
    for _ in range(100):
        lock.acquire_write()
        lock.release()
    return requests(client) - before == before - first


@pytest.mark.parametrize("fork", [os.fork, raw_fork])
def test_a_child_caches_a_lock_that_its_parent_has_used(fork: Callable[[], int], client: prwlock.Client) -> None:
    lock = cached("write")

    def child() -> None:
        with prwlock.Client() as own:
            assert asks_nothing(lock, own)

    assert in_child(child, fork) == 0
    assert asks_nothing(lock, client)


def test_a_lock_is_cached_with_the_next_daemon(own_socket: Path, running: Callable[[], list[int]]) -> None:
    lock = cached("write")
    lock.acquire_write()
    (process,) = running()
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not running())
    with pytest.raises(prwlock.LockLost):
        lock.release()
    assert lock.acquire_write(20)
    lock.release()
    with prwlock.Client() as client:
        assert asks_nothing(lock, client)


def test_the_first_of_very_many_locks_is_cached_again(client: prwlock.Client) -> None:
    locks = [cached("write", f"jobs/{number}") for number in range(300)]
    for lock in (locks[0], locks[255], locks[256], locks[299]):
        assert asks_nothing(lock, client)
        assert asks_nothing(prwlock.RWLock(lock.name), client)


def test_a_lock_that_was_cached_long_ago_keeps_no_session(client: prwlock.Client, daemon: Any) -> None:
    own = prwlock.Client(daemon.socket)
    locks = []
    for number in range(300):
        locks.append(own.lock(f"jobs/{number}"))
        for _ in range(2):
            locks[-1].acquire_write()
            locks[-1].release()
    sessions = len(client.sessions())
    connection = own._connection
    assert connection is not None
    # As if its daemon were leaving.
    connection.is_draining = True
    del connection
    own.ping()
    gc.collect()
    wait_until(lambda: len(client.sessions()) == sessions)
    own.close()


# A session that is replaced or closed while a thread is in the middle of a request


def test_a_grant_that_comes_as_its_session_is_replaced_does_not_keep_it(
    client: prwlock.Client, daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = prwlock.Client(daemon.socket)
    lock = own.lock("jobs")
    lock.acquire_write()
    lock.release()
    sessions = len(client.sessions())
    slot_of = _cached.slot_of

    def replace(memory: Any, words: list[bytes]) -> Any:
        assert own._connection is not None
        # As if its daemon were leaving.
        own._connection.is_draining = True
        thread = threading.Thread(target=own.ping)
        thread.start()
        thread.join()
        return slot_of(memory, words)

    monkeypatch.setattr(_cached, "slot_of", replace)
    lock.acquire_write()
    monkeypatch.undo()
    lock.release()
    gc.collect()
    wait_until(lambda: len(client.sessions()) == sessions)
    own.close()


def test_a_descriptor_is_closed_when_no_thread_reads_it(
    daemon: Any, client: prwlock.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the thread could read from another file that gets the number."""
    own = prwlock.Client(daemon.socket)
    lock = own.lock("jobs")
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(lock.acquire_write())
        except prwlock.LockError as error:
            outcome.append(error)

    with client.acquire("jobs"):
        own.ping()
        connection = own._connection
        assert connection is not None
        number = connection._socket.fileno()
        file = os.readlink(f"/proc/self/fd/{number}")
        thread = threading.Thread(target=work)
        thread.start()
        wait_until(lambda: client.status("jobs").waiters)
        # So the thread goes on reading.
        monkeypatch.setattr(socket.socket, "shutdown", lambda *_: None, raising=False)
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            own.close()
            assert os.readlink(f"/proc/self/fd/{number}") == file
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        thread.join()
        assert not os.path.exists(f"/proc/self/fd/{number}")
    assert isinstance(outcome[0], prwlock.DaemonUnavailable)
