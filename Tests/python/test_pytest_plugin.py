"""The fixture that pytest's users get."""

from __future__ import annotations

from typing import Any

import prwlock
import pytest
from prwlock import DaemonUnavailable
from prwlock._private_daemon import PrivateDaemon

pytest_plugins = ["pytester"]


def test_each_test_has_a_daemon_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, prwlock, pytest

        seen = []

        @pytest.mark.parametrize("turn", range(2))
        def test_one(turn, prwlock_daemon):
            assert os.environ["PRWLOCK_SOCKET"] == prwlock_daemon.socket
            assert prwlock_daemon.socket not in seen
            seen.append(prwlock_daemon.socket)
            with prwlock.RWLock("jobs").write() as grant:
                assert grant.token == 1
                assert [lock.name for lock in prwlock_daemon.client.list()] == ["jobs"]

        def test_nothing_is_left():
            assert "PRWLOCK_SOCKET" not in os.environ
            assert not any(os.path.exists(os.path.dirname(socket)) for socket in seen)
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_to_load_it_costs_nothing(run: Any) -> None:
    program = "import sys, prwlock.pytest_plugin; print('socket' in sys.modules or 'prwlock._client' in sys.modules)"
    baseline = run("import sys, pytest; print('socket' in sys.modules)").strip()
    assert run(program).strip() == baseline


def test_it_is_restarted_and_killed(prwlock_daemon: PrivateDaemon) -> None:
    with prwlock.RWLock("jobs").write() as grant:
        pass
    first = prwlock_daemon.pid
    prwlock_daemon.restart()
    assert prwlock_daemon.pid != first
    with prwlock.RWLock("jobs").write() as after:
        assert after.token > grant.token
    prwlock_daemon.kill()
    with pytest.raises(DaemonUnavailable):
        prwlock.RWLock("jobs").write()
    prwlock_daemon.restart()
    with prwlock.RWLock("jobs").write():
        pass


def test_wrong_options_are_reported() -> None:
    with pytest.raises(DaemonUnavailable, match="nonsense"):
        PrivateDaemon("--nonsense")
