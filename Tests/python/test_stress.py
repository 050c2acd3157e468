"""Twenty processes use one file, and some are killed at any moment: there is no torn read and no stuck lock."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SECONDS = float(os.environ.get("PRWLOCK_STRESS_SECONDS", "5"))
WORKERS = 20

# The file is torn while a writer is at work: the second half is written last. Each worker counts in a file of its own.
WORKER = """
import os, random, sys, time, prwlock
path, log, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
chance = random.Random(seed)
lock = prwlock.RWLock("file")
file = os.open(path, os.O_RDWR)
out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

def read():
    return os.pread(file, 4096, 0), os.pread(file, 4096, 4096)

while True:
    if chance.random() < 0.25:
        with lock.write() as grant:
            one, two = read()
            if one != two and not grant.owner_died:
                os.write(out, b"TORN for a writer\\n")
            new = (b"%020d" % grant.token).ljust(4096, b".")
            if int(one[:20]) >= grant.token:
                os.write(out, b"OLD token\\n")
            os.pwrite(file, new[:2048], 0)
            os.pwrite(file, new[2048:], 2048)
            os.sched_yield()
            os.pwrite(file, new, 4096)
            os.write(out, b"repaired\\n" if grant.owner_died else b"write\\n")
    else:
        with lock.read() as grant:
            one, two = read()
            if one != two and not grant.owner_died:
                os.write(out, b"TORN for a reader\\n")
            os.write(out, b"torn, and told so\\n" if one != two else b"read\\n")
"""


def test_nothing_is_torn_and_nothing_is_stuck(home: Path, daemon: Any) -> None:
    """G1, G6, G11."""
    chance = random.Random(time.monotonic_ns())
    path = home / "data"
    path.write_bytes((b"%020d" % 0).ljust(4096, b".") * 2)
    script = home / "worker.py"
    script.write_text(WORKER)
    logs = home / "logs"
    logs.mkdir()
    started = 0

    def start() -> subprocess.Popen[bytes]:
        nonlocal started
        started += 1
        return subprocess.Popen([sys.executable, str(script), str(path), str(logs / str(started)), str(started)])

    workers = [start() for _ in range(WORKERS)]
    killed = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        # Kill as often as the time permits. Each kill is followed by a new process.
        victim = chance.randrange(WORKERS)
        workers[victim].kill()
        workers[victim].wait()
        killed += 1
        workers[victim] = start()
        progress = sum(log.stat().st_size for log in logs.iterdir())
        deadline = time.monotonic() + 60
        while sum(log.stat().st_size for log in logs.iterdir()) < progress + 200:
            assert time.monotonic() < deadline, "no process gets the lock any more"
            assert workers[(victim + 1) % WORKERS].poll() is None, "a worker ended by itself"
    for worker in workers:
        worker.kill()
        worker.wait()
    lines = [line for log in logs.iterdir() for line in log.read_text().splitlines()]
    counts = {line: lines.count(line) for line in sorted(set(lines))}
    print(f"{killed} of {started} processes killed in {SECONDS:g} s; {counts}")
    assert not [line for line in counts if line.startswith(("TORN", "OLD"))], counts
    assert counts["read"] > 0
    assert counts["write"] > 0
    with prwlock_lock() as grant:
        assert grant.token > 0


def prwlock_lock() -> Any:
    import prwlock

    return prwlock.RWLock("file").write(timeout=60)
