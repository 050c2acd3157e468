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


def test_a_reader_that_is_too_slow_learns_how_much_it_has_missed(
    client: prwlock.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(number: int) -> None:
        for _ in range(number):
            client.acquire("jobs").release()

    async def body() -> None:
        async with aio.Client().watch() as changes:
            connection = changes._connection
            assert connection is not None
            await asyncio.to_thread(change, 5_500)
            # The last notices may still be under way.
            await until(lambda: changes._missed + len(connection.notices) == 11_000)
            assert len(connection.notices) == 10_000
            assert await changes.__anext__() == prwlock.Missed(1_000)
            seen = [await changes.__anext__() for _ in range(10_000)]
            assert {type(change) for change in seen} == {prwlock.Change}
            # What the daemon reports as missed counts with the rest.
            monkeypatch.setattr(aio._watch, "_MOST_UNREAD", 1)
            last = b"! CHANGED jobs granted pid=1 mode=write token=1"
            connection.notices[:] = [b"! MISSED 7", b"! DRAIN in=1s", last]
            changes._hear()
            assert await changes.__anext__() == prwlock.Missed(7)
            change_left = await changes.__anext__()
            assert isinstance(change_left, prwlock.Change)

    asyncio.run(body())
