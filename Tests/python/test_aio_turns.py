"""More waiting tasks than the daemon has places for."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import prwlock
import pytest
from prwlock import aio
from prwlock._private_daemon import PrivateDaemon

from loops import Run, until


@pytest.fixture
def small() -> Iterator[PrivateDaemon]:
    """A daemon that lets three requests of a session wait."""
    with PrivateDaemon("--max-session-waiters", "3") as daemon:
        yield daemon


def waiting(daemon: Any, name: str = "jobs") -> int:
    return len(daemon.client.status(name).waiters)


def places(client: aio.Client) -> list[Any]:
    """Returns the places of the tasks for which the daemon has none."""
    connections = [opening.result() for opening in client._connections.values() if opening.done()]
    return [place for connection in connections for place in connection.turns._places]


def queued(client: aio.Client) -> int:
    """Returns how many tasks wait in the client."""
    return sum(not place.has_turn for place in places(client))


def test_all_of_1100_tasks_are_served_in_their_order(loop_run: Run, daemon: PrivateDaemon) -> None:
    async def body() -> None:
        served: list[int] = []
        async with aio.Client(daemon.socket) as client:

            async def take(number: int) -> None:
                async with client.acquire("jobs", timeout=None if number % 2 else 80):
                    served.append(number)

            held = daemon.client.acquire("jobs")
            tasks = [asyncio.create_task(take(number)) for number in range(1_100)]
            await until(lambda: waiting(daemon) == 1_000)
            await until(lambda: queued(client) >= 99)
            held.release()
            await asyncio.gather(*tasks)
            assert served == list(range(1_100))
            assert not queued(client)

    loop_run(body())


def test_an_alarm_gives_no_turn_past_a_task_without_an_answer(loop_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # At each step of the loop.
    monkeypatch.setattr("prwlock.aio._turns._PAUSE", 0)

    async def body(daemon: PrivateDaemon) -> None:
        served: list[int] = []
        async with aio.Client(daemon.socket) as client:

            async def take(number: int) -> None:
                async with client.acquire("jobs"):
                    served.append(number)

            held = daemon.client.acquire("jobs")
            tasks = [asyncio.create_task(take(number)) for number in range(3)]
            await until(lambda: len(places(client)) == 2)
            os.kill(daemon.pid, signal.SIGSTOP)
            try:
                # The oldest one asks again, and gets no answer.
                await until(lambda: queued(client) == 1)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert queued(client) == 1
            finally:
                os.kill(daemon.pid, signal.SIGCONT)
            held.release()
            await asyncio.gather(*tasks)
            assert served == [0, 1, 2]

    with PrivateDaemon("--max-session-waiters", "1") as daemon:
        loop_run(body(daemon))


@pytest.mark.parametrize("places", [1, 3])
def test_tasks_that_come_later_do_not_overtake(loop_run: Run, places: int) -> None:
    async def body(daemon: PrivateDaemon) -> None:
        served: list[int] = []
        async with aio.Client(daemon.socket) as client:

            async def take(number: int) -> None:
                async with client.acquire("jobs"):
                    served.append(number)
                    if number < 40:
                        tasks.append(asyncio.create_task(take(number + 20)))

            held = daemon.client.acquire("jobs")
            tasks = [asyncio.create_task(take(number)) for number in range(20)]
            await until(lambda: queued(client) >= 16)
            held.release()
            while not all(task.done() for task in tasks):
                await asyncio.gather(*tasks)
            assert served == list(range(60))

    with PrivateDaemon("--max-session-waiters", str(places)) as daemon:
        loop_run(body(daemon))


def test_a_refusal_is_not_final_if_the_next_reply_in_the_same_piece_ends_the_other_request(loop_run: Run) -> None:
    async def body(daemon: PrivateDaemon) -> None:
        async with aio.Client(daemon.socket) as client:
            held = daemon.client.acquire("jobs")
            first = asyncio.ensure_future(client.acquire("jobs"))
            await until(lambda: waiting(daemon) == 1)
            second = asyncio.ensure_future(client.acquire("jobs"))
            connection = next(iter(client._connections.values())).result()
            while len(connection._open) < 2:
                await asyncio.sleep(0)
            # The second request is sent. The loop reads nothing until both replies are there.
            for _ in range(20):
                daemon.client.ping()
            held.release()
            while waiting(daemon):
                pass
            await (await first).release()
            await (await second).release()

    with PrivateDaemon("--max-session-waiters", "1") as daemon:
        loop_run(body(daemon))


@pytest.mark.parametrize("steps", range(4))
def test_a_new_task_does_not_overtake_one_that_has_just_got_a_turn(
    loop_run: Run, small: PrivateDaemon, steps: int
) -> None:
    async def body() -> None:
        served: list[str] = []
        async with aio.Client(small.socket) as client:

            async def take(name: str) -> None:
                async with client.acquire("jobs"):
                    served.append(name)

            held = small.client.acquire("jobs")
            first = [asyncio.create_task(take("first")) for _ in range(3)]
            await until(lambda: waiting(small) == 3)
            older = asyncio.create_task(take("older"))
            await until(lambda: queued(client) == 1)
            newer = asyncio.create_task(take("newer"))
            for _ in range(steps):
                await asyncio.sleep(0)
            # The place at the daemon is free for the first request that comes.
            first[2].cancel()
            await until(lambda: first[2].done() and waiting(small) == 3)
            held.release()
            await asyncio.gather(*first[:2], older, newer)
            assert served == ["first", "first", "older", "newer"]

    loop_run(body())


def test_a_queued_request_ends_at_its_time_or_when_it_is_cancelled(loop_run: Run, small: PrivateDaemon) -> None:
    async def body() -> None:
        async with aio.Client(small.socket) as client:
            held = small.client.acquire("jobs")
            first = [asyncio.ensure_future(client.acquire("jobs")) for _ in range(3)]
            await until(lambda: waiting(small) == 3)
            with pytest.raises(prwlock.AcquireTimeout, match="within") as caught:
                await client.acquire("jobs", timeout=0.2)
            assert not isinstance(caught.value, prwlock.WouldBlock)
            assert caught.value.held_by
            with pytest.raises(prwlock.WouldBlock):
                await client.acquire("jobs", timeout=0)
            late = [asyncio.ensure_future(client.acquire("jobs")) for _ in range(3)]
            await until(lambda: queued(client) >= 2)
            late[0].cancel()
            late[1].cancel()
            await asyncio.wait(late[:2])
            # The place of a task that is cancelled at the daemon goes to the one that waits in the client.
            first[0].cancel()
            await until(lambda: not queued(client) and waiting(small) == 3)
            held.release()
            for request in (*first[1:], late[2]):
                await (await request).release()
            assert late[0].cancelled()
            assert late[1].cancelled()
            await until(lambda: not small.client.status("jobs").holders and not waiting(small))

    loop_run(body())


def test_a_free_lock_is_granted_while_no_other_request_ends(loop_run: Run, small: PrivateDaemon) -> None:
    async def body() -> None:
        async with aio.Client(small.socket) as client:
            held, other = small.client.acquire("jobs"), small.client.acquire("other")
            first = [asyncio.ensure_future(client.acquire("jobs")) for _ in range(3)]
            await until(lambda: waiting(small) == 3)
            late = asyncio.ensure_future(client.acquire("other"))
            await until(lambda: queued(client))
            other.release()
            await (await late).release()
            assert waiting(small) == 3
            held.release()
            for request in first:
                await (await request).release()

    loop_run(body())


def test_a_task_that_holds_the_lock_is_not_put_behind_the_queue(loop_run: Run, small: PrivateDaemon) -> None:
    async def body() -> None:
        async with aio.Client(small.socket) as client, client.acquire("jobs", "read"):
            late = [asyncio.ensure_future(client.acquire("jobs")) for _ in range(5)]
            await until(lambda: queued(client) >= 1)
            async with client.acquire("jobs", "read"):
                pass
            for request in late:
                request.cancel()
            await asyncio.wait(late)

    loop_run(body())


def test_the_end_of_the_session_ends_the_queue(loop_run: Run, small: PrivateDaemon) -> None:
    async def body() -> None:
        async with aio.Client(small.socket) as client:
            held = small.client.acquire("jobs")
            tasks = [asyncio.ensure_future(client.acquire("jobs")) for _ in range(6)]
            await until(lambda: queued(client) >= 2)
            small.kill()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [prwlock.DaemonUnavailable] * 6
            assert held.name == "jobs"

    loop_run(body())


def test_a_limit_that_others_take_up_is_an_error(loop_run: Run) -> None:
    async def body(daemon: PrivateDaemon) -> None:
        async with aio.Client(daemon.socket) as client, aio.Client(daemon.socket) as other:
            held = daemon.client.acquire("jobs")
            request = asyncio.ensure_future(other.acquire("jobs"))
            await until(lambda: waiting(daemon) == 1)
            with pytest.raises(prwlock.LimitExceeded):
                await client.acquire("jobs")
            held.release()
            await (await request).release()

    with PrivateDaemon("--max-waiters", "1") as daemon:
        loop_run(body(daemon))
