"""Locks that hosts share: a grant counts until a moment, and its holder notices by its own clock that it has passed."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import aio
from prwlock._received import Received
from prwlock._session import Request, Session
from prwlock._status import lock_status, lock_summary
from prwlock._until import UNCONFIRMED, boot_now, until_of

from loops import Run
from processes import wait_until

COMMAND = [sys.executable, "-m", "prwlock"]
TOKEN = (1 << 62) + 1
A_MOMENT, AN_HOUR = 100, 3_600_000


def until(milliseconds: int) -> str:
    return f"until={milliseconds}ms clock={int(boot_now() * 1_000)}ms"


class Server:
    """A server that grants each lock for a time, and answers nothing about a grant unless it is told to."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.lasts = A_MOMENT
        self.mark = ""
        self.is_silent = True
        self.refusal = ""
        #: What is said with a grant.
        self.notice: Callable[[], str] = lambda: ""
        #: What is said to an upgrade, by the tag of the request.
        self.on_upgrade: Callable[[str], str] = lambda _: ""
        self.lines: list[str] = []
        self._peers: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            with peer.makefile("r") as lines:
                for line in lines:
                    self.lines.append(line.rstrip("\n"))
                    peer.sendall(self._answer(line.split()).encode())
        except OSError:
            pass

    def _answer(self, words: list[str]) -> str:
        tag = words.pop(0) + " " if words[0].startswith("#") else ""
        verb = words[0]
        usual = {
            "PING": "PONG", "HELLO": "HELLO version=1 server=x session=1", "STATUS": "END 0", "STATS": "END 0",
        }  # fmt: skip
        if verb in usual:
            return f"{tag}{usual[verb]}\n"
        if verb in ("READ", "WRITE"):
            if self.refusal:
                return f"{tag}{self.refusal}\n"
            granted = f"GRANTED {words[1]} {verb.lower()} token={TOKEN}{self.mark} {until(self.lasts)}"
            return f"{tag}{granted}\n{self.notice()}"
        if verb == "RELEASE" and "at=end" in words:
            return f"{tag}OK\n"
        if verb == "UPGRADE":
            return self.on_upgrade(tag)
        if self.is_silent:
            return ""
        return f"{tag}{ {'RELEASE': 'RELEASED', 'VALIDATE': 'VALID'}[verb] } {words[1]} token={TOKEN}\n"

    def say(self, line: str) -> None:
        for peer in self._peers:
            peer.sendall(line.encode() + b"\n")

    def close(self) -> None:
        for peer in (self._listener, *self._peers):
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            peer.close()


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(home / "s")
    monkeypatch.setenv("PRWLOCK_SOCKET", server.path)
    yield server
    server.close()


def test_a_grant_counts_no_more_when_its_moment_passes(server: Server) -> None:
    grant = prwlock.Client(server.path).acquire("jobs")
    assert grant.token == TOKEN
    wait_until(lambda: not grant.is_held)
    assert "lost" in repr(grant)
    # What comes later revives nothing.
    server.say(f"! UNTIL {until(AN_HOUR)}")
    wait_until(lambda: grant._connection.until > boot_now() + 1)
    assert not grant.is_held
    assert not grant.is_valid()
    for call in (grant.upgrade, grant.downgrade, grant.renew, grant.release):
        with pytest.raises(prwlock.LockLost) as lost:
            call()
        assert lost.value.reason == "unconfirmed"
    wait_until(lambda: any(line.endswith(f"RELEASE jobs token={TOKEN}") for line in server.lines))


def test_a_loss_is_reported_while_no_call_is_made(server: Server) -> None:
    lost = threading.Event()
    grant = prwlock.Client(server.path).acquire("jobs", on_lost=lambda _: lost.set())
    assert lost.wait(60)
    assert not grant.is_held


def test_notices_are_read_while_no_call_is_made(server: Server) -> None:
    server.is_silent = False
    grant = prwlock.Client(server.path).acquire("jobs", on_lost=lambda _: pytest.fail("it is not lost"))
    server.say(f"! UNTIL {until(AN_HOUR)}")
    wait_until(lambda: grant._connection.until > boot_now() + 1)
    wait_until(lambda: boot_now() * 1_000 > A_MOMENT)
    assert grant.is_held
    assert grant.is_valid()
    grant.release()


def test_a_call_does_not_wait_for_a_silent_daemon_beyond_the_moment(server: Server) -> None:
    grant = prwlock.Client(server.path).acquire("jobs")
    wait_until(lambda: not grant.is_held)
    start = time.monotonic()
    with pytest.raises(prwlock.LockLost):
        grant.release()
    assert time.monotonic() - start < 5


def upgraded(tag: str) -> str:
    return f"{tag}GRANTED jobs write token={TOKEN + 1} {until(AN_HOUR)}"


def release_of_upgrade(server: Server) -> bool:
    return any(line.endswith(f"RELEASE jobs token={TOKEN + 1}") for line in server.lines)


