"""Cached grants: a lock that a thread takes again without the daemon, until another request wants it.

All other tests have to pass with the extension and without it. These need it.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import threading
from typing import Any

import prwlock
import pytest
from prwlock import _cached
from prwlock._launch import daemon_program

from processes import descriptors, wait_until
from test_threads import together

pytestmark = [
    pytest.mark.skipif(not _cached.is_possible(), reason="there is no extension"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

MODES = ("read", "write")


def acquire(lock: prwlock.RWLock, mode: str) -> None:
    assert lock.acquire_read() if mode == "read" else lock.acquire_write()


def cached(mode: str, name: str = "jobs") -> prwlock.RWLock:
    """Returns a lock that this thread has cached and does not hold."""
    lock = prwlock.RWLock(name)
    for _ in range(3):
        acquire(lock, mode)
        lock.release()
    return lock


def held_token(client: prwlock.Client, name: str = "jobs") -> int:
    (holder,) = client.status(name).holders
    return holder.token


def requests(client: prwlock.Client) -> int:
    """Returns how many lines the daemon has read, those of this client included."""
    return client.stats()["total-lines"]


@pytest.mark.parametrize("mode", MODES)
def test_a_lock_that_is_taken_again_asks_the_daemon_nothing(mode: str, client: prwlock.Client) -> None:
    lock = cached(mode)
    first, before = requests(client), requests(client)
    for _ in range(1_000):
        acquire(lock, mode)
        lock.release()
        with lock.reader_lock() if mode == "read" else lock.writer_lock():
            pass
    assert requests(client) - before == before - first


@pytest.mark.parametrize("mode", MODES)
def test_what_is_held_is_a_grant_as_any_other(mode: str, client: prwlock.Client) -> None:
    lock = cached(mode)
    assert lock.nlocks == 0
    assert not client.status("jobs").holders
    tokens = set()
    for _ in range(2):
        acquire(lock, mode)
        assert lock.nlocks == 1
        (holder,) = client.status("jobs").holders
        assert (holder.pid, holder.mode) == (os.getpid(), mode)
        tokens.add(holder.token)
        lock.release()
        assert lock.nlocks == 0
    # One grant, held twice.
    assert len(tokens) == 1
    with pytest.raises(ValueError, match="not held"):
        lock.release()


def test_timeouts_are_looked_at_as_always(client: prwlock.Client) -> None:
    lock = cached("write")
    with pytest.raises(ValueError, match="negative"):
        lock.acquire_write(-1)
    with pytest.raises(TypeError):
        lock.acquire_write("1")  # type: ignore[arg-type]
    assert lock.acquire_write(5)
    first = held_token(client)
    lock.release()
    assert lock.try_acquire_write()
    assert held_token(client) == first
    lock.release()


@pytest.mark.parametrize("mode", MODES)
def test_another_process_has_it_at_once_when_it_is_not_held(mode: str, client: prwlock.Client, peer: Any) -> None:
    lock = cached(mode)
    other = peer()
    assert other.ask("write", "jobs", "0") == "True"
    assert lock.acquire_read(0) is False
    assert other.ask("release", "jobs") == "done"
    acquire(lock, mode)
    lock.release()


@pytest.mark.parametrize("mode", MODES)
def test_another_process_waits_while_it_is_held(mode: str, client: prwlock.Client, peer: Any) -> None:
    lock = cached(mode)
    other = peer()
    acquire(lock, mode)
    assert other.ask("write", "jobs", "0") == "False"
    other.tell("write", "jobs")
    wait_until(lambda: client.status("jobs").waiters)
    lock.release()
    assert other.answer() == "True"
    assert lock.acquire_read(0) is False
    assert other.ask("release", "jobs") == "done"


def test_a_reader_that_comes_again_waits_behind_a_writer(client: prwlock.Client, peer: Any) -> None:
    """G2."""
    lock, other, third = cached("read"), peer(), peer()
    assert third.ask("read", "jobs") == "True"
    other.tell("write", "jobs")
    wait_until(lambda: client.status("jobs").waiters)
    assert lock.acquire_read(0) is False
    assert third.ask("release", "jobs") == "done"
    assert other.answer() == "True"


def test_a_read_within_a_read_is_a_grant_more(client: prwlock.Client, peer: Any) -> None:
    lock, other = cached("read"), peer()
    lock.acquire_read()
    (first,) = client.status("jobs").holders
    other.tell("write", "jobs")
    wait_until(lambda: client.status("jobs").waiters)
    # G4: also ahead of the writer.
    assert lock.acquire_read()
    assert lock.nlocks == 2
    lock.release()
    assert [holder.token for holder in client.status("jobs").holders] == [first.token]
    lock.release()
    assert other.answer() == "True"
    assert other.ask("release", "jobs") == "done"


def test_a_write_within_ones_own_read_is_refused(client: prwlock.Client) -> None:
    """G8."""
    lock = cached("read")
    lock.acquire_read()
    with pytest.raises(prwlock.Deadlock):
        lock.acquire_write()
    assert lock.nlocks == 1
    lock.release()
    assert lock.try_acquire_write()
    lock.release()


def test_two_threads_that_hold_cached_locks_close_a_circle(client: prwlock.Client) -> None:
    """G8: what is held by a slot counts, with the right owner."""
    ready, may_wait = threading.Event(), threading.Event()
    outcome: list[object] = []

    def work() -> None:
        own, other = cached("write", "mail"), prwlock.RWLock("jobs")
        with own.writer_lock():
            ready.set()
            may_wait.wait()
            outcome.append(other.acquire_write())
            other.release()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    lock = cached("write")
    lock.acquire_write()
    may_wait.set()
    wait_until(lambda: client.status("jobs").waiters)
    with pytest.raises(prwlock.Deadlock):
        prwlock.RWLock("mail").acquire_write()
    lock.release()
    thread.join()
    assert outcome == [True]


# Threads


def test_threads_exclude_each_other(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    inside: list[int] = []

    def work(number: int) -> None:
        for turn in range(300):
            with lock.writer_lock() if turn % 3 == 0 else lock.reader_lock():
                if turn % 3 == 0:
                    assert not inside
                    inside.append(number)
                    inside.pop()

    together(6, work)
    assert lock.nlocks == 0
    assert not client.status("jobs").holders


def test_each_thread_has_a_slot_of_its_own(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    gate = threading.Barrier(20)

    def work(number: int) -> None:
        for turn in range(6):
            lock.acquire_read()
            # More threads than a cell has places.
            gate.wait()
            if number == 0:
                assert len(client.status("jobs").holders) == 20 == lock.nlocks
            gate.wait()
            lock.release()
            if turn < 5:
                gate.wait()

    together(20, work)
    assert lock.nlocks == 0
    assert not client.status("jobs").holders
    assert lock.try_acquire_write()
    lock.release()


@pytest.mark.parametrize("mode", MODES)
def test_another_thread_releases_it(mode: str, client: prwlock.Client) -> None:
    lock = cached(mode)
    for _ in range(3):
        acquire(lock, mode)
        thread = threading.Thread(target=lock.release)
        thread.start()
        thread.join()
        assert lock.nlocks == 0
        assert not client.status("jobs").holders


def test_a_thread_that_ends_leaves_its_slot_to_no_other(client: prwlock.Client) -> None:
    """The system gives the next thread the same number."""
    lock = prwlock.RWLock("jobs")
    owners = set()

    def work() -> None:
        for _ in range(3):
            lock.acquire_write()
            owners.add(client.status("jobs").holders[0].owner)
            lock.release()

    for _ in range(5):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(owners) == 5


# Objects


@pytest.mark.parametrize("mode", MODES)
def test_two_objects_with_one_name_share_what_is_cached(mode: str, client: prwlock.Client) -> None:
    one, other = cached(mode), prwlock.RWLock("jobs")
    acquire(one, mode)
    token = held_token(client)
    one.release()
    for _ in range(2):
        acquire(other, mode)
        assert (one.nlocks, other.nlocks) == (0, 1)
        with pytest.raises(ValueError, match="not held"):
            one.release()
        other.release()
    acquire(one, mode)
    assert held_token(client) == token + 1
    one.release()


def test_a_copy_in_the_same_process_is_the_same_lock(client: prwlock.Client) -> None:
    lock = cached("write")
    lock.acquire_write()
    copy = pickle.loads(pickle.dumps(lock))
    assert copy.nlocks == 1
    copy.release()
    assert lock.nlocks == 0
    copy.acquire_write()
    lock.release()
    assert copy.nlocks == 0
    assert not client.status("jobs").holders


def test_a_lock_that_is_collected_is_released(client: prwlock.Client) -> None:
    lock = cached("write")
    lock.acquire_write()
    del lock
    gc.collect()
    wait_until(lambda: not client.status("jobs").holders)


def test_the_session_ends_with_its_client(client: prwlock.Client, daemon: Any) -> None:
    """No cached grant keeps its connection."""
    gc.disable()
    try:
        sessions = len(client.sessions())
        before = len(descriptors())
        own = prwlock.Client(daemon.socket)
        lock = own.lock("jobs")
        for _ in range(4):
            lock.acquire_write()
            lock.release()
        # A socket, and no descriptor of the slots.
        assert len(descriptors()) == before + 1
        del own, lock
        assert len(descriptors()) == before
        wait_until(lambda: len(client.sessions()) == sessions)
    finally:
        gc.enable()


def test_more_locks_than_slots(client: prwlock.Client) -> None:
    locks = [cached("write", f"jobs/{number}") for number in range(300)]
    for lock in locks:
        lock.acquire_write()
    assert sum(lock.holders for lock in client.list()) == 300
    for lock in locks:
        lock.release()
    assert sum(lock.holders for lock in client.list()) == 0


# Without


NOTHING_CACHED = """
import prwlock
lock, client = prwlock.RWLock("jobs"), prwlock.Client()
tokens = set()
for _ in range(4):
    with lock.writer_lock():
        tokens.add(client.status("jobs").holders[0].token)
