"""A participant of `prwlock-bench peers` that uses a Python package: PEER INDEX FOLDER [WHERE].

It speaks the lines of CPeers.h and has the same rules. WHERE is the server's socket, folder or port, or the folder of
the original prwlock. A PEER that this interpreter lacks is answered by `missing` and the way to install it.
"""

from __future__ import annotations

import base64
import http.client
import json
import mmap
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import repeat
from typing import Any, NamedTuple

# As in serve.c.
_SHORT_CHUNK = 20_000
_LONG_CHUNK = 100_000
_LONGEST_CHUNK = {"write": 1 << 20, "read": 1 << 20, "turns": 1, "mixed": 16}
_WAKE_EARLY = 100_000

_PATIENCE = 20  # seconds for a server to start


class Lock(NamedTuple):
    """The calls of a lock, and the version of its package. Without a way to read, readers exclude each other."""

    version: str
    write: Callable[[], object]
    release_write: Callable[[], object]
    read: Callable[[], object] | None = None
    release_read: Callable[[], object] | None = None


class Missing(Exception):
    """The peer cannot be measured here; says what to install."""


class Part:
    """Makes pairs of an acquire and a release."""

    def __init__(self, lock: Lock, folder: str, index: int) -> None:
        self._write, self._release_write = lock.write, lock.release_write
        self._read = lock.read or lock.write
        self._release_read = lock.release_read or lock.release_write
        file = os.open(f"{folder}/turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(file, 4096)
        self._last = memoryview(mmap.mmap(file, 4096)).cast("Q")
        self._own = index + 1
        self._place = 5 * (index % 2)
        self._pairs = {"write": self._writes, "read": self._reads, "turns": self._turns, "mixed": self._mixed}

    def window(self, kind: str, begin: int, length: int) -> tuple[int, int]:
        """Carries out one order. Returns how many pairs count, and the time that they took."""
        pairs, longest, clock = self._pairs[kind], _LONGEST_CHUNK[kind], time.monotonic_ns
        time.sleep(max(0, begin - _WAKE_EARLY - clock()) / 1e9)
        while clock() < begin:
            pass
        start = last = clock()
        end, chunk, count = begin + length, 1, 0
        while last < end:
            made = pairs(chunk)
            then, last = last, clock()
            if kind == "turns" and last > end:
                last = end
                break
            count += made
            if last - then < _SHORT_CHUNK and chunk < longest:
                chunk *= 2
            elif last - then > _LONG_CHUNK and chunk > 1:
                chunk //= 2
        return count, last - start

    def _writes(self, count: int) -> int:
        acquire, release = self._write, self._release_write
        for _ in repeat(None, count):
            acquire()
            release()
        return count

    def _reads(self, count: int) -> int:
        acquire, release = self._read, self._release_read
        for _ in repeat(None, count):
            acquire()
            release()
        return count

    def _turns(self, count: int) -> int:
        acquire, release, last, own = self._write, self._release_write, self._last, self._own
        counted = 0
        for _ in repeat(None, count):
            acquire()
            counted += last[0] != own
            last[0] = own
            release()
        return counted

    def _mixed(self, count: int) -> int:
        place = self._place
        for _ in repeat(None, count):
            place += 1
            if place == 10:
                place = 0
                self._write()
                self._release_write()
            else:
                self._read()
                self._release_read()
        self._place = place
        return count


def _prwlock(peer: str) -> Lock:
    """This project's package; its socket is that of PRWLOCK_SOCKET."""
    is_cached = peer == "python-cached"
    prwlock = _imported("prwlock", "pip install Sources/python, this project's package")
    if prwlock.__version__.startswith("0."):
        raise Missing("this project's package: here, prwlock is the original (--original is for that)")
    if is_cached and not _can_cache():
        raise Missing("this project's package with its extension module, which caches grants")
    lock = prwlock.Client(cache=is_cached).lock(peer)
    return Lock(prwlock.__version__, lock.acquire_write, lock.release, lock.acquire_read, lock.release)


def _can_cache() -> bool:
    try:
        cached = import_module("prwlock._cached")
    except ImportError:
        return False
    return bool(cached.is_possible())


def _original(folder: str, index: int, where: str) -> Lock:
    """The original, prwlock 0.4. The first participant's lock is a file without a name."""
    if where == "":
        raise Missing("pip install --target FOLDER 'prwlock<1', and --original FOLDER")
    sys.path.insert(0, where)
    prwlock = _imported("prwlock", f"pip install --target {where} 'prwlock<1'")
    if not prwlock.__version__.startswith("0."):
        raise Missing(f"in {where} is not the original")
    if index == 0:
        lock = prwlock.RWLock()
        with open(f"{folder}/file", "w", encoding="ascii") as file:
            file.write(f"/proc/{os.getpid()}/fd/{lock.__getstate__()['_fd']}")
    else:
        with open(f"{folder}/file", encoding="ascii") as file:
            descriptor = os.open(file.read(), os.O_RDWR)
        lock = prwlock.RWLock.__new__(prwlock.RWLock)
        lock.__setstate__({"_fd": descriptor, "pid": 0, "nlocks": 0})
    return Lock(prwlock.__version__, lock.acquire_write, lock.release, lock.acquire_read, lock.release)


def _fasteners(folder: str) -> Lock:
    lock = _imported("fasteners", "pip install fasteners").InterProcessReaderWriterLock(f"{folder}/file")
    return Lock(
        _version("fasteners"),
        lock.acquire_write_lock,
        lock.release_write_lock,
        lock.acquire_read_lock,
        lock.release_read_lock,
    )


def _filelock(folder: str) -> Lock:
    lock = _imported("filelock", "pip install filelock").FileLock(f"{folder}/file")
    return Lock(_version("filelock"), lock.acquire, lock.release)


def _filelock_read_write(folder: str) -> Lock:
    filelock = _imported("filelock", "pip install filelock")
    if not hasattr(filelock, "ReadWriteLock"):
        raise Missing("pip install 'filelock>=3.21'")
    lock = filelock.ReadWriteLock(f"{folder}/file")
    return Lock(_version("filelock"), lock.acquire_write, lock.release, lock.acquire_read, lock.release)


def _redis(where: str) -> Lock:
    redis = _imported("redis", "pip install redis")
    if where == "":
        raise Missing("apt-get install redis-server")
    lock = redis.Redis(unix_socket_path=where).lock("peers", timeout=30)
    return Lock(_version("redis"), lock.acquire, lock.release)


def _postgresql(where: str) -> Lock:
    psycopg2 = _imported("psycopg2", "pip install psycopg2-binary")
    if where == "":
        raise Missing("apt-get install postgresql")
    connection = _patiently(
        lambda: psycopg2.connect(host=where, user="bench", dbname="postgres"), psycopg2.OperationalError
    )
    connection.autocommit = True
    execute = connection.cursor().execute
    return Lock(
        f"{connection.server_version // 10000}.{connection.server_version % 10000}",
        lambda: execute("SELECT pg_advisory_lock(1)"),
        lambda: execute("SELECT pg_advisory_unlock(1)"),
        lambda: execute("SELECT pg_advisory_lock_shared(1)"),
        lambda: execute("SELECT pg_advisory_unlock_shared(1)"),
    )


def _etcd(where: str) -> Lock:
    """etcd's service of locks, by its JSON gateway. The lease is the participant's."""
    if where == "":
        raise Missing("apt-get install etcd-server")
    connection = http.client.HTTPConnection("127.0.0.1", int(where))

    def call(service: str, **arguments: object) -> Any:
        connection.request("POST", f"/v3/{service}", json.dumps(arguments).encode())
        response = connection.getresponse()
        answer = response.read()
        if response.status != http.client.OK:
            raise OSError(f"etcd: {response.status} {answer.decode(errors='replace').strip()}")
        return json.loads(answer)

    def grant() -> Any:
        connection.close()
        return call("lease/grant", TTL=3600)["ID"]

    lease = _patiently(grant, OSError)
    connection.request("GET", "/version")
    version = json.loads(connection.getresponse().read())["etcdserver"]
    name = base64.b64encode(b"peers").decode()
    held = ""

    def acquire() -> None:
        nonlocal held
        held = call("lock/lock", name=name, lease=lease)["key"]

    def release() -> None:
        call("lock/unlock", key=held)

    return Lock(version, acquire, release)


def _imported(module: str, install: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise Missing(f"{install} ({error})") from None


def _patiently(attempt: Callable[[], Any], refused: type[Exception]) -> Any:
    """The result of an attempt that fails until its server has started."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return attempt()
        except refused:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _open(peer: str, index: int, folder: str, where: str) -> Lock:
    if peer in ("python-cached", "python"):
        return _prwlock(peer)
    if peer == "original":
        return _original(folder, index, where)
    if peer == "fasteners":
        return _fasteners(folder)
    if peer == "filelock":
        return _filelock(folder)
    if peer == "filelock-rw":
        return _filelock_read_write(folder)
    if peer == "redis":
        return _redis(where)
    if peer == "postgresql":
        return _postgresql(where)
    if peer == "etcd":
        return _etcd(where)
    raise SystemExit(f"no peer {peer}")


def _say(line: str) -> None:
    print(line, flush=True)


def main(peer: str, index: str, folder: str, where: str = "") -> int:
    try:
        lock = _open(peer, int(index), folder, where)
        lock.write()
        lock.release_write()
    except Missing as missing:
        _say(f"missing {missing}")
        return 0
    part = Part(lock, folder, int(index))
    _say(f"ready {lock.version}")
    for order in sys.stdin:
        _, kind, begin, length = order.split()
        count, elapsed = part.window(kind, int(begin), int(length))
        _say(f"did {count} {elapsed}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
