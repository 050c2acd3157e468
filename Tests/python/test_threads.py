"""Many threads on one connection."""

from __future__ import annotations

import random
import socket
import threading
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest

from processes import wait_until


def together(count: int, body: Callable[[int], None]) -> None:
    """Runs it in so many threads at once; an exception in any of them is the caller's."""
    errors: list[BaseException] = []
    gate = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            gate.wait()
            body(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_threads_on_shared_and_own_locks_exclude_each_other(client: prwlock.Client) -> None:
    """G1, and each reply is that of its own request."""
    shared = [prwlock.RWLock(f"shared/{number}") for number in range(4)]
    inside = [0] * 4
    readers = [0] * 4

    def work(number: int) -> None:
        chance = random.Random(number)
        own = prwlock.RWLock(f"own/{number}")
        for _ in range(60):
            with own.write() as grant:
                assert grant.name == f"own/{number}"
                which = chance.randrange(4)
                if chance.random() < 0.3:
                    with shared[which].write():
                        assert (inside[which], readers[which]) == (0, 0)
                        inside[which] += 1
                        inside[which] -= 1
                elif chance.random() < 0.5:
                    with shared[which].read():
                        readers[which] += 1
                        assert inside[which] == 0
                        readers[which] -= 1
                elif shared[which].acquire_write(chance.choice([0, 0.001])):
                    assert (inside[which], readers[which]) == (0, 0)
                    shared[which].release()

    together(40, work)
    assert not client.list()


def test_one_connection_serves_all(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    lock.acquire_read()
    before = len(client.sessions())
    together(30, lambda number: prwlock.RWLock(f"jobs/{number}").acquire_write() and None)
    assert len(client.sessions()) == before


def test_threads_that_come_first_at_once_share_one_session(daemon: Any) -> None:
    for _ in range(10):
        own = prwlock.Client(daemon.socket)
        together(20, lambda number, own=own: own.acquire(f"jobs/{number}").release())  # type: ignore[misc]
        wait_until(lambda: len(daemon.client.sessions()) == 2)
        own.close()
        wait_until(lambda: len(daemon.client.sessions()) == 1)


def test_a_thread_that_waits_long_delays_no_other_thread(client: prwlock.Client, peer: Any) -> None:
    other = peer()
    assert other.ask("write", "slow") == "True"
    slow = prwlock.RWLock("slow")
    thread = threading.Thread(target=slow.acquire_write)
    thread.start()
    wait_until(lambda: client.status("slow").waiters)

    def quick(number: int) -> None:
        for _ in range(50):
            with prwlock.RWLock(f"quick/{number}").write():
                pass

    together(8, quick)
    assert other.ask("release", "slow") == "done"
    thread.join()
    slow.release()


def test_threads_and_a_listener_share_a_connection(daemon: Any) -> None:
    lost: list[int] = []

    def work(number: int) -> None:
        lock = prwlock.RWLock(f"jobs/{number}")
        for turn in range(20):
            grant = lock.write(lease=0.005 if turn % 5 == 4 else 60, on_lost=lambda grant: lost.append(grant.token))
            if turn % 5 == 4:
                wait_until(lambda grant=grant: grant.token in lost)  # type: ignore[misc]
                with pytest.raises(prwlock.LockLost):
                    grant.release()
            else:
                grant.release()

    together(10, work)
    assert len(lost) == len(set(lost)) == 40


def test_a_crowd_that_waits_for_one_lock_is_served_one_by_one(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    order: list[int] = []
    with lock.write():
        threads = [threading.Thread(target=lambda: serve(lock, order)) for _ in range(30)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(client.status("jobs").waiters) == 30)
    for thread in threads:
        thread.join(60)
    assert order == sorted(order)
    assert len(order) == 30


def serve(lock: prwlock.RWLock, order: list[int]) -> None:
    with lock.write() as grant:
        order.append(grant.token)


class BadDaemon(threading.Thread):
    """Speaks the protocol, in whichever pieces it likes, with more around it than anybody asked for."""

    NOISE = (b"! NEWS of something\n", b"#- RELEASED x token=1\n", b"#no-such-tag PONG\n", b"nonsense\n", b"\n")

    def __init__(self, path: Path, seed: int, answers: int) -> None:
        super().__init__()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.chance = random.Random(seed)
        self.answers = answers

    def run(self) -> None:
        connection = self.listener.accept()[0]
        lines = connection.makefile("rb")
        token = 100
        for line in lines:
            words = line.decode().split()
            if words[0] == "HELLO":
                continue
            if words[0] == "PING":
                self.say(connection, b"PONG\n")
                continue
            if self.answers == 0:
                break
            self.answers -= 1
            token += 1
            reply = {
                "WRITE": f"{words[0]} GRANTED {words[2] if len(words) > 2 else ''} write token={token}\n",
                "RELEASE": f"{words[0]} RELEASED {words[2]} {words[-1]}\n" if len(words) > 2 else "",
                "STATUS": "* waiter pid=1 mode=read owner=- waited=1ms timeout=0 note=-\n"
                f"! MISSED 3\n{words[0]} END 1\n",
            }[words[1]]
            self.say(connection, reply.encode())
        connection.shutdown(socket.SHUT_RDWR)
        lines.close()
        connection.close()
        self.listener.close()

    def say(self, connection: socket.socket, text: bytes) -> None:
        noise = b"".join(self.chance.choice(self.NOISE) for _ in range(self.chance.randrange(3)))
        # Also in the middle of a tag, of which there is one in every reply.
        rest = text if text == b"PONG\n" else noise + text
        while rest:
            length = self.chance.randrange(1, len(rest) + 1)
            connection.sendall(rest[:length])
            rest = rest[length:]


@pytest.mark.parametrize("seed", range(20))
def test_replies_in_any_pieces_with_noise_between_are_understood(
    seed: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRWLOCK_SOCKET", str(home / "bad"))
    daemon = BadDaemon(home / "bad", seed, answers=200)
    daemon.start()
    errors = 0
    for number in range(100):
        lock = prwlock.RWLock(f"jobs/{number}")
        try:
            with lock.write() as grant:
                assert grant.name == f"jobs/{number}"
                assert len(lock.status().waiters) == 1
        except prwlock.LockError:
            errors += 1
            break
    assert errors == 1
    daemon.join(60)
    assert not daemon.is_alive()


@pytest.mark.parametrize("answers", range(6))
def test_an_end_before_any_reply_is_reported(answers: int, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRWLOCK_SOCKET", str(home / "bad"))
    daemon = BadDaemon(home / "bad", 1, answers)
    daemon.start()
    with pytest.raises((prwlock.DaemonUnavailable, prwlock.LockLost)):
        for _ in range(10):
            with prwlock.RWLock("jobs").write():
                pass
    daemon.join(60)
