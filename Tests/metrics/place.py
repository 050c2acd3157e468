"""A temporary folder with a daemon, its clients, and the programs that collect its metrics. Its end ends them all."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 30
began = time.monotonic()
Value = TypeVar("Value")


class Failure(Exception):
    """A check that failed, or a thing that did not come true in time."""


def say(text: str) -> None:
    print(f"{time.monotonic() - began:5.1f} s  {text}", flush=True)


def expect(is_true: bool, what: str) -> None:
    if not is_true:
        raise Failure(what)


def has(*programs: str) -> bool:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        say(f"left out: {', '.join(missing)} not installed")
    return not missing


def run(*command: object, **options: Any) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))} exits with {done.returncode}:\n{done.stdout}{done.stderr}")
    text: str = done.stdout
    return text


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def eventually(what: str, ask: Callable[[], Optional[Value]]) -> Value:
    """Asks until there is an answer other than None or False."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure(f"this did not come true in {PATIENCE} s: {what}")
        time.sleep(0.02)


class Session:
    """A session of the protocol, one line at a time."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="ascii", newline="\n")

    def send(self, line: str) -> None:
        self.socket.sendall(line.encode() + b"\n")

    def reply(self) -> str:
        return self.lines.readline().rstrip("\n")

    def ask(self, line: str) -> str:
        self.send(line)
        return self.reply()

    def close(self) -> None:
        self.lines.close()
        self.socket.close()

    def rows(self, line: str) -> list[str]:
        self.send(line)
        rows = []
        while (reply := self.reply()).startswith("* "):
            rows.append(reply[2:])
        return rows


class Place:
    """Processes and files of one run."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs.resolve()
        self.folder = Path(tempfile.mkdtemp(prefix="prwlock-metrics-"))
        self.socket = str(self.folder / "socket")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.daemon: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, *command: object, log: str) -> subprocess.Popen[bytes]:
        """Starts a process that ends with this place."""
        with (self.folder / log).open("ab") as output:
            process = subprocess.Popen(
                [str(word) for word in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                env=self.environment, preexec_fn=die_with_parent)  # fmt: skip
        self.processes.append(process)
        return process

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PRWLOCK_SOCKET": self.socket, "LC_ALL": "C.UTF-8"}

    def start_daemon(self) -> None:
        self.daemon = self.start(
            self.programs / "prwlockd", "--keep", "--socket", self.socket, "--state-directory", self.folder / "state",
            log="daemon")  # fmt: skip
        eventually("the daemon serves", self.serves)

    def serves(self) -> bool:
        try:
            session = self.session()
            answers = session.ask("PING") == "PONG"
            session.close()
        except OSError:
            return False
        return answers

    def end_daemon(self) -> None:
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
            eventually("the process that served ends with its keeper", lambda: not self.serves())

    def session(self) -> Session:
        return Session(self.socket)

    def stats(self) -> dict[str, int]:
        session = self.session()
        rows = dict(row.split(" ") for row in session.rows("STATS"))
        session.close()
        return {name: int(value) for name, value in rows.items()}

    def prwlock(self, *words: str, stdin: bytes = b"") -> str:
        """Runs the command, and returns what it prints."""
        done = subprocess.run(
            [self.programs / "prwlock", *words], env=self.environment, input=stdin, capture_output=True,
            timeout=PATIENCE, check=False)  # fmt: skip
        if done.returncode != 0:
            raise Failure(f"prwlock {' '.join(words)} exits with {done.returncode}: {done.stderr.decode()}")
        return done.stdout.decode()

    @staticmethod
    def free_port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port


def get(url: str, **query: str) -> str:
    """The body of a page."""
    full = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    with urllib.request.urlopen(full, timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
        return text


class Prometheus:
    """The HTTP interface of a Prometheus."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        try:
            return bool(get(f"{self.url}/-/ready"))
        except OSError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression has now."""
        try:
            text = get(f"{self.url}/api/v1/query", query=expression)
        except urllib.error.HTTPError as error:
            raise Failure(f"{expression}: {error.read().decode()}") from error
        answer = json.loads(text)
        if answer["status"] != "success":
            raise Failure(f"{expression}: {text}")
        samples: list[dict[str, Any]] = answer["data"]["result"]
        return samples

    def value(self, expression: str) -> Optional[float]:
        """The only value of an expression; None if it has none."""
        samples = self.query(expression)
        return float(samples[0]["value"][1]) if len(samples) == 1 else None
