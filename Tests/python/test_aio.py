"""The client for asyncio, on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import threading
from typing import Any

import prwlock
import pytest
from prwlock import aio

from loops import Run, until
from processes import wait_until


def test_a_grant_is_awaited_or_entered(loop_run: Run, client: prwlock.Client) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        async with lock.write(timeout=1, note="nightly") as grant:
            (holder,) = (await lock.status()).holders
            assert (grant.name, grant.mode, grant.token) == ("jobs", "write", holder.token)
            assert grant.owner == holder.owner
            assert holder.note == "nightly"
            assert holder.pid == os.getpid()
            assert grant.is_held
            assert await grant.is_valid()
            assert not grant.owner_died
        assert not grant.is_held
        grant = await lock.read()
        assert grant.mode == "read"
        await grant.release()
        with pytest.raises(prwlock.NotHeld):
            await grant.release()
        async with await lock.read():
            assert len(client.status("jobs").holders) == 1
        assert not client.status("jobs").holders

    loop_run(body())


def test_the_drop_ins_names_are_there(loop_run: Run, client: prwlock.Client) -> None:
    async def body() -> None:
        lock = aio.RWLock()
        assert await lock.acquire_read()
        assert await lock.try_acquire_read()
        assert await lock.acquire_write(0.01) is False
        assert lock.nlocks == 2
        await lock.release()
        await lock.release()
        with pytest.raises(ValueError, match="not held"):
            await lock.release()
        async with lock.writer_lock():
            assert not await asyncio.create_task(lock.try_acquire_read())
            with pytest.raises(ValueError, match="circle"):
                async with lock.reader_lock():
                    pass
        async with lock.reader_lock(timeout=1):
            with pytest.raises(ValueError, match="in time"):
                async with lock.writer_lock(timeout=0.01):
                    pass
        assert not client.status(lock.name).holders

    loop_run(body())


def test_tasks_exclude_each_other(loop_run: Run, daemon: Any) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        inside = 0

        async def work() -> None:
            nonlocal inside
            async with lock.write():
                assert inside == 0
                inside += 1
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(work() for _ in range(500)))

    loop_run(body())


def test_a_task_excludes_threads_and_processes(loop_run: Run, daemon: Any, peer: Any) -> None:
    other = peer()
    blocking = prwlock.RWLock("jobs")

    async def body() -> None:
        async with aio.RWLock("jobs").write():
            assert blocking.try_acquire_read() is False
            assert other.ask("read", "jobs", "0") == "False"
        assert blocking.try_acquire_write()
        with pytest.raises(prwlock.WouldBlock) as caught:
            await aio.RWLock.of(blocking).read(0)
        assert caught.value.held_by[0].pid == os.getpid()
        blocking.release()

    loop_run(body())


def test_a_circle_of_tasks_is_refused(loop_run: Run, daemon: Any) -> None:
    """G8."""

    async def body() -> None:
        a, b = aio.RWLock("a"), aio.RWLock("b")

        async def other() -> None:
            async with b.write(), a.write():
                pass

        async with a.write():
            task = asyncio.create_task(other())
            while not (await a.status()).waiters:
                await asyncio.sleep(0)
            with pytest.raises(prwlock.Deadlock) as caught:
                await b.write()
            assert {hop.name for hop in caught.value.cycle} == {"a", "b"}
        await task

    loop_run(body())


def test_changes_of_mode(loop_run: Run, daemon: Any, peer: Any) -> None:
    other = peer()

    async def body() -> None:
        assert other.ask("read", "jobs") == "True"
        async with aio.RWLock("jobs").update() as grant:
            with pytest.raises(prwlock.WouldBlock):
                await grant.upgrade(0)
            task = asyncio.create_task(grant.upgrade())
            await until(lambda: prwlock.status("jobs").waiters)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: not prwlock.status("jobs").waiters)
            assert grant.mode == "update"
            other.ask("release", "jobs")
            await grant.upgrade(60)
            assert grant.mode == "write"
            await grant.downgrade()
            assert grant.mode == "read"
            with pytest.raises(ValueError, match="downgraded"):
                await grant.downgrade("write")  # type: ignore[arg-type]

    loop_run(body())


def test_losses_are_reported(loop_run: Run, daemon: Any) -> None:
    """G9: by a plain function and by a coroutine, and at the block's end."""

    async def body() -> None:
        told: list[object] = []
        heard = asyncio.Event()

        async def hear(grant: aio.Grant) -> None:
            told.append(grant)
            heard.set()

        lock = aio.RWLock("jobs")
        with pytest.raises(prwlock.LockLost) as caught:
            async with lock.read(lease=0.02, on_lost=hear) as one, lock.read(lease=0.01, on_lost=told.append) as two:
                await heard.wait()
                assert told == [two, one]
        assert caught.value.reason == "expired"
        grant = await lock.write(lease=60, on_lost=told.append)
        await grant.renew(3600)
        await grant.renew()
        daemon.client.revoke("jobs", grant.token)
        await until(lambda: told[-1] is grant)
        with pytest.raises(prwlock.LockLost, match="revoked"):
            await grant.release()

    loop_run(body())


