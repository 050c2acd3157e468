"""Losses of locks in the standard library's shapes, and which holders another process may release."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import prwlock
import pytest
from prwlock.compat import FileLock, Lock, MultiprocessingLock

OWNERS = ["hold.12.4026531836", "hold.12", "t1.2", "t1", "plain", "plain.t1", "explain.t1.2", "plain.t1.2.3"]


@pytest.mark.parametrize("owner", OWNERS)
def test_another_owner_than_a_plain_lock_is_not_released(owner: str, daemon: Any, client: prwlock.Client) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(daemon.socket)
        with other.makefile("rw") as lines:
            lines.write(f"WRITE jobs owner={owner}\n")
            lines.flush()
            assert any(line.startswith("GRANTED jobs") for line in lines)
            with pytest.raises(ValueError, match="too many times"):
                MultiprocessingLock("jobs").release()
            assert [holder.owner for holder in client.status("jobs").holders] == [owner]


@pytest.mark.parametrize("is_thread_local", [True, False])
def test_a_lock_of_filelock_is_not_released(is_thread_local: bool, home: Path, client: prwlock.Client) -> None:
    with FileLock(home / "jobs", thread_local=is_thread_local):
        name = client.list()[0].name
        with pytest.raises(ValueError, match="too many times"):
            MultiprocessingLock(name).release()
        assert client.status(name).holders


def test_a_plain_lock_is_released(client: prwlock.Client) -> None:
    for kind in (Lock, MultiprocessingLock):
        holder = kind("jobs")
        holder.acquire()
        MultiprocessingLock("jobs").release()
        assert not client.list()
        with pytest.raises(prwlock.LockLost):
            holder.release()