print(len(tokens))
"""


def test_the_extension_is_switched_off(run: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(NOTHING_CACHED) == "2\n"
    monkeypatch.setenv("PRWLOCK_NO_EXTENSION", "1")
    assert run(NOTHING_CACHED) == "4\n"


def test_a_client_caches_nothing_if_it_is_told_so(daemon: Any) -> None:
    with prwlock.Client(daemon.socket, cache=False) as own:
        tokens = set()
        for _ in range(4):
            with own.lock("jobs").writer_lock():
                tokens.add(held_token(own))
        assert len(tokens) == 4


def test_greenlets_are_owners_that_the_extension_cannot_tell_apart(run: Any, daemon: Any) -> None:
    """gevent puts a class of its own in place of `_thread._local`, so that each greenlet has its values."""
    patch = """
import _thread
class local(_thread._local):
    __module__ = "gevent.local"
_thread._local = local
"""
    assert run(patch + NOTHING_CACHED) == "4\n"


def test_a_daemon_without_slots_serves_all_the_same(daemon: Any, home: Any) -> None:
    socket = home / "other"
    command = [daemon_program(), "--socket", str(socket), "--state-directory", str(home / "state"), "--no-cache"]
    other = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(socket.exists)
        own = prwlock.Client(socket)
        lock, tokens = own.lock("jobs"), set()
        for _ in range(4):
            with lock.writer_lock(timeout=5):
                tokens.add(held_token(own))
        assert len(tokens) == 4
        own.close()
    finally:
        other.kill()
        other.wait()


def test_a_grant_has_a_token_of_its_own(client: prwlock.Client) -> None:
    """G7: tokens rise from grant to grant, so what shows its token is not cached."""
    lock, tokens = cached("write"), []
    for _ in range(4):
        with lock.write() as grant:
            tokens.append(grant.token)
    assert tokens == sorted(set(tokens))
