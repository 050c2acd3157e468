"""A value that is made at its first use is made once, and a check and the change that follows are one step.

A thread stops before each of its steps in the package in turn, while another thread does the same thing. This covers
every place where threads can switch once. In `test_switching`, threads begin together thousands of times.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import prwlock
import pytest
from prwlock import _owner, _session, aio
from prwlock._location import Location
from prwlock._private_daemon import PrivateDaemon
from prwlock.compat import FileLock, Lock, ReadWriteLock, RLock
from prwlock.compat.fasteners import InterProcessReaderWriterLock

from processes import descriptors, wait_until
from races import Race


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
    """The client that replaces a closed one."""

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
    """The connection that replaces a broken one."""

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
    """Each thread takes its own grant."""

    def make(self) -> None:
        self.lock = prwlock.RWLock("jobs")

    def prepare(self) -> None:
        assert self.lock.acquire_read()

    def first(self) -> Any:
        grant = self.lock._own_book.take()
        assert grant._thread is _owner.threads.own
        return grant

    def check(self) -> None:
        # The thread that stops may be the first one that acquired.
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
    """Releases that finalizers queued are sent with the next request of any thread."""

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
        wait_until(lambda: not self.daemon.client.list("later/"))
        assert self.client._connection is not None
        assert self.client._connection.is_settled
        self.client.close()


class Listening(Race):
    """Each grant's loss is reported once."""

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
        return lock, lock._context

    def check(self) -> None:
        assert self.results[0] == self.results[1]


class HeldTogether(Race):
    """A filelock lock that threads hold together counts each of them."""

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
    """A lock that two threads read through one object is free when both have released."""

    def make(self) -> None:
        self.lock = ReadWriteLock(self.home / "read")

    def first(self) -> Any:
        self.lock.acquire_read()
        self.lock.release()

    def check(self) -> None:
        assert not self.errors
        assert not self.daemon.client.list("file:")


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
        assert not self.daemon.client.list("file:")


class Mutex(Race):
    """Of two threads that release a lock that is held once, one gets the error of the original."""

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


def test_a_connection_of_a_closed_client_is_not_left(daemon: Any) -> None:
    """Either thread may be first: the one that closes the client, or the one that connects."""

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
