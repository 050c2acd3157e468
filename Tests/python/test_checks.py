"""An exception where Python runs signal handlers: out of an acquire, there is no grant, and none is left by a block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import prwlock
import pytest

from steps import AtChecks


class Interrupt(KeyboardInterrupt):
    pass


def interrupt() -> None:
    raise Interrupt


@pytest.fixture
def own(daemon: Any) -> Iterator[prwlock.Client]:
    with prwlock.Client(daemon.socket) as own:
        yield own


def used(lock: prwlock.RWLock, mode: str) -> prwlock.RWLock:
    """Returns the lock after some use: cached, if there is an extension."""
    for _ in range(3):
        assert lock.acquire_read() if mode == "read" else lock.acquire_write()
        lock.release()
    return lock


def within(lock: prwlock.RWLock, mode: str) -> None:
    with lock.reader_lock() if mode == "read" else lock.writer_lock():
        pass


ACTIONS: dict[str, Callable[[prwlock.RWLock, str], object]] = {
    "acquire": lambda lock, mode: lock.acquire_read() if mode == "read" else lock.acquire_write(),
    "timeout": lambda lock, mode: lock.acquire_read(5) if mode == "read" else lock.acquire_write(5),
    "try": lambda lock, mode: lock.try_acquire_read() if mode == "read" else lock.try_acquire_write(),
    "with": within,
}


#: How the lock was used before. A thread that holds it is refused it for writing.
STATES = [(state, mode) for state in ("new", "used", "taken") for mode in ("read", "write")] + [("held", "read")]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("state", "mode"), STATES)
def test_nothing_is_acquired_by_a_call_that_raises(
    state: str, action: str, mode: str, client: prwlock.Client, own: prwlock.Client
) -> None:
    check = raised = 1
    used(own.lock("other"), mode)
    while raised:
        name = f"jobs/{check}"
        lock = own.lock(name) if state == "new" else used(own.lock(name), mode)
        if state == "taken":
            # By the session of another client. A cached grant is gone.
            client.acquire(name, timeout=5).release()
        if state == "held":
            lock.acquire_read()
        before = lock.nlocks
        checks = AtChecks(interrupt, check)
        try:
            with checks:
                ACTIONS[action](lock, mode)
        except Interrupt:
            assert lock.nlocks == before, f"check {check}"
        raised = checks.called
        assert len(client.status(name).holders) == lock.nlocks, f"check {check}"
        while lock.nlocks:
            lock.release()
        assert lock.acquire_write(5)
        lock.release()
        assert not client.status(name).holders
        check += 1
    assert check > 2
