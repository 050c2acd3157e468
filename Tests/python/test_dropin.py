"""The surface of the original package, as programs use it."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import subprocess
import threading
import warnings
from typing import Any, Callable

import prwlock
import pytest

from processes import descriptors, wait_until


def test_reads_stand_together_and_a_write_stands_alone(daemon: Any, peer: Callable[[], Any]) -> None:
    """G1."""
    lock = prwlock.RWLock("jobs")
    other = peer()
    assert lock.acquire_read()
    assert other.ask("read", "jobs", "0") == "True"
    assert lock.try_acquire_write() is False
    assert other.ask("release", "jobs") == "done"
    lock.release()
    assert lock.acquire_write(timeout=1) is True
    assert other.ask("read", "jobs", "0") == "False"
    lock.release()


def test_each_acquisition_counts_and_needs_a_release(daemon: Any) -> None:
    lock = prwlock.RWLock()
    assert lock.nlocks == 0
    lock.acquire_read()
    lock.acquire_read(3)
    assert lock.try_acquire_read()
    assert lock.nlocks == 3
    for _ in range(3):
        lock.release()
    assert lock.nlocks == 0
    with pytest.raises(ValueError, match="not held"):
        lock.release()


def test_a_lock_that_was_never_used_cannot_be_released() -> None:
    with pytest.raises(ValueError, match="not held"):
        prwlock.RWLock().release()


def test_a_timeout_that_is_over_is_false_and_counts_nothing(daemon: Any, peer: Callable[[], Any]) -> None:
    lock = prwlock.RWLock("jobs")
    assert peer().ask("write", "jobs") == "True"
    assert lock.acquire_read(0.01) is False
    assert lock.acquire_write(0) is False
    assert lock.try_acquire_read() is False
    assert lock.nlocks == 0


def test_context_managers_acquire_and_release(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    with lock.reader_lock():
        assert [holder.mode for holder in client.status("jobs").holders] == ["read"]
    with lock.writer_lock(timeout=1) as nothing:
        assert nothing is None
        assert [holder.mode for holder in client.status("jobs").holders] == ["write"]
    assert not client.status("jobs").holders


def test_a_context_manager_that_waits_in_vain_is_a_value_error(daemon: Any, peer: Callable[[], Any]) -> None:
    assert peer().ask("write", "jobs") == "True"
    with pytest.raises(ValueError, match="in time"), prwlock.RWLock("jobs").reader_lock(timeout=0.01):
        pytest.fail("it must not be entered")


def test_a_write_within_ones_own_read_is_a_value_error(daemon: Any) -> None:
    lock = prwlock.RWLock()
    with pytest.raises(ValueError, match="in time"), lock.reader_lock(timeout=0.1), lock.writer_lock(timeout=0.1):
        pytest.fail("it must not be entered")
    with pytest.raises(ValueError, match="circle"), lock.reader_lock(), lock.writer_lock():
        pytest.fail("it must not be entered")
    assert lock.nlocks == 0


def test_a_write_within_ones_own_write_is_an_os_error(daemon: Any) -> None:
    lock = prwlock.RWLock()
    lock.acquire_write()
    with pytest.raises(OSError, match="circle") as caught:
        lock.acquire_write()
    assert caught.value.errno == errno.EDEADLK
    assert isinstance(caught.value, prwlock.Deadlock)
    assert lock.acquire_write(timeout=1) is False
    assert lock.try_acquire_read() is False
    assert lock.nlocks == 1
    lock.release()


def test_a_lock_that_is_collected_is_released(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    lock.acquire_read()
    lock.acquire_read()
    assert len(client.status("jobs").holders) == 2
    del lock
    gc.collect()
    wait_until(lambda: not client.status("jobs").holders)


def test_thousands_of_held_locks_that_are_collected_at_once_are_released(client: prwlock.Client) -> None:
    locks = [prwlock.RWLock(f"many/{number}") for number in range(5_000)]
    for lock in locks:
        lock.acquire_write()
    del lock
    locks.clear()
    # Releases that were not sent at once are sent with the next request.
    for _ in range(10):
        assert prwlock.RWLock("other").try_acquire_read()
    wait_until(lambda: not client.list("many/"))


def test_a_copy_in_the_same_process_is_the_same_lock(client: prwlock.Client) -> None:
    lock = prwlock.RWLock()
    lock.acquire_read()
    copy = pickle.loads(pickle.dumps(lock))
    assert copy.nlocks == lock.nlocks == 1
    copy.release()
    assert lock.nlocks == 0
    copy.acquire_write()
    del copy
    assert lock.nlocks == 1
    lock.release()
    assert not client.status(lock.name).holders


def test_the_descriptor_is_real_and_may_be_closed(daemon: Any) -> None:
    lock = prwlock.RWLock()
    number = lock._fd
    os.fstat(number)
    assert pickle.loads(pickle.dumps(lock))._fd == number
    os.close(number)
    # The next descriptor gets this number, and must stay open.
    read, write = os.pipe()
    assert number in (read, write)
    del lock
    gc.collect()
    os.fstat(number)
    os.close(read)
    os.close(write)


def test_the_descriptor_goes_with_the_lock(daemon: Any) -> None:
    before = descriptors()
    lock = prwlock.RWLock()
    assert lock._fd >= 0
    del lock
    gc.collect()
    assert descriptors() == before


def test_process_shared_is_kept_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="no meaning"):
        before = prwlock.get_pthread_process_shared()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prwlock.set_pthread_process_shared(0xBEEF)
        try:
            with pytest.raises(OSError, match="PTHREAD_PROCESS_SHARED"):
                prwlock.RWLock()
        finally:
            prwlock.set_pthread_process_shared(before)
    prwlock.RWLock()


def test_pid_is_the_process_that_the_object_is_in(daemon: Any) -> None:
    assert prwlock.RWLock().pid == os.getpid()


def test_programs_find_the_class_where_it_was() -> None:
    from prwlock.prwlock import RWLock, RWLockPosix

    assert RWLock is RWLockPosix is prwlock.RWLock
    assert prwlock.GenericLockContextManager(RWLock(), "read", timeout=1).timeout == 1
    with pytest.raises(ValueError, match="update"):
        prwlock.GenericLockContextManager(RWLock(), "update")


def test_a_hundred_thousand_locks_cost_nothing_until_they_are_used(running: Callable[[], list[int]]) -> None:
    before = descriptors()
    locks = [prwlock.RWLock() for _ in range(100_000)]
    assert len({lock.name for lock in locks[:1_000]}) == 1_000
    assert descriptors() == before
    assert not running()


def test_to_import_it_starts_nothing(run: Callable[..., str], running: Callable[[], list[int]]) -> None:
    program = """
