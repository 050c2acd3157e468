"""An exception between any two steps of an acquire leaves neither a grant nor a request behind."""

from __future__ import annotations

import ctypes
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

import prwlock
import pytest

from processes import wait_until
from steps import AtSteps

# Python reports an exception in a finalizer, and ignores it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Interrupt(KeyboardInterrupt):
    pass


class Interrupter(AtSteps):
    """Raises `Interrupt` before the opcodes with these numbers that run in the package's modules."""

    def __init__(self, *steps: int) -> None:
        super().__init__(self._raise, *steps)

    def _raise(self) -> None:
        raise Interrupt

    @property
    def raised(self) -> int:
        return self.called


@pytest.fixture
def is_clean(client: prwlock.Client) -> Callable[[prwlock.RWLock], None]:
    """Checks that the daemon and the object agree about the grants, and that the lock is free to use."""

    def check(lock: prwlock.RWLock) -> None:
        status = client.status(lock.name)
        assert len(status.holders) == lock.nlocks
        assert not status.waiters
        while lock.nlocks:
            lock.release()
        assert lock.try_acquire_write()
        lock.release()

    return check


@pytest.fixture
def uncached(daemon: Any) -> Iterator[prwlock.Client]:
    """A client that requests each lock from the daemon, in many more steps."""
    with prwlock.Client(daemon.socket, cache=False) as client:
        yield client


def until_complete(action: Callable[[], object], is_clean: Callable[[], object], *more: int) -> int:
    """Interrupts an action at its first step, at its second, and so on, until the action has no more steps."""
    step = 1
    while True:
        interrupter = Interrupter(step, *(step + distance for distance in more))
        try:
            with interrupter:
                action()
        except Interrupt:
            pass
        is_clean()
        if not interrupter.raised:
            return step
        step += 1


