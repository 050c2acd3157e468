"""`is_held`: false as soon as the end of a grant can be read, also if no call reads it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import prwlock
import pytest
from prwlock import _ahead, aio
from prwlock._received import Received

from loops import Run
from processes import wait_until


def test_the_end_of_the_daemon(daemon: Any) -> None:
    grant = prwlock.RWLock("jobs").read()
    assert grant.is_held
    daemon.kill()
    assert not grant.is_held
    assert "lost" in repr(grant)
    with pytest.raises(prwlock.LockLost) as lost:
        grant.release()
    assert lost.value.reason == "connection"


@pytest.mark.parametrize("others", [0, 3])
def test_a_revocation(client: prwlock.Client, others: int) -> None:
    lock = prwlock.RWLock("jobs")
    grants = [lock.read(), *(prwlock.RWLock(f"jobs{number}").read() for number in range(others))]
    client.revoke("jobs", grants[0].token)
    wait_until(lambda: not grants[0].is_held)
    assert all(grant.is_held for grant in grants[1:])
    with pytest.raises(prwlock.LockLost) as lost:
        grants[0].release()
    # The notice was still there to be read.
    assert lost.value.reason == "revoked"


def test_the_end_of_a_lease(daemon: Any) -> None:
    grant = prwlock.RWLock("jobs").write(lease=0.01)
    wait_until(lambda: not grant.is_held)
    with pytest.raises(prwlock.LockLost) as lost:
        grant.release()
    assert lost.value.reason == "expired"


def test_a_thread_that_reads_meanwhile(client: prwlock.Client, peer: Any) -> None:
    """The thread reads the notice, or it is looked at in the socket; it is missed in neither case."""
    other = peer()
    assert other.ask("write", "busy") == "True"
    waiting = threading.Thread(target=prwlock.RWLock("busy").acquire_write)
    waiting.start()
    wait_until(lambda: client.status("busy").waiters)
    for _ in range(50):
        grant = prwlock.RWLock("jobs").read()
        client.revoke("jobs", grant.token)
        wait_until(lambda grant=grant: not grant.is_held)
        with pytest.raises(prwlock.LockLost):
            grant.release()
    assert other.ask("release", "busy") == "done"
    waiting.join(60)
    assert not waiting.is_alive()


def test_an_event_loop_that_does_not_run(daemon: Any, client: prwlock.Client, loop_run: Run) -> None:
    async def body() -> None:
        first, second = await aio.RWLock("jobs").read(), await aio.RWLock("mail").read()
        client.revoke("jobs", first.token)
        # The loop does not run here, so it reads nothing.
        wait_until(lambda: not first.is_held)
        assert second.is_held
        daemon.kill()
        assert not second.is_held
        await asyncio.sleep(0)
        for grant in (first, second):
            with pytest.raises(prwlock.LockLost):
                await grant.release()

    loop_run(body())


class Pieces:
    """A session, and a socket that has something to read."""

    def __init__(self, read: bytes, unread: bytes) -> None:
        import socket

        self._socket, self.far = socket.socketpair()
        *lines, rest = read.split(b"\n")
        self._input = ([rest] if rest else [], lines[::-1], Received())
        self.far.send(unread) if unread else None

    def close(self) -> None:
        self._socket.close()
        self.far.close()


@pytest.mark.parametrize(
    ("read", "unread", "is_over"),
    [
        (b"", b"", False),
        (b"", b"! REVOKED jobs token=5\n", True),
        (b"", b"! EXPIRED jobs token=5 later=word\n", True),
        (b"#1 PONG\n! EXPIRED jobs token=5\n", b"", True),
        (b"! REVO", b"KED jobs token=5\n", True),
        (b"#1 PONG\n! REVOKED jobs to", b"ken=5\n", True),
        (b"", b"! REVOKED jobs token=55\n! REVOKED jobs2 token=5\n! CHANGED jobs token=5\n", False),
        (b"", b"* ! REVOKED jobs token=5\n", False),
        (b"", b"! REVOKED jobs token=5", False),
        (b"", b"* lock a mode=read\n" * 2_000 + b"! REVOKED jobs token=5\n", True),
    ],
)
def test_what_the_socket_and_the_input_show(read: bytes, unread: bytes, is_over: bool) -> None:
    session = Pieces(read, unread)
    assert _ahead.shows_end(session, b"jobs", b"token=5") == is_over
    # Nothing was taken.
    assert _ahead.shows_end(session, b"jobs", b"token=5") == is_over
    session.far.close()
    assert _ahead.shows_end(session, b"jobs", b"token=5")
    session.close()
    assert _ahead.shows_end(session, b"jobs", b"token=5")
