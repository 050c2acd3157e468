"""Locks with the interfaces of the standard library's locks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from typing import Any

import prwlock
import pytest
from prwlock.compat import Lock, MultiprocessingLock, MultiprocessingRLock, RLock

from processes import wait_until
from threads import Call, in_thread

METHODS = ["fork", "spawn", "forkserver"]
PLAIN = [Lock, MultiprocessingLock]
RECURSIVE = [RLock, MultiprocessingRLock]
AS_THREADING = [Lock, RLock]
AS_MULTIPROCESSING = [MultiprocessingLock, MultiprocessingRLock]


def wait_for_waiter(client: prwlock.Client, name: str) -> None:
    wait_until(lambda: client.status(name).waiters, "a waiter")


# Holding and releasing


@pytest.mark.parametrize("kind", AS_THREADING)
def test_a_lock_as_threading_has_it(kind: Any, daemon: Any) -> None:
    lock = kind("jobs")
    with lock:
        assert in_thread(lambda: lock.acquire(blocking=False)) is False
        assert in_thread(lambda: lock.acquire(timeout=0.01)) is False
        assert in_thread(lambda: kind("jobs").acquire(False)) is False
    assert lock.acquire() is True
    lock.release()
    with pytest.raises(RuntimeError, match="release un"):
        lock.release()
    with pytest.raises(ValueError, match="non-blocking"):
        lock.acquire(False, 1)


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_lock_is_released_by_any_thread_and_shows_its_holder(kind: Any, daemon: Any, peer: Any) -> None:
    lock = kind("jobs")
    assert not lock.locked()
    in_thread(lock.acquire)
    assert lock.locked()
    lock.release()
    assert peer().ask("write", "jobs") == "True"
    assert lock.locked()


@pytest.mark.parametrize("kind", PLAIN)
def test_a_second_acquire_waits_until_another_thread_releases(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")

    def twice() -> list[bool]:
        return [lock.acquire(), lock.acquire()]

    call = Call(twice)
    wait_for_waiter(client, "jobs")
    assert not call.is_done
    lock.release()
    assert call.result() == [True, True]
    lock.release()
    assert not list(client.list())


@pytest.mark.parametrize("kind", PLAIN)
def test_a_second_acquire_waits_for_its_timeout(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")

    def twice() -> list[bool]:
        return [lock.acquire(), lock.acquire(False), lock.acquire(timeout=1)]

    call = Call(twice)
    # It is not refused at once, because it is not a deadlock.
    wait_for_waiter(client, "jobs")
    assert call.result() == [True, False, False]
    lock.release()


@pytest.mark.parametrize("kind", PLAIN)
def test_threads_that_wait_for_each_other_are_freed_by_a_third(kind: Any, client: prwlock.Client) -> None:
    one, two = kind("one"), kind("two")
    both_hold = threading.Barrier(2)

    def take(first: Any, second: Any) -> bool:
        first.acquire()
        both_hold.wait(60)
        return bool(second.acquire())

    calls = [Call(lambda: take(one, two)), Call(lambda: take(two, one))]
    wait_for_waiter(client, "one")
    wait_for_waiter(client, "two")
    one.release()
    assert calls[1].result() is True
    two.release()
    assert calls[0].result() is True


@pytest.mark.parametrize("kind", RECURSIVE)
def test_a_recursive_lock_counts(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")
    with lock, lock:
        assert len(client.status("jobs").holders) == 1
        with pytest.raises((RuntimeError, AssertionError), match="release"):
            in_thread(lock.release)
        assert in_thread(lambda: lock.acquire(timeout=0.01)) is False
        lock.acquire()
        lock.release()
        assert lock.locked()
    assert not lock.locked()


@pytest.mark.parametrize(
    ("kind", "original"),
    [
        (Lock, threading.Lock),
        (RLock, threading.RLock),
        (MultiprocessingLock, multiprocessing.Lock),
        (MultiprocessingRLock, multiprocessing.RLock),
    ],
)
def test_a_release_too_many_raises_what_the_original_raises(kind: Any, original: Any, daemon: Any) -> None:
    with pytest.raises((RuntimeError, ValueError, AssertionError)) as expected:
        original().release()
    lock = kind("jobs")

    def release_too_often() -> None:
        with pytest.raises(expected.type) as raised:
            lock.release()
        assert raised.type is expected.type
        assert str(raised.value) == str(expected.value)

    release_too_often()
    with lock:
        pass
    release_too_often()
    # Only the release of a plain lock ends what another process or object holds, and only if that is a plain lock too.
    with prwlock.RWLock("jobs").write() as grant:
        release_too_often()
        assert grant.is_valid()


@pytest.mark.parametrize("kind", PLAIN)
def test_who_has_lost_a_lock_does_not_release_the_next_holder(kind: Any, client: prwlock.Client) -> None:
    lost, other = kind("jobs"), kind("jobs")
    lost.acquire()
    client.revoke("jobs", client.status("jobs").holders[0].token)
    assert in_thread(lambda: lost.acquire(timeout=60)) is True
    with pytest.raises(prwlock.LockLost):
        lost.release()
    assert not other.acquire(False)
    lost.release()


# Timeouts


@pytest.mark.parametrize("kind", AS_THREADING)
def test_timeouts_as_threading_has_them(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")
    for timeout in (-1, -1.0, 0, 0.0, 1, threading.TIMEOUT_MAX, float("inf")):
        assert lock.acquire(timeout=timeout) is True
        lock.release()
    for timeout in (-2, -0.5, float("nan"), float("-inf"), -1e100):
        with pytest.raises(ValueError, match="timeout"):
            lock.acquire(timeout=timeout)
    for timeout in (threading.TIMEOUT_MAX + 1, 1e100, 10**400):
        with pytest.raises(OverflowError):
            lock.acquire(timeout=timeout)
    for wrong in (None, "1", [1]):
        with pytest.raises(TypeError):
            lock.acquire(timeout=wrong)
    assert not client.status("jobs").holders


@pytest.mark.parametrize("kind", AS_MULTIPROCESSING)
def test_timeouts_as_multiprocessing_has_them(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")
    for timeout in (None, -1, -0.5, float("-inf"), 0, 1, threading.TIMEOUT_MAX, float("inf"), 1e100):
        assert lock.acquire(timeout=timeout) is True
        lock.release()
    with lock:
        for timeout in (-1, float("-inf"), 0):
            assert in_thread(lambda timeout=timeout: lock.acquire(timeout=timeout)) is False
        assert in_thread(lambda: lock.acquire(False, 60)) is False
    with pytest.raises(ValueError, match="timeout"):
        lock.acquire(timeout=float("nan"))
    with pytest.raises(TypeError):
        lock.acquire(timeout="1")


@pytest.mark.parametrize("kind", AS_THREADING + AS_MULTIPROCESSING)
@pytest.mark.parametrize("timeout", [876_000 * 3_600 + 1, threading.TIMEOUT_MAX, float("inf")])
def test_a_timeout_that_a_daemon_does_not_accept_waits_for_ever(
    kind: Any, timeout: float, peer: Any, client: prwlock.Client
) -> None:
    other = peer()
    assert other.ask("write", "jobs") == "True"
    lock = kind("jobs")
    call = Call(lambda: lock.acquire(timeout=timeout))
    wait_for_waiter(client, "jobs")
    assert client.status("jobs").waiters[0].timeout is None
    assert other.ask("release", "jobs") == "done"
    assert call.result() is True


# Conditions


@pytest.mark.parametrize("kind", [Lock, RLock])
def test_a_condition_of_threading_on_a_lock(kind: Any, client: prwlock.Client) -> None:
    lock = kind("jobs")
    condition = threading.Condition(lock)
    for call in (condition.wait, condition.notify):
        with pytest.raises(RuntimeError, match="un-acquired"):
            call()
    told: list[int] = []

    def wait() -> bool:
        with condition:
            return condition.wait_for(lambda: told, 60) is told

    calls = [Call(wait) for _ in range(4)]
    with condition:
        told.append(1)
        condition.notify_all()
    assert all(call.result() for call in calls)
    with condition:
        # Nothing is acquired to find out whether it is held.
        assert lock._is_owned()
        assert condition.wait(0.01) is False
        assert len(client.status("jobs").holders) == 1
    assert not lock._is_owned()
    assert not list(client.list())


def test_a_condition_frees_and_restores_every_acquisition(client: prwlock.Client) -> None:
    lock = RLock("jobs")
    condition = threading.Condition(lock)
    with lock, lock, condition:
        assert lock._recursion_count() == 3
        assert in_thread(lock._recursion_count) == 0
        assert not in_thread(lock._is_owned)

        def notify() -> None:
            with condition:
                condition.notify()

        call = Call(notify)
        assert condition.wait(60)
        call.result()
        assert lock._recursion_count() == 3
    assert not lock._is_owned()
    with pytest.raises(RuntimeError, match="un-acquired"):
        lock._release_save()
    assert not list(client.list())


def change(condition: Any, value: Any, socket: str) -> None:
    # A fork server keeps the environment of the first test that used it.
    os.environ["PRWLOCK_SOCKET"] = socket
    with condition:
        value.value += 1
        condition.notify()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", AS_MULTIPROCESSING)
def test_a_condition_of_multiprocessing_on_a_lock(kind: Any, method: str, daemon: Any) -> None:
    context = multiprocessing.get_context(method)
    lock = kind()
    condition = context.Condition(lock)
    value = context.Value("i", 0, lock=False)
    with condition:
        process = context.Process(target=change, args=(condition, value, daemon.socket))
        process.start()
        assert condition.wait_for(lambda: value.value == 1, 60)
        assert in_thread(lambda: lock.acquire(False)) is False
    process.join()
    with pytest.raises(AssertionError, match="acquire"):
        condition.wait()


# Processes


def try_it(lock: Any, results: Any) -> None:
    results.put(lock.acquire(False))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", AS_MULTIPROCESSING)
def test_a_lock_as_multiprocessing_has_it(kind: Any, method: str, daemon: Any) -> None:
    context = multiprocessing.get_context(method)
    lock = kind()
    for held in (True, False):
        if held:
            assert lock.acquire(timeout=-1)
        results = context.Queue()
        process = context.Process(target=try_it, args=(lock, results))
        process.start()
        assert results.get(timeout=60) is not held
        process.join()
        if held:
            lock.release()
    # A lock can be pickled at any time, not only while a process starts.
    assert pickle.loads(pickle.dumps(lock)).name == lock.name


def release_it(lock: Any) -> None:
    lock.release()


@pytest.mark.parametrize("method", METHODS)
def test_a_second_acquire_waits_until_another_process_releases(method: str, client: prwlock.Client) -> None:
    context = multiprocessing.get_context(method)
    lock = MultiprocessingLock()
    lock.acquire()
    for _ in range(2):
        process = context.Process(target=release_it, args=(lock,))
        process.start()
        assert lock.acquire() is True
        process.join()
        assert process.exitcode == 0
    # Nothing remains of the grants that the other processes have released.
    assert lock._count() == 1
    lock.release()
    with pytest.raises(ValueError, match="too many times"):
        lock.release()
    assert not list(client.list())


def test_a_lock_that_another_process_releases_is_free_and_unmarked(client: prwlock.Client) -> None:
    lock, other = MultiprocessingLock("jobs"), MultiprocessingLock("jobs")
    lock.acquire()
    other.release()
    assert not list(client.list())
    assert lock.acquire(False)
    lock.release()
