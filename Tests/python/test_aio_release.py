"""Tasks release locks without ``await``, as `asyncio.Lock` is released."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from typing import Any

import prwlock
import pytest
from prwlock import aio

from loops import Run, until
from threads import in_thread


def test_a_release_is_carried_out_before_the_next_request_of_the_task(loop_run: Run, client: prwlock.Client) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        for _ in range(200):
            (await lock.write(timeout=0)).release_nowait()
            assert await lock.try_acquire_write()
            assert lock.nlocks == 1
            lock.release_nowait()
            assert lock.nlocks == 0
        async with lock.write(timeout=0) as grant:
            # Only a request of this task shows the order, so the block's end must not release once more.
            grant.release_nowait()
            assert not grant.is_held

    loop_run(body())
    assert not list(client.list())


def test_a_release_without_a_wait_grants_the_next_task(loop_run: Run, client: prwlock.Client) -> None:
    inside: list[int] = []

    async def use(lock: aio.RWLock) -> None:
        for _ in range(20):
            grant = await lock.write()
            try:
                inside.append(1)
                assert len(inside) == 1
                await asyncio.sleep(0)
                inside.pop()
            finally:
                grant.release_nowait()

    async def body() -> None:
        lock = aio.RWLock("jobs")
        await asyncio.gather(*(use(lock) for _ in range(20)))
        await lock.client.ping()

    loop_run(body())
    assert not list(client.list())


def test_a_callback_releases(loop_run: Run, client: prwlock.Client) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        grant = await aio.RWLock("jobs").read()
        released = asyncio.Event()

        def release() -> None:
            grant.release_nowait()
            released.set()

        loop.call_soon(release)
        await released.wait()
        await until(lambda: not list(client.list()))

    loop_run(body())


def test_a_client_that_is_closed_or_a_loop_that_ends_next_has_released(
    loop_run: Run, client: prwlock.Client, caplog: pytest.LogCaptureFixture
) -> None:
    async def close() -> None:
        own = aio.Client()
        grant = await own.acquire("jobs")
        grant.release_nowait()
        await own.close()

    async def end() -> None:
        (await aio.RWLock("jobs").write()).release_nowait()

    for body in (close, end):
        loop_run(body())
        # It does not look like the death of a writer.
        with client.acquire("jobs") as grant:
            assert not grant.owner_died
    assert not caplog.records


def test_what_cannot_be_released_raises_at_once(loop_run: Run, client: prwlock.Client) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        with pytest.raises(prwlock.NotHeld):
            lock.release_nowait()
        grant = await lock.write()
        with pytest.raises(RuntimeError, match="loop"):
            in_thread(grant.release_nowait)
        grant.release_nowait()
        for _ in range(2):
            with pytest.raises(prwlock.NotHeld):
                grant.release_nowait()
        with pytest.raises(prwlock.NotHeld):
            await grant.release()
        lost = await lock.write()
        client.revoke("jobs", lost.token)
        await lock.client.ping()
        with pytest.raises(prwlock.LockLost, match="revoked"):
            lost.release_nowait()
        assert not lost._connection.ended

    loop_run(body())


def test_a_loss_that_is_found_later_is_logged(
    loop_run: Run, client: prwlock.Client, daemon: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def losses() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    async def body() -> None:
        lock = aio.RWLock("jobs")
        revoked = await lock.write()
        # Only the loop reads the notice, and it does not run in between.
        client.revoke("jobs", revoked.token)
        revoked.release_nowait()
        await until(losses)
        assert "was lost: it was revoked" in losses()[0]
        caplog.clear()
        cut_off = await lock.write()
        os.kill(daemon.pid, signal.SIGSTOP)
        cut_off.release_nowait()
        os.kill(daemon.pid, signal.SIGKILL)
        await until(losses)
        assert "the connection to the daemon ended" in losses()[0]

    loop_run(body())


def test_a_release_while_the_daemon_is_stopped_is_carried_out_when_it_goes_on(
    loop_run: Run, client: prwlock.Client, daemon: Any
) -> None:
    async def body() -> None:
        lock = aio.RWLock("jobs")
        grants = [await lock.read() for _ in range(50)]
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            for grant in grants:
                grant.release_nowait()
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        assert await lock.acquire_write(60)
        lock.release_nowait()
        grants.clear()
        await lock.client.ping()
        gc.collect()
        assert not (await lock.client.status("jobs")).holders

    loop_run(body())
