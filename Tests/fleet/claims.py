"""The claims of all hosts before and after some time in which none may be lost, whatever happens to the daemons' workers."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable

from fault import Fleet
from speaker import Speaker, token

#: How many names each host claims, beside those that the clients use.
NAMES = 200


@dataclasses.dataclass(frozen=True)
class Key:
    revision: int
    text: str
    lease: int


class Claims:
    """Idle claims, which only their own host wants. So nothing changes their registers but a claim that is lost."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._use()
        self._before = self._keys()

    def faults(self) -> list[str]:
        """What has changed in etcd since the beginning, before and after the claims are used again.

        A worker that goes on from another one does not know whether that has sent a swap that gives an unused claim up. So the
        first use writes the register again, with the same text.
        """
        after = self._keys()
        faults = self._differences(after, lambda key: key)
        self._use()
        return faults + self._differences(self._keys(), lambda key: key.text)

    def _differences(self, after: dict[str, Key], of: Callable[[Key], object]) -> list[str]:
        before = self._before
        wrong = [
            key for key in sorted(before.keys() | after.keys())
            if key not in before or key not in after or of(before[key]) != of(after[key])
        ]
        return [f"claims: {key} was {before.get(key)} and is {after.get(key)}" for key in wrong]

    def figures(self) -> dict[str, str]:
        """The rows of STATS on all hosts that tell of claims."""
        rows = {name: host.figures() for name, host in self._fleet.hosts.items()}
        return {
            what: " ".join(row.get(what, "-") for row in rows.values())
            for what in ("cluster-claims", "cluster-lease-left", "total-lost-leases")
        }

    @property
    def count(self) -> int:
        return sum("/n/" in key for key in self._before)

    def _use(self) -> None:
        for name, host in self._fleet.hosts.items():
            speaker = Speaker(host.socket)
            for number in range(NAMES):
                lock = f"f/idle/{name}/{number}"
                grant = token(speaker.ask(f"WRITE {lock} wait=20s"))
                speaker.ask(f"RELEASE {lock} token={grant}")
            speaker.close()

    def _keys(self) -> dict[str, Key]:
        """The sessions of the hosts, which end with their leases, and the registers of the names."""
        found: dict[str, Key] = {}
        for what in ("hosts/", "n/f/idle/"):
            answer = json.loads(self._fleet.cluster.control("get", "--prefix", f"prwlock/{what}", "-w", "json"))
            for one in answer.get("kvs", []):
                # A host writes its key again to raise its tokens. That is the same session.
                revision = one["create_revision"] if what == "hosts/" else one["mod_revision"]
                text = base64.b64decode(one["value"]).decode()
                found[base64.b64decode(one["key"]).decode()] = Key(revision, text, one.get("lease", 0))
        return found