def test_an_upgrade_waits_for_no_longer_than_the_grant_counts(server: Server) -> None:
    server.lasts = 500
    tags: list[str] = []
    server.on_upgrade = lambda tag: tags.append(tag) or ""  # type: ignore[func-returns-value]
    grant = prwlock.Client(server.path).acquire("jobs", mode="read")
    with pytest.raises(prwlock.LockLost) as lost:
        grant.upgrade()
    assert lost.value.reason == "unconfirmed"
    assert len(tags) == 1
    # It is given back if it comes later.
    server.say(upgraded(tags[0]))
    wait_until(lambda: release_of_upgrade(server))
    assert not grant.is_held


def test_an_upgrade_waits_as_long_as_the_grant_is_confirmed(server: Server) -> None:
    server.lasts = 500

    def answer(tag: str) -> str:
        server.say(f"! UNTIL {until(AN_HOUR)}")
        threading.Timer(1, lambda: server.say(upgraded(tag))).start()
        return ""

    server.on_upgrade = answer
    grant = prwlock.Client(server.path).acquire("jobs", mode="read")
    grant.upgrade()
    assert (grant.mode, grant.token, grant.is_held) == ("write", TOKEN + 1, True)


def test_an_upgrade_of_a_task_waits_for_no_longer_than_the_grant_counts(server: Server, loop_run: Run) -> None:
    server.lasts = 500
    tags: list[str] = []
    server.on_upgrade = lambda tag: tags.append(tag) or ""  # type: ignore[func-returns-value]

    async def main() -> None:
        client = aio.Client(server.path)
        grant = await client.acquire("jobs", mode="read")
        with pytest.raises(prwlock.LockLost) as lost:
            await grant.upgrade()
        assert lost.value.reason == "unconfirmed"
        server.say(upgraded(tags[0]))
        while not release_of_upgrade(server):
            await asyncio.sleep(0.001)
        assert not grant.is_held
        client.close()

    loop_run(main())


def test_waits_look_at_the_clock_often_while_a_grant_counts_until_a_moment(server: Server) -> None:
    """They stand still while the machine sleeps, and a loss must be noticed soon after that."""
    from prwlock._sleeper import Change, Listener
    from prwlock._until import GLANCE

    server.lasts = AN_HOUR
    grant = prwlock.Client(server.path).acquire("jobs")
    connection = grant._connection
    wait_until(lambda: connection.listener is not None)
    listener = connection.listener
    assert isinstance(listener, Listener)
    assert 0 < listener.look <= GLANCE
    change = Change(connection, prwlock._owner.threads.own, b"", None)
    assert 0 < change.look <= GLANCE


def test_a_block_of_a_lock_object(server: Server) -> None:
    lock = prwlock.RWLock("jobs")
    with pytest.raises(prwlock.LockLost), lock.write() as grant:
        wait_until(lambda: not grant.is_held)


def test_a_grant_of_a_task(server: Server, loop_run: Run) -> None:
    async def main() -> None:
        lost = asyncio.Event()
        client = aio.Client(server.path)
        grant = await client.acquire("jobs", on_lost=lambda _: lost.set())
        await asyncio.wait_for(lost.wait(), 60)
        assert not grant.is_held
        assert not await grant.is_valid()
        with pytest.raises(prwlock.LockLost) as error:
            await grant.renew()
        assert error.value.reason == "unconfirmed"
        with pytest.raises(prwlock.LockLost):
            await grant.release()
        client.close()

    loop_run(main())
    wait_until(lambda: any(line.endswith(f"RELEASE jobs token={TOKEN}") for line in server.lines))


@pytest.mark.parametrize("notice", ["", f"! REVOKED jobs token={TOKEN}\n"])
def test_a_loss_that_comes_with_the_grant_is_reported(server: Server, loop_run: Run, notice: str) -> None:
    server.lasts, server.notice = AN_HOUR if notice else 0, lambda: notice

    async def main() -> None:
        lost = asyncio.Event()
        async with aio.Client(server.path) as client:
            grant = await client.acquire("jobs", on_lost=lambda _: lost.set())
            assert not lost.is_set()
            await asyncio.wait_for(lost.wait(), 60)
            with pytest.raises(prwlock.LockLost):
                await grant.release()

    loop_run(main())


def test_a_grant_of_a_task_that_is_confirmed(server: Server, loop_run: Run) -> None:
    server.is_silent, server.notice = False, lambda: f"! UNTIL {until(AN_HOUR)}\n"

    async def main() -> None:
        client = aio.Client(server.path)
        grant = await client.acquire("jobs", on_lost=lambda _: pytest.fail("it is not lost"))
        while grant._connection.until < boot_now() + 1:
            await asyncio.sleep(0.001)
        assert grant.is_held
        await grant.release()
        client.close()

    loop_run(main())


def test_a_mark_that_is_unsure(server: Server) -> None:
    server.mark, server.lasts, server.is_silent = " ownerdied=maybe", AN_HOUR, False
    with prwlock.Client(server.path).acquire("jobs") as grant:
        assert grant.owner_died
        assert grant.owner_died_is_unsure