def test_a_grant_that_is_collected_is_released(loop_run: Run, client: prwlock.Client) -> None:
    async def body() -> None:
        await aio.RWLock("jobs").write()
        await until(lambda: not client.status("jobs").holders)

    loop_run(body())


def test_listings(loop_run: Run, daemon: Any) -> None:
    async def body() -> None:
        async with aio.Client() as client:
            await client.ping()
            async with client.watch("job") as changes:
                async with client.lock("jobs").write() as grant:
                    assert [row.name for row in await client.list("j")] == ["jobs"]
                    assert await client.validate("jobs", grant.token)
                    assert sum(row.grants for row in await client.sessions()) == 1
                    assert await client.stats()
                seen = [await changes.__anext__() for _ in range(2)]
                assert [change.what for change in seen] == ["granted", "released"]
                changes.close()
                with pytest.raises(StopAsyncIteration):
                    await changes.__anext__()
            with pytest.raises(prwlock.LockLost):
                await client.revoke("jobs", 1)
        with pytest.raises(prwlock.Closed):
            await client.ping()

    loop_run(body())


def test_a_lock_without_a_name_is_handed_on(loop_run: Run, daemon: Any) -> None:
    blocking = prwlock.RWLock()
    blocking.acquire_write()

    async def body() -> None:
        for lock in (aio.RWLock.of(blocking), pickle.loads(pickle.dumps(aio.RWLock.of(blocking)))):
            assert lock.name == blocking.name
            assert not await lock.try_acquire_read()

    loop_run(body())
    blocking.release()


def test_each_loop_has_a_session_of_its_own(daemon: Any) -> None:
    lock = aio.RWLock("jobs")
    errors: list[Exception] = []

    async def turn() -> None:
        for _ in range(50):
            async with lock.write():
                await asyncio.sleep(0)

    def work() -> None:
        try:
            asyncio.run(turn())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    wait_until(lambda: not daemon.client.status("jobs").holders)


def test_a_forked_child_speaks_for_itself(daemon: Any) -> None:
    async def child(lock: aio.RWLock, grant: aio.Grant) -> None:
        assert lock.nlocks == 0
        assert not await lock.try_acquire_read()
        with pytest.raises(ValueError, match="parent"):
            await grant.release()

    async def hold() -> None:
        lock = aio.RWLock("jobs")
        await lock.acquire_write()
        (grant,) = lock._grants
        process = os.fork()
        if process == 0:
            status = 1
            try:
                thread = threading.Thread(target=lambda: asyncio.run(child(lock, grant)))
                thread.start()
                thread.join()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(process, 0)[1] == 0
        assert len(prwlock.status("jobs").holders) == 1
        await lock.release()

    asyncio.run(hold())


def test_wrong_use_raises(daemon: Any) -> None:
    acquiring = aio.RWLock("jobs").write()
    with pytest.raises(RuntimeError, match="no running event loop"):
        acquiring.__await__().send(None)
    with pytest.raises(ValueError, match="negative"):
        aio.RWLock("jobs").write(-1)
    with pytest.raises(ValueError, match="mode"):
        aio.Client().acquire("jobs", "exclusive")  # type: ignore[arg-type]

    async def body() -> None:
        with pytest.raises(RuntimeError, match="async with"):
            await aio.Client().watch().__anext__()

    asyncio.run(body())
    assert sys.version_info >= (3, 9)
