"""Cached grants where something ends: losses, the daemon, processes that fork or die, and interrupts."""

from __future__ import annotations

import gc
import os
import random
import signal
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _cached

from processes import wait_until
from steps import AtSteps
from test_cached import MODES, acquire, cached, held_token
from test_fork import in_child, raw_fork
from test_interrupts import until_complete

pytestmark = [
    pytest.mark.skipif(not _cached.is_possible(), reason="there is no extension"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


# Losses


def test_a_held_grant_that_is_revoked_is_lost(client: prwlock.Client) -> None:
    lock = cached("write")
    lock.acquire_write()
    client.revoke("jobs", held_token(client))
    with pytest.raises(prwlock.LockLost) as caught:
        lock.release()
    assert caught.value.reason == "revoked"
    assert lock.nlocks == 0
    assert lock.try_acquire_write()
    lock.release()


def test_a_grant_that_is_revoked_while_it_is_not_held_is_no_loss(client: prwlock.Client) -> None:
    lock = cached("write")
    lock.acquire_write()
    token = held_token(client)
    lock.release()
    client.revoke("jobs", token)
    lock.acquire_write()
    assert held_token(client) > token
    lock.release()


@pytest.mark.parametrize("is_held", [True, False])
def test_a_closed_client_has_lost_what_it_held(is_held: bool, client: prwlock.Client, daemon: Any) -> None:
    own = prwlock.Client(daemon.socket)
    lock = own.lock("jobs")
    for _ in range(3):
        lock.acquire_write()
        lock.release()
    if is_held:
        lock.acquire_write()
    own.close()
    if is_held:
        with pytest.raises(prwlock.LockLost):
            lock.release()
    with pytest.raises(prwlock.Closed):
        lock.acquire_write()
    assert lock.nlocks == 0


@pytest.mark.parametrize("is_held", [True, False])
def test_the_daemon_dies(is_held: bool, own_socket: Path, running: Callable[[], list[int]]) -> None:
    lock = cached("write")
    if is_held:
        lock.acquire_write()
    (process,) = running()
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not running())
    if is_held:
        with pytest.raises(prwlock.LockLost) as caught:
            lock.release()
        assert caught.value.reason == "connection"
    # The next daemon.
    assert lock.acquire_write(20)
    assert len(prwlock.status("jobs").holders) == 1
    lock.release()


def test_a_stopped_daemon_is_not_needed(daemon: Any) -> None:
    lock = cached("write")
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            assert lock.acquire_write(0)
            lock.release()
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


@pytest.mark.parametrize("is_held", [True, False])
def test_the_mark_of_a_dead_writer_says_whether_it_held(is_held: bool, run: Any, client: prwlock.Client) -> None:
    """G11. Also at the end of the interpreter, which is the death of a process that holds."""
    run(f"""
import prwlock
lock = prwlock.RWLock("jobs")
for _ in range(3):
    lock.acquire_write()
    lock.release()
if {is_held}:
    lock.acquire_write()
""")
    with prwlock.RWLock("jobs").write(timeout=20) as grant:
        assert grant.owner_died is is_held


# Forks


@pytest.mark.parametrize("fork", [os.fork, raw_fork])
@pytest.mark.parametrize("mode", MODES)
def test_a_child_holds_nothing_and_has_nothing_cached(
    mode: str, fork: Callable[[], int], client: prwlock.Client
) -> None:
    lock = cached(mode)
    acquire(lock, mode)

    def child() -> None:
        assert lock.nlocks == 0
        with pytest.raises(ValueError, match="not held"):
            lock.release()
        assert lock.try_acquire_write() is False

    assert in_child(child, fork) == 0
    assert [holder.pid for holder in client.status("jobs").holders] == [os.getpid()]
    lock.release()

    def second() -> None:
        for _ in range(4):
            acquire(lock, mode)
            assert [holder.pid for holder in client.status("jobs").holders] == [os.getpid()]
            lock.release()

    assert in_child(second, fork) == 0
    acquire(lock, mode)
    assert [holder.pid for holder in client.status("jobs").holders] == [os.getpid()]
    lock.release()


def test_a_child_that_drops_the_lock_object_does_not_disturb_its_parent(client: prwlock.Client) -> None:
    lock = cached("write")
    held = [lock]
    del lock
    held[0].acquire_write()

    def child() -> None:
        held.clear()
        gc.collect()
        assert prwlock.RWLock("jobs").try_acquire_write() is False

    assert in_child(child) == 0
    assert len(client.status("jobs").holders) == 1
    held[0].release()


# Interrupts


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_pair_that_is_interrupted_anywhere_leaves_what_the_lock_says(
    mode: str, is_wanted: bool, client: prwlock.Client, daemon: Any
) -> None:
    """Before each instruction; also if the slot was taken meanwhile, so that each step goes by the socket."""
    lock = prwlock.RWLock("jobs")
    other = prwlock.Client(daemon.socket).lock("jobs")

    def prepare() -> None:
        while lock.nlocks:
            lock.release()
        for _ in range(3):
            acquire(lock, mode)
            lock.release()
        if is_wanted:
            # From the session of another client: the cached grant is taken.
            assert other.acquire_write(5)
            other.release()

    def check() -> None:
        assert len(client.status("jobs").holders) == lock.nlocks
        prepare()

    def pair() -> None:
        acquire(lock, mode)
        lock.release()

    prepare()
    assert until_complete(pair, check) > (100 if is_wanted else 10)


def test_a_release_that_another_request_waits_for_is_interrupted_anywhere(client: prwlock.Client, daemon: Any) -> None:
    lock = prwlock.RWLock("jobs")
    other = prwlock.Client(daemon.socket)
    step = raised = 1
    while raised:
        for _ in range(3):
            lock.acquire_write()
            lock.release()
        lock.acquire_write()
        # Its `wait=0` fails, and ends the caching.
        assert other.lock("jobs").try_acquire_write() is False

        def interrupt() -> None:
            raise KeyboardInterrupt

        steps = AtSteps(interrupt, step)
        try:
            with steps:
                lock.release()
        except KeyboardInterrupt:
            pass
        raised = steps.called
        wait_until(lambda: len(client.status("jobs").holders) == lock.nlocks, f"step {step}")
        while lock.nlocks:
            lock.release()
        step += 1
    assert step > 50


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action", ["with", "a timeout", "a second object", "nlocks"])
def test_other_actions_that_are_interrupted_anywhere(mode: str, action: str, client: prwlock.Client) -> None:
    lock, other = cached(mode), prwlock.RWLock("jobs")

    def act() -> None:
        if action == "with":
            with lock.reader_lock(1) if mode == "read" else lock.writer_lock():
                pass
        elif action == "a timeout":
            assert lock.acquire_read(1) if mode == "read" else lock.acquire_write(1)
        elif action == "a second object":
            acquire(other, mode)
        else:
            acquire(lock, mode)
            assert lock.nlocks == 1

    def check() -> None:
        assert len(client.status("jobs").holders) == lock.nlocks + other.nlocks
        for held in (lock, other):
            while held.nlocks:
                held.release()
        acquire(lock, mode)
        lock.release()

    assert until_complete(act, check) > 10


def test_thousands_of_signals_leave_nothing(client: prwlock.Client) -> None:
    lock = cached("write")
    randomly = random.Random(1)
    interrupted = 0

    def handle(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handle)
    try:
        for _ in range(3_000):
            try:
                signal.setitimer(signal.ITIMER_REAL, randomly.uniform(1e-6, 20e-6))
                for _ in range(200):
                    if lock.acquire_write():
                        lock.release()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            while lock.nlocks:
                lock.release()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 300
    wait_until(lambda: not client.status("jobs").holders)
    assert prwlock.Client().lock("jobs").try_acquire_write()


def test_a_handler_takes_a_cached_lock_in_the_middle_of_a_wait(client: prwlock.Client, peer: Any) -> None:
    """It would wait in the middle of a request of its thread, so it is refused, as without a cache."""
    lock, other = cached("write", "mail"), peer()
    assert other.ask("write", "jobs") == "True"
    seen: list[BaseException] = []

    def handle(*_: object) -> None:
        try:
            lock.acquire_write()
        except prwlock.NestedUse as error:
            seen.append(error)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert prwlock.RWLock("jobs").acquire_write(0.2) is False
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(seen) == 1
    assert lock.acquire_write(0)
    lock.release()
