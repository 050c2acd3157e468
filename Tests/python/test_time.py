"""Every call that has a timeout ends with its time while the daemon is stopped, and leaves nothing behind.

A table: all calls, in every state of the daemon; `test_time_away` has the other states.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _session, aio
from prwlock._private_daemon import PrivateDaemon
from prwlock.compat.filelock import Timeout

from calls import CALLS, MOST, SHAPES, TIME, Clock, all_at_once, all_in_a_loop
from processes import wait_until


@pytest.fixture
def stop(daemon: PrivateDaemon) -> Iterator[Callable[[], None]]:
    """Stops the daemon, until the test goes on or ends."""
    yield lambda: os.kill(daemon.pid, signal.SIGSTOP)
    os.kill(daemon.pid, signal.SIGCONT)


def is_free(daemon: PrivateDaemon) -> Callable[[], bool]:
    return lambda: not daemon.client.list()


@pytest.mark.parametrize("is_known", [True, False], ids=["connected", "not connected"])
def test_a_stopped_daemon_is_named_and_nothing_is_left_when_it_goes_on(
    is_known: bool, daemon: PrivateDaemon, stop: Callable[[], None]
) -> None:
    daemon.client.ping()
    clients = {call: prwlock.Client(daemon.socket) for call in CALLS}
    for client in clients.values():
        if is_known:
            client.ping()
    stop()
    calls = {call: (lambda call=call: CALLS[call](clients[call], f"jobs/{call}")) for call in CALLS}  # type: ignore[misc]
    for call, ended in all_at_once(calls).items():
        assert isinstance(ended.outcome, prwlock.DaemonTimeout), (call, ended)
        assert isinstance(ended.outcome, TimeoutError)
        assert f"(pid {daemon.pid}) does not answer, as it is stopped" in str(ended.outcome)
    os.kill(daemon.pid, signal.SIGCONT)
    # Nothing more is asked by those clients.
    wait_until(is_free(daemon))
    for client in clients.values():
        client.close()


def test_threads_on_one_connection_to_a_stopped_daemon_each_end_in_time(
    daemon: PrivateDaemon, stop: Callable[[], None]
) -> None:
    client = prwlock.Client(daemon.socket)
    held = client.acquire("held")
    stop()
    # One that has no time limit reads for all the others.
    waiter = threading.Thread(target=lambda: client.acquire("waits").release())
    waiter.start()
    calls = {call: (lambda call=call: CALLS[call](client, f"jobs/{call}")) for call in CALLS}  # type: ignore[misc]
    for call, ended in all_at_once(calls).items():
        assert isinstance(ended.outcome, prwlock.DaemonTimeout), (call, ended)
    assert held.is_held
    os.kill(daemon.pid, signal.SIGCONT)
    waiter.join(60)
    held.release()
    wait_until(is_free(daemon))
    # The session goes on.
    assert client.acquire("jobs", timeout=30).is_held


@pytest.mark.parametrize("is_known", [True, False], ids=["connected", "not connected"])
def test_a_stopped_daemon_and_tasks(is_known: bool, daemon: PrivateDaemon, stop: Callable[[], None]) -> None:
    daemon.client.ping()
    for call, ended in all_in_a_loop(daemon.socket, is_known, stop, "jobs").items():
        assert isinstance(ended.outcome, prwlock.DaemonTimeout), (call, ended)
        assert "answer" in str(ended.outcome)
    os.kill(daemon.pid, signal.SIGCONT)
    wait_until(is_free(daemon))


def test_the_shapes_of_other_packages_say_that_the_time_is_up(
    daemon: PrivateDaemon, home: Path, stop: Callable[[], None]
) -> None:
    daemon.client.ping()
    prwlock.RWLock("jobs").client.ping()
    stop()
    calls = {call: (lambda call=call: SHAPES[call](str(home / call))) for call in SHAPES}  # type: ignore[misc]
    for call, ended in all_at_once(calls).items():
        if call.startswith("filelock"):
            assert isinstance(ended.outcome, Timeout), (call, ended)
            assert isinstance(ended.outcome.__cause__, prwlock.DaemonTimeout)
        else:
            assert ended.outcome is False, (call, ended)
    os.kill(daemon.pid, signal.SIGCONT)
    wait_until(is_free(daemon))


def test_an_upgrade_that_a_stopped_daemon_does_not_answer_leaves_a_grant_that_can_be_released(
    daemon: PrivateDaemon, stop: Callable[[], None]
) -> None:
    client = prwlock.Client(daemon.socket)
    daemon.client.ping()
    for is_at_once in (True, False):
        grant = client.acquire("jobs", "update")
        stop()
        with pytest.raises(prwlock.DaemonTimeout):
            grant.upgrade(TIME)
        os.kill(daemon.pid, signal.SIGCONT)
        if not is_at_once:
            wait_until(lambda grant=grant: not grant._connection._open)  # type: ignore[misc]
            assert (grant.mode, grant.is_valid()) == ("write", True)
        grant.release()
        wait_until(is_free(daemon))


async def upgrade_of_a_task(daemon: PrivateDaemon, stop: Callable[[], None]) -> None:
    async with aio.Client(daemon.socket) as client:
        grant = await client.acquire("jobs", "update")
        stop()
        with pytest.raises(prwlock.DaemonTimeout):
            await grant.upgrade(TIME)
        os.kill(daemon.pid, signal.SIGCONT)
        await grant.release()
        while await asyncio.to_thread(daemon.client.list):
            await asyncio.sleep(0.01)


def test_an_upgrade_of_a_task_likewise(daemon: PrivateDaemon, stop: Callable[[], None]) -> None:
    daemon.client.ping()
    asyncio.run(upgrade_of_a_task(daemon, stop))


#: What has no timeout, and ends when the daemon has been silent for long enough.
LOOKS: dict[str, Callable[[prwlock.Client, prwlock.Grant], Any]] = {
    "ping": lambda client, grant: client.ping(),
    "status": lambda client, grant: client.status("jobs"),
    "list": lambda client, grant: list(client.list()),
    "sessions": lambda client, grant: client.sessions(),
    "stats": lambda client, grant: client.stats(),
    "validate": lambda client, grant: client.validate("jobs", grant.token),
    "revoke": lambda client, grant: client.revoke("jobs", 1),
    "watch": lambda client, grant: client.watch(),
    "renew": lambda client, grant: grant.renew(60),
    "downgrade": lambda client, grant: grant.downgrade(),
    "is_valid": lambda client, grant: grant.is_valid(),
    "release": lambda client, grant: grant.release(),
}


def test_calls_without_a_timeout_end_when_a_daemon_is_silent_for_long(
    daemon: PrivateDaemon, stop: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten seconds."""
    monkeypatch.setattr("calls.MOST", 14.0)
    clients = {call: prwlock.Client(daemon.socket) for call in LOOKS}
    grants = {call: client.acquire(f"jobs/{call}") for call, client in clients.items()}
    daemon.client.ping()
    stop()
    calls = {call: (lambda call=call: LOOKS[call](clients[call], grants[call])) for call in LOOKS}  # type: ignore[misc]
    for call, ended in all_at_once(calls).items():
        assert isinstance(ended.outcome, prwlock.DaemonTimeout), (call, ended)
        assert f"(pid {daemon.pid}) does not answer" in str(ended.outcome)
    os.kill(daemon.pid, signal.SIGCONT)
    wait_until(lambda: not daemon.client.status("jobs/release").holders)
    for client in clients.values():
        client.close()


