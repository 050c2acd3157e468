"""``bench``: what an acquire and a release cost, side by side with what else is installed, in one run.

All contenders take turns of a twentieth of the time, so that whatever else the machine does meets them alike. What
counts are ratios within a run, and of those the median.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import Any, Callable, NamedTuple, Optional

from ._bench_peers import Contender, await_listener, echo_pair, peers, prwlock_pairs
from ._client import Client
from ._launch import daemon_program
from ._private_daemon import PrivateDaemon
from ._trust import program_fault

_TURNS = 20
_IMPORTS = 15
_PYTHON_ECHO = """
import socket, sys, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
def serve(connection):
    while True:
        data = connection.recv(65536)
        if not data:
            return
        connection.sendall(data)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


class Row(NamedTuple):
    """What one contender took: p50 and p99 in microseconds, and p50 as a multiple of the echo server's."""

    name: str
    p50: float
    p99: float
    ratio: float
    ratios: list[float]


def bench(options: argparse.Namespace) -> int:
    """Measures, and prints a table or JSON."""
    if options.pin:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with ExitStack() as stack:
        daemon = stack.enter_context(PrivateDaemon())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="prw"))
        echo, what = stack.enter_context(_echo_server(options.echo, folder))
        contenders = [echo_pair(echo, f"two bare round trips, {what}")]
        contenders += prwlock_pairs(daemon.client, stack.enter_context(Client(daemon.socket, cache=False)))
        contenders += stack.enter_context(peers(folder, options.original))
        rows = _contest(contenders, options.runs, options.seconds)
    imports = _imports(options.runs)
    if options.json:
        values = {"pairs": [row._asdict() for row in rows], "import": imports, "python": sys.version.split()[0]}
        print(json.dumps(values))
    else:
        _print(rows, imports)
    return 0


def _contest(contenders: list[Contender], runs: int, seconds: float) -> list[Row]:
    samples: list[list[list[float]]] = [[[] for _ in range(runs)] for _ in contenders]
    for contender in contenders:
        _measure(contender.pair, 0.01)
    for run in range(runs):
        _progress(f"run {run + 1} of {runs}")
        for turn in range(_TURNS):
            for place in range(len(contenders)):
                which = (turn + place) % len(contenders)
                samples[which][run] += _take(contenders[which], seconds / _TURNS)
    _progress("")
    baseline = [statistics.median(sample) for sample in samples[0]]
    rows = []
    for contender, taken in zip(contenders, samples):
        medians = [statistics.median(sample) for sample in taken]
        ratios = [own / echo for own, echo in zip(medians, baseline)]
        p99 = statistics.median(_quantile(sample, 0.99) for sample in taken)
        rows.append(
            Row(contender.name, statistics.median(medians) * 1e6, p99 * 1e6, statistics.median(ratios), sorted(ratios))
        )
    return rows


def _take(contender: Contender, seconds: float) -> list[float]:
    return _measure(contender.pair, seconds) if contender.measure is None else contender.measure(seconds)


def _measure(pair: Callable[[], object], seconds: float) -> list[float]:
    """How long each took, for so long; at least once."""
    taken = []
    end = perf_counter() + seconds
    now = perf_counter()
    while True:
        pair()
        then, now = now, perf_counter()
        taken.append(now - then)
        if now >= end:
            return taken


def _quantile(sample: list[float], share: float) -> float:
    return sorted(sample)[min(len(sample) - 1, int(len(sample) * share))]


@contextmanager
def _echo_server(program: Optional[str], folder: str) -> Iterator[tuple[str, str]]:
    """The path of an echo server's socket, and what it is written in."""
    path = f"{folder}/echo"
    found = program or _echo_program()
    command = [found, "--serve-echo", path, "128"] if found else [sys.executable, "-I", "-c", _PYTHON_ECHO, path]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_listener(path, server)
        yield path, "echo in C" if found else "echo in Python (there is no prwlock-bench)"
    finally:
        server.kill()
        server.wait()


def _echo_program() -> Optional[str]:
    beside = os.path.join(os.path.dirname(daemon_program()), "prwlock-bench")
    found = beside if os.access(beside, os.X_OK) else shutil.which("prwlock-bench")
    # Others can add a program beside a daemon in `/tmp`.
    return found if found and program_fault(found) is None else None


def _imports(runs: int) -> dict[str, Any]:
    """How long `import prwlock` takes, beside `import socket`, each in a new interpreter, in turns."""
    # Without the working directory, in which another user may have put a module.
    program = "import sys; sys.path = [folder for folder in sys.path if folder]\n"
    program += "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    taken: dict[str, list[float]] = {"socket": [], "prwlock": []}
    for _ in range(max(3, _IMPORTS * runs // 5)):
        for module, times in taken.items():
            done = subprocess.run(
                [sys.executable, "-c", program.format(module)], capture_output=True, text=True, check=True
            )
            times.append(float(done.stdout))
    medians = {module: statistics.median(times) * 1e3 for module, times in taken.items()}
    ratio = medians["prwlock"] / medians["socket"]
    return {"socket_ms": medians["socket"], "prwlock_ms": medians["prwlock"], "ratio": ratio}


def _print(rows: list[Row], imports: dict[str, Any]) -> None:
    width = max(len(row.name) for row in rows)
    print(f"{'an acquire and a release':{width}}  {'p50 µs':>9}  {'p99 µs':>9}  {'times echo':>10}  in single runs")
    for row in rows:
        spread = f"{row.ratios[0]:.2f} to {row.ratios[-1]:.2f}"
        print(f"{row.name:{width}}  {row.p50:9.2f}  {row.p99:9.2f}  {row.ratio:10.2f}  {spread}")
    print(
        f"import prwlock {imports['prwlock_ms']:.2f} ms, import socket {imports['socket_ms']:.2f} ms: "
        f"{imports['ratio']:.2f} times"
    )


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
