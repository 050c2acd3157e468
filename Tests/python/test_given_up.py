"""A thread requests a lock again after the daemon did not answer its first request in time."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

import prwlock
import pytest

from processes import wait_until


def calls(thread: int, name: str) -> bool:
    """Returns whether a thread is in a function of that name."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code.co_name == name:
            return True
        frame = frame.f_back
    return False


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_late_grant_does_not_refuse_the_next_request_of_its_thread(
    timeout: Any, daemon: Any, client: prwlock.Client
) -> None:
    lock, own = prwlock.RWLock("jobs"), threading.get_ident()
    assert lock.try_acquire_read()
    lock.release()
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        with pytest.raises(prwlock.DaemonTimeout):
            lock.acquire_write(0.01)

        def go_on() -> None:
            try:
                # It has sent its second request, or waits to do so.
                wait_until(lambda: calls(own, "sleep") or calls(own, "exchange"))
            finally:
                os.kill(daemon.pid, signal.SIGCONT)

        thread = threading.Thread(target=go_on)
        thread.start()
        assert lock.acquire_write(timeout)
        thread.join()
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert len(client.status("jobs").holders) == 1
    lock.release()
    assert not client.status("jobs").holders


def test_the_next_request_has_its_own_timeout(daemon: Any, client: prwlock.Client) -> None:
    lock = prwlock.RWLock("jobs")
    assert lock.try_acquire_read()
    lock.release()
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(prwlock.DaemonTimeout):
                lock.acquire_write(0.01)
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert lock.acquire_write(60)
    lock.release()
    assert not client.status("jobs").holders
