"""Every call that has a timeout ends with its time, whatever state the daemon is in, and leaves nothing behind.

A table: all calls, in every state of the daemon. A call may take its time and a second; here it fails only if it takes
several seconds more, since the machine may be busy. Without a clock of the client's own it would take far longer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _session, aio
from prwlock._private_daemon import PrivateDaemon
from prwlock.compat import FileLock, Lock, MultiprocessingLock, MultiprocessingRLock, ReadWriteLock, RLock
from prwlock.compat.fasteners import InterProcessLock, InterProcessReaderWriterLock
from prwlock.compat.filelock import Timeout

from processes import wait_until

#: What a call that has this timeout, or a shorter one, may take on a machine that is busy.
TIME = 0.3
MOST = 4.0

#: Each takes a client and the name of a lock, and asks for the lock for `TIME` at most.
CALLS: dict[str, Callable[[prwlock.Client, str], Any]] = {
    "acquire read": lambda client, name: client.acquire(name, "read", TIME),
    "acquire update": lambda client, name: client.acquire(name, "update", TIME),
    "acquire write": lambda client, name: client.acquire(name, "write", TIME),
    "acquire with 0": lambda client, name: client.acquire(name, "write", 0),
    "lock.read": lambda client, name: client.lock(name).read(TIME),
    "lock.update": lambda client, name: client.lock(name).update(TIME),
    "lock.write": lambda client, name: client.lock(name).write(TIME, lease=60, note="test"),
    "lock.acquire_read": lambda client, name: client.lock(name).acquire_read(TIME),
    "lock.acquire_write": lambda client, name: client.lock(name).acquire_write(TIME),
    "lock.try_acquire_read": lambda client, name: client.lock(name).try_acquire_read(),
    "lock.try_acquire_write": lambda client, name: client.lock(name).try_acquire_write(),
    "lock.reader_lock": lambda client, name: client.lock(name).reader_lock(TIME).__enter__(),
    "lock.writer_lock": lambda client, name: client.lock(name).writer_lock(TIME).__enter__(),
}

AIO_CALLS: dict[str, Callable[[aio.Client, str], Awaitable[Any]]] = {
    "acquire read": lambda client, name: client.acquire(name, "read", TIME),
    "acquire write": lambda client, name: client.acquire(name, "write", TIME),
    "acquire with 0": lambda client, name: client.acquire(name, "write", 0),
    "lock.update": lambda client, name: client.lock(name).update(TIME),
    "lock.acquire_read": lambda client, name: client.lock(name).acquire_read(TIME),
    "lock.acquire_write": lambda client, name: client.lock(name).acquire_write(TIME),
    "lock.try_acquire_write": lambda client, name: client.lock(name).try_acquire_write(),
    "lock.reader_lock": lambda client, name: client.lock(name).reader_lock(TIME).__aenter__(),
    "lock.writer_lock": lambda client, name: client.lock(name).writer_lock(TIME).__aenter__(),
}

#: In the shapes of other packages: each takes a path or name, and returns whether it has the lock.
SHAPES: dict[str, Callable[[str], Any]] = {
    "threading.Lock": lambda path: Lock(path).acquire(timeout=TIME),
    "threading.Lock at once": lambda path: Lock(path).acquire(blocking=False),
    "threading.RLock": lambda path: RLock(path).acquire(timeout=TIME),
    "multiprocessing.Lock": lambda path: MultiprocessingLock(path).acquire(timeout=TIME),
    "multiprocessing.RLock": lambda path: MultiprocessingRLock(path).acquire(block=False),
    "fasteners.InterProcessLock": lambda path: InterProcessLock(path).acquire(timeout=TIME),
    "fasteners.InterProcessLock at once": lambda path: InterProcessLock(path).acquire(blocking=False),
    "fasteners reader": lambda path: InterProcessReaderWriterLock(path).acquire_read_lock(timeout=TIME),
    "fasteners writer": lambda path: InterProcessReaderWriterLock(path).acquire_write_lock(blocking=False),
    "filelock.FileLock": lambda path: FileLock(path).acquire(timeout=TIME),
    "filelock.FileLock at once": lambda path: FileLock(path).acquire(blocking=False),
    "filelock reader": lambda path: ReadWriteLock(path).acquire_read(timeout=TIME),
    "filelock writer": lambda path: ReadWriteLock(path).acquire_write(blocking=False),
}


class Ended:
    """How a call ended, and after how long."""

    def __init__(self, outcome: Any, seconds: float) -> None:
        self.outcome = outcome
        self.seconds = seconds

    def __repr__(self) -> str:
        return f"{self.outcome!r} after {self.seconds:.2f} s"


def all_at_once(calls: dict[str, Callable[[], Any]]) -> dict[str, Ended]:
    """Makes the calls, each in a thread of its own."""
    ended: dict[str, Ended] = {}

    def make(name: str, call: Callable[[], Any]) -> None:
        begin = time.monotonic()
        try:
            outcome = call()
        except Exception as error:
            outcome = error
        ended[name] = Ended(outcome, time.monotonic() - begin)

    threads = [threading.Thread(target=make, args=item) for item in calls.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ended.keys() == calls.keys(), calls.keys() - ended.keys()
    assert max(each.seconds for each in ended.values()) < MOST, ended
    return ended


def all_in_a_loop(socket: str, is_known: bool, change: Callable[[], None], name: str) -> dict[str, Ended]:
    """Makes the calls for asyncio, as tasks of one loop; a client that is known was connected before the change."""
    ended: dict[str, Ended] = {}

    async def make(call: str, client: aio.Client) -> None:
        begin = time.monotonic()
        try:
            outcome = await AIO_CALLS[call](client, f"{name}/{call}")
        except prwlock.LockError as error:
            outcome = error
        ended[call] = Ended(outcome, time.monotonic() - begin)

    async def body() -> None:
        client = aio.Client(socket)
        if is_known:
            await client.ping()
        change()
        await asyncio.gather(*(make(call, client) for call in AIO_CALLS))
        await client.close()

    asyncio.run(body())
    assert ended.keys() == AIO_CALLS.keys()
    assert max(each.seconds for each in ended.values()) < MOST, ended
    return ended


@pytest.fixture
def stop(daemon: PrivateDaemon) -> Iterator[Callable[[], None]]:
    """Stops the daemon, until the test goes on or ends."""
    yield lambda: os.kill(daemon.pid, signal.SIGSTOP)
    os.kill(daemon.pid, signal.SIGCONT)


def is_free(daemon: PrivateDaemon) -> Callable[[], bool]:
    return lambda: not list(daemon.client.list())


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
    begin = time.monotonic()
    for call, ended in all_in_a_loop(daemon.socket, is_known, stop, "jobs").items():
        assert isinstance(ended.outcome, prwlock.DaemonTimeout), (call, ended)
        assert "answer" in str(ended.outcome)
    # Nor does the loop's end wait for anything.
    assert time.monotonic() - begin < MOST + 1
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
        while list(await asyncio.to_thread(lambda: list(daemon.client.list()))):
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
    """After ten seconds; the old limit for all, where nobody set another."""
    monkeypatch.setattr("test_time.MOST", 14.0)
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
    wait_until(is_free(daemon))
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
    begin = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupt):
            client.acquire("jobs")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begin < MOST
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
    begin = time.monotonic()
    asyncio.run(body())
    assert time.monotonic() - begin < MOST
    os.kill(daemon.pid, signal.SIGCONT)
    wait_until(is_free(daemon))


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


def test_a_daemon_that_was_killed_is_told_at_once_and_one_that_is_back_serves(daemon: PrivateDaemon) -> None:
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


def test_a_process_that_may_not_make_unix_sockets_is_told_so(run: Callable[..., str], daemon: PrivateDaemon) -> None:
    assert run(FORBIDDEN) == "done\n"


def test_a_process_that_may_not_make_unix_sockets_starts_no_daemon(
    run: Callable[..., str], running: Callable[[], list[int]]
) -> None:
    assert run(FORBIDDEN) == "done\n"
    assert not running()