def test_a_daemon_that_reads_nothing_any_more_is_noticed_too(
    daemon: PrivateDaemon, stop: Callable[[], None]
) -> None:
    """The socket is full: what cannot be sent is not waited for, and what is left over is sent when there is room."""
    client = prwlock.Client(daemon.socket)
    grants = [client.acquire(f"held/{number}", "read") for number in range(3_000)]
    daemon.client.ping()
    stop()
    grants.clear()
    connection = client._connection
    assert connection is not None
    assert connection._queued
    calls = {call: (lambda call=call: CALLS[call](client, f"jobs/{call}")) for call in CALLS}  # type: ignore[misc]
    for call, ended in all_at_once(calls).items():
        assert isinstance(ended.outcome, prwlock.DaemonTimeout), (call, ended)
    os.kill(daemon.pid, signal.SIGCONT)
    while connection._queued:
        client.ping()
    wait_until(is_free(daemon), "the release of all grants")
    assert _session.MOST_UNANSWERED == 2_000


GIVES_UP = """
import prwlock, sys
lock = prwlock.RWLock("jobs")
lock.client.ping()
print("ready", flush=True)
sys.stdin.readline()
try:
    lock.acquire_write(0.1)
except prwlock.DaemonTimeout:
    print("done")
"""


@pytest.mark.parametrize("how", ["ends", "closes"])
def test_a_client_that_gives_up_and_goes_leaves_no_mark_of_a_dead_writer(
    how: str, daemon: PrivateDaemon, stop: Callable[[], None]
) -> None:
    """G11: the daemon reads its request when it goes on, and then the end."""
    daemon.client.ping()
    if how == "closes":
        client = prwlock.Client(daemon.socket)
        client.ping()
        stop()
        with pytest.raises(prwlock.DaemonTimeout):
            client.acquire("jobs", "write", 0.1)
        client.close()
    else:
        command = [sys.executable, "-c", GIVES_UP]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            stop()
            assert process.communicate("go\n")[0] == "done\n"
    os.kill(daemon.pid, signal.SIGCONT)
    with prwlock.RWLock("jobs").write(60) as grant:
        assert not grant.owner_died


class Interrupt(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("is_known", [True, False], ids=["connected", "not connected"])
def test_a_wait_for_a_stopped_daemon_can_be_interrupted(
    is_known: bool, daemon: PrivateDaemon, stop: Callable[[], None]
) -> None:
    def handle(*_: object) -> None:
        raise Interrupt

    client = prwlock.Client(daemon.socket)
    if is_known:
        client.ping()
    daemon.client.ping()
    stop()
    before = signal.signal(signal.SIGALRM, handle)
    with Clock() as clock:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Interrupt):
                client.acquire("jobs")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert clock.seconds < MOST
    os.kill(daemon.pid, signal.SIGCONT)
    wait_until(is_free(daemon))


@pytest.mark.parametrize("is_known", [True, False], ids=["connected", "not connected"])
def test_a_task_that_waits_for_a_stopped_daemon_can_be_cancelled(
    is_known: bool, daemon: PrivateDaemon, stop: Callable[[], None]
) -> None:
    async def body() -> None:
        client = aio.Client(daemon.socket)
        if is_known:
            await client.ping()
        stop()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.acquire("jobs"), 0.2)

    daemon.client.ping()
    with Clock() as clock:
        asyncio.run(body())
    assert clock.seconds < MOST
    os.kill(daemon.pid, signal.SIGCONT)
    wait_until(is_free(daemon))
