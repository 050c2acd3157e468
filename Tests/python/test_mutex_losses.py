"""Losses of locks in the standard library's shapes, and which holders another process may release."""

from __future__ import annotations

import multiprocessing
import socket
import threading
from collections import deque
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock.compat import FileLock, Lock, MultiprocessingLock, MultiprocessingRLock, RLock

from processes import wait_until
from threads import Call

KINDS = [Lock, RLock, MultiprocessingLock, MultiprocessingRLock]

OWNERS = ["hold.12.4026531836", "hold.12", "t1.2", "t1", "plain", "plain.t1", "explain.t1.2", "plain.t1.2.3"]


@pytest.mark.parametrize("owner", OWNERS)
def test_another_owner_than_a_plain_lock_is_not_released(owner: str, daemon: Any, client: prwlock.Client) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(daemon.socket)
        with other.makefile("rw") as lines:
            lines.write(f"WRITE jobs owner={owner}\n")
            lines.flush()
            assert any(line.startswith("GRANTED jobs") for line in lines)
            with pytest.raises(ValueError, match="too many times"):
                MultiprocessingLock("jobs").release()
            assert [holder.owner for holder in client.status("jobs").holders] == [owner]


@pytest.mark.parametrize("is_thread_local", [True, False])
def test_a_lock_of_filelock_is_not_released(is_thread_local: bool, home: Path, client: prwlock.Client) -> None:
    with FileLock(home / "jobs", thread_local=is_thread_local):
        name = client.list()[0].name
        with pytest.raises(ValueError, match="too many times"):
            MultiprocessingLock(name).release()
        assert client.status(name).holders


def test_a_plain_lock_is_released(client: prwlock.Client) -> None:
    for kind in (Lock, MultiprocessingLock):
        holder = kind("jobs")
        holder.acquire()
        MultiprocessingLock("jobs").release()
        assert not client.list()
        with pytest.raises(prwlock.LockLost):
            holder.release()


def revoke(client: prwlock.Client) -> None:
    client.revoke("jobs", client.status("jobs").holders[0].token)


@pytest.mark.parametrize("kind", KINDS)
def test_lost_grants_do_not_stay(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")
    for _ in range(3):
        lock.acquire()
        revoke(client)
    lock.acquire()
    assert len(lock._grants) == 1
    lock.release()
    assert not lock._grants
    assert not lock._is_mine() if hasattr(lock, "_is_mine") else not lock._is_owned()
    with pytest.raises((RuntimeError, ValueError, AssertionError), match="release"):
        lock.release()


@pytest.mark.parametrize("kind", [MultiprocessingLock, MultiprocessingRLock])
def test_only_what_is_held_counts(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")
    lock.acquire()
    revoke(client)
    assert lock._count() == 0


def test_a_lost_lock_is_dropped_only_when_the_next_is_acquired(client: prwlock.Client) -> None:
    lock, other = MultiprocessingLock("jobs"), MultiprocessingLock("jobs")
    lock.acquire()
    revoke(client)
    other.acquire()
    assert not lock.acquire(False)
    with pytest.raises(prwlock.LockLost):
        lock.release()
    assert other._is_owned()
    lock.release()
    assert not client.list()


# Conditions


class Waiters(deque[Any]):
    """The waiters of a condition. The lock is lost when the first one is appended, so before it is released."""

    def __init__(self, lose: Callable[[], None]) -> None:
        super().__init__()
        self._lose = [lose]

    def append(self, waiter: Any) -> None:
        super().append(waiter)
        if self._lose:
            self._lose.pop()()


@pytest.mark.parametrize("kind", [Lock, RLock])
def test_a_known_loss_leaves_no_waiter(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")
    condition = threading.Condition(lock)
    with pytest.raises(prwlock.LockLost, match="lost"), condition:
        revoke(client)
        for call in (condition.wait, condition.notify):
            with pytest.raises(prwlock.LockLost):
                call()
        assert not condition._waiters
    check_that_one_notify_wakes(condition)


@pytest.mark.parametrize("kind", [Lock, RLock])
@pytest.mark.parametrize("is_notified", [True, False])
def test_a_loss_while_a_wait_begins_is_raised_at_the_release(
    kind: Any, is_notified: bool, client: prwlock.Client
) -> None:
    lock = kind("jobs")
    condition = threading.Condition(lock)
    condition._waiters = Waiters(lambda: revoke(client))

    def wait() -> None:
        with condition:
            assert condition.wait(60 if is_notified else 0.01) is is_notified
            assert lock._is_owned()
            assert len(client.status("jobs").holders) == 1

    call = Call(wait)
    if is_notified:
        wait_until(lambda: condition._waiters)
        with condition:
            condition.notify()
    with pytest.raises(prwlock.LockLost):
        call.result()
    assert not condition._waiters
    assert not client.list()
    check_that_one_notify_wakes(condition)
    lock.acquire()
    lock.release()


def check_that_one_notify_wakes(condition: threading.Condition) -> None:
    def wait() -> bool:
        with condition:
            return condition.wait(60)

    call = Call(wait)
    wait_until(lambda: condition._waiters)
    with condition:
        condition.notify()
    assert call.result() is True


@pytest.mark.parametrize("kind", [MultiprocessingLock, MultiprocessingRLock])
def test_a_condition_of_multiprocessing_does_not_count_a_waiter_that_lost(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")
    condition = multiprocessing.Condition(lock)
    with pytest.raises(prwlock.LockLost), condition:
        revoke(client)
        with pytest.raises(prwlock.LockLost):
            condition.wait()
    with pytest.raises(prwlock.LockLost), condition:
        # As the condition does, with a loss in between.
        assert lock._is_mine()
        count = lock._count()
        revoke(client)
        for _ in range(count):
            lock.release()
        for _ in range(count):
            lock.acquire()
        assert lock._is_mine()
    assert not client.list()
    with condition:
        condition.notify()
