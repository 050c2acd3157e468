"""The faults that a fleet must survive: how each begins and ends, and which hosts are to make progress meanwhile."""

from __future__ import annotations

import dataclasses
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cluster import Cluster
from host import Host
from network import Network


@dataclasses.dataclass
class Fleet:
    """What faults happen to, with the random choices among it."""

    network: Network
    cluster: Cluster
    hosts: dict[str, Host]
    random: random.Random

    def a_host(self) -> str:
        return self.random.choice(list(self.hosts))


#: The names of the hosts that the fault keeps from shared locks, while it is on.
Affected = list[str]


@dataclasses.dataclass
class Fault:
    """A fault is on inside its context, which gives the hosts that are not expected to make progress."""

    name: str
    context: Callable[[Fleet], Iterator[Affected]]
    #: How long it is on, in leases.
    leases: float = 0
    #: Whether a host may lose its claims by it.
    loses: bool = True
    #: Whether it needs links that can be cut.
    cuts: bool = False

    def on(self, fleet: Fleet):  # noqa: ANN201
        return contextmanager(self.context)(fleet)


def leader_killed(fleet: Fleet) -> Iterator[Affected]:
    leader = fleet.cluster.leader()
    fleet.cluster.kill(leader)
    yield []
    fleet.cluster.start(leader)


def member_stopped(fleet: Fleet) -> Iterator[Affected]:
    member = fleet.random.choice(fleet.cluster.followers())
    fleet.cluster.signal(member, signal.SIGSTOP)
    yield []
    fleet.cluster.signal(member, signal.SIGCONT)


def leader_stopped(fleet: Fleet) -> Iterator[Affected]:
    leader = fleet.cluster.leader()
    fleet.cluster.signal(leader, signal.SIGSTOP)
    yield []
    fleet.cluster.signal(leader, signal.SIGCONT)


def _cut(fleet: Fleet, pairs: list[tuple[str, str]], affected: Affected) -> Iterator[Affected]:
    for sender, receiver in pairs:
        fleet.network.cut(sender, receiver)
    yield affected
    fleet.network.mend()


def _both(one: str, others: list[str]) -> list[tuple[str, str]]:
    return [pair for other in others for pair in ((one, other), (other, one))]


def host_link_cut(fleet: Fleet) -> Iterator[Affected]:
    """Between each host and one member, which may be the one that it is connected to."""
    member = fleet.random.choice(fleet.cluster.members)
    return _cut(fleet, _both(member, list(fleet.hosts)), [])


def host_link_cut_to(fleet: Fleet) -> Iterator[Affected]:
    member = fleet.random.choice(fleet.cluster.members)
    return _cut(fleet, [(host, member) for host in fleet.hosts], [])


def host_link_cut_from(fleet: Fleet) -> Iterator[Affected]:
    """Requests arrive and are carried out, and their answers do not."""
    member = fleet.random.choice(fleet.cluster.members)
    return _cut(fleet, [(member, host) for host in fleet.hosts], [])


def host_cut_off(fleet: Fleet) -> Iterator[Affected]:
    host = fleet.a_host()
    return _cut(fleet, _both(host, fleet.cluster.members), [host])


def host_cut_off_from(fleet: Fleet) -> Iterator[Affected]:
    """One host's requests arrive, and no answer does: its keep-alives go on at etcd, which must not help it."""
    host = fleet.a_host()
    return _cut(fleet, [(member, host) for member in fleet.cluster.members], [host, *_others(fleet, host)])


def _others(fleet: Fleet, host: str) -> list[str]:
    return [other for other in fleet.hosts if other != host]


def member_link_cut(fleet: Fleet) -> Iterator[Affected]:
    one, other = fleet.random.sample(fleet.cluster.members, 2)
    return _cut(fleet, _both(one, [other]), [])


def member_link_cut_one_way(fleet: Fleet) -> Iterator[Affected]:
    one, other = fleet.random.sample(fleet.cluster.members, 2)
    return _cut(fleet, [(one, other)], [])


def leader_cut_off(fleet: Fleet) -> Iterator[Affected]:
    """From the other members, while hosts can reach it: it answers as if it were one still."""
    leader = fleet.cluster.leader()
    return _cut(fleet, _both(leader, [one for one in fleet.cluster.members if one != leader]), [])


