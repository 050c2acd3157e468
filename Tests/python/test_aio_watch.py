"""The watch for tasks: how its entry can end."""

from __future__ import annotations

import asyncio
from typing import Any

import prwlock
import pytest
from prwlock import aio

from loops import Run, until
from processes import wait_until


def test_an_entry_that_is_cancelled_at_any_moment_leaves_no_session(loop_run: Run, client: prwlock.Client) -> None:
    async def body() -> None:
        own = aio.Client()
        watches = []
        entered = cancelled = 0
        for turns in range(60):
            watch = own.watch()
            watches.append(watch)
            task = asyncio.ensure_future(watch.__aenter__())
            if turns % 2:
                # A time that ends in each of the steps of some entry.
                await asyncio.sleep(turns / 20_000)
            else:
                for _ in range(turns):
                    await asyncio.sleep(0)
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            if outcome is watch:
                entered += 1
                watch.close()
            else:
                assert isinstance(outcome, asyncio.CancelledError)
                cancelled += 1
        assert cancelled
        await until(lambda: len(client.sessions()) == 1)

    loop_run(body())


@pytest.mark.parametrize("step", ["the watch", "the transport"])
def test_an_entry_that_is_cancelled_in_a_certain_step_leaves_no_session(
    step: str, loop_run: Run, client: prwlock.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        reached = asyncio.Event()

        async def stop(*_: Any, **__: Any) -> None:
            reached.set()
            await asyncio.Event().wait()

        if step == "the watch":
            monkeypatch.setattr(aio._connection.Connection, "ask", stop)
        else:
            monkeypatch.setattr(aio._connection, "_until_end_of_loop", lambda _: Steps(stop))
        watch = aio.Client().watch()
        task = asyncio.ensure_future(watch.__aenter__())
        await reached.wait()
        assert len(client.sessions()) == 2
        task.cancel()
        await asyncio.wait({task})
        await until(lambda: len(client.sessions()) == 1)

    loop_run(body())


class Steps:
    """Takes the place of an asynchronous generator, with the given function as its first step."""

    def __init__(self, step: Any) -> None:
        self.__anext__ = step


def test_an_entry_that_is_refused_leaves_no_session(loop_run: Run, client: prwlock.Client) -> None:
    async def body() -> None:
        watches = [aio.Client().watch() for _ in range(3)]
        for watch in watches:
            watch._text = b"WATCH too many words"
            with pytest.raises(prwlock.ProtocolError):
                await watch.__aenter__()
        await until(lambda: len(client.sessions()) == 1)

    loop_run(body())


def test_a_refused_watch_of_a_thread_leaves_no_session(client: prwlock.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from prwlock import _watch

    monkeypatch.setattr(_watch, "encode_name", lambda *_: b"too many words")
    with pytest.raises(prwlock.ProtocolError) as caught:
        client.watch("jobs")
    # The traceback keeps the watch, so only a close can have ended its session.
    assert caught.traceback
    wait_until(lambda: len(client.sessions()) == 1)
