"""For pytest: the fixture `prwlock_daemon`, a lock daemon of the test's own.

    def test_export(prwlock_daemon):
        with prwlock.RWLock("export").write():
            ...
        assert not prwlock_daemon.client.list()

All clients of the test, and the processes that it starts, find this daemon and no other (``PRWLOCK_SOCKET``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._private_daemon import PrivateDaemon


@pytest.fixture
def prwlock_daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateDaemon]:
    """A lock daemon of the test's own: `socket`, `pid`, `client`, `kill()`, `restart()`; it ends with the test."""
    from ._private_daemon import PrivateDaemon

    with PrivateDaemon() as daemon:
        monkeypatch.setenv("PRWLOCK_SOCKET", daemon.socket)
        yield daemon