import os, sys
before = os.listdir("/proc/self/fd")
import prwlock
lock = prwlock.RWLock()
assert os.listdir("/proc/self/fd") == before
print(sorted(set(sys.modules) & {"socket", "subprocess", "threading", "logging", "asyncio", "typing"}))
"""
    in_all_interpreters = set(
        run("import sys; print(*sorted(set(sys.modules) & {'socket', 'subprocess', 'threading', 'typing'}))").split()
    )
    assert set(eval(run(program))) <= in_all_interpreters
    assert not running()


def test_threads_exclude_each_other(daemon: Any) -> None:
    lock = prwlock.RWLock()
    lock.acquire_write()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(lock.try_acquire_write()))
    thread.start()
    thread.join()
    assert answers == [False]
    lock.release()


def test_a_thread_may_release_what_another_acquired(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    thread = threading.Thread(target=lock.acquire_write)
    thread.start()
    thread.join()
    assert lock.nlocks == 1
    lock.release()
    assert not client.status("jobs").holders
    with pytest.raises(ValueError, match="not held"):
        lock.release()


def test_a_thread_releases_its_own_hold_first(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    lock.acquire_read()
    (own,) = client.status("jobs").holders
    thread = threading.Thread(target=lock.acquire_read)
    thread.start()
    thread.join()
    lock.release()
    assert own.token not in [holder.token for holder in client.status("jobs").holders]
    lock.release()


def test_a_thread_that_ends_keeps_what_it_holds_as_the_original_did(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    for _ in range(2):
        thread = threading.Thread(target=lock.acquire_read)
        thread.start()
        thread.join()
    assert len(client.status("jobs").holders) == 2
    # A new thread is another owner, even if the system gives it the same number.
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(lock.acquire_write(0.01)))
    thread.start()
    thread.join()
    assert answers == [False]


def test_the_command_shows_the_holders(daemon: Any) -> None:
    lock = prwlock.RWLock("jobs")
    lock.acquire_write()
    status = prwlock.status("jobs")
    assert [(holder.pid, holder.mode) for holder in status.holders] == [(os.getpid(), "write")]
    assert subprocess.run(["true"], check=True).returncode == 0
    lock.release()
