"""Cached grants and a request that was given up while the daemon was stopped, which the daemon reads later."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import prwlock
import pytest
from prwlock import _cached

from processes import wait_until
from test_cached import MODES, acquire, cached

pytestmark = pytest.mark.skipif(not _cached.is_possible(), reason="there is no extension")


@contextmanager
def stopped(daemon: Any) -> Iterator[None]:
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


def request_in_vain(lock: prwlock.RWLock, mode: str) -> None:
    """Asks a stopped daemon, and gives up."""
    with pytest.raises(prwlock.DaemonTimeout):
        (lock.acquire_read if mode == "read" else lock.acquire_write)(0.05)


def settle(lock: prwlock.RWLock) -> None:
    """Waits until the late request has its answer, and what was granted is released."""
    wait_until(lambda: lock.client._connection is not None and lock.client._connection.is_settled)


@pytest.mark.parametrize("asked", MODES)
@pytest.mark.parametrize("mode", MODES)
def test_a_slot_that_is_entered_after_a_request_was_given_up_is_held_until_its_release(
    mode: str, asked: str, client: prwlock.Client, daemon: Any, peer: Any
) -> None:
    """The late request is another object's, of the same owner. What ends it must not end the hold."""
    lock, other, third = cached(mode), prwlock.RWLock("jobs"), peer()
    with stopped(daemon):
        request_in_vain(other, asked)
        # By the slot: the daemon is stopped.
        acquire(lock, mode)
    settle(lock)
    assert [holder.mode for holder in client.status("jobs").holders] == [mode]
    assert third.ask("write", "jobs", "0") == "False"
    lock.release()
    assert lock.nlocks == other.nlocks == 0
    assert not client.status("jobs").holders
    assert third.ask("write", "jobs", "0") == "True"


@pytest.mark.parametrize("mode", MODES)
def test_another_client_gives_a_request_up(mode: str, client: prwlock.Client, daemon: Any, peer: Any) -> None:
    """It is another session, so another owner: the late grant takes the slot, or waits for its holder."""
    own, third = prwlock.Client(daemon.socket), peer()
    lock, other = cached(mode), own.lock("jobs")
    assert own.status("jobs").holders == ()  # It is connected.
    with stopped(daemon):
        request_in_vain(other, "write")
        acquire(lock, mode)
    settle(other)
    assert [holder.mode for holder in client.status("jobs").holders] == [mode]
    assert third.ask("write", "jobs", "0") == "False"
    lock.release()
    assert third.ask("write", "jobs", "0") == "True"


@pytest.mark.parametrize("mode", MODES)
def test_the_same_lock_gives_a_request_in_the_other_mode_up(
    mode: str, client: prwlock.Client, daemon: Any, peer: Any
) -> None:
    lock, third = cached(mode), peer()
    with stopped(daemon):
        request_in_vain(lock, "write" if mode == "read" else "read")
    settle(lock)
    assert not client.status("jobs").holders
    acquire(lock, mode)
    assert [holder.mode for holder in client.status("jobs").holders] == [mode]
    assert third.ask("write", "jobs", "0") == "False"
    lock.release()
    assert not client.status("jobs").holders
    assert third.ask("write", "jobs", "0") == "True"


@pytest.mark.parametrize("is_held", [True, False])
def test_a_late_grant_ends_although_no_call_reads_it(
    is_held: bool, client: prwlock.Client, daemon: Any, peer: Any
) -> None:
    """Also if the thread goes on with its slot, which reads nothing."""
    lock, other, third = cached("read"), prwlock.RWLock("jobs"), peer()
    with stopped(daemon):
        request_in_vain(other, "read")
        if is_held:
            acquire(lock, "read")
    wait_until(lambda: len(client.status("jobs").holders) == is_held)
    for _ in range(3):
        if not is_held:
            acquire(lock, "read")
        lock.release()
        is_held = False
    assert third.ask("write", "jobs", "0") == "True"
