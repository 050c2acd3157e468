"""A folder with etcd and daemons in it, and the examples of the manual."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MANUAL = (ROOT / "Sources/manual/prwlock-fleet.7").read_text()


def block(name: str) -> str:
    """The example of the manual behind the comment with this name."""
    found = re.search(rf'^\.\\" run: {name}\n\.Bd -literal\n(.*?)^\.Ed', MANUAL, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"the manual has no example {name}")
    return found[1].replace("\\e", "\\")


def expect(said: str, *texts: str) -> None:
    for text in texts:
        if text not in said:
            raise SystemExit(f"{text!r} is not in:\n{said}")


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Place:
    def __init__(self, programs: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="prwlock-place."))
        self.environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}", "ETCDCTL_API": "3", "SWIFT_BACKTRACE": "enable=no"}
        self.processes: list[subprocess.Popen[str]] = []

    def run(self, script: str, **environment: str) -> str:
        """What a script prints; all of it must succeed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=self.environment | environment,
            capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise SystemExit(f"status {done.returncode}:\n{script}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def start(self, *command: str, log: str = "log", **environment: str) -> subprocess.Popen[str]:
        with open(self.folder / log, "a", encoding="utf-8") as file:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment | environment, stdout=file, stderr=subprocess.STDOUT,
                text=True)
        self.processes.append(process)
        return process

    def etcd(self, *options: str, scheme: str = "http", port: int = 2379, control: str = "") -> None:
        """Starts an etcd, and waits until it serves. `control` are the options of etcdctl for it."""
        url = f"{scheme}://127.0.0.1:{port}"
        peer = "http://127.0.0.1:2380" if port == 2379 else f"http://127.0.0.1:{free_port()}"
        data = tempfile.mkdtemp(prefix="etcd.", dir=self.folder)
        self.start(
            "etcd", "--data-dir", data, "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            *options, log="etcd.log")
        self.until(f"etcdctl --endpoints {url} {control} endpoint health")

    def until(self, command: str) -> None:
        end = time.monotonic() + 20
        while subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, check=False
        ).returncode != 0:
            if time.monotonic() > end:
                raise SystemExit(f"not within 20 s: {command}\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def end(self, process: subprocess.Popen[str]) -> None:
        process.terminate()
        process.wait()

    def end_all(self) -> None:
        for process in reversed(self.processes):
            self.end(process)
