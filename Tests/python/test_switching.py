"""Threads begin together thousands of times, and the interpreter switches between them as often as possible."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _owner, aio
from prwlock.compat import Lock, RLock

from processes import descriptors, wait_until


@pytest.fixture
def switching() -> Iterator[None]:
    """Lets the interpreter switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def rounds(number: int, count: int, make: Callable[[], Any], body: Callable[[Any], None]) -> None:
    """Lets `count` threads begin together, `number` times, each time with a new object."""
    errors: list[BaseException] = []
    subject: list[Any] = [None]

    def renew() -> None:
        subject[0] = make()

    gate = threading.Barrier(count, action=renew)

    def run() -> None:
        try:
            for _ in range(number):
                gate.wait(60)
                body(subject[0])
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            errors.append(error)
            gate.abort()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


class Shared:
    """A new lock of each kind, and how many threads are inside each of them."""

    def __init__(self) -> None:
        self.inside = [0, 0, 0]
        self.lock = prwlock.RWLock()
        self.mutex = Lock()
        self.recursive = RLock()

    def use(self) -> None:
        for index, lock in enumerate((self.lock.writer_lock(), self.mutex, self.recursive)):
            with lock:
                self.inside[index] += 1
                assert self.inside[index] == 1
                self.inside[index] -= 1
        assert self.lock.acquire_read()
        self.lock.release()


def test_threads_that_use_new_locks_first_together_exclude_each_other(daemon: Any, switching: None) -> None:
    """G1."""
    rounds(700, 4, Shared, Shared.use)
    assert not daemon.client.list()


def test_a_descriptor_and_a_client_are_made_once_in_thousands_of_races(daemon: Any, switching: None) -> None:
    before = len(descriptors())
    seen: list[tuple[int, int]] = []

    class New:
        def __init__(self) -> None:
            self.lock = prwlock.RWLock()
            assert len(set(seen)) <= 1
            seen.clear()

    rounds(3_000, 4, New, lambda new: seen.append((new.lock._fd, id(new.lock.client))))
    gc.collect()
    assert len(descriptors()) <= before + 3


def test_owners_and_books_have_a_word_and_a_key_of_their_own(switching: None) -> None:
    words: list[bytes] = []
    rounds(2_000, 4, lambda: None, lambda _: words.append(_owner.Thread().owner))
    assert len(set(words)) == len(words) == 8_000


def test_loops_in_threads_report_their_own_losses_once(daemon: Any, switching: None) -> None:
    """All loops share one client for asyncio, and each loop runs its own callables."""
    client = aio.Client(daemon.socket)
    told: list[tuple[int, int]] = []
    expected: list[tuple[int, int]] = []

    async def lose() -> None:
        thread = threading.get_ident()
        for _ in range(30):
            grant = await client.acquire(
                f"jobs/{thread}", on_lost=lambda grant: told.append((grant.token, threading.get_ident()))
            )
            expected.append((grant.token, thread))
            await client.revoke(f"jobs/{thread}", grant.token)
            while (grant.token, thread) not in told:
                await asyncio.sleep(0.001)

    threads = [threading.Thread(target=lambda: asyncio.run(lose())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(told) == sorted(expected)
    assert len(told) == 120


def test_a_client_that_is_closed_by_one_loop_is_closed_on_all(daemon: Any) -> None:
    client = aio.Client(daemon.socket)
    is_held, is_closed = threading.Event(), threading.Event()
    lost: list[Exception] = []

    async def hold() -> None:
        grant = await client.acquire("jobs")
        is_held.set()
        while not is_closed.is_set():
            await asyncio.sleep(0.001)
        try:
            await grant.release()
        except prwlock.LockLost as error:
            lost.append(error)

    async def close() -> None:
        await client.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    is_held.wait(60)
    asyncio.run(close())
    wait_until(lambda: not daemon.client.status("jobs").holders)
    is_closed.set()
    thread.join(60)
    assert len(lost) == 1


SERVER = """
import http.client, http.server, sys, threading
from prwlock import RWLock

table, journal = RWLock("table"), RWLock("journal")
counts = {"table": 0, "journal": 0}
inside = {"table": 0, "journal": 0}
faults = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with table.reader_lock(timeout=30):
            self.answer(str(counts["table"]))

    def do_POST(self):
        with table.writer_lock(timeout=30):
            self.change("table")
            with journal.writer_lock(timeout=30):
                self.change("journal")
        self.answer("")

    def change(self, name):
        inside[name] += 1
        if inside[name] != 1:
            faults.append(name)
        before = counts[name]
        counts[name] = before + 1
        inside[name] -= 1

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64


sys.setswitchinterval(1e-6)
server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
gate = threading.Barrier(8)
statuses = []


def browse():
    connection = http.client.HTTPConnection(*server.server_address, timeout=60)
    gate.wait()
    for turn in range(6):
        connection.request("POST" if turn % 2 else "GET", "/")
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()


threads = [threading.Thread(target=browse) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
server.shutdown()
assert statuses == [200] * 48, statuses
assert counts == {"table": 24, "journal": 24}, counts
assert not faults
assert table.nlocks == journal.nlocks == 0
print("done")
"""


def test_a_threaded_web_server_with_two_locks_serves_its_first_requests(run: Callable[..., str]) -> None:
    """Each run begins without a daemon, without a connection and with unused locks."""
    for _ in range(6):
        assert run(SERVER) == "done\n"
