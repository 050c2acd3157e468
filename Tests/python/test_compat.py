"""Locks with the interfaces of fasteners and filelock."""

from __future__ import annotations

import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import prwlock
import pytest
from prwlock import compat
from prwlock.compat import fasteners, filelock

from processes import wait_until
from threads import in_thread

METHODS = ["fork", "spawn", "forkserver"]


# As fasteners has them


def test_a_path_names_one_lock_however_it_is_written(home: Path, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    (home / "link").symlink_to(home)
    path = home / "a lock.file"
    with fasteners.InterProcessLock(path):
        for other in (str(path), "a lock.file", "./link/a lock.file", Path("a lock.file"), os.fsencode(path)):
            assert not in_thread(lambda other=other: fasteners.InterProcessLock(other).acquire(blocking=False))


def test_a_path_of_any_length_and_letters_names_a_lock(home: Path, daemon: Any) -> None:
    for path in (home / ("ü" * 80), home / "x" / ("y" * 250), b"/\xff\xfe"):
        with fasteners.InterProcessLock(path):  # type: ignore[arg-type]
            assert not in_thread(lambda path=path: fasteners.InterProcessLock(path).acquire(blocking=False))


@pytest.mark.parametrize("kind", [fasteners.InterProcessLock, filelock.FileLock, filelock.ReadWriteLock])
@pytest.mark.parametrize("path", [None, 7, ["x"]])
def test_what_is_no_path_is_a_type_error(kind: Any, path: Any) -> None:
    with pytest.raises(TypeError):
        kind(path)


def test_readers_and_writers_as_fasteners_has_them(home: Path, daemon: Any) -> None:
    path = home / "rw"
    lock, other = fasteners.InterProcessReaderWriterLock(path), fasteners.InterProcessReaderWriterLock(str(path))
    with lock.read_lock():
        assert path.exists()
        assert in_thread(lambda: other.acquire_read_lock(timeout=1))
        other.release_read_lock()
        assert not in_thread(lambda: other.acquire_write_lock(blocking=False))
        assert not lock.acquire_write_lock(timeout=0.01)
        assert lock.acquire_read_lock()
        lock.release_read_lock()
    with lock.write_lock():
        assert not in_thread(lambda: other.acquire_read_lock(delay=0.01, max_delay=0.1, timeout=0.01))
    lock.release_write_lock()
    for wrong in ({"delay": -1}, {"timeout": -1}):
        with pytest.raises(ValueError, match="greater than or equal"):
            lock.acquire_read_lock(**wrong)  # type: ignore[arg-type]


def test_one_at_a_time_as_fasteners_has_it(home: Path, client: prwlock.Client) -> None:
    lock = fasteners.InterProcessLock(home / "one")
    assert not lock.acquired
    with lock as same:
        assert same is lock
        assert lock.acquired
        assert lock.acquire()
        lock.release()
        with pytest.raises(BlockingIOError):
            raise in_thread(
                lambda: pytest.raises(BlockingIOError, fasteners.InterProcessLock(home / "one").trylock).value
            )
    with pytest.raises(threading.ThreadError):
        lock.release()
    assert lock.exists()
    assert not list(client.list())


def test_functions_are_decorated_as_fasteners_does(home: Path, client: prwlock.Client) -> None:
    path = str(home / "decorated")
    for decorator, mode in (
        (fasteners.interprocess_locked, "write"),
        (fasteners.interprocess_read_locked, "read"),
        (fasteners.interprocess_write_locked, "write"),
    ):

        @decorator(path)
        def held(value: int, *, other: int) -> tuple[int, int, list[str]]:
            """It says."""
            (row,) = client.list("file:")
            return value, other, [row.mode or ""]

        assert held(1, other=2) == (1, 2, [mode])
        assert held.__doc__ == "It says."


# After a crash and a fork


def hold_and_crash(path: str, socket: str, held: Any) -> None:
    # A fork server keeps the environment of the first test that used it.
    os.environ["PRWLOCK_SOCKET"] = socket
    lock = filelock.ReadWriteLock(path)
    lock.acquire_write()
    held.put(True)
    held.close()
    held.join_thread()
    os._exit(1)


@pytest.mark.parametrize("method", METHODS)
def test_a_process_that_crashes_leaves_nothing_locked(method: str, home: Path, daemon: Any) -> None:
    context = multiprocessing.get_context(method)
    held = context.Queue()
    process = context.Process(target=hold_and_crash, args=(str(home / "rw"), daemon.socket, held))
    process.start()
    assert held.get(timeout=60)
    with filelock.ReadWriteLock(home / "rw").write_lock(timeout=60):
        pass
    process.join()


def test_a_child_holds_nothing_of_its_parents(home: Path, client: prwlock.Client) -> None:
    locks = [compat.Lock("a"), fasteners.InterProcessLock(home / "b"), filelock.FileLock(home / "c")]
    for lock in locks:
        lock.acquire()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            with pytest.raises(RuntimeError):
                locks[0].release()
            assert not locks[1].acquired  # type: ignore[union-attr]
            assert not locks[2].is_locked  # type: ignore[union-attr]
            with pytest.raises(filelock.Timeout):
                locks[2].acquire(timeout=0)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(process, 0)[1] == 0
    assert len(list(client.list())) == 3
    for lock in locks:
        lock.release()
    wait_until(lambda: not list(client.list()))
