"""Grants: tokens, leases, changes of mode, losses."""

from __future__ import annotations

import concurrent.futures
import errno
import logging
import multiprocessing
import pickle
import threading
from typing import Any

import prwlock
import pytest

from processes import wait_until


def test_a_grant_says_what_it_is(client: prwlock.Client) -> None:
    with prwlock.RWLock("jobs").write(note="nightly backup") as grant:
        (holder,) = client.status("jobs").holders
        assert (grant.name, grant.mode, grant.token) == ("jobs", "write", holder.token)
        assert grant.owner == holder.owner
        assert holder.note == "nightly backup"
        assert grant.is_held
        assert grant.is_valid()
        assert not grant.owner_died
        assert "held" in repr(grant)
    assert not grant.is_held
    assert not grant.is_valid()


def test_tokens_rise_over_all_locks(daemon: Any) -> None:
    """G7."""
    tokens = []
    for name in ("a", "b", "a"):
        with prwlock.RWLock(name).read() as grant:
            tokens.append(grant.token)
    assert tokens == sorted(set(tokens))


def test_a_grant_is_released_by_any_thread(client: prwlock.Client) -> None:
    grant = prwlock.RWLock("jobs").write()
    thread = threading.Thread(target=grant.release)
    thread.start()
    thread.join()
    assert not client.status("jobs").holders


def test_a_grant_that_is_collected_is_released(client: prwlock.Client) -> None:
    prwlock.RWLock("jobs").write()
    wait_until(lambda: not client.status("jobs").holders)


def test_an_updater_becomes_the_writer_with_no_writer_in_between(client: prwlock.Client, peer: Any) -> None:
    """G10."""
    other = peer()
    assert other.ask("read", "jobs") == "True"
    with prwlock.RWLock("jobs").update() as grant:
        before = grant.token
        with pytest.raises(prwlock.WouldBlock) as caught:
            grant.upgrade(0)
        assert (grant.mode, grant.token) == ("update", before)
        assert [held.pid for held in caught.value.held_by] == [other.pid]
        other.tell("release", "jobs")
        grant.upgrade(60)
        assert grant.mode == "write"
        assert grant.token > before
        assert other.answer() == "done"
        grant.downgrade("update")
        grant.downgrade()
        assert grant.mode == "read"
        assert other.ask("read", "jobs", "0") == "True"


def test_of_two_readers_that_upgrade_the_second_is_refused(daemon: Any) -> None:
    """G10."""
    lock = prwlock.RWLock("jobs")
    modes: list[str] = []

    def first() -> None:
        with lock.read() as grant:
            grant.upgrade()
            modes.append(grant.mode)

    with lock.read() as grant:
        thread = threading.Thread(target=first)
        thread.start()
        wait_until(lambda: lock.status().waiters)
        with pytest.raises(prwlock.Deadlock):
            grant.upgrade()
    thread.join()
    assert modes == ["write"]


def test_who_is_in_the_way_is_named(daemon: Any, peer: Any) -> None:
    other = peer()
    assert other.ask("write", "jobs") == "True"
    lock = prwlock.RWLock("jobs")
    with pytest.raises(prwlock.WouldBlock) as would_block:
        lock.read(0)
    with pytest.raises(prwlock.AcquireTimeout, match=f"{other.pid}/write") as timeout:
        lock.read(0.01)
    for error in (would_block.value, timeout.value):
        assert error.held_by == (prwlock.HeldBy(other.pid, "write"),)
        assert isinstance(error, TimeoutError)
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.held_by, str(copy)) == (type(error), error.held_by, str(error))
    assert isinstance(would_block.value, BlockingIOError)
    assert (would_block.value.errno, timeout.value.errno) == (errno.EBUSY, errno.ETIMEDOUT)


def test_a_circle_of_threads_is_named(daemon: Any) -> None:
    """G8."""
    a, b = prwlock.RWLock("a"), prwlock.RWLock("b")
    a.acquire_write()

    def other() -> None:
        with b.writer_lock(), a.writer_lock():
            pass

    thread = threading.Thread(target=other)
    thread.start()
    wait_until(lambda: a.status().waiters)
    with pytest.raises(prwlock.Deadlock) as caught:
        b.acquire_write()
    assert {hop.name for hop in caught.value.cycle} == {"a", "b"}
    assert len({hop.owner for hop in caught.value.cycle}) == 2
    assert caught.value.errno == errno.EDEADLK
    a.release()
    thread.join()


def wait_in_vain(name: str) -> None:
    prwlock.RWLock(name).write(timeout=0)


