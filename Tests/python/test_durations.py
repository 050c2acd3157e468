"""Timeouts and leases of all kinds: each one is carried out, or refused in the same way by every call."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Callable

import prwlock
import pytest
from prwlock import aio
from prwlock.compat.fasteners import InterProcessLock, InterProcessReaderWriterLock

from loops import Run, until
from processes import wait_until
from threads import Call

#: The longest duration that a daemon accepts, in seconds.
LONGEST = 876_000 * 3_600

NO_TIMEOUTS = {
    "nan": (float("nan"), ValueError),
    "decimal nan": (Decimal("nan"), ValueError),
    "negative": (-0.001, ValueError),
    "a negative duration": (timedelta(-1), ValueError),
    "minus infinity": (float("-inf"), ValueError),
    "a huge negative integer": (-(10**400), ValueError),
    "a huge negative fraction": (Fraction(-(10**400)), ValueError),
    "text": ("1", TypeError),
    "a list": ([1], TypeError),
    "complex": (1j, TypeError),
}

FOR_EVER = [
    float("inf"),
    1e18,
    LONGEST + 1,
    threading.TIMEOUT_MAX,
    10**400,
    timedelta.max,
    Decimal("infinity"),
    Decimal("1e999"),
    Fraction(10**400),
]

NO_LEASES = [
    0,
    0.0,
    timedelta(0),
    -1,
    float("-inf"),
    float("nan"),
    float("inf"),
    1e18,
    LONGEST + 1,
    10**400,
    timedelta.max,
]

#: Each call requests the write lock, or a lock that conflicts with it, with a timeout.
CALLS: dict[str, Callable[[prwlock.RWLock, Any], Any]] = {
    "acquire": lambda lock, timeout: lock.client.acquire(lock.name, "write", timeout),
    "read": lambda lock, timeout: lock.read(timeout),
    "update": lambda lock, timeout: lock.update(timeout),
    "write": lambda lock, timeout: lock.write(timeout),
    "acquire_read": lambda lock, timeout: lock.acquire_read(timeout),
    "acquire_write": lambda lock, timeout: lock.acquire_write(timeout),
    "reader_lock": lambda lock, timeout: lock.reader_lock(timeout).__enter__(),
    "writer_lock": lambda lock, timeout: lock.writer_lock(timeout).__enter__(),
}
AIO_CALLS: dict[str, Callable[[aio.RWLock, Any], Any]] = {
    "acquire": lambda lock, timeout: lock.client.acquire(lock.name, "write", timeout),
    "read": lambda lock, timeout: lock.read(timeout),
    "update": lambda lock, timeout: lock.update(timeout),
    "write": lambda lock, timeout: lock.write(timeout),
    "acquire_read": lambda lock, timeout: lock.acquire_read(timeout),
    "acquire_write": lambda lock, timeout: lock.acquire_write(timeout),
    "reader_lock": lambda lock, timeout: lock.reader_lock(timeout).__aenter__(),
    "writer_lock": lambda lock, timeout: lock.writer_lock(timeout).__aenter__(),
}


def waits_for_ever(client: prwlock.Client) -> bool:
    return [waiter.timeout for waiter in client.status("jobs").waiters] == [None]


@pytest.mark.parametrize("case", NO_TIMEOUTS)
def test_a_timeout_that_is_none_is_refused_by_every_call(case: str, client: prwlock.Client, loop_run: Run) -> None:
    timeout, expected = NO_TIMEOUTS[case]
    lock = prwlock.RWLock("jobs")
    for call in CALLS.values():
        with pytest.raises(expected, match="a timeout"):
            call(lock, timeout)
    with lock.update() as grant, pytest.raises(expected, match="a timeout"):
        grant.upgrade(timeout)

    async def body() -> None:
        own = aio.RWLock("jobs")
        for call in AIO_CALLS.values():
            with pytest.raises(expected, match="a timeout"):
                await call(own, timeout)
        async with own.update() as grant:
            with pytest.raises(expected, match="a timeout"):
                await grant.upgrade(timeout)

    loop_run(body())
    assert lock.nlocks == 0
    assert not client.status("jobs").holders


@pytest.mark.parametrize("timeout", [0, 0.0, True, 1, 0.0001, LONGEST, Decimal("0.5"), Fraction(1, 2), timedelta(1)])
def test_a_timeout_of_any_number(timeout: Any, daemon: Any) -> None:
    lock = prwlock.RWLock()
    assert lock.acquire_write(timeout)
    lock.release()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_infinite_timeout_waits_for_ever(call: Any, client: prwlock.Client) -> None:
    with client.acquire("jobs"):
        waiting = Call(lambda: call(prwlock.RWLock("jobs"), float("inf")))
        wait_until(lambda: waits_for_ever(client))
    assert waiting.result() is not False


@pytest.mark.parametrize("call", AIO_CALLS.values(), ids=AIO_CALLS)
def test_an_infinite_timeout_of_a_task_waits_for_ever(call: Any, client: prwlock.Client, loop_run: Run) -> None:
    async def wait(lock: aio.RWLock) -> Any:
        return await call(lock, float("inf"))

    async def body() -> None:
        lock = aio.RWLock("jobs")
        with client.acquire("jobs"):
            waiting = asyncio.ensure_future(wait(lock))
            await until(lambda: waits_for_ever(client))
        assert await waiting is not False

    loop_run(body())


@pytest.mark.parametrize("timeout", FOR_EVER, ids=str)
def test_a_timeout_that_a_daemon_does_not_accept_waits_for_ever(timeout: Any, client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    with client.acquire("jobs"):
        waiting = Call(lambda: lock.acquire_write(timeout))
        wait_until(lambda: waits_for_ever(client))
    assert waiting.result() is True
    lock.release()
    with lock.update() as grant:
        with client.acquire("jobs", "read"):
            upgrade = Call(lambda: grant.upgrade(timeout))
            wait_until(lambda: waits_for_ever(client))
        upgrade.result()
        assert grant.mode == "write"


def test_a_wait_for_ever_reports_a_deadlock_as_one_without_a_timeout(daemon: Any, loop_run: Run) -> None:
    lock = prwlock.RWLock("jobs")
    with lock.read(), pytest.raises(prwlock.Deadlock):
        lock.acquire_write(float("inf"))

    async def body() -> None:
        own = aio.RWLock("jobs")
        async with own.read():
            with pytest.raises(prwlock.Deadlock):
                await own.acquire_write(float("inf"))

    loop_run(body())


@pytest.mark.parametrize("lease", NO_LEASES, ids=str)
def test_a_lease_that_is_none_is_refused_by_every_call(lease: Any, client: prwlock.Client, loop_run: Run) -> None:
    lock = prwlock.RWLock("jobs")
    for acquire in (lock.read, lock.update, lock.write):
        with pytest.raises(ValueError, match="a lease"):
            acquire(lease=lease)
    with lock.write(lease=60) as grant, pytest.raises(ValueError, match="a lease"):
        grant.renew(lease)

    async def body() -> None:
        own = aio.RWLock("jobs")
        for acquire in (own.read, own.update, own.write):
            with pytest.raises(ValueError, match="a lease"):
                acquire(lease=lease)
        async with own.write(lease=60) as grant:
            with pytest.raises(ValueError, match="a lease"):
                await grant.renew(lease)

    loop_run(body())
    assert not client.status("jobs").holders


def test_the_longest_lease_is_accepted(client: prwlock.Client) -> None:
    with prwlock.RWLock("jobs").write(lease=LONGEST) as grant:
        grant.renew(LONGEST)
        assert grant.is_valid()


@pytest.mark.parametrize("timeout", [float("inf"), threading.TIMEOUT_MAX, 1e100])
def test_timeouts_of_fasteners_wait_for_ever_too(timeout: float, home: Any, client: prwlock.Client) -> None:
    one, both = InterProcessLock(home / "one"), InterProcessReaderWriterLock(home / "both")
    for lock, acquire in ((one, one.acquire), (both, both.acquire_read_lock), (both, both.acquire_write_lock)):
        with client.acquire(lock._lock.name):
            waiting = Call(lambda acquire=acquire: acquire(timeout=timeout))  # type: ignore[misc]
            wait_until(lambda lock=lock: lock._lock.status().waiters)
        assert waiting.result() is True
        lock._give_back()
