"""Listings: status, locks, sessions, changes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import prwlock
import pytest

from processes import wait_until


def test_status_names_holders_and_waiters_in_order(client: prwlock.Client, peer: Any) -> None:
    holder, reader, writer = peer(), peer(), peer()
    assert holder.ask("write", "jobs") == "True"
    reader.tell("read", "jobs", "100")
    wait_until(lambda: len(client.status("jobs").waiters) == 1)
    writer.tell("write", "jobs")
    wait_until(lambda: len(client.status("jobs").waiters) == 2)
    status = client.status("jobs")
    assert [(row.pid, row.mode) for row in status.holders] == [(holder.pid, "write")]
    assert [(row.pid, row.mode, row.timeout) for row in status.waiters] == [
        (writer.pid, "write", None),
        # The time that was left when the line was sent.
        (reader.pid, "read", pytest.approx(100, abs=30)),
    ]
    assert status.holders[0].lease is None
    assert status.holders[0].age >= 0
    assert prwlock.status("nobody's").holders == ()


def test_a_list_goes_over_pages_and_names_of_all_kinds(client: prwlock.Client) -> None:
    names = sorted((f"page/{number:04}" for number in range(2_500)), key=str.encode)
    grants = [client.acquire(name, "read") for name in names]
    assert [row.name for row in client.list("page/")] == names
    assert [row.name for row in prwlock.list("page/240")] == [name for name in names if name.startswith("page/240")]
    first = client.list("page/")[0]
    assert (first.mode, first.holders, first.waiters, first.owner_died) == ("read", 1, 0, False)
    for grant in grants:
        grant.release()
    assert client.list() == []


def test_sessions_and_counters(client: prwlock.Client) -> None:
    with client.acquire("jobs"):
        (own,) = [row for row in client.sessions() if row.grants == 1]
        assert own.pid == os.getpid()
        assert own.uid == os.geteuid()
        assert own.client is not None
        assert own.client.startswith("python:")
    assert client.stats()
    client.ping()


def test_a_watch_reports_every_change(client: prwlock.Client) -> None:
    with client.watch("job") as changes:
        with prwlock.RWLock("jobs").write() as grant:
            pass
        with prwlock.RWLock("mail").write():
            pass
        with prwlock.RWLock("jobber").read():
            pass
        seen = [next(changes) for _ in range(3)]
        assert seen == [
            prwlock.Change("jobs", "granted", os.getpid(), "write", grant.token),
            prwlock.Change("jobs", "released", os.getpid(), "write", grant.token),
            prwlock.Change("jobber", "granted", os.getpid(), "read", grant.token + 2),
        ]


def test_a_watch_that_is_closed_elsewhere_ends(client: prwlock.Client) -> None:
    changes = client.watch()
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.extend(changes))
    thread.start()
    with client.acquire("jobs"):
        pass
    wait_until(lambda: len(seen) == 2)
    changes.close()
    thread.join()


def test_a_watch_reports_the_end_of_its_daemon(daemon: Any) -> None:
    changes = prwlock.watch()
    daemon.kill()
    with pytest.raises(prwlock.DaemonUnavailable, match="went away"):
        next(changes)


def test_two_clients_are_two_sessions(daemon: Any) -> None:
    with prwlock.Client() as one, prwlock.Client(daemon.socket) as two:
        grant = one.acquire("jobs", "write")
        with pytest.raises(prwlock.WouldBlock):
            two.acquire("jobs", "write", timeout=0)
        grant.release()
        assert "Client at" in repr(two)
        assert two.path == daemon.socket
        assert two.lock("jobs").client is two


DROPS = """
import gc, prwlock
gc.disable()
client = prwlock.Client()
client.acquire("jobs").release()
client.itself = client
del client
gc.collect()
"""


def test_a_client_that_is_dropped_in_a_cycle_ends_its_session_without_a_warning(daemon: Any) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", DROPS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
