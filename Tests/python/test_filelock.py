"""The locks for threads in the shape of filelock: what they hold, how long they wait, and what they leave."""

from __future__ import annotations

import gc
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock.compat.filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from processes import wait_until

KINDS = [FileLock, SoftFileLock]


def elsewhere(call: Callable[[], Any]) -> Any:
    """Returns the result of a call in another thread, or raises its error."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(60)


def fails(lock: BaseFileLock, **options: Any) -> bool:
    """Returns whether another thread cannot acquire the lock; releases it if the thread can."""

    def run() -> bool:
        try:
            with lock.acquire(**options):
                return False
        except Timeout:
            return True

    return bool(elsewhere(run))


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_counts(kind: Any, home: Path, client: prwlock.Client) -> None:
    lock = kind(home / "file", timeout=0.01)
    with lock as same, lock.acquire() as again:
        assert same is again is lock
        assert (lock.is_locked, lock.lock_counter) == (True, 2)
        lock.release()
        assert lock.lock_counter == 1
        lock.acquire()
    assert (lock.is_locked, lock.lock_counter) == (False, 0)
    lock.release()
    for _ in range(3):
        lock.acquire()
    lock.release(force=True)
    assert not lock.is_locked
    assert not client.list()


def test_a_lock_decorates_a_function(home: Path, client: prwlock.Client) -> None:
    @FileLock(home / "file")
    def decorated() -> int:
        return len(client.list())

    assert decorated() == 1
    assert not client.list()


def test_a_timeout_error_is_that_of_the_original(home: Path, daemon: Any) -> None:
    path = str(home / "file")
    with FileLock(path), pytest.raises(Timeout) as caught:
        elsewhere(lambda: FileLock(path).acquire(timeout=0))
    error = caught.value
    assert isinstance(error, TimeoutError)
    assert isinstance(error.__cause__, prwlock.AcquireTimeout)
    assert error.lock_file == path
    assert (str(error), repr(error)) == (f"The file lock '{path}' could not be acquired.", f"Timeout({path!r})")
    error.extra = [1]  # type: ignore[attr-defined]
    copy = pickle.loads(pickle.dumps(Timeout("x", "process 7")))
    assert str(copy) == (
        "The file lock 'x' could not be acquired. It is held by process 7, which this host cannot probe."
    )
    assert copy.args == ()


# Threads


@pytest.mark.parametrize("kind", KINDS)
def test_threads_have_their_own_holds_and_settings(kind: Any, home: Path, daemon: Any) -> None:
    lock = kind(home / "file", timeout=7)
    lock.timeout, lock.blocking, lock.poll_interval = 1, False, 2
    with lock:
        assert elsewhere(lambda: (lock.is_locked, lock.lock_counter)) == (False, 0)
        assert elsewhere(lambda: (lock.timeout, lock.blocking, lock.poll_interval)) == (7, True, 0.05)
        assert fails(lock, timeout=0.01)
        elsewhere(lambda: lock.release(force=True))
        assert lock.is_locked
    assert (lock.timeout, lock.blocking, lock.poll_interval) == (1, False, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_without_thread_local_all_threads_share(kind: Any, home: Path, client: prwlock.Client) -> None:
    lock = kind(home / "file", thread_local=False)
    assert not lock.is_thread_local()
    lock.timeout = 5
    with lock:
        assert elsewhere(lambda: (lock.is_locked, lock.lock_counter, lock.timeout)) == (True, 1, 5)
        elsewhere(lambda: lock.acquire(timeout=0))
        elsewhere(lock.release)
        elsewhere(lock.release)
        assert not lock.is_locked
    assert not client.list()


def test_a_thread_joins_the_hold_for_which_another_one_waited(home: Path, client: prwlock.Client) -> None:
    lock, other = FileLock(home / "file", thread_local=False), FileLock(home / "file")
    other.acquire()
    threads = [threading.Thread(target=lock.acquire) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: [row.waiters for row in client.list()] == [1])
    with pytest.raises(Timeout):
        lock.acquire(timeout=0.01)
    with pytest.raises(Timeout):
        lock.acquire(cancel_check=lambda: True, poll_interval=0.01)
    other.release()
    for thread in threads:
        thread.join(60)
    assert lock.lock_counter == 3
    lock.release(force=True)
    assert not client.list()


def test_the_hold_of_a_thread_outlives_it(home: Path, client: prwlock.Client) -> None:
    lock = FileLock(home / "file")
    elsewhere(lock.acquire)
    gc.collect()
    assert not lock.is_locked
    with pytest.raises(Timeout):
        lock.acquire(timeout=0.01)
    lock.release()
    assert client.list()[0].mode == "write"
    lock.release(force=True)
    assert not client.list()
    elsewhere(lock.acquire)
    del lock
    gc.collect()
    wait_until(lambda: not client.list())


def test_a_forked_child_cannot_release_what_its_parents_threads_hold(home: Path, client: prwlock.Client) -> None:
    lock = FileLock(home / "file")
    elsewhere(lock.acquire)
    process = os.fork()
    if process == 0:
        status = 1
        try:
            lock.release(force=True)
            assert fails(lock, timeout=0)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(process, 0)[1] == 0
    assert client.list()[0].mode == "write"


# To wait for oneself


@pytest.mark.parametrize("is_local", [True, False])
def test_to_wait_for_ever_for_oneself_is_an_error(is_local: bool, home: Path, daemon: Any) -> None:
    lock, other = (FileLock(home / "file", thread_local=is_local) for _ in range(2))
    with lock:
        for timeout in (-1, float("inf"), -0.5):
            with pytest.raises(RuntimeError, match=r"Deadlock: lock '.*' is already held by a different FileLock"):
                other.acquire(timeout)
        with pytest.raises(Timeout):
            other.acquire(blocking=False)
        with pytest.raises(Timeout):
            other.acquire(0.1)
    with other:
        pass


def test_what_another_thread_may_release_is_waited_for(home: Path, client: prwlock.Client) -> None:
    lock, other = FileLock(home / "file", thread_local=False), FileLock(home / "file")
    lock.acquire()
    is_waiting = threading.Event()

    def release() -> None:
        is_waiting.wait(60)
        lock.release()

    thread = threading.Thread(target=release)
    thread.start()

    def is_cancelled() -> bool:
        is_waiting.set()
        return False

    with other.acquire(60, cancel_check=is_cancelled, poll_interval=0.01):
        assert not lock.is_locked
    thread.join(60)


def test_a_circle_of_two_threads_is_an_error(home: Path, client: prwlock.Client) -> None:
    def path(name: str) -> Path:
        return home / name

    first = FileLock(path("a"))
    first.acquire()

    def other() -> None:
        with FileLock(path("b")), FileLock(path("a")):
            pass

    thread = threading.Thread(target=other)
    thread.start()
    wait_until(lambda: any(row.waiters for row in client.list()))
    with pytest.raises(RuntimeError, match="circle"):
        FileLock(path("b")).acquire()
    first.release()
    thread.join(60)
    assert not thread.is_alive()


# Waiting


@pytest.mark.parametrize(
    "timeout", [-1, -7.5, float("inf"), 1e300, threading.TIMEOUT_MAX * 2, Decimal("1e20"), -Decimal("1e-400"), 10**18]
)
def test_a_very_long_timeout_is_for_ever(timeout: Any, home: Path, client: prwlock.Client) -> None:
    lock, holder = FileLock(home / "file", timeout), FileLock(home / "file")
    holder.acquire()
    thread = threading.Thread(target=lambda: lock.acquire().lock.release())
    thread.start()
    wait_until(lambda: any(row.waiters for row in client.list()))
    (waiter,) = client.status(client.list()[0].name).waiters
    assert waiter.timeout is None
    holder.release()
    thread.join(60)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancelled_wait_is_a_timeout(kind: Any, home: Path, client: prwlock.Client) -> None:
    asked: list[bool] = []

    def is_cancelled() -> bool:
        asked.append(True)
        return len(asked) == 3

    with kind(home / "file"):
        assert fails(kind(home / "file"), cancel_check=is_cancelled, poll_interval=0.001)
        assert len(asked) == 3
        assert not client.list()[0].waiters
    # A free lock is not worth a question.
    with kind(home / "file").acquire(cancel_check=is_cancelled):
        assert len(asked) == 3


def test_an_error_of_cancel_check_leaves_nothing(home: Path, client: prwlock.Client) -> None:
    lock = FileLock(home / "file")
    with lock, pytest.raises(ZeroDivisionError):
        elsewhere(lambda: lock.acquire(cancel_check=lambda: 1 / 0 > 1, poll_interval=0.001))
    assert not client.list()


# Files


def test_a_native_lock_keeps_its_file_and_its_content(home: Path, daemon: Any) -> None:
    path = home / "new" / "file"
    with FileLock(path):
        assert path.exists()
        path.write_text("content")
    with FileLock(path, preserve_lock_file=True):
        assert path.read_text() == "content"
    assert path.exists()


def test_a_soft_lock_has_its_file_while_it_is_held(home: Path, client: prwlock.Client) -> None:
    path = home / "new" / "file"
    lock = SoftFileLock(path)
    with lock:
        with lock:
            pass
        assert path.read_text().startswith(f"{os.getpid()}\n")
        assert (lock.pid, lock.is_lock_held_by_us) == (os.getpid(), True)
        assert elsewhere(lambda: SoftFileLock(path).pid) == os.getpid()
    assert not path.exists()
    assert (lock.pid, lock.is_lock_held_by_us) == (None, False)
    # What a crash has left does not matter.
    path.write_text("1\nelsewhere\n")
    with lock:
        pass
    assert not path.exists()


def test_a_soft_lock_that_is_dropped_leaves_neither_a_hold_nor_a_file(home: Path, client: prwlock.Client) -> None:
    lock = SoftFileLock(home / "file")
    lock.acquire()
    del lock
    gc.collect()
    assert not (home / "file").exists()
    wait_until(lambda: not client.list())


def test_a_soft_lock_has_no_file_after_the_exit(home: Path, daemon: Any, run: Callable[..., str]) -> None:
    run(
        "import os, sys\n"
        "from prwlock.compat.filelock import SoftFileLock\n"
        "lock = SoftFileLock(sys.argv[1])\n"
        "lock.acquire()\n"
        "if os.fork() == 0:\n"
        "    sys.exit()\n"
        "os.wait()\n"
        "assert os.path.exists(sys.argv[1])\n",
        str(home / "file"),
    )
    assert not (home / "file").exists()


def test_a_soft_lock_is_broken(home: Path, client: prwlock.Client) -> None:
    lock = SoftFileLock(home / "file")
    lock.break_lock()
    lock.acquire()
    elsewhere(SoftFileLock(home / "file").break_lock)
    with SoftFileLock(home / "file"):
        pass
    with pytest.raises(prwlock.LockLost):
        lock.release()
    assert not lock.is_locked


def test_a_soft_lock_ends_after_its_lifetime(home: Path, daemon: Any) -> None:
    with pytest.warns(FutureWarning, match="can overlap a live holder"):
        lock = SoftFileLock(home / "file", lifetime=0.2)
    with lock:
        assert lock.lifetime == 0.2
        elsewhere(lambda: SoftFileLock(home / "file").acquire(60).lock.release())
        wait_until(lambda: not lock.is_locked)
    with pytest.warns(FutureWarning):
        lock.lifetime = 10**9
    with lock:
        assert lock.is_locked


@pytest.mark.parametrize(("path", "error"), [("", FileNotFoundError), (".", IsADirectoryError), ("a\0b", ValueError)])
@pytest.mark.parametrize("kind", KINDS)
def test_what_names_no_file_is_an_error(kind: Any, path: str, error: type[Exception], daemon: Any) -> None:
    lock = kind(path)
    with pytest.raises(error):
        lock.acquire(timeout=0)
    assert not lock.is_locked


def test_a_relative_path_follows_the_folder(home: Path, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FileLock("file")
    for folder in ("run", "tmp"):
        monkeypatch.chdir(home / folder)
        with lock:
            assert fails(FileLock(home / folder / "file"), timeout=0)
    assert not fails(FileLock(home / "run" / "file"), timeout=0)


# Losses


def test_the_release_of_a_lost_lock_says_so(home: Path, daemon: Any) -> None:
    lock = FileLock(home / "file")
    lock.acquire()
    daemon.restart()
    wait_until(lambda: not lock.is_locked)
    assert lock.lock_counter == 0
    with pytest.raises(prwlock.LockLost):
        lock.release()
    lock.release()
    with lock:
        assert lock.is_locked


def test_a_failed_acquire_keeps_no_lock_alive(home: Path, client: prwlock.Client) -> None:
    first, second = FileLock(home / "file"), FileLock(home / "file")
    first.acquire()
    with pytest.raises(Timeout) as caught:
        second.acquire(timeout=0.01)
    del first
    second.acquire(timeout=60)
    del second, caught
    wait_until(lambda: not client.list())
