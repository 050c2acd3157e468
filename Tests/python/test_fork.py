"""Processes that fork, and processes that die."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
from typing import Any, Callable

import prwlock
import pytest

from processes import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def in_child(body: Callable[[], object], fork: Callable[[], int] = os.fork) -> int:
    """Runs a function in a forked child, and returns the child's exit status: 0 if the function returned."""
    process = fork()
    if process == 0:
        status = 1
        try:
            body()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def raw_fork() -> int:
    """Forks as a library written in C does, without Python's fork handlers."""
    return ctypes.PyDLL(None).fork()


@pytest.mark.parametrize("fork", [os.fork, raw_fork])
def test_a_child_holds_nothing_of_its_parents(fork: Callable[[], int], client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    lock.acquire_write()

    def child() -> None:
        assert lock.nlocks == 0
        assert lock.pid == os.getpid()
        with pytest.raises(ValueError, match="not held"):
            lock.release()
        assert lock.try_acquire_read() is False

    assert in_child(child, fork) == 0
    assert lock.nlocks == 1
    assert [holder.pid for holder in client.status("jobs").holders] == [os.getpid()]
    lock.release()


@pytest.mark.parametrize("fork", [os.fork, raw_fork])
def test_a_child_has_a_session_of_its_own(fork: Callable[[], int], client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    lock.acquire_read()

    def child() -> None:
        assert lock.acquire_read()
        holders = [holder.pid for holder in prwlock.status("jobs").holders]
        assert holders == [os.getppid(), os.getpid()]
        lock.release()

    assert in_child(child, fork) == 0
    # The parent's connection still works, and the child has written nothing to it.
    assert [holder.pid for holder in prwlock.status("jobs").holders] == [os.getpid()]
    lock.release()


def test_a_grant_of_the_parents_is_not_the_childs_to_release(client: prwlock.Client) -> None:
    grant = prwlock.RWLock("jobs").write()

    def child() -> None:
        assert not grant.is_held
        with pytest.raises(ValueError, match="parent"):
            grant.release()
        with pytest.raises(ValueError, match="parent"):
            grant.downgrade()

    assert in_child(child) == 0
    assert grant.is_held
    grant.release()


def test_a_fork_within_a_block_leaves_the_lock_to_the_parent(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")

    def child() -> None:
        with pytest.raises(ValueError, match="not held"), lock.writer_lock():
            os.environ["INSIDE"] = "1"
            if os.fork() == 0:
                # The grandchild leaves the block that its parent is in.
                return
            raise SystemExit

    with lock.writer_lock():
        process = os.fork()
        if process == 0:
            os._exit(0 if lock.nlocks == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        assert len(client.status("jobs").holders) == 1
    assert not client.status("jobs").holders


def test_a_hold_does_not_depend_on_a_child_that_lives_on(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    lock.acquire_write()
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    lock.release()
    assert not client.status("jobs").holders
    assert lock.try_acquire_write()
    lock.release()
    os.close(write)
    os.waitpid(process, 0)


ENDS = {
    "os._exit": "os._exit(3)",
    "kill -9": "os.kill(os.getpid(), 9)",
    "a crash": "ctypes.string_at(0)",
    "an exception": "raise RuntimeError",
    "its end": "pass",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("leaves_child", [False, True])
def test_a_process_that_dies_releases(end: str, leaves_child: bool, run: Any, client: prwlock.Client) -> None:
    """G6, G11: the next holder learns that a writer died."""
    child = "if os.fork() == 0: os.close(1); os.close(2); os.read(read, 1); os._exit(0)" if leaves_child else ""
    read, write = os.pipe()
    os.set_inheritable(read, True)
    program = f"""
import ctypes, os, sys, prwlock
read = {read}
lock = prwlock.RWLock("jobs")
lock.acquire_write()
{child}
print("held", flush=True)
{ENDS[end]}
"""
    process = os.spawnve(os.P_NOWAIT, sys.executable, [sys.executable, "-c", program], dict(os.environ))
    os.waitpid(process, 0)
    os.close(read)
    with prwlock.RWLock("jobs").write(timeout=60) as grant:
        assert grant.owner_died
    os.close(write)
    with prwlock.RWLock("jobs").write() as grant:
        assert not grant.owner_died


def test_a_fork_while_another_thread_waits_leaves_it_waiting(client: prwlock.Client, peer: Any) -> None:
    lock = prwlock.RWLock("jobs")
    other = peer()
    assert other.ask("write", "jobs") == "True"
    thread = threading.Thread(target=lock.acquire_write)
    thread.start()
    wait_until(lambda: client.status("jobs").waiters)

    def child() -> None:
        assert lock.nlocks == 0
        assert lock.acquire_read(0.01) is False
        assert prwlock.RWLock("other").try_acquire_write()

    assert in_child(child) == 0
    assert other.ask("release", "jobs") == "done"
    thread.join()
    assert lock.nlocks == 1
    lock.release()


def test_children_that_are_killed_in_the_middle_do_not_disturb_the_parent(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    for _ in range(20):
        process = os.fork()
        if process == 0:
            while True:
                lock.acquire_write()
                lock.release()
        assert lock.acquire_write()
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        lock.release()
    wait_until(lambda: not client.status("jobs").holders and not client.status("jobs").waiters)


def test_a_child_closes_its_copy_and_the_parents_session_goes_on(daemon: Any) -> None:
    lock = prwlock.RWLock("jobs")

    def sockets() -> int:
        count = 0
        for number in os.listdir("/proc/self/fd"):
            try:
                count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
            except OSError:
                continue
        return count

    # Other tests may have left sockets, such as those within an event loop.
    before = sockets()
    lock.acquire_write()
    assert sockets() > before

    def child() -> None:
        assert sockets() <= before

    assert in_child(child) == 0
    lock.release()


def test_a_session_ends_by_more_than_a_close(client: prwlock.Client, daemon: Any) -> None:
    """A child has a copy of the descriptor, so closing it does not end the session."""
    own = prwlock.Client(daemon.socket)
    own.acquire("jobs")
    connection = own._connection
    assert connection is not None
    copy = socket.socket(fileno=os.dup(connection._socket.fileno()))
    own.close()
    assert not client.status("jobs").holders
    copy.close()
