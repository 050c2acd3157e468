"""An etcd cluster of three members, each on a node of its own, and what an administrator or a fault does to it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from network import Network

#: Enough for a run, and filled in a second.
QUOTA = 64 << 20
#: The most that etcd takes in one request, nearly.
LARGE = 1_400_000


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Cluster:
    """`options` are those of each member in addition; `client_options` are etcdctl's, which a test may change."""

    def __init__(
        self, network: Network, folder: Path, first_port: int, options: list[str] = [], client_options: list[str] = [],
        scheme: str = "http",
    ) -> None:
        self.network, self.folder = network, folder
        self.client_options, self._options, self._scheme = client_options, options, scheme
        self.members = [node for node in network.nodes if node.startswith("etcd")]
        # With an address of its own, each member has etcd's usual ports.
        self._ports = {
            member: (2379, 2380) if network.can_cut else (first_port + 2 * number, first_port + 2 * number + 1)
            for number, member in enumerate(self.members)
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        # Votes of one second and beats of 100 ms, as etcd has them unless told otherwise.
        for member in self.members:
            self.start(member)
        self.await_health(30)

    def endpoint(self, member: str) -> str:
        return f"{self.network.address(member)}:{self._ports[member][0]}"

    @property
    def endpoints(self) -> str:
        return ",".join(self.endpoint(member) for member in self.members)

    def start(self, member: str) -> None:
        def url(one: str, kind: int) -> str:
            scheme = "http" if kind == 1 else self._scheme
            return f"{scheme}://{self.network.address(one)}:{self._ports[one][kind]}"

        command = [
            "etcd", "--name", member, "--data-dir", str(self.folder / member), "--logger", "zap",
            "--listen-client-urls", url(member, 0), "--advertise-client-urls", url(member, 0),
            "--listen-peer-urls", url(member, 1), "--initial-advertise-peer-urls", url(member, 1),
            "--initial-cluster", ",".join(f"{one}={url(one, 1)}" for one in self.members),
            "--initial-cluster-state", "existing" if (self.folder / member).exists() else "new",
            "--pre-vote", "--quota-backend-bytes", str(QUOTA),
            # Each acquire of a claim is a revision: without this, a long run would fill the quota by itself.
            "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "20s", *self._options,
        ]
        with open(self.folder / f"{member}.log", "ab") as log:
            self._processes[member] = subprocess.Popen(
                self.network.inside(member, command), stdout=log, stderr=log, preexec_fn=die_with_parent)

    def signal(self, member: str, number: int) -> None:
        self._processes[member].send_signal(number)

    def kill(self, member: str) -> None:
        self._processes[member].kill()
        self._processes[member].wait()

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    # What an administrator does

    def control(self, *arguments: str, member: str | None = None, data: bytes | None = None, patience: float = 5) -> str:
        """What etcdctl prints; raises CalledProcessError with its complaint."""
        members = self.members if member is None else [member]
        endpoints = ",".join(f"{self._scheme}://{self.endpoint(one)}" for one in members)
        command = [
            "etcdctl", f"--endpoints={endpoints}", f"--command-timeout={patience}s", *self.client_options, *arguments]
        return subprocess.run(
            command, input=data, capture_output=True, check=True, env=os.environ | {"ETCDCTL_API": "3"},
            timeout=patience + 30).stdout.decode()

    def await_health(self, patience: float) -> None:
        end = time.monotonic() + patience
        while True:
            try:
                self.control("endpoint", "health", patience=2)
                return
            except subprocess.CalledProcessError as error:
                if time.monotonic() > end:
                    raise SystemExit(f"etcd does not become healthy: {error.stderr.decode()[-500:]}") from error
                time.sleep(0.1)

    def status(self, member: str) -> dict[str, Any]:
        said = json.loads(self.control("endpoint", "status", "-w", "json", member=member, patience=2))
        return said[0]["Status"]

    def leader(self) -> str:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for member in self.members:
                try:
                    status = self.status(member)
                except (subprocess.SubprocessError, ValueError):
                    continue
                if status.get("leader") == status["header"]["member_id"]:
                    return member
            time.sleep(0.1)
        raise SystemExit("etcd has no leader")

    def followers(self) -> list[str]:
        leader = self.leader()
        return [member for member in self.members if member != leader]

    def compact(self) -> None:
        revision = self.status(self.leader())["header"]["revision"]
        try:
            self.control("compact", str(revision))
        except subprocess.CalledProcessError as error:
            # etcd's own compaction may have come before.
            if b"has been compacted" not in error.stderr:
                raise

    def defragment(self) -> None:
        for member in self.members:
            self.control("defrag", member=member, patience=30)

    def fill(self) -> int:
        """Puts values until etcd has no room, beside the keys of the fleet; returns how many."""
        for number in range(2 * QUOTA // LARGE):
            try:
                self.control("put", f"filler/{number}", data=b"x" * LARGE, patience=10)
            except subprocess.CalledProcessError as error:
                if b"space exceeded" in error.stderr:
                    return number
                raise
        raise SystemExit("etcd does not become full")

    def make_room(self) -> None:
        self.control("del", "--prefix", "filler/", patience=20)
        self.compact()
        self.defragment()
        self.control("alarm", "disarm")

    def lease_of(self, key: str) -> int:
        """The lease that a key is tied to; 0 if it is absent."""
        found = json.loads(self.control("get", key, "-w", "json")).get("kvs", [])
        return int(found[0].get("lease", 0)) if found else 0

    def revoke(self, lease: int) -> None:
        self.control("lease", "revoke", f"{lease:x}")

    def revisions(self) -> int:
        return int(self.status(self.leader())["header"]["revision"])
