"""All calls that take a timeout, made at the same time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable
from typing import Any, Callable

import prwlock
from prwlock import aio
from prwlock.compat import (
    FileLock,
    Lock,
    MultiprocessingLock,
    MultiprocessingRLock,
    ReadWriteLock,
    RLock,
    SoftFileLock,
)
from prwlock.compat.fasteners import InterProcessLock, InterProcessReaderWriterLock

#: The timeout of the calls, and how long they may take.
TIME = 0.3
MOST = 4.0

#: Each call gets a client and the name of a lock, and requests the lock with a timeout of `TIME` at most.
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

#: The interfaces of other packages: each call gets a path or name, and returns whether it acquired the lock.
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
    "filelock.FileLock together": lambda path: FileLock(path, thread_local=False).acquire(timeout=TIME),
    "filelock.FileLock with cancel_check": lambda path: FileLock(path).acquire(TIME, cancel_check=lambda: False),
    "filelock.SoftFileLock": lambda path: SoftFileLock(path).acquire(timeout=TIME),
    "filelock reader": lambda path: ReadWriteLock(path).acquire_read(timeout=TIME),
    "filelock writer": lambda path: ReadWriteLock(path).acquire_write(blocking=False),
}


class Clock:
    """How long a ``with`` block takes, without the time for which the machine is too busy to run this process.

    A thread that only sleeps measures that time: by how much each of its naps is too long.
    """

    _NAP = 0.01

    def __enter__(self) -> Clock:
        self._begin = time.monotonic()
        self._late = 0.0
        self._is_over = threading.Event()
        self._napper = threading.Thread(target=self._nap)
        self._napper.start()
        return self

    def _nap(self) -> None:
        now = self._begin
        while not self._is_over.wait(self._NAP):
            before, now = now, time.monotonic()
            self._late += max(0.0, now - before - 2 * self._NAP)

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._begin - self._late
        self._is_over.set()
        self._napper.join()


class Ended:
    """How a call ended."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def __repr__(self) -> str:
        return repr(self.outcome)


def all_at_once(calls: dict[str, Callable[[], Any]]) -> dict[str, Ended]:
    """Makes each call in a thread, all at the same time."""
    ended: dict[str, Ended] = {}

    def make(name: str, call: Callable[[], Any]) -> None:
        try:
            outcome = call()
        except Exception as error:
            outcome = error
        ended[name] = Ended(outcome)

    threads = [threading.Thread(target=make, args=item) for item in calls.items()]
    with Clock() as clock:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert ended.keys() == calls.keys(), calls.keys() - ended.keys()
    assert clock.seconds < MOST, ended
    return ended


def all_in_a_loop(socket: str, is_known: bool, change: Callable[[], None], name: str) -> dict[str, Ended]:
    """Makes the calls for asyncio as tasks of one loop. If `is_known`, the client connects before the change."""
    ended: dict[str, Ended] = {}

    async def make(call: str, client: aio.Client) -> None:
        try:
            outcome = await AIO_CALLS[call](client, f"{name}/{call}")
        except prwlock.LockError as error:
            outcome = error
        ended[call] = Ended(outcome)

    async def body() -> None:
        client = aio.Client(socket)
        if is_known:
            await client.ping()
        change()
        await asyncio.gather(*(make(call, client) for call in AIO_CALLS))
        await client.close()

    # The end of the loop must not wait either.
    with Clock() as clock:
        asyncio.run(body())
    assert ended.keys() == AIO_CALLS.keys()
    assert clock.seconds < MOST, ended
    return ended