def worker_killed(fleet: Fleet) -> Iterator[Affected]:
    for host in fleet.hosts.values():
        host.kill_worker()
    yield []


def daemon_killed(fleet: Fleet) -> Iterator[Affected]:
    host = fleet.a_host()
    fleet.hosts[host].kill()
    yield [host]
    fleet.hosts[host].start()


def daemon_restarted(fleet: Fleet) -> Iterator[Affected]:
    """Killed, and there again before its lease is over."""
    host = fleet.hosts[fleet.a_host()]
    host.kill()
    host.start()
    yield []


def daemon_stopped(fleet: Fleet) -> Iterator[Affected]:
    host = fleet.a_host()
    fleet.hosts[host].stop()
    yield [host]
    fleet.hosts[host].go_on()


def compacted(fleet: Fleet) -> Iterator[Affected]:
    fleet.cluster.compact()
    fleet.cluster.defragment()
    yield []


def watch_compacted(fleet: Fleet) -> Iterator[Affected]:
    """Compaction while a host is cut off for less than its lease: what it missed is gone when it is back."""
    host = fleet.a_host()
    for one, other in _both(host, fleet.cluster.members):
        fleet.network.cut(one, other)
    fleet.cluster.compact()
    yield [host, *_others(fleet, host)]
    fleet.cluster.compact()
    fleet.network.mend()


def full(fleet: Fleet) -> Iterator[Affected]:
    fleet.cluster.fill()
    yield list(fleet.hosts)
    fleet.cluster.make_room()


def lease_revoked(fleet: Fleet) -> Iterator[Affected]:
    host = fleet.a_host()
    if lease := fleet.cluster.lease_of(f"prwlock/hosts/{host}"):
        fleet.hosts[host].recorder.note("lease-revoking", host=host)
        fleet.cluster.revoke(lease)
    yield []


def etcd_away(fleet: Fleet) -> Iterator[Affected]:
    for member in fleet.cluster.members:
        fleet.cluster.kill(member)
    yield list(fleet.hosts)
    for member in fleet.cluster.members:
        fleet.cluster.start(member)
    fleet.cluster.await_health(30)


def etcd_stopped(fleet: Fleet) -> Iterator[Affected]:
    """Shorter than a lease: what is unanswered is decided when it goes on."""
    for member in fleet.cluster.members:
        fleet.cluster.signal(member, signal.SIGSTOP)
    yield list(fleet.hosts)
    for member in fleet.cluster.members:
        fleet.cluster.signal(member, signal.SIGCONT)


ALL = [
    Fault("leader-killed", leader_killed),
    Fault("leader-stopped", leader_stopped, leases=1.5),
    Fault("member-stopped", member_stopped, leases=1),
    Fault("host-link-cut", host_link_cut, leases=1, cuts=True),
    Fault("host-link-cut-to", host_link_cut_to, leases=1, cuts=True),
    Fault("host-link-cut-from", host_link_cut_from, leases=1, cuts=True),
    Fault("host-cut-off", host_cut_off, leases=2, cuts=True),
    Fault("host-cut-off-from", host_cut_off_from, leases=2, cuts=True),
    Fault("member-link-cut", member_link_cut, leases=1, cuts=True),
    Fault("member-link-cut-one-way", member_link_cut_one_way, leases=1, cuts=True),
    Fault("leader-cut-off", leader_cut_off, leases=1.5, cuts=True),
    Fault("worker-killed", worker_killed, loses=False),
    Fault("daemon-killed", daemon_killed, leases=1.5),
    Fault("daemon-restarted", daemon_restarted),
    Fault("daemon-stopped", daemon_stopped, leases=2),
    Fault("compacted", compacted, loses=False),
    Fault("watch-compacted", watch_compacted, leases=0.5, cuts=True),
    Fault("full", full, leases=1),
    Fault("lease-revoked", lease_revoked),
    Fault("etcd-away", etcd_away, leases=2),
    Fault("etcd-stopped", etcd_stopped, leases=0.5),
]


def complaint(error: subprocess.CalledProcessError) -> str:
    """The last line of what a command of etcd's complained of."""
    lines = (error.stderr or b"").decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"status {error.returncode}"
