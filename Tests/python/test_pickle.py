"""A lock can be passed to any process of this user on this host."""

from __future__ import annotations

import base64
import concurrent.futures
import copy
import multiprocessing
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest

METHODS = ["fork", "spawn", "forkserver"]


def attempt(lock: prwlock.RWLock) -> tuple[bool, bool, int]:
    """Returns what a process sees that receives a lock: whether it can write, whether it can read, its grants."""
    write = lock.try_acquire_write()
    if write:
        lock.release()
    read = lock.acquire_read(0)
    count = lock.nlocks
    if read:
        lock.release()
    return write, read, count


def put(lock: prwlock.RWLock, queue: Any) -> None:
    queue.put(attempt(lock))


@pytest.mark.parametrize("method", METHODS)
def test_a_process_that_is_given_it_meets_the_same_lock(method: str, daemon: Any) -> None:
    context = multiprocessing.get_context(method)
    lock = prwlock.RWLock()
    for hold, expected in ((None, (True, True, 1)), ("read", (False, True, 1)), ("write", (False, False, 0))):
        if hold:
            assert getattr(lock, f"acquire_{hold}")()
        queue = context.Queue()
        process = context.Process(target=put, args=(lock, queue))
        process.start()
        assert queue.get(timeout=60) == expected
        process.join()
        if hold:
            lock.release()


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_of_futures_meets_the_same_lock(method: str, daemon: Any) -> None:
    lock = prwlock.RWLock()
    lock.acquire_write()
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert set(pool.map(attempt, [lock] * 4)) == {(False, False, 0)}
    lock.release()


def test_a_program_that_finds_it_in_a_file_meets_the_same_lock(run: Any, home: Path, daemon: Any) -> None:
    lock = prwlock.RWLock()
    lock.acquire_write()
    (home / "lock").write_bytes(pickle.dumps(lock))
    program = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).try_acquire_read())"
    assert run(program, str(home / "lock")).strip() == "False"
    lock.release()
    assert run(program, str(home / "lock")).strip() == "True"


def test_it_finds_its_daemon_wherever_the_other_process_would_look(daemon: Any, home: Path) -> None:
    lock = prwlock.RWLock()
    lock.acquire_write()
    program = "import base64, pickle, sys; print(pickle.loads(base64.b64decode(sys.argv[1])).try_acquire_read())"
    environment = {"HOME": str(home), "PATH": "/usr/bin", "PRWLOCK_SOCKET": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", program, base64.b64encode(pickle.dumps(lock)).decode()],
        env={**environment, "PYTHONPATH": ":".join(filter(None, sys.path))}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"
    lock.release()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_pickle_has_the_name_and_the_socket_and_no_descriptor(protocol: int, daemon: Any) -> None:
    lock = prwlock.RWLock()
    lock.acquire_read()
    state = lock.__getstate__()
    assert state["socket"] == daemon.socket
    assert state["name"] == lock.name
    assert not any("fd" in key for key in state)
    assert pickle.loads(pickle.dumps(lock, protocol)).name == lock.name
    lock.release()


def test_a_named_lock_is_pickled_by_its_name(daemon: Any) -> None:
    assert pickle.loads(pickle.dumps(prwlock.RWLock("Füße/1"))).name == "Füße/1"


def test_copies_are_the_same_lock(daemon: Any) -> None:
    lock = prwlock.RWLock()
    for other in (copy.copy(lock), copy.deepcopy(lock)):
        lock.acquire_write()
        assert other.nlocks == 1
        other.release()


def test_a_pickle_of_the_original_is_refused() -> None:
    class_of_the_original = "prwlock.prwlock\nRWLockPosix"
    stream = f"(i{class_of_the_original}\n(dS'_fd'\nI3\nsS'pid'\nI1\nsS'nlocks'\nI0\nsb.".encode()
    with pytest.raises(pickle.UnpicklingError, match=r"0\.4"):
        pickle.loads(stream)


def test_a_pickle_of_another_host_is_refused() -> None:
    state = {**prwlock.RWLock().__getstate__(), "host": "another"}
    with pytest.raises(pickle.UnpicklingError, match="another host"):
        prwlock.RWLock.__new__(prwlock.RWLock).__setstate__(state)


@pytest.mark.parametrize("state", [None, {}, {"name": "jobs"}, "jobs"])
def test_what_is_no_lock_is_refused(state: Any) -> None:
    with pytest.raises(pickle.UnpicklingError):
        prwlock.RWLock.__new__(prwlock.RWLock).__setstate__(state)


def test_a_pickle_of_another_user_reaches_nothing(
    monkeypatch: pytest.MonkeyPatch, home: Path, running: Callable[[], list[int]]
) -> None:
    lock = prwlock.RWLock()
    assert lock.try_acquire_write()
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    copied = pickle.loads(pickle.dumps(lock))
    copied._client = prwlock.Client.__new__(prwlock.Client)
    copied._client._setup(copied._location)
    with pytest.raises(PermissionError, match="belongs to another user"):
        copied.acquire_read()


class Mine(prwlock.RWLock):
    """A subclass."""


def test_a_subclass_stays_one(daemon: Any) -> None:
    assert type(pickle.loads(pickle.dumps(Mine()))) is Mine
