"""The contenders of `bench`. Each one acquires and releases a lock that has no other user."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from time import monotonic, sleep
from typing import Any, Callable, NamedTuple, Optional

from ._cached import is_possible
from ._client import Client
from ._rwlock import RWLock

MODES = ("write", "read")
_ORIGINAL = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import prwlock
assert prwlock.__version__.startswith("0."), prwlock.__file__
lock = prwlock.RWLock()
acquire, release = getattr(lock, "acquire_" + sys.argv[2]), lock.release
def pair():
    acquire()
    release()
for line in sys.stdin:
    end, taken, now = time.perf_counter() + float(line), [], time.perf_counter()
    while now < end:
        pair()
        then, now = now, time.perf_counter()
        taken.append(now - then)
    print(json.dumps(taken[: 20000]), flush=True)
"""


class Contender(NamedTuple):
    """A pair of acquire and release that is measured in turns with others."""

    name: str
    pair: Callable[[], object]
    #: Measures for so many seconds, for a pair that this process cannot call; returns the durations in seconds.
    measure: Optional[Callable[[float], list[float]]] = None


def prwlock_pairs(cached: Client, uncached: Client) -> list[Contender]:
    """Returns this package's locks. A lock is cached from its second acquisition on, if there is the extension."""
    pairs = [_pair("prwlock, not cached", uncached.lock("bench"), "write")]
    if is_possible():
        pairs += [_pair(f"prwlock, cached, {mode}", cached.lock(f"bench/{mode}"), mode) for mode in MODES]
    return pairs


def _pair(name: str, lock: RWLock, mode: str) -> Contender:
    acquire, release = getattr(lock, f"acquire_{mode}"), lock.release

    def pair() -> None:
        acquire()
        release()

    return Contender(name, pair)


def echo_pair(path: str, name: str) -> Contender:
    """Returns two bare round trips with lines of the same length as those of the pair."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    send, receive = connection.send, connection.recv
    write = b"#123456 WRITE bench owner=t1\n"
    release = b"#123457 RELEASE bench token=123456\n"

    def pair() -> None:
        send(write)
        receive(16_384)
        send(release)
        receive(16_384)

    return Contender(name, pair)


def await_listener(path: str, server: subprocess.Popen[bytes]) -> None:
    """Waits until a server accepts connections. Its socket file exists a moment earlier."""
    end = monotonic() + 10
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                return
        if server.poll() is not None or monotonic() > end:
            raise OSError(f"the server at {path} does not start")
        sleep(0.002)


@contextmanager
def peers(folder: str, original: Optional[str]) -> Iterator[list[Contender]]:
    """Yields all other packages that are installed here."""
    with ExitStack() as stack:
        found = [*_fasteners(folder), *_filelock(folder)]
        found += stack.enter_context(_redis(folder))
        if original is not None:
            found += [stack.enter_context(_original(original, mode)) for mode in MODES]
        yield found


def _fasteners(folder: str) -> Iterator[Contender]:
    if find_spec("fasteners") is None:
        return
    import fasteners  # type: ignore[import-not-found,import-untyped,unused-ignore]

    one = fasteners.InterProcessLock(f"{folder}/fasteners")
    both = fasteners.InterProcessReaderWriterLock(f"{folder}/fasteners-rw")
    yield Contender("fasteners InterProcessLock", lambda: (one.acquire(), one.release()))
    yield Contender(
        "fasteners InterProcessReaderWriterLock", lambda: (both.acquire_write_lock(), both.release_write_lock())
    )


def _filelock(folder: str) -> Iterator[Contender]:
    if find_spec("filelock") is None:
        return
    import filelock  # type: ignore[import-not-found,unused-ignore]

    lock = filelock.FileLock(f"{folder}/filelock")
    yield Contender("filelock FileLock", lambda: (lock.acquire(), lock.release()))
    if hasattr(filelock, "ReadWriteLock"):
        both = filelock.ReadWriteLock(f"{folder}/filelock-rw")
        yield Contender("filelock ReadWriteLock", lambda: (both.acquire_write(), both.release()))


@contextmanager
def _redis(folder: str) -> Iterator[list[Contender]]:
    program = shutil.which("redis-server")
    if program is None or find_spec("redis") is None:
        yield []
        return
    import redis  # type: ignore[import-not-found,unused-ignore]

    path = f"{folder}/redis"
    command = [program, "--unixsocket", path, "--port", "0", "--save", "", "--dir", folder]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client: Any = redis.Redis(unix_socket_path=path)
        await_listener(path, server)
        lock = client.lock("bench", timeout=30)
        yield [Contender("redis-py Lock", lambda: (lock.acquire(), lock.release()))]
    finally:
        server.kill()
        server.wait()


@contextmanager
def _original(folder: str, mode: str) -> Iterator[Contender]:
    """Yields prwlock 0.4, in a separate process, because it has the same name as this package."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _ORIGINAL, folder, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def measure(seconds: float) -> list[float]:
        stdin.write(f"{seconds}\n")
        stdin.flush()
        taken: list[float] = json.loads(stdout.readline())
        return taken

    try:
        yield Contender(f"prwlock 0.4, {mode}", lambda: None, measure)
    finally:
        process.kill()
        process.wait()
        stdin.close()
        stdout.close()
