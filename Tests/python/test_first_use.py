"""What is made at its first use is made once, and what is looked at and then changed is changed in one step.

Two kinds of test. In the first, a thread stops before each of its steps in the package in turn, and another thread does
the same thing meanwhile: every place where threads can switch once is tried. In the second, threads begin together
thousands of times, and switch as often as the interpreter can.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import prwlock
import pytest
from prwlock import _owner, _session, aio
from prwlock._location import Location
from prwlock._private_daemon import PrivateDaemon
from prwlock.compat import FileLock, Lock, ReadWriteLock, RLock
from prwlock.compat.fasteners import InterProcessReaderWriterLock

from processes import descriptors, wait_until
from steps import AtSteps

#: How long a thread stands still while another runs, if that cannot end before.
STILL = 0.004


class Race:
    """What two threads do with something new, and what must be true of it afterwards.

    `first` is what both do; what it returns is in `results`, and what it raises in `errors`.
    """

    results: list[Any]
    errors: list[BaseException]

    def __init__(self, daemon: Any, home: Path) -> None:
        self.daemon = daemon
        self.home = home

    def make(self) -> None:
        raise NotImplementedError

    def first(self) -> Any:
        raise NotImplementedError

    def check(self) -> None:
        """By default: both got the same thing."""
        one, other = self.results
        assert one is other

    def run(self, step: int) -> bool:
        """Whether there was such a step."""
        self.make()
        self.results = []
        self.errors = []
        stopped = threading.Event()
        done = threading.Event()

        def do() -> None:
            try:
                self.results.append(self.first())
            except Exception as error:
                self.errors.append(error)

        def second() -> None:
            self.prepare()
            stopped.wait()
            do()
            done.set()

        def stop() -> None:
            stopped.set()
            done.wait(STILL)

        steps = AtSteps(stop, step)

        def one() -> None:
            self.prepare()
            with steps:
                do()
            stopped.set()

        threads = [threading.Thread(target=one), threading.Thread(target=second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), f"step {step}"
        self.check()
        return bool(steps.called)

    def prepare(self) -> None:
        """What each thread does before."""


class Book(Race):
    """Both acquire, and afterwards one thread can release both."""

    def make(self) -> None:
        self.lock = prwlock.RWLock("jobs")

    def first(self) -> Any:
        return self.lock.acquire_read()

    def check(self) -> None:
        assert self.results == [True, True]
        assert self.lock.nlocks == 2
        self.lock.release()
        self.lock.release()


class Descriptor(Race):
    def make(self) -> None:
        self.lock = prwlock.RWLock()
        self.before = len(descriptors())

    def first(self) -> Any:
        return self.lock._fd

    def check(self) -> None:
        assert self.results[0] == self.results[1]
        assert len(descriptors()) == self.before + 1


class SharedClient(Race):
    number = 0

    def make(self) -> None:
        SharedClient.number += 1
        self.location = Location(f"/nowhere/{self.number}")

    def first(self) -> Any:
        return prwlock.Client._at(self.location)


class ClosedClient(SharedClient):
    """The one that takes the place of a closed one."""

    def make(self) -> None:
        super().make()
        prwlock.Client._at(self.location).close()

    def check(self) -> None:
        super().check()
        assert not self.results[0]._is_closed


class AioClient(SharedClient):
    def first(self) -> Any:
        return aio.Client._at(self.location)


class FirstConnection(Race):
    def make(self) -> None:
        self.client = prwlock.Client(self.daemon.socket)

    def first(self) -> Any:
        self.client.ping()
        return self.client._connection

    def check(self) -> None:
        super().check()
        wait_until(lambda: len(self.daemon.client.sessions()) == 2)
        self.client.close()


class NextConnection(FirstConnection):
    """The one that takes the place of a broken one."""

    def make(self) -> None:
        super().make()
        self.client.ping()
        assert self.client._connection is not None
        self.client._connection.close()


class Numbers(Race):
    def make(self) -> None:
        self.owner = _owner

    def first(self) -> Any:
        return self.owner.Thread().owner

    def check(self) -> None:
        assert self.results[0] != self.results[1]


class Take(Race):
    """Each thread takes out what it put in."""

    def make(self) -> None:
        self.lock = prwlock.RWLock("jobs")

    def prepare(self) -> None:
        assert self.lock.acquire_read()

    def first(self) -> Any:
        grant = self.lock._own_book.take()
        assert grant._thread is _owner.threads.own
        return grant

    def check(self) -> None:
        # The thread that stops may be the first that has acquired.
        assert not self.errors
        assert self.lock.nlocks == 0


class Release(Race):
    """Of two threads that release one grant, one has released it."""

    def make(self) -> None:
        self.grant = prwlock.RWLock("jobs").write()

    def first(self) -> Any:
        return self.grant.release()

    def check(self) -> None:
        assert self.results == [None]
        assert [type(error) for error in self.errors] == [prwlock.NotHeld]


class Later(Race):
    """What finalizers left to be sent is sent, with whichever request comes next."""

    def make(self) -> None:
        self.client = prwlock.Client(self.daemon.socket)
        grants = [self.client.acquire(f"later/{number}", "read") for number in range(6)]
        most = _session.MOST_UNANSWERED
        _session.MOST_UNANSWERED = 0
        grants.clear()
        _session.MOST_UNANSWERED = most

    def first(self) -> Any:
        self.client.ping()

    def check(self) -> None:
        wait_until(lambda: not list(self.daemon.client.list("later/")))
        assert self.client._connection is not None
        assert self.client._connection.is_settled
        self.client.close()


class Listening(Race):
    """Each is told of its own loss, once."""

    def make(self) -> None:
        self.client = prwlock.Client(self.daemon.socket)
        self.told: list[int] = []
        self.grants: list[prwlock.Grant] = []

    def first(self) -> Any:
        on_lost = lambda grant: self.told.append(grant.token)  # noqa: E731
        self.grants.append(self.client.acquire("jobs", "read", on_lost=on_lost))

    def check(self) -> None:
        for grant in self.grants:
            self.daemon.client.revoke("jobs", grant.token)
        tokens = sorted(grant.token for grant in self.grants)
        wait_until(lambda: sorted(self.told) == tokens)
        self.client.close()


class PathSingleton(Race):
    number = 0

    def make(self) -> None:
        PathSingleton.number += 1
        self.path = self.home / f"lock-{self.number}"

    def first(self) -> Any:
        return ReadWriteLock(self.path)


class FileSingleton(PathSingleton):
    def first(self) -> Any:
        lock = FileLock(self.path, is_singleton=True, thread_local=False)
        return lock, lock._hold

    def check(self) -> None:
        assert self.results[0] == self.results[1]


class HeldTogether(Race):
    """A lock of the shape of filelock that threads hold together counts each of them."""

    def make(self) -> None:
        self.lock = FileLock(self.home / "together", thread_local=False)
        self.lock.acquire()

    def first(self) -> Any:
        self.lock.acquire()

    def check(self) -> None:
        assert self.lock.lock_counter == 3
        for _ in range(3):
            self.lock.release()
        assert not self.lock.is_locked


class ReadTogether(Race):
    """What is read through one object by two threads is free when both have released."""

    def make(self) -> None:
        self.lock = ReadWriteLock(self.home / "read")

    def first(self) -> Any:
        self.lock.acquire_read()
        self.lock.release()

    def check(self) -> None:
        assert not self.errors
        assert not list(self.daemon.client.list("file:"))


class Fasteners(Race):
    def make(self) -> None:
        self.lock = InterProcessReaderWriterLock(self.home / "fasteners")

    def first(self) -> Any:
        assert self.lock.acquire_read_lock()
        assert self.lock.acquire_read_lock()
        self.lock.release_read_lock()
        self.lock.release_read_lock()

    def check(self) -> None:
        assert not self.errors
        assert not list(self.daemon.client.list("file:"))


class Mutex(Race):
    """Of two threads that release what is held once, one gets the error of the shape's original."""

    def make(self) -> None:
        self.lock = Lock()
        self.lock.acquire()

    def first(self) -> Any:
        self.lock.release()

    def check(self) -> None:
        assert self.results == [None]
        assert [type(error) for error in self.errors] == [RuntimeError]