ACTIONS = {
    "acquire_write": lambda lock: lock.acquire_write(),
    "acquire_read with a timeout": lambda lock: lock.acquire_read(5),
    "try_acquire_write": lambda lock: lock.try_acquire_write(),
    "write": lambda lock: lock.write().release(),
    "reader_lock": lambda lock: lock.reader_lock(1).__enter__(),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_acquire_that_is_interrupted_anywhere_leaves_nothing(
    action: str, is_clean: Any, uncached: prwlock.Client
) -> None:
    lock = prwlock.RWLock(client=uncached)
    is_clean(lock)
    assert until_complete(lambda: ACTIONS[action](lock), lambda: is_clean(lock)) > 100


@pytest.mark.parametrize("distance", [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233])
def test_a_second_interrupt_during_the_clean_up_changes_nothing(
    distance: int, is_clean: Any, uncached: prwlock.Client
) -> None:
    lock = prwlock.RWLock(client=uncached)
    is_clean(lock)
    until_complete(lock.acquire_write, lambda: is_clean(lock), distance)


@pytest.mark.parametrize("distance", [1, 2, 5, 13])
def test_a_thread_that_ends_after_two_interrupts_leaves_nothing(
    distance: int, client: prwlock.Client, uncached: prwlock.Client
) -> None:
    """No later call of the thread can abandon the request."""
    lock = uncached.lock("jobs")
    step = 0
    raised = 1
    while raised:
        step += 1
        interrupter = Interrupter(step, step + distance)

        def work(interrupter: Interrupter = interrupter) -> None:
            # The steps below must end neither in the connecting nor in the thread's first call.
            lock.acquire_write()
            lock.release()
            try:
                with interrupter:
                    lock.acquire_write()
            except Interrupt:
                pass

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        raised = interrupter.raised
        wait_until(lambda: len(client.status("jobs").holders) == lock.nlocks, f"step {step}")
        while lock.nlocks:
            lock.release()


def test_a_wait_that_is_interrupted_anywhere_leaves_nothing(
    peer: Any, client: prwlock.Client, is_clean: Any
) -> None:
    lock = prwlock.RWLock("jobs")
    other = peer()
    assert other.ask("write", "jobs") == "True"

    def wait() -> None:
        assert not lock.acquire_write(0.001)

    def check() -> None:
        wait_until(lambda: not client.status("jobs").waiters)
        assert [holder.pid for holder in client.status("jobs").holders] == [other.pid]
        assert lock.nlocks == 0

    assert until_complete(wait, check) > 100


def test_the_first_acquire_that_is_interrupted_anywhere_leaves_nothing(client: prwlock.Client, daemon: Any) -> None:
    for step in range(1, 100_000, 7):
        own = prwlock.Client(daemon.socket)
        lock = own.lock("jobs")
        interrupter = Interrupter(step)
        try:
            with interrupter:
                lock.acquire_write()
        except Interrupt:
            pass
        assert len(client.status("jobs").holders) == lock.nlocks
        own.close()
        if not interrupter.raised:
            return


def test_an_interrupted_attempt_to_connect_does_not_stop_other_threads(daemon: Any) -> None:
    own = prwlock.Client(daemon.socket)
    for step in range(1, 100_000, 11):
        interrupter = Interrupter(step)
        try:
            with interrupter:
                own.ping()
        except Interrupt:
            pass
        thread = threading.Thread(target=own.ping)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        connection = own._connection
        assert connection is not None
        # The next step must begin without a connection.
        connection.close()
        if not interrupter.raised:
            return


def test_a_release_that_is_interrupted_has_released(client: prwlock.Client, uncached: prwlock.Client) -> None:
    """Or the release has not begun: then the lock reports that it is held."""
    lock = uncached.lock("jobs")
    step = 0
    interrupter = Interrupter(0)
    while step == 0 or interrupter.raised:
        step += 1
        lock.acquire_write()
        interrupter = Interrupter(step)
        try:
            with interrupter:
                lock.release()
        except Interrupt:
            pass
        wait_until(lambda: len(client.status("jobs").holders) == lock.nlocks, f"step {step}")
        while lock.nlocks:
            lock.release()


def test_an_upgrade_that_is_interrupted_leaves_the_grant_as_it_says(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    step = 0
    interrupter = Interrupter(0)
    while step == 0 or interrupter.raised:
        step += 1
        grant = lock.update()
        interrupter = Interrupter(step)
        try:
            with interrupter:
                grant.upgrade(1)
        except Interrupt:
            pass
        (holder,) = client.status("jobs").holders
        assert (holder.mode, holder.token) == (grant.mode, grant.token), f"step {step}"
        grant.release()
        assert not client.status("jobs").holders


@pytest.fixture
def alarms() -> Iterator[None]:
    """Makes the handler of SIGALRM raise."""

    def handle(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, handle)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("contended", [False, True])
def test_thousands_of_signals_leave_nothing(
    contended: bool, alarms: None, client: prwlock.Client, uncached: prwlock.Client, is_clean: Any
) -> None:
    lock = uncached.lock("jobs")
    stop = threading.Event()
    noise = threading.Thread(target=churn, args=(stop,)) if contended else None
    if noise:
        noise.start()
    interrupted = 0
    randomly = random.Random(1)
    try:
        for _ in range(3_000):
            try:
                signal.setitimer(signal.ITIMER_REAL, randomly.uniform(1e-6, 250e-6))
                if lock.acquire_write():
                    lock.release()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                interrupted += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            while lock.nlocks:
                lock.release()
    finally:
        stop.set()
        if noise:
            noise.join()
    assert interrupted > 300
    wait_until(lambda: not client.status("jobs").holders)
    is_clean(lock)


def churn(stop: threading.Event) -> None:
    """Acquires and releases the same lock again and again."""
    lock = prwlock.RWLock("jobs")
    while not stop.is_set():
        with lock.write():
            pass


def test_an_exception_that_another_thread_sets_leaves_nothing(
    client: prwlock.Client, uncached: prwlock.Client, is_clean: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = uncached.lock("jobs")
    raised = 0
    done = threading.Event()

    def work() -> None:
        nonlocal raised
        end = time.monotonic() + 2
        while time.monotonic() < end:
            try:
                lock.acquire_write()
                lock.release()
            except Interrupt:
                raised += 1
            while True:
                try:
                    while lock.nlocks:
                        lock.release()
                    break
                except Interrupt:
                    raised += 1
        done.set()

    thread = threading.Thread(target=quietly, args=(work, done))
    thread.start()
    randomly = random.Random(2)
    # `pytest` has a hook for exceptions in finalizers, and reports an interrupt of that hook as a failure.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    while not done.wait(randomly.uniform(0.0001, 0.002)):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Interrupt))
    thread.join()
    assert raised > 50
    wait_until(lambda: not client.status("jobs").holders)
    is_clean(lock)


def quietly(work: Callable[[], None], done: threading.Event) -> None:
    """Ignores exceptions that are raised after the work."""
    while not done.is_set():
        try:
            work()
        except Interrupt:
            continue