def test_a_refusal_comes_through_a_pool_as_it_is(daemon: Any) -> None:
    with prwlock.RWLock("jobs").write():
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            error = pool.submit(wait_in_vain, "jobs").exception(60)
    assert isinstance(error, prwlock.WouldBlock)
    assert error.held_by[0].mode == "write"


def test_a_lease_that_expires_raises_at_the_end_of_the_block(daemon: Any, caplog: pytest.LogCaptureFixture) -> None:
    """G9."""
    lock = prwlock.RWLock("jobs")
    caplog.set_level(logging.WARNING, logger="prwlock")
    with pytest.raises(prwlock.LockLost) as caught, lock.write(lease=0.01) as grant:
        wait_until(lambda: not grant.is_valid())
        assert not grant.is_held
    assert caught.value.reason == "expired"
    assert "its lease ended" in caplog.text
    with lock.write() as grant:
        assert grant.owner_died


def test_a_loss_is_not_hidden_by_another_exception(daemon: Any) -> None:
    with pytest.raises(prwlock.LockLost) as caught, prwlock.RWLock("jobs").write(lease=0.01) as grant:
        wait_until(lambda: not grant.is_valid())
        raise KeyError
    assert isinstance(caught.value.__context__, KeyError)


def test_a_lease_is_renewed(daemon: Any) -> None:
    with prwlock.RWLock("jobs").write(lease=60) as grant:
        grant.renew(3600)
        (holder,) = prwlock.status("jobs").holders
        assert holder.lease is not None
        assert holder.lease > 3000
        grant.renew()
    with prwlock.RWLock("jobs").write() as grant, pytest.raises(prwlock.ProtocolError, match="missing-argument"):
        grant.renew()


def test_a_change_of_a_grant_that_is_lost(daemon: Any) -> None:
    grant = prwlock.RWLock("jobs").write(lease=0.01)
    wait_until(lambda: not grant.is_valid())
    for change in (grant.renew, grant.downgrade, grant.release):
        with pytest.raises(prwlock.LockLost):
            change()


def test_a_loss_is_reported_once(daemon: Any) -> None:
    told: list[prwlock.Grant] = []
    heard = threading.Event()

    def on_lost(grant: prwlock.Grant) -> None:
        told.append(grant)
        # The callable may make a request, while other threads use the connection.
        prwlock.RWLock("other").status()
        heard.set()

    lock = prwlock.RWLock("jobs")
    released = lock.write(on_lost=on_lost)
    released.release()
    grant = lock.write(lease=0.05, on_lost=on_lost)
    assert heard.wait(60)
    assert told == [grant]
    for _ in range(100):
        with prwlock.RWLock("mail").write():
            pass
    with pytest.raises(prwlock.LockLost):
        grant.release()
    assert told == [grant]


@pytest.mark.parametrize("end", ["kill", "revoke", "close"])
def test_a_loss_of_any_other_kind_is_reported_too(end: str, daemon: Any) -> None:
    client = prwlock.Client()
    heard = threading.Event()
    grant = client.acquire("jobs", on_lost=lambda grant: heard.set())
    if end == "kill":
        daemon.kill()
    elif end == "revoke":
        daemon.client.revoke("jobs", grant.token)
    else:
        client.close()
    assert heard.wait(60)
    with pytest.raises(prwlock.LockLost) as caught:
        grant.release()
    assert caught.value.reason == ("revoked" if end == "revoke" else "connection")


def test_a_fault_in_on_lost_does_no_harm(daemon: Any, caplog: pytest.LogCaptureFixture) -> None:
    heard = threading.Event()

    def fail(grant: prwlock.Grant) -> None:
        raise RuntimeError("oh")

    lock = prwlock.RWLock("jobs")
    grants = [lock.read(lease=0.02, on_lost=fail), lock.read(lease=0.05, on_lost=lambda _: heard.set())]
    assert heard.wait(60)
    assert "oh" in caplog.text
    for grant in grants:
        with pytest.raises(prwlock.LockLost):
            grant.release()


def test_revocation_needs_a_grant(client: prwlock.Client) -> None:
    grant = prwlock.RWLock("jobs").write()
    assert client.validate("jobs", grant.token)
    client.revoke("jobs", grant.token)
    assert not client.validate("jobs", grant.token)
    with pytest.raises(prwlock.LockLost):
        client.revoke("jobs", grant.token)
    with pytest.raises(prwlock.LockLost, match="revoked"):
        grant.release()


def test_the_drop_in_says_so_too(client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    lock.acquire_write()
    (holder,) = client.status("jobs").holders
    client.revoke("jobs", holder.token)
    with pytest.raises(prwlock.LockLost, match="revoked"):
        lock.release()
    assert lock.nlocks == 0
