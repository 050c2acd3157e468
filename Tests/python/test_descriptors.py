"""A process that has no descriptor left for a connection."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EMFILE
from pathlib import Path
from typing import Any

import prwlock
import pytest
from prwlock import _book, _watch, aio

from loops import Run
from processes import descriptors

#: Modules that are loaded late, which takes a descriptor.
_LOADED = (_book, _watch)


@contextmanager
def none_left() -> Iterator[None]:
    """Takes all descriptors that this process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The exceptions that finalizers have raised."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    return seen


def test_a_thread_gets_an_error_of_the_package(daemon: Any, unraisable: list[Any]) -> None:
    client = prwlock.Client()
    before = len(descriptors())
    with none_left():
        for call in (
            client.ping,
            lambda: client.acquire("jobs"),
            lambda: client.lock("jobs").acquire_read(1),
            lambda: client.acquire("jobs", timeout=0),
            client.watch,
        ):
            with pytest.raises(prwlock.DaemonUnavailable, match="open files") as caught:
                call()
            assert isinstance(caught.value.__cause__, OSError)
            assert caught.value.__cause__.errno == EMFILE
    assert not unraisable
    assert len(descriptors()) == before
    client.ping()
    client.close()


def test_a_task_gets_an_error_of_the_package(loop_run: Run, daemon: Any, unraisable: list[Any]) -> None:
    async def body() -> None:
        async with aio.Client() as client:
            with none_left():
                for call in (
                    client.ping,
                    lambda: client.acquire("jobs"),
                    lambda: client.lock("jobs").try_acquire_write(),
                    lambda: client.watch().__aenter__(),
                ):
                    with pytest.raises(prwlock.DaemonUnavailable, match="open files"):
                        await call()
            async with client.acquire("jobs"):
                pass

    loop_run(body())
    assert not unraisable


def test_no_daemon_is_started(home: Path, unraisable: list[Any]) -> None:
    with prwlock.Client() as client:
        with none_left(), pytest.raises(prwlock.DaemonUnavailable, match="open files"):
            client.ping()
        client.ping()
    assert not unraisable
