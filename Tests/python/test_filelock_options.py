"""The options of filelock's locks: each one is carried out or refused, and singletons compare them."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import prwlock
import pytest
from prwlock.compat import filelock
from prwlock.compat.filelock import (
    AsyncFileLock,
    AsyncReadWriteLock,
    AsyncSoftFileLock,
    BaseFileLock,
    FileLock,
    ReadWriteLock,
    SoftFileLock,
    StrictSoftFileLock,
    UnixFileLock,
)

EXCLUSIVE = [FileLock, SoftFileLock, StrictSoftFileLock, AsyncFileLock, AsyncSoftFileLock]
READ_WRITE = [ReadWriteLock, AsyncReadWriteLock]


def test_the_names_are_those_of_the_original() -> None:
    assert FileLock is UnixFileLock
    assert AsyncFileLock is filelock.AsyncUnixFileLock
    assert issubclass(AsyncFileLock, filelock.BaseAsyncFileLock)
    assert issubclass(filelock.BaseAsyncFileLock, BaseFileLock)
    assert not issubclass(FileLock, SoftFileLock)
    for name in filelock.__all__:
        assert hasattr(filelock, name)


@pytest.mark.parametrize("kind", EXCLUSIVE + READ_WRITE)
@pytest.mark.parametrize("path", [None, 7, ["x"]])
def test_what_is_no_path_is_refused(kind: Any, path: Any) -> None:
    with pytest.raises(TypeError):
        kind(path)


@pytest.mark.parametrize("kind", EXCLUSIVE + READ_WRITE)
@pytest.mark.parametrize("is_singleton", [False, True])
def test_an_unknown_option_is_refused(kind: Any, is_singleton: bool, home: Path) -> None:
    if is_singleton:
        assert kind(home / "x", is_singleton=True)
    for option in ("time_out", "poll_intervall", "prefer_soft", "retries"):
        with pytest.raises(TypeError, match=option):
            kind(home / "x", is_singleton=is_singleton, **{option: 1})


def test_an_unknown_option_of_a_call_is_refused(home: Path) -> None:
    for call, option in (
        (FileLock(home / "x").acquire, "time_out"),
        (FileLock(home / "x").release, "wait"),
        (ReadWriteLock(home / "x").acquire_read, "cancel_check"),
        (ReadWriteLock(home / "x").read_lock, "poll_interval"),
        (AsyncFileLock(home / "x").acquire, "poll_intervall"),
    ):
        with pytest.raises(TypeError, match=option):
            call(**{option: 1})  # type: ignore[operator]


@pytest.mark.parametrize("kind", EXCLUSIVE)
@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"timeout": "1"}, TypeError, "timeout must be a number of seconds, not str"),
        ({"timeout": True}, TypeError, "not bool"),
        ({"timeout": None}, TypeError, "not NoneType"),
        ({"timeout": 10**400}, ValueError, "too large"),
        ({"blocking": 1}, TypeError, "blocking must be a bool, not int"),
        ({"poll_interval": -1}, ValueError, "finite and non-negative"),
        ({"poll_interval": math.inf}, ValueError, "finite and non-negative"),
        ({"poll_interval": math.nan}, ValueError, "finite and non-negative"),
        ({"poll_interval": threading.TIMEOUT_MAX * 2}, ValueError, "TIMEOUT_MAX"),
        ({"poll_interval": "1"}, TypeError, "poll_interval must be a number"),
        ({"mode": "644"}, TypeError, "mode must be an int"),
        ({"mode": 0o1000}, ValueError, "must be within"),
        ({"mode": 0o444}, ValueError, "must grant the owner read and write"),
        ({"lifetime": -1}, ValueError, "lifetime must be finite and non-negative"),
        ({"lifetime": math.inf}, ValueError, "lifetime must be finite"),
        ({"lifetime": "1"}, TypeError, "lifetime must be a number"),
        ({"context_error_policy": "both"}, ValueError, "must be 'chain' or 'group', got 'both'"),
        ({"close_error_policy": None}, ValueError, "must be 'default', 'raise', or 'suppress'"),
    ],
)
def test_an_impossible_value_is_refused(
    kind: Any, options: dict[str, Any], error: type[Exception], text: str, home: Path
) -> None:
    with pytest.raises(error, match=text):
        kind(home / "x", **options)


@pytest.mark.parametrize("kind", [SoftFileLock, StrictSoftFileLock, AsyncSoftFileLock])
@pytest.mark.parametrize("options", [{"on_acquired": print}, {"preserve_lock_file": True}])
def test_a_soft_lock_refuses_what_only_a_native_one_can_do(kind: Any, options: dict[str, Any], home: Path) -> None:
    with pytest.raises(ValueError, match="is not supported by"):
        kind(home / "x", **options)


def test_impossible_values_of_a_call_are_refused(home: Path, daemon: Any) -> None:
    lock = FileLock(home / "x")
    for options, error in (
        ({"timeout": math.nan}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"blocking": 0}, TypeError),
        ({"poll_interval": -1}, ValueError),
    ):
        with pytest.raises(error):
            lock.acquire(**options)  # type: ignore[arg-type]
    both = ReadWriteLock(home / "rw")
    for timeout, error in ((-2, ValueError), (math.nan, ValueError), (True, TypeError)):
        with pytest.raises(error):
            both.acquire_read(timeout)
    assert both.acquire_read(-2, blocking=False)
    both.release()
    # A call that does not wait may have any number.
    with lock.acquire(math.nan, blocking=False):
        pass
    for name, value in (("timeout", True), ("blocking", 1), ("poll_interval", -1), ("lifetime", -1)):
        with pytest.raises((TypeError, ValueError)):
            setattr(lock, name, value)


def test_deprecated_spellings_warn(home: Path, daemon: Any) -> None:
    lock = FileLock(home / "x")
    with pytest.deprecated_call(match="poll_interval instead of poll_intervall") as caught:
        lock.acquire(poll_intervall=0.01)
    assert caught[0].filename == __file__
    lock.release()
    with pytest.deprecated_call(match="from a string"):
        lock.timeout = "3"  # type: ignore[assignment]
    assert lock.timeout == 3


def test_a_lifetime_that_is_ignored_warns_its_caller(home: Path) -> None:
    for kind in (FileLock, AsyncFileLock, StrictSoftFileLock):
        with pytest.warns(UserWarning, match=f"lifetime is ignored for {kind.__name__}") as caught:
            assert kind(home / "x", lifetime=5).lifetime is None
        assert caught[0].filename == __file__
    for kind, other in ((SoftFileLock, "SoftFileLease"), (AsyncSoftFileLock, "AsyncSoftFileLease")):
        with pytest.warns(filelock.SoftFileLockLifetimeWarning, match=f"use {other} for expiry") as caught:
            assert kind(home / "x", lifetime=5).lifetime == 5
        assert caught[0].filename == __file__


# What the options do


def test_a_file_gets_its_mode(home: Path, daemon: Any) -> None:
    before = os.umask(0o077)
    try:
        with FileLock(home / "native", mode=0o664) as lock, SoftFileLock(home / "soft", mode=0o664):
            assert (lock.mode, lock.has_explicit_mode) == (0o664, True)
            assert os.stat(home / "native").st_mode & 0o777 == 0o664
            assert os.stat(home / "soft").st_mode & 0o777 == 0o600
        with FileLock(home / "plain") as lock:
            assert (lock.mode, lock.has_explicit_mode) == (0o644, False)
            assert os.stat(home / "plain").st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_a_file_that_cannot_get_its_mode_is_an_error(home: Path, client: prwlock.Client) -> None:
    (home / "no folder").write_text("")
    for kind in (FileLock, SoftFileLock):
        with kind(home / "no folder" / "x"):
            pass
        with pytest.raises(OSError, match="no folder"):
            kind(home / "no folder" / "x", mode=0o600).acquire()
    assert not client.list()


def test_on_acquired_gets_an_open_file_once(home: Path, client: prwlock.Client) -> None:
    path, got = home / "x", []
    path.write_text("longer than the new content")

    def note(descriptor: int) -> None:
        assert client.list()[0].mode == "write"
        os.write(descriptor, b"new")
        got.append(descriptor)

    lock = FileLock(path, on_acquired=note)
    with lock, lock:
        assert os.fstat(got[0]).st_ino == path.stat().st_ino
    assert len(got) == 1
    assert path.read_text() == "new"
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(got[0])


def test_a_failed_on_acquired_releases(home: Path, client: prwlock.Client) -> None:
    def fail(descriptor: int) -> None:
        lock.acquire()
        raise KeyError(descriptor)

    lock = FileLock(home / "x", on_acquired=fail)
    with pytest.raises(KeyError) as caught:
        lock.acquire()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(caught.value.args[0])
    assert not lock.is_locked
    assert not client.list()


@pytest.mark.parametrize("force", [False, True])
def test_on_acquired_cannot_release(force: bool, home: Path, client: prwlock.Client) -> None:
    lock = FileLock(home / "x", on_acquired=lambda _: lock.release(force))
    with pytest.raises(RuntimeError, match="acquire of it is still running"):
        lock.acquire()
    assert not client.list()


@pytest.mark.parametrize("policy", ["default", "raise", "suppress"])
def test_an_error_of_closing_follows_its_policy(policy: Any, home: Path, client: prwlock.Client) -> None:
    lock = FileLock(home / "x", close_error_policy=policy, on_acquired=os.close)
    lock.acquire()
    if policy == "raise":
        with pytest.raises(OSError, match="descriptor"):
            lock.release()
    else:
        lock.release()
    assert not lock.is_locked
    assert not client.list()


@pytest.mark.parametrize("is_by_proxy", [False, True])
def test_the_error_of_a_release_follows_that_of_the_body(is_by_proxy: bool, home: Path, daemon: Any) -> None:
    body = KeyError("body")
    lock = FileLock(home / "x")
    with pytest.raises(prwlock.LockLost) as caught, lock.acquire() if is_by_proxy else lock:
        SoftFileLock(home / "x").break_lock()
        raise body
    assert caught.value.__context__ is body


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs exception groups")
@pytest.mark.parametrize("is_by_proxy", [False, True])
def test_the_errors_of_body_and_release_are_grouped(is_by_proxy: bool, home: Path, daemon: Any) -> None:
    body = KeyError("body")
    lock = FileLock(home / "x", context_error_policy="group")
    caught = pytest.raises(Exception, match="lock body and release both failed")
    with caught as info, lock.acquire() if is_by_proxy else lock:
        SoftFileLock(home / "x").break_lock()
        raise body
    first, second = info.value.exceptions  # type: ignore[attr-defined]
    assert first is body
    assert isinstance(second, prwlock.LockLost)
    assert (first.__context__, second.__context__) == (None, None)


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="has exception groups")
def test_groups_are_refused_where_python_has_none(home: Path) -> None:
    with pytest.raises(ValueError, match=r"needs the exception groups of Python 3\.11"):
        FileLock(home / "x", context_error_policy="group")


# Subclasses


def test_a_subclass_may_narrow_and_add_options(home: Path, daemon: Any) -> None:
    class Narrow(FileLock):
        def __init__(self, lock_file: Any, timeout: float = -1, *, colour: str = "red") -> None:
            super().__init__(lock_file, timeout)
            self.colour = colour

    with Narrow(home / "x", 3, colour="blue", poll_interval=0.05) as lock:
        assert (lock.timeout, lock.colour) == (3, "blue")
    with pytest.raises(TypeError, match="Narrow does not support non-default lock options: poll_interval"):
        Narrow(home / "x", poll_interval=0.1)


def test_another_way_to_lock_is_refused(home: Path, daemon: Any) -> None:
    class Other(BaseFileLock):
        def _acquire(self) -> None:
            pass

        def _release(self) -> None:
            pass

    with pytest.raises(NotImplementedError, match=r"Other\._acquire"):
        Other(home / "x").acquire()
    with pytest.raises(TypeError, match="abstract"):
        BaseFileLock(home / "x")  # type: ignore[abstract]


# Singletons

DIFFERENT: dict[str, Any] = {
    "timeout": 2,
    "mode": 0o600,
    "thread_local": False,
    "blocking": False,
    "poll_interval": 1,
    "context_error_policy": "group" if sys.version_info >= (3, 11) else "chain",
    "close_error_policy": "raise",
    "fallback_to_soft": False,
    "preserve_lock_file": True,
    "on_acquired": print,
}


@pytest.mark.parametrize("option", DIFFERENT)
def test_a_singleton_compares_its_options(option: str, home: Path) -> None:
    lock = FileLock(home / "x", is_singleton=True)
    assert lock.is_singleton
    for same in ({}, {"timeout": -3}, {"timeout": math.inf}):
        assert FileLock(str(home / "x"), is_singleton=True, **same) is lock
    assert FileLock(home / "x") is not lock
    if option == "context_error_policy" and DIFFERENT[option] == "chain":
        return
    with pytest.raises(ValueError, match=f"differing arguments\nNon-matching arguments: \n\t{option} "):
        FileLock(home / "x", is_singleton=True, **{option: DIFFERENT[option]})


def test_a_singleton_is_not_initialised_twice(home: Path, daemon: Any) -> None:
    made = []

    class Counted(FileLock):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            made.append(self)
            super().__init__(*arguments, **options)

    lock = Counted(home / "x", is_singleton=True)
    with lock, Counted(home / "x", is_singleton=True):
        assert lock.lock_counter == 2
    assert len(made) == 1
    assert FileLock(home / "x", is_singleton=True) is not lock
    del lock, made[:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Counted(home / "x", 7, is_singleton=True).timeout == 7


def test_a_singleton_is_found_from_another_folder(home: Path, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "run")
    lock = FileLock("x", is_singleton=True)
    with lock:
        monkeypatch.chdir(home / "tmp")
        assert FileLock(home / "run" / "x", is_singleton=True) is lock
        assert FileLock("x", is_singleton=True) is not lock
    assert FileLock(home / "run" / "x", is_singleton=True) is not lock


def test_an_asynchronous_singleton_compares_its_loop_and_executor(home: Path) -> None:
    lock = AsyncFileLock(home / "x", is_singleton=True)
    assert AsyncFileLock(home / "x", is_singleton=True) is lock
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as pool:
        for options in ({"loop": loop}, {"executor": pool}, {"run_in_executor": False}):
            with pytest.raises(ValueError, match=f"{next(iter(options))} \\(existing lock has"):
                AsyncFileLock(home / "x", is_singleton=True, **options)
    loop.close()
    with pytest.raises(ValueError, match="run_in_executor is not supported when thread_local is True"):
        AsyncFileLock(home / "x", thread_local=True)


def test_a_reader_writer_singleton_compares_its_options(home: Path) -> None:
    lock = ReadWriteLock(home / "x")
    assert ReadWriteLock.get_lock(str(home / "x")) is lock
    assert ReadWriteLock(home / "x", math.inf) is lock
    assert ReadWriteLock(home / "x", is_singleton=False) is not lock
    for options in ({"timeout": 3}, {"timeout": -2}, {"blocking": False}):
        for kind in (ReadWriteLock, AsyncReadWriteLock):
            with pytest.raises(ValueError, match="cannot be changed to"):
                kind(home / "x", **options)  # type: ignore[arg-type]
