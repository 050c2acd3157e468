"""Cancellations and faults of the daemon, as tasks see them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import warnings
from typing import Any

import prwlock
import pytest
from prwlock import aio

from loops import Run, until


@pytest.mark.parametrize("contended", [False, True])
def test_a_task_that_is_cancelled_at_any_moment_leaves_nothing(
    contended: bool, loop_run: Run, client: prwlock.Client
) -> None:
    async def body() -> None:
        chance = random.Random(3)
        lock = aio.RWLock("jobs")
        stop = False

        async def churn() -> None:
            while not stop:
                async with lock.write():
                    await asyncio.sleep(0)

        async def take() -> None:
            async with lock.write(chance.choice([None, 0.01])):
                await asyncio.sleep(0)

        noise = [asyncio.create_task(churn()) for _ in range(2 if contended else 0)]
        cancelled = 0
        for _ in range(3_000):
            task = asyncio.create_task(take())
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            if chance.random() < 0.2:
                await asyncio.sleep(chance.random() * 0.0005)
            task.cancel()
            if chance.random() < 0.2:
                task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            cancelled += isinstance(outcome, asyncio.CancelledError)
            assert isinstance(outcome, (asyncio.CancelledError, prwlock.AcquireTimeout, type(None)))
        assert cancelled > 1_000
        stop = True
        await asyncio.gather(*noise)
        await until(lambda: not client.status("jobs").holders and not client.status("jobs").waiters)
        async with lock.write(60):
            pass

    loop_run(body())


def test_a_bound_from_outside_leaves_nothing(loop_run: Run, client: prwlock.Client, peer: Any) -> None:
    assert peer().ask("write", "jobs") == "True"

    async def body() -> None:
        for _ in range(50):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(aio.RWLock("jobs").write(), 0.001)
        await until(lambda: not client.status("jobs").waiters)

    loop_run(body())


def test_a_cancellation_while_it_connects_leaves_nothing(loop_run: Run, client: prwlock.Client) -> None:
    async def body() -> None:
        for turns in range(8):
            own = aio.Client()
            task = asyncio.ensure_future(own.acquire("jobs"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await own.close()
        await until(lambda: not client.status("jobs").holders)
        await until(lambda: len(client.sessions()) == 1)

    loop_run(body())


def test_a_stopped_daemon_does_not_hold_up_a_cancellation(loop_run: Run, daemon: Any) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        async with lock.read():
            pass
        os.kill(daemon.pid, signal.SIGSTOP)
        task = asyncio.ensure_future(lock.write())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        os.kill(daemon.pid, signal.SIGCONT)
        await until(lambda: not daemon.client.status("jobs").holders)
        async with lock.write(60):
            pass

    loop_run(body())


def test_a_daemon_that_ends_is_reported_and_the_next_one_serves(loop_run: Run, daemon: Any) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        grant = await lock.write()
        waiting = [asyncio.ensure_future(lock.write()) for _ in range(3)]
        while len((await lock.status()).waiters) < 3:
            await asyncio.sleep(0)
        daemon.kill()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [prwlock.DaemonUnavailable] * 3
        with pytest.raises(prwlock.LockLost) as caught:
            await grant.release()
        assert caught.value.reason == "connection"
        daemon.restart()
        async with lock.write() as next_grant:
            assert next_grant.token > grant.token

    loop_run(body())


@pytest.mark.parametrize("method", ["read", "update", "write", "reader_lock", "writer_lock"])
def test_a_lock_that_is_never_awaited_warns(method: str, daemon: Any) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        with pytest.warns(RuntimeWarning, match=r"'jobs' \w+> was never awaited, so no lock was requested"):
            getattr(lock, method)(timeout=1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            async with getattr(lock, method)():
                pass

    asyncio.run(body())


def test_a_request_is_sent_by_its_first_step_and_no_sooner(client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        for make in (asyncio.create_task, asyncio.ensure_future, lambda asks: asyncio.wait_for(asks, 60)):
            grant = await make(lock.write())
            assert grant.is_held
            await grant.release()
            # A task that is cancelled before its first step has requested nothing, and nothing is left to warn of.
            task = asyncio.ensure_future(make(lock.write()))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        read, more = await asyncio.gather(lock.read(), lock.read(timeout=9))
        assert len(client.status("jobs").holders) == 2
        await read.release()
        await more.release()
        assert not client.status("jobs").holders
        request = lock.write()
        request.close()
        for steps in (lock.write().__await__(), lock.write()):
            assert asyncio.isfuture(steps.send(None))
            steps.close()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop_run(body())


def test_a_list_of_many_locks_is_a_list(client: prwlock.Client) -> None:
    async def body() -> None:
        async with aio.Client() as own:
            names = sorted((f"page/{number:04}" for number in range(2_000)), key=str.encode)
            grants = [client.acquire(name, "read") for name in names]
            locks = await own.list("page/")
            assert isinstance(locks, list)
            assert [lock.name for lock in locks] == names
            assert await own.list("page/x") == []
            assert len(grants) == len(names)

    asyncio.run(body())


def test_a_request_is_sent_once(client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        request = lock.read()
        grant = await request
        for again in (request.__aenter__, lambda: request, lambda: asyncio.ensure_future(request)):
            with pytest.raises(RuntimeError, match="awaited already"):
                await again()
        await grant.release()
        done = asyncio.ensure_future(lock.read())
        await (await done).release()
        closed = lock.read()
        closed.close()
        with pytest.raises(RuntimeError, match="awaited already"):
            await closed
        task = lock.read()
        await (await asyncio.ensure_future(task)).release()
        with pytest.raises(RuntimeError):
            await task
        request = lock.read()
        async with request:
            with pytest.raises(RuntimeError, match="awaited already"):
                async with request:
                    pass
            assert len(client.status("jobs").holders) == 1
        # One after the other, there is never a grant that no block releases.
        async with request as grant:
            assert grant.is_held
        assert not client.status("jobs").holders
        held = client.acquire("jobs")
        request = lock.read(0)
        for _ in range(2):
            with pytest.raises(prwlock.WouldBlock):
                async with request:
                    pass
        held.release()

    loop_run(body())
