"""A plugin for pytest: leaves out the tests of filelock that are named in a variable, and starts a daemon."""

from __future__ import annotations

import os
from typing import Optional

import pytest
from prwlock._private_daemon import PrivateDaemon
from prwlock.compat.filelock._engine import _engine

_daemon: Optional[PrivateDaemon] = None


def pytest_configure() -> None:
    global _daemon
    _daemon = PrivateDaemon().__enter__()
    os.environ["PRWLOCK_SOCKET"] = _daemon.socket
    # It begins now: asyncio logs that, and some tests compare the whole log.
    assert _engine.loop.is_running


def pytest_unconfigure() -> None:
    if _daemon is not None:
        _daemon.__exit__(None, None, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    names = set(os.environ["LEFT_OUT"].split())
    there = {item.nodeid.partition("[")[0].rpartition("/")[2] for item in items}
    assert names <= there, f"there are no such tests: {names - there}"
    items[:] = [item for item in items if item.nodeid.partition("[")[0].rpartition("/")[2] not in names]