class Recursive(Race):
    def make(self) -> None:
        self.lock = RLock()

    def first(self) -> Any:
        with self.lock, self.lock:
            pass

    def check(self) -> None:
        assert not self.errors
        assert self.lock._lock.nlocks == 0


class DaemonsClient(Race):
    def make(self) -> None:
        self.private = PrivateDaemon.__new__(PrivateDaemon)
        self.private.__dict__.update(self.daemon.__dict__, _clients={})

    def first(self) -> Any:
        return self.private.client


RACES = [race for race in globals().values() if isinstance(race, type) and issubclass(race, Race) and race is not Race]


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.__name__)
def test_two_threads_that_are_first_together_switch_anywhere(race: type[Race], daemon: Any, home: Path) -> None:
    subject = race(daemon, home)
    step = 1
    while subject.run(step):
        step += 1
    assert step > 1


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads switch as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def rounds(number: int, count: int, make: Callable[[], Any], body: Callable[[Any], None]) -> None:
    """Has so many threads begin together, so many times, each time with something new."""
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
    assert not list(daemon.client.list())


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


def test_loops_in_threads_are_told_of_their_own_losses_once(daemon: Any, switching: None) -> None:
    """A client for asyncio that all of them share tells each on its own loop."""
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


def test_a_connection_of_a_closed_client_is_not_left(daemon: Any) -> None:
    """Whichever of them is first: the thread that closes it, or the one that connects."""

    class Closing(Race):
        def make(self) -> None:
            self.client = prwlock.Client(self.daemon.socket)
            self.turn = iter((self.client.ping, self.client.close))

        def first(self) -> Any:
            next(self.turn)()

        def check(self) -> None:
            assert all(isinstance(error, prwlock.LockError) for error in self.errors)
            wait_until(lambda: len(self.daemon.client.sessions()) == 1)

    race = Closing(daemon, Path())
    step = 1
    while race.run(step):
        step += 1


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
    """Each run begins with nothing: no daemon, no connection, no lock that was used before."""
    for _ in range(6):
        assert run(SERVER) == "done\n"