def test_refusals_that_name_hosts(server: Server) -> None:
    client = prwlock.Client(server.path)
    server.refusal = "ERROR cluster-unavailable lock=jobs mode=write etcd does not answer"
    with pytest.raises(prwlock.ClusterUnavailable, match="etcd does not answer"):
        client.acquire("jobs")
    server.refusal = "BUSY jobs write held-by=host:web-2/write,42/read"
    with pytest.raises(prwlock.WouldBlock, match="held by host:web-2/write, 42/read") as busy:
        client.acquire("jobs", timeout=0)
    assert [(holder.pid, holder.host) for holder in busy.value.held_by] == [(None, "web-2"), (42, None)]
    server.refusal = "DEADLOCK jobs write cycle=42/t1:jobs>host:web-2:a/b:c"
    with pytest.raises(prwlock.Deadlock) as circle:
        client.acquire("jobs")
    hops = [(hop.pid, hop.host, hop.name) for hop in circle.value.cycle]
    assert hops == [(42, None, "jobs"), (None, "web-2", "a/b:c")]


@pytest.mark.parametrize("words", [["run", "jobs", "sh", "-c"], ["run", "--no-fork", "jobs", "sh", "-c"]])
def test_a_command_sees_the_token(server: Server, words: list[str]) -> None:
    server.lasts, server.mark = AN_HOUR, " ownerdied=maybe"
    told = subprocess.run(
        [*COMMAND, *words, "echo $PRWLOCK_TOKEN $PRWLOCK_OWNERDIED"], capture_output=True, text=True, timeout=60
    )
    assert (told.stdout, told.returncode) == (f"{TOKEN} maybe\n", 0)


def test_a_command_is_ended_when_its_grant_counts_no_more(server: Server) -> None:
    script = "trap 'echo TERM; exit 0' TERM; while :; do read x; done"
    told = subprocess.Popen(
        [*COMMAND, "run", "jobs", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert told.wait(60) == 79
    assert told.stdout is not None
    assert told.stderr is not None
    assert told.stdout.read() == "TERM\n"
    assert UNCONFIRMED in told.stderr.read()
    for stream in (told.stdin, told.stdout, told.stderr):
        assert stream is not None
        stream.close()


def test_a_process_that_a_lock_is_held_for_is_ended_when_the_grant_counts_no_more(server: Server) -> None:
    script = f"trap 'echo TERM; exit 0' TERM; {' '.join(COMMAND)} hold jobs; while :; do read x; done"
    told = subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert told.wait(60) == 0
    assert told.stdin is not None
    assert told.stdout is not None
    assert told.stdout.read() == "TERM\n"
    told.stdin.close()
    told.stdout.close()


# Without I/O


def test_the_earlier_clock_and_the_latest_moment_count() -> None:
    session = Session(b"", "/nowhere")
    session.extend(b"! UNTIL until=8000ms clock=1000ms")
    assert session.until == 9
    session.extend(b"! UNTIL until=100ms clock=2000ms")
    assert session.until == 9
    now = boot_now()
    session.extend(b"GRANTED jobs read token=1 until=8000ms clock=99999999999ms")
    assert now + 8 <= session.until <= boot_now() + 8


@pytest.mark.parametrize("fields", ["until=x clock=1ms", "until=1ms", "until=1h clock=1ms", "until=-"])
def test_a_moment_without_sense_is_now(fields: str) -> None:
    assert 0 < until_of(b"! UNTIL " + fields.encode()) <= boot_now()


def test_a_reply_that_grants_states_a_moment() -> None:
    session = Session(b"", "/nowhere")
    session.open(Request(b"#1 ", b"WRITE jobs"))
    session.inbox.append(b"#1 GRANTED jobs write token=7 until=1s clock=2ms\n")
    session.receive()
    assert session.until == pytest.approx(1.002)
    assert isinstance(session._input[2], Received)


def test_rows_about_claims() -> None:
    status = lock_status("jobs", [b"* claim host=web1 mode=write", b"* claim-waiter host=web2 mode=read"])
    assert status.claims == (("web1", "write"),)
    assert status.claim_waiters == (("web2", "read"),)
    row = lock_summary(b"* lock jobs mode=- holders=0 waiters=1 ownerdied=maybe claim=none host=-")
    assert (row.owner_died, row.owner_died_is_unsure, row.claim) == (True, True, (None, None))
    row = lock_summary(b"* lock jobs mode=- holders=0 waiters=1 ownerdied=0 claim=write host=web1")
    assert row.claim == ("write", "web1")


def test_a_list_says_which_host_claims_a_lock(server: Server, capsys: Any) -> None:
    from prwlock._cli_look import _lock_members

    row = lock_summary(b"* lock jobs mode=- holders=0 waiters=0 ownerdied=maybe claim=write host=web1")
    members = _lock_members(row)
    assert (members["claim"], members["claim_host"], members["owner_died_is_unsure"]) == ("write", "web1", True)
    assert "claim" not in _lock_members(lock_summary(b"* lock jobs mode=- holders=1 waiters=0 ownerdied=0"))
