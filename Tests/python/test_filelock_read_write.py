"""The reader-writer lock for threads in the shape of filelock."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock.compat.filelock import AcquireReturnProxy, ReadWriteLock, Timeout

from processes import wait_until
from threads import Call


def elsewhere(call: Callable[[], Any]) -> Any:
    """Returns the result of a call in another thread, or raises its error."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(60)


def alone(path: Path) -> Any:
    return ReadWriteLock(path, is_singleton=False)


def test_readers_share_and_writers_do_not(home: Path, client: prwlock.Client) -> None:
    path = home / "rw.db"
    lock, other = ReadWriteLock(path), alone(path)
    with lock.read_lock(), lock.read_lock():
        assert path.exists()
        assert lock._lock_level == 2
        with pytest.raises(RuntimeError, match="upgrade not allowed"):
            lock.acquire_write()
        with pytest.raises(Timeout):
            elsewhere(lambda: other.acquire_write(blocking=False))
        with other.acquire_read(timeout=1) as same:
            assert same is other
    with lock.write_lock(timeout=1), lock.write_lock():
        with pytest.raises(RuntimeError, match="downgrade not allowed"):
            lock.acquire_read()
        with pytest.raises(Timeout) as caught:
            elsewhere(lambda: other.acquire_read(0.01))
        assert caught.value.lock_file == str(path)
    assert not client.list()


def test_threads_read_through_one_lock_and_release_what_they_acquired(home: Path, client: prwlock.Client) -> None:
    lock = ReadWriteLock(home / "rw")
    assert isinstance(lock.acquire_read(), AcquireReturnProxy)
    with pytest.raises(RuntimeError, match="which does not hold it"):
        elsewhere(lock.release)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lock.acquire_read).result(60)
        lock.release()
        assert client.list()[0].mode == "read"
        with pytest.raises(RuntimeError, match="another thread holds a read lock on this instance"):
            lock.acquire_write()
        # The other thread may release at any time, so this wait is none for oneself.
        waiting = threading.Thread(target=lambda: alone(home / "rw").acquire_write().lock.release())
        waiting.start()
        wait_until(lambda: client.list()[0].waiters)
        thread.submit(lock.release).result(60)
        waiting.join(60)
    assert not client.list()


def test_a_reader_may_wait_for_what_another_thread_reads_through_its_lock(home: Path, client: prwlock.Client) -> None:
    lock, other = ReadWriteLock(home / "rw"), alone(home / "rw")
    begun, ended = threading.Event(), threading.Event()

    def read() -> None:
        with lock.read_lock():
            begun.set()
            ended.wait(60)

    lock.acquire_read()
    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(60)
    lock.release()
    with pytest.raises(Timeout):
        other.acquire_write(0.05)
    ended.set()
    with other.write_lock(60):
        pass
    thread.join(60)
    assert not client.list()


def test_a_writer_is_a_thread(home: Path, client: prwlock.Client) -> None:
    lock = ReadWriteLock(home / "rw")
    lock.acquire_write()
    with pytest.raises(RuntimeError, match=r"from thread .* while it is held by thread"):
        elsewhere(lock.acquire_write)
    with pytest.raises(RuntimeError, match="another thread holds a write lock on this instance"):
        elsewhere(lock.acquire_read)
    with pytest.raises(RuntimeError, match="Cannot release write lock"):
        elsewhere(lock.release)
    elsewhere(lambda: lock.release(force=True))
    assert not client.list()
    with pytest.raises(RuntimeError, match="not held"):
        lock.release()
    lock.release(force=True)


def test_to_wait_for_ever_for_oneself_is_an_error(home: Path, daemon: Any) -> None:
    lock, other = alone(home / "rw"), alone(home / "rw")
    with lock.read_lock():
        with pytest.raises(RuntimeError, match="Deadlock"):
            other.acquire_write()
        with other.read_lock():
            pass
    with lock.write_lock(), pytest.raises(RuntimeError, match="Deadlock"):
        other.acquire_read()
    with other.write_lock():
        pass


def test_a_thread_reads_again_before_a_waiting_writer(home: Path, client: prwlock.Client) -> None:
    lock, other = alone(home / "rw"), alone(home / "rw")
    with lock.read_lock():
        writer = threading.Thread(target=lambda: alone(home / "rw").acquire_write().lock.release())
        writer.start()
        wait_until(lambda: client.list()[0].waiters)
        with other.read_lock():
            assert client.list()[0].waiters == 1
    writer.join(60)
    assert not client.list()


@pytest.mark.parametrize("timeout", [-1, float("inf"), 1e300, threading.TIMEOUT_MAX * 2])
def test_a_very_long_timeout_is_for_ever(timeout: float, home: Path, client: prwlock.Client) -> None:
    holder = alone(home / "rw")
    with holder.write_lock():
        thread = threading.Thread(target=lambda: alone(home / "rw").acquire_read(timeout).lock.release())
        thread.start()
        wait_until(lambda: client.list()[0].waiters)
        assert client.status(client.list()[0].name).waiters[0].timeout is None
    thread.join(60)


def test_a_closed_lock_is_released_and_refuses(home: Path, client: prwlock.Client) -> None:
    lock = alone(home / "rw")
    lock.acquire_read()
    elsewhere(lock.acquire_read)
    lock.close()
    lock.close()
    assert not client.list()
    with pytest.raises(Exception, match="closed"):
        lock.acquire_write()
    lock.release(force=True)


@pytest.mark.parametrize("end", ["close", "release"])
def test_the_end_does_not_wait_for_a_thread_that_waits(end: str, home: Path, client: prwlock.Client) -> None:
    lock, holder = alone(home / "rw"), alone(home / "rw")
    holder.acquire_write()
    call = Call(lambda: lock.acquire_write().lock.release())
    wait_until(lambda: client.list()[0].waiters)
    elsewhere(lock.close if end == "close" else lambda: lock.release(force=True))
    assert client.list()[0].waiters == 1
    holder.release()
    if end == "close":
        with pytest.raises(Exception, match="closed"):
            call.result()
    else:
        call.result()
    assert not client.list()


def test_a_lost_lock_says_so(home: Path, daemon: Any) -> None:
    lock = alone(home / "rw")
    lock.acquire_write()
    daemon.restart()
    wait_until(lambda: lock._current_mode is None)
    with pytest.raises(prwlock.LockLost):
        lock.release()
    with lock.read_lock():
        assert lock._current_mode == "read"
