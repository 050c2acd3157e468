"""A network of namespaces on this machine: each node has an address and a way to each other node, which can be cut.

A router in the middle connects the nodes, so that a cut is a rule of the router: it drops what goes from one address to
another. Neither end sees more of it than of a cable that was pulled somewhere between.
"""

from __future__ import annotations

import os
import subprocess
import sys

#: In the environment of the program that has its own namespaces: what they can do.
INSIDE = "PRWLOCK_FLEET_NETWORK"


def enter() -> None:
    """Runs this program again in namespaces of its own; all that it starts in them ends with it.

    Where that is not permitted, it goes on without, and says what is missing.
    """
    if INSIDE in os.environ:
        return
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    trial = "ip link add link0 type veth peer name link1 && ip rule add from 192.0.2.1 to 192.0.2.2 blackhole"
    try:
        probe = subprocess.run([*command, "sh", "-c", trial], capture_output=True, text=True, check=False)
        complaint = probe.stderr.strip() if probe.returncode else None
    except FileNotFoundError:
        complaint = "there is no unshare(1)"
    if complaint is None:
        os.environ[INSIDE] = "yes"
        os.execvp("unshare", [*command, sys.executable, "-B", *sys.argv])
    print(f"links cannot be cut, because no namespace of a network is permitted here: {complaint}", file=sys.stderr)
    os.environ[INSIDE] = "no"


class Network:
    """The nodes. Without namespaces, each has the address of loopback, and nothing can be cut."""

    def __init__(self, nodes: list[str]) -> None:
        self.nodes = nodes
        self.can_cut = os.environ.get(INSIDE) == "yes"
        self._cuts: set[tuple[str, str]] = set()
        if not self.can_cut:
            return
        # `ip netns` keeps its names here, and those of the machine are not for us.
        os.makedirs("/run/netns", exist_ok=True)
        _run("mount -t tmpfs tmpfs /run/netns")
        _run("ip link set lo up")
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as setting:
            setting.write("1\n")
        for number, node in enumerate(nodes):
            _run(f"ip netns add {node}")
            _run(f"ip link add link{number} type veth peer name eth0 netns {node}")
            _run(f"ip addr add 10.77.{number}.1/30 dev link{number}")
            _run(f"ip link set link{number} up")
            _run(f"ip -n {node} link set lo up")
            _run(f"ip -n {node} addr add {self.address(node)}/30 dev eth0")
            _run(f"ip -n {node} link set eth0 up")
            _run(f"ip -n {node} route add default via 10.77.{number}.1")

    def address(self, node: str) -> str:
        return f"10.77.{self.nodes.index(node)}.2" if self.can_cut else "127.0.0.1"

    def inside(self, node: str, command: list[str]) -> list[str]:
        """The command as it runs on the node, in a process with the id of the caller's child."""
        return ["nsenter", f"--net=/run/netns/{node}", *command] if self.can_cut else command

    def cut(self, sender: str, receiver: str) -> None:
        """Drops what goes one way, also of connections that exist."""
        if (sender, receiver) not in self._cuts:
            self._cuts.add((sender, receiver))
            _run(f"ip rule add from {self.address(sender)} to {self.address(receiver)} blackhole")

    def mend(self) -> None:
        """Mends all cuts."""
        for sender, receiver in self._cuts:
            _run(f"ip rule del from {self.address(sender)} to {self.address(receiver)} blackhole")
        self._cuts.clear()


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True)
