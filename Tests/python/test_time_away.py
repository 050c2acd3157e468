"""Every call that has a timeout ends with its time while the daemon drains, is dead, or is being started."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import prwlock
import pytest
from prwlock import aio
from prwlock._private_daemon import PrivateDaemon

from calls import CALLS, all_at_once, all_in_a_loop
from processes import wait_until


def drain(daemon: PrivateDaemon) -> None:
    """It goes on for five seconds, as a client holds a lock, and takes nothing new."""
    os.kill(daemon.pid, signal.SIGTERM)


@pytest.mark.parametrize("is_known", [True, False], ids=["connected", "not connected"])
def test_the_time_also_runs_while_a_daemon_drains(is_known: bool, daemon: PrivateDaemon) -> None:
    with prwlock.Client(daemon.socket) as holder:
        grant = holder.acquire("held")
        clients = {call: prwlock.Client(daemon.socket) for call in CALLS}
        for client in clients.values():
            if is_known:
                client.ping()
        drain(daemon)
        assert holder._connection is not None
        wait_until(lambda: is_draining(holder))
        calls = {call: (lambda call=call: CALLS[call](clients[call], f"jobs/{call}")) for call in CALLS}  # type: ignore[misc]
        for call, ended in all_at_once(calls).items():
            assert isinstance(ended.outcome, prwlock.DaemonTimeout), (call, ended)
        grant.release()


def is_draining(client: prwlock.Client) -> bool:
    """It is told so by the next request that wants something."""
    try:
        client.acquire("other", "read", 0).release()
    except prwlock.LockError:
        return True
    return False


def test_the_time_of_tasks_also_runs_while_a_daemon_drains(daemon: PrivateDaemon) -> None:
    for is_known in (True, False):
        with prwlock.Client(daemon.socket) as holder:
            grant = holder.acquire("held")

            def change(holder: prwlock.Client = holder) -> None:
                drain(daemon)
                wait_until(lambda: is_draining(holder))

            ended = all_in_a_loop(daemon.socket, is_known, change, "jobs")
            assert all(isinstance(each.outcome, prwlock.DaemonTimeout) for each in ended.values()), ended
            grant.release()
        daemon.kill()
        daemon.restart()


def test_a_killed_daemon_is_reported_at_once_and_a_restarted_one_serves(daemon: PrivateDaemon) -> None:
    clients = {call: prwlock.Client(daemon.socket) for call in CALLS}
    for client in clients.values():
        client.ping()
    daemon.kill()
    calls = {call: (lambda call=call: CALLS[call](clients[call], f"jobs/{call}")) for call in CALLS}  # type: ignore[misc]
    for call, ended in all_at_once(calls).items():
        assert isinstance(ended.outcome, prwlock.DaemonUnavailable), (call, ended)
        assert "no lock daemon listens" in str(ended.outcome)
    daemon.restart()
    for call, ended in all_at_once(calls).items():
        assert not isinstance(ended.outcome, Exception), (call, ended)
        assert ended.outcome is not False
    for client in clients.values():
        client.close()


def test_a_daemon_that_comes_back_within_the_time_is_waited_for(daemon: PrivateDaemon, home: Path) -> None:
    """Who waited when the daemon died is told so, and may ask again: nothing is taken up in silence."""
    other = prwlock.Client(daemon.socket)
    grant = other.acquire("jobs")
    calls = {"write": lambda: prwlock.RWLock("jobs").write(30)}
    kill = threading.Thread(target=lambda: (wait_until(lambda: other.status("jobs").waiters), daemon.kill()))
    kill.start()
    (ended,) = all_at_once(calls).values()
    kill.join()
    assert isinstance(ended.outcome, prwlock.DaemonUnavailable)
    with pytest.raises(prwlock.LockLost):
        grant.release()
    daemon.restart()
    assert prwlock.RWLock("jobs").acquire_write(30)


@pytest.fixture
def slow(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A daemon program that takes its time to come."""
    program, process = home / "slow", home / "pid"
    program.write_text(f"#!/bin/sh\necho $$ >{process}\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PRWLOCK_DAEMON", str(program))
    yield
    os.kill(int(process.read_text()), signal.SIGKILL)


def test_the_time_also_runs_while_a_daemon_is_started(slow: None) -> None:
    calls = {call: (lambda call=call: CALLS[call](prwlock.Client(), f"jobs/{call}")) for call in CALLS}  # type: ignore[misc]
    for call, ended in all_at_once(calls).items():
        assert isinstance(ended.outcome, prwlock.DaemonTimeout), (call, ended)


@pytest.mark.parametrize("grace", ["400ms", "20s"])
def test_a_request_without_a_wait_waits_out_a_short_grace(grace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with PrivateDaemon("--grace", grace) as daemon:
        monkeypatch.setenv("PRWLOCK_SOCKET", daemon.socket)
        with prwlock.Client(daemon.socket) as client:
            client.acquire("jobs").release()
            daemon.kill()
            daemon.restart()
        if grace == "400ms":
            assert prwlock.RWLock("jobs").try_acquire_write()
            assert asyncio.run(acquire_at_once()) == "granted"
            return
        assert not prwlock.RWLock("jobs").try_acquire_write()
        with pytest.raises(prwlock.WouldBlock, match="has just started after an unclean end") as refused:
            prwlock.RWLock("jobs").write(0)
        assert refused.value.held_by == ()
        assert "just started after an unclean end" in asyncio.run(acquire_at_once())


async def acquire_at_once() -> str:
    try:
        await aio.RWLock("mail").write(0)
    except prwlock.WouldBlock as error:
        return str(error)
    return "granted"


FORBIDDEN = """
import ctypes, platform, struct, sys
import prwlock

# As a service with RestrictAddressFamilies=AF_INET has it: socket(AF_UNIX, ...) is EAFNOSUPPORT.
number, architecture = {"x86_64": (41, 0xC000003E), "aarch64": (198, 0xC00000B7)}[platform.machine()]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def step(code, true, false, value):
    return struct.pack("HBBI", code, true, false, value)


code = b"".join([
    step(0x20, 0, 0, 0), step(0x15, 0, 3, number),          # the call's number
    step(0x20, 0, 0, 16), step(0x15, 0, 1, 1),              # its first argument
    step(0x06, 0, 0, 0x00050000 | 97), step(0x06, 0, 0, 0x7FFF0000),
])
memory = ctypes.create_string_buffer(code)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(code) // 8, ctypes.addressof(memory)))) == 0


def check(error):
    assert "AF_UNIX" in str(error) and "RestrictAddressFamilies" in str(error), error


for call in (
    lambda: prwlock.RWLock("jobs").acquire_write(), lambda: prwlock.RWLock("jobs").acquire_write(1),
    lambda: prwlock.RWLock().acquire_read(), lambda: prwlock.Client().ping(), lambda: prwlock.status("jobs"),
    lambda: prwlock.watch(),
):
    try:
        call()
    except prwlock.LockError as error:
        check(error)
    else:
        sys.exit("it did not fail")
print("done")
"""


def test_a_process_that_may_not_make_unix_sockets_gets_an_error(run: Callable[..., str], daemon: PrivateDaemon) -> None:
    assert run(FORBIDDEN) == "done\n"


def test_a_process_that_may_not_make_unix_sockets_starts_no_daemon(
    run: Callable[..., str], running: Callable[[], list[int]]
) -> None:
    assert run(FORBIDDEN) == "done\n"
    assert not running()
