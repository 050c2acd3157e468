"""The claims of all hosts before and after some time in which none may be lost, whatever happens to the daemons' workers."""

from __future__ import annotations

import base64
import json

from fault import Fleet
from speaker import Speaker, token

#: How many names each host claims, beside those that the clients use.
NAMES = 200


class Claims:
    """Idle claims, which only their own host wants. So nothing changes their registers but a claim that is lost."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._use()
        self._before = self._keys()

    def faults(self) -> list[str]:
        """What has changed in etcd since the beginning, and whatever a new use of the claims changes."""
        self._use()
        after = self._keys()
        wrong = [key for key in self._before.keys() | after.keys() if self._before.get(key) != after.get(key)]
        return [f"claims: {key} was {self._before.get(key)} and is {after.get(key)}" for key in sorted(wrong)]

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

    def _keys(self) -> dict[str, str]:
        """The sessions of the hosts, which end with their leases, and the registers of the names, by the last change."""
        found: dict[str, str] = {}
        for what in ("hosts/", "n/f/idle/"):
            answer = json.loads(self._fleet.cluster.control("get", "--prefix", f"prwlock/{what}", "-w", "json"))
            for one in answer.get("kvs", []):
                key = base64.b64decode(one["key"]).decode()
                # A host writes its key again to raise its tokens. That is the same session.
                number = one["create_revision"] if what == "hosts/" else one["mod_revision"]
                found[key] = f"of revision {number}, lease {one.get('lease', 0):x}"
        return found
