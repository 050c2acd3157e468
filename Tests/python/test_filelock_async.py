"""The locks for tasks in the shape of filelock, on their own event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import prwlock
import pytest
from prwlock.compat.filelock import (
    AsyncAcquireReturnProxy,
    AsyncFileLock,
    AsyncReadWriteLock,
    AsyncSoftFileLock,
    FileLock,
    ReadWriteLock,
    Timeout,
)

from loops import Run
from processes import wait_until

KINDS = [AsyncFileLock, AsyncSoftFileLock]


async def until(check: Any) -> None:
    """Waits in a thread until `check` returns true."""
    await asyncio.get_running_loop().run_in_executor(None, wait_until, check)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_for_tasks_counts(kind: Any, home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        lock = kind(home / "file")
        assert not lock.is_thread_local()
        async with lock as same:
            proxy = await lock.acquire()
            assert isinstance(proxy, AsyncAcquireReturnProxy)
            async with proxy as again:
                assert same is again is lock
                assert (lock.is_locked, lock.lock_counter) == (True, 2)
            assert lock.lock_counter == 1
            assert (home / "file").exists()
            with pytest.raises(Timeout):
                await kind(home / "file").acquire(timeout=0.01)
            with pytest.raises(Timeout):
                await kind(home / "file").acquire(blocking=False)
        assert not lock.is_locked
        await lock.release()
        for _ in range(3):
            await lock.acquire()
        await lock.release(force=True)
        assert not client.list()
        assert (home / "file").exists() == (kind is AsyncFileLock)
        with pytest.raises(NotImplementedError, match="async with"), lock:
            pass

    loop_run(body())


@pytest.mark.parametrize("options", [{}, {"run_in_executor": False}, {"run_in_executor": False, "thread_local": True}])
def test_tasks_share_the_hold_of_a_lock(
    options: dict[str, Any], home: Path, client: prwlock.Client, loop_run: Run
) -> None:
    async def body() -> None:
        lock, other = AsyncFileLock(home / "file", **options), FileLock(home / "file", thread_local=False)
        other.acquire()
        waiting = [asyncio.ensure_future(lock.acquire()) for _ in range(3)]
        await until(lambda: client.list()[0].waiters)
        if not lock.is_thread_local():
            with pytest.raises(Timeout):
                await lock.acquire(timeout=0.01)
            assert client.list()[0].waiters == 1
        other.release()
        if lock.is_thread_local():
            _done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.wait(waiting)
        else:
            await asyncio.wait(waiting)
            assert lock.lock_counter == 3
        await lock.release(force=True)
        await until(lambda: not client.list())

    loop_run(body())


def test_a_cancelled_task_has_acquired_nothing(home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        lock, other = AsyncFileLock(home / "file"), FileLock(home / "file")
        other.acquire()
        for _ in range(20):
            waiting = [asyncio.ensure_future(lock.acquire()) for _ in range(2)]
            await until(lambda: client.list()[0].waiters)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
            assert all(task.cancelled() for task in waiting)
            await until(lambda: not client.list()[0].waiters)
        other.release()
        async with lock:
            assert lock.lock_counter == 1
        assert not client.list()

    loop_run(body())


def test_a_cancelled_release_finishes(home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        lock = AsyncFileLock(home / "file")
        for _ in range(20):
            await lock.acquire()
            releasing = asyncio.ensure_future(lock.release())
            await asyncio.sleep(0)
            releasing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await releasing
            assert not lock.is_locked
            assert not client.list()

    loop_run(body())


def test_cancel_check_ends_the_wait_of_a_task(home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        asked: list[bool] = []

        def is_cancelled() -> bool:
            asked.append(client.list()[0].waiters == 1)
            return len(asked) == 3

        with FileLock(home / "file"):
            with pytest.raises(Timeout):
                await AsyncFileLock(home / "file").acquire(cancel_check=is_cancelled, poll_interval=0.02)
            await until(lambda: not client.list()[0].waiters)
        assert len(asked) == 3

    loop_run(body())


def test_a_task_that_waits_for_itself_is_an_error(home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        lock, other = AsyncFileLock(home / "file"), AsyncFileLock(home / "file")
        async with lock:
            with pytest.raises(RuntimeError, match="different BaseAsyncFileLock instance in this task"):
                await other.acquire()
            # For another task it is a wait like any other.
            waiting = asyncio.ensure_future(other.acquire())
            await until(lambda: client.list()[0].waiters)
        await (await waiting).lock.release()

    loop_run(body())


def test_on_acquired_runs_in_the_executor(home: Path, daemon: Any, loop_run: Run) -> None:
    ran: list[str] = []

    def note(descriptor: int) -> None:
        ran.append(threading.current_thread().name)

    async def body() -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
            async with AsyncFileLock(home / "file", on_acquired=note, executor=pool):
                pass
            async with AsyncFileLock(home / "file", on_acquired=note, run_in_executor=False):
                pass

        def fail(descriptor: int) -> None:
            raise KeyError(descriptor)

        lock = AsyncFileLock(home / "file", on_acquired=fail)
        with pytest.raises(KeyError):
            await lock.acquire()
        assert not lock.is_locked
        async with AsyncFileLock(home / "file"):
            pass

    loop_run(body())
    assert ran[0].startswith("mine")
    assert ran[1] == threading.current_thread().name


def test_a_hold_outlives_its_event_loop(home: Path, client: prwlock.Client) -> None:
    lock = AsyncFileLock(home / "file")
    asyncio.run(lock.acquire())  # type: ignore[arg-type, unused-ignore]
    assert lock.is_locked
    assert client.list()[0].mode == "write"
    asyncio.run(lock.release())
    assert not client.list()


def test_a_dropped_lock_is_released_without_a_loop(home: Path, client: prwlock.Client) -> None:
    lock = AsyncSoftFileLock(home / "file")
    asyncio.run(lock.acquire())  # type: ignore[arg-type, unused-ignore]
    del lock
    gc.collect()
    wait_until(lambda: not client.list())
    assert not (home / "file").exists()


def test_a_forked_child_has_locks_for_tasks_of_its_own(home: Path, client: prwlock.Client) -> None:
    lock = AsyncFileLock(home / "file")
    asyncio.run(lock.acquire())  # type: ignore[arg-type, unused-ignore]

    async def use() -> None:
        assert not lock.is_locked
        with pytest.raises(Timeout):
            await lock.acquire(blocking=False)
        await lock.release(force=True)
        async with AsyncFileLock(home / "other"):
            assert len(client.list()) == 2

    process = os.fork()
    if process == 0:
        status = 1
        try:
            asyncio.run(use())
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(process, 0)[1] == 0
    assert client.list()[0].mode == "write"
    asyncio.run(lock.release())
    wait_until(lambda: not client.list())


def test_many_waiting_tasks_need_no_threads(home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        other = FileLock(home / "file")
        other.acquire()
        locks = [AsyncFileLock(home / "file") for _ in range(100)]

        async def use(lock: AsyncFileLock) -> int:
            async with lock:
                return lock.lock_counter

        waiting = [asyncio.ensure_future(use(lock)) for lock in locks]
        await until(lambda: client.list()[0].waiters == 100)
        assert threading.active_count() < 60
        other.release()
        assert await asyncio.gather(*waiting) == [1] * 100

    loop_run(body())
    assert not client.list()


def test_more_tasks_wait_than_the_daemon_lets_a_session(home: Path, client: prwlock.Client) -> None:
    async def body() -> None:
        other = ReadWriteLock(home / "rw", is_singleton=False)
        other.acquire_write()
        lock = AsyncReadWriteLock(home / "rw")

        async def use() -> None:
            async with lock.read_lock():
                pass

        waiting = [asyncio.ensure_future(use()) for _ in range(1_100)]
        await until(lambda: client.list()[0].waiters == 1_000)
        other.release()
        await asyncio.gather(*waiting)

    asyncio.run(body())
    assert not client.list()


# Readers and writers


def test_tasks_read_together_and_write_alone(home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        lock = AsyncReadWriteLock(home / "rw")
        assert (lock.timeout, lock.blocking, lock.lock_file) == (-1, True, str(home / "rw"))
        async with lock.read_lock(), lock.read_lock():
            with pytest.raises(RuntimeError, match="upgrade not allowed"):
                await lock.acquire_write()
            await asyncio.ensure_future(_use(lock, "read"))
            with pytest.raises(Timeout):
                await asyncio.ensure_future(_use(lock, "write", 0.01))
            with pytest.raises(RuntimeError, match="not held"):
                await asyncio.ensure_future(lock.release())
        async with lock.write_lock(timeout=1):
            with pytest.raises(RuntimeError, match="downgrade not allowed"):
                await lock.acquire_read()
            async with await lock.acquire_write() as same:
                assert same is lock
            with pytest.raises(Timeout):
                ReadWriteLock(home / "rw").acquire_read(blocking=False)
        assert not client.list()
        with pytest.raises(RuntimeError, match="not held"):
            await lock.release()
        await lock.release(force=True)

    loop_run(body())


def test_a_closed_lock_ends_its_waits(home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        other = ReadWriteLock(home / "rw", is_singleton=False)
        other.acquire_write()
        lock = AsyncReadWriteLock(home / "rw")
        waiting = [asyncio.ensure_future(lock.acquire_read()), asyncio.ensure_future(lock.acquire_write())]
        await until(lambda: client.list()[0].waiters == 2)
        await lock.close()
        for task in waiting:
            with pytest.raises(Exception, match="closed"):
                await task
        await until(lambda: not client.list()[0].waiters)
        other.release()

    loop_run(body())


def test_a_forced_release_of_the_blocking_lock_is_one_for_tasks_too(
    home: Path, client: prwlock.Client, loop_run: Run
) -> None:
    async def body() -> None:
        lock, blocking = AsyncReadWriteLock(home / "rw"), ReadWriteLock(home / "rw")
        await lock.acquire_read()
        blocking.release(force=True)
        assert not client.list()
        with pytest.raises(RuntimeError, match="not held by this task"):
            await lock.release()
        await lock.acquire_write()
        blocking.close()
        assert not client.list()
        with pytest.raises(Exception, match="closed"):
            await lock.acquire_read()

    loop_run(body())


def test_the_objects_for_one_path_share_what_a_task_holds(home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        lock, same = AsyncReadWriteLock(home / "rw"), AsyncReadWriteLock(home / "rw")
        other = AsyncReadWriteLock(home / "rw", is_singleton=False)
        async with lock.write_lock():
            with pytest.raises(RuntimeError, match="not held"):
                await same.release()
            async with same.write_lock():
                assert len(client.status(client.list()[0].name).holders) == 1
            for call in (other.acquire_read, other.acquire_write):
                with pytest.raises(RuntimeError, match="Deadlock"):
                    await call()
            with pytest.raises(Timeout):
                await other.acquire_read(0.01)
            await same.acquire_write()
            await same.close()
            assert client.list()[0].mode == "write"
        assert not client.list()

    loop_run(body())


async def _use(lock: AsyncReadWriteLock, mode: str, timeout: float = 60) -> None:
    async with await (lock.acquire_read if mode == "read" else lock.acquire_write)(timeout):
        pass


def test_a_closed_lock_for_tasks_is_released_and_refuses(home: Path, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        lock = AsyncReadWriteLock(home / "rw")
        await lock.acquire_read()
        await asyncio.ensure_future(lock.acquire_read())  # type: ignore[arg-type, unused-ignore]
        await lock.close()
        assert not client.list()
        with pytest.raises(Exception, match="closed"):
            await lock.acquire_read()
        await AsyncReadWriteLock(home / "rw").acquire_write(0)

    loop_run(body())
