#!/usr/bin/env python3
"""Reads the histories of clients on several hosts (history.py) and reports what the fleet must not do.

All times are of one clock. So what a client saw is enough: it holds a lock from the moment it has read GRANTED until its
release is sent, its loss is received, or its `until=` is over, whichever is first. (An administrator who revokes a lease ends it
too.) No search for points in time is needed.
A name that is not shared is one lock on each host.
"""

from __future__ import annotations

import argparse
import math
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "faults")]

import history  # noqa: E402
from hold import Hold, Request, Window, conflicts  # noqa: E402
from operation import MILLISECOND  # noqa: E402

SECOND = 1000 * MILLISECOND
#: How late an answer may be read: the machine is busy, and a probe of another host may take a second.
SLACK = 2 * SECOND
#: The daemon rounds times to milliseconds.
PRECISION = 2 * MILLISECOND
#: A request that waits for so long is served, if nothing is wrong with the fleet.
PATIENCE = 20 * SECOND
#: A request that must not wait asks other hosts for half a second. The daemon rounds times.
PROBE = 500 * MILLISECOND - PRECISION


class Judge:
    """`settled`: how many nanoseconds after a fault all must be well again. `grace`: of a daemon after one that was killed."""

    def __init__(self, events: list[dict[str, Any]], settled: int, grace: int = 0) -> None:
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.requests: list[Request] = []
        self.finished: int | None = None
        self._settled, self._grace = settled, grace
        self._hosts: dict[tuple[int, Any], str] = {}
        self._by_name: dict[tuple[int, Any], Request] = {}
        #: By process: the requests that are not over, and a few that are.
        self._open: dict[int, list[Request]] = defaultdict(list)
        #: Faults, and when a host or a client does nothing.
        self.faults: list[Window] = []
        self._silent: dict[str | int, list[Window]] = defaultdict(list)
        self._validations: list[dict[str, Any]] = []
        #: By host: when its workers were killed.
        self._workers_killed: dict[str, list[int]] = defaultdict(list)
        #: By host: when an administrator revoked its lease.
        self._leases_revoked: dict[str, list[int]] = defaultdict(list)
        #: The sessions that have got an answer.
        self._answered: set[tuple[int, Any]] = set()
        for event in events:
            self.counts[event["e"]] += 1
            self._read(event)
        self._by_lock: dict[str, list[Request]] = defaultdict(list)
        for one in self.requests:
            self._by_lock[one.lock if one.is_shared else f"{one.lock} of {one.host}"].append(one)
        self.grants = [one for one in self.requests if one.granted is not None]

    # Reading

    def _read(self, event: dict[str, Any]) -> None:
        kind, time, process = event["e"], event["t"], event["p"]
        if kind == "of-host":
            self._hosts[process, event["s"]] = event["host"]
        elif kind == "ask":
            self._ask(event)
        elif kind == "validated":
            self._validations.append(event)
            self.counts[f"VALIDATE: {event['how']}"] += 1
        elif kind == "worker-killing":
            self._workers_killed[event["host"]].append(time)
        elif "op" in event:
            self._hear(self._by_name[process, event["op"]], event)
        elif kind == "extended":
            for one in self._of_session(process, event["s"]):
                one.extend(time, event["until"])
        elif kind in ("closing", "lost"):
            self._end_session(process, event["s"], time, kind)
        elif kind in ("killing", "killed", "stopping", "continuing"):
            self._driven(kind, event["pid"], time)
        elif kind == "lease-revoking":
            self._leases_revoked[event["host"]].append(time)
        elif kind in ("host-killing", "host-stopping"):
            self._silent[event["host"]].append(Window(time, kind))
        elif kind in ("host-serving", "host-continued"):
            for window in self._silent[event["host"]][-1:]:
                window.end = time
        elif kind == "fault-begins":
            self.faults.append(Window(time, event["fault"], loses=event["loses"]))
        elif kind == "fault-ends":
            self.faults[-1].end = time
        elif kind == "not-asked":
            self.fail("answer", f"{process} got {event['line']!r}, which answers nothing or lacks its until=")
        elif kind == "finished":
            self.finished = time

    def _ask(self, event: dict[str, Any]) -> None:
        process, session = event["p"], event["s"]
        one = Request(
            process=process, session=session, host=self._hosts.get((process, session), "-"), op=event["op"],
            lock=event["lock"], mode=event["mode"], ask=event["t"], wait=event["wait"], lease=event["lease"],
            of=self._by_name.get((process, event.get("of"))))
        self._by_name[process, one.op] = one
        self._open[process].append(one)
        self.requests.append(one)
        if any(window.kind == "killing" for window in self._silent[process]):
            # The driver writes that it kills before it kills.
            one.go(event["t"], "killing")

    def _hear(self, one: Request, event: dict[str, Any]) -> None:
        kind, time = event["e"], event["t"]
        self._answered.add((one.process, one.session))
        if kind == "granted":
            one.granted, one.token, one.died, one.until = time, event["token"], event["died"], event.get("until")
            if one.of is not None:
                one.of.end(time, "upgraded")
        elif kind == "refused":
            one.refused, one.how = time, event["how"]
            self.counts[event["how"]] += 1
        elif kind == "downgrading":
            one.downgrade(time, event["to"])
        elif kind == "downgraded":
            one.is_downgraded = True
        elif kind in ("releasing", "released", "not-held", "revoked", "ended"):
            one.end(time, kind)
            if kind in ("released", "not-held", "revoked"):
                one.over = time if one.over is None else one.over
            if kind == "revoked":
                self.counts[event["how"]] += 1
                if event["how"] == "REVOKED":
                    one.revoked = time

    def _of_session(self, process: int, session: Any) -> list[Request]:
        self._open[process] = [one for one in self._open[process] if not one.is_over]
        return [one for one in self._open[process] if one.session == session]

    def _end_session(self, process: int, session: Any, time: int, kind: str) -> None:
        for one in self._of_session(process, session):
            one.go(time, kind)
        host = self._hosts.get((process, session))
        if kind == "lost" and host is not None and not self._is_silent(host, time):
            # A connection that was accepted in the instant of the kill of a worker may be closed (G14).
            is_new = (process, session) not in self._answered
            if is_new and self._is_worker_killed(host, time - SLACK, time):
                return
            self.fail("session", f"{process} lost its session {session} with {host}, of which no daemon was killed")

    def _driven(self, kind: str, pid: int, time: int) -> None:
        if kind in ("killing", "stopping"):
            self._silent[pid].append(Window(time, kind))
            if kind == "killing":
                for one in self._open[pid]:
                    if not one.is_over:
                        one.go(max(time, one.ask, one.granted or 0), kind)
        elif kind == "continuing":
            self._silent[pid][-1].end = time

    def _is_silent(self, who: str | int, begin: int, end: int | None = None) -> bool:
        """Whether a host or a client was killed or stopped at some time between."""
        end = begin if end is None else end
        return any(window.begin <= end and begin <= window.end + SLACK for window in self._silent[who])

    def fail(self, kind: str, text: str) -> None:
        self.violations.append(f"{kind}: {text}")

    # Judging

    def judge(self) -> list[str]:
        for name, requests in self._by_lock.items():
            self._judge_exclusion(name, requests)
            self._judge_tokens(requests)
            self._judge_marks(requests)
        for one in self.requests:
            self._judge_answer(one)
            self._judge_loss(one)
        self._judge_validations()
        return self.violations

    def _judge_exclusion(self, name: str, requests: list[Request]) -> None:
        """G1 across hosts: no two holds that conflict have a moment in common."""
        holds = [hold for one in requests for hold in one.holds(self._end_of_promise(one))]
        held: list[Hold] = []
        for hold in sorted(holds, key=lambda hold: hold.begin):
            held = [other for other in held if other.end > hold.begin]
            for other in held:
                if conflicts(hold.mode, other.mode) and hold.request is not other.request and hold.end > hold.begin:
                    common = (min(hold.end, other.end) - hold.begin) / MILLISECOND
                    self.fail("exclusion", f"{hold.request} and {other.request} held {name} for {common:.1f} ms together")
            held.append(hold)

    def _end_of_promise(self, one: Request) -> float:
        """Until when a grant excludes others, if it is not released before.

        Without `until=`, it ends with its daemon, and the next daemon lets its grace pass. On a shared name, an administrator
        who revokes the host's lease ends it, and the host finds that out, and takes it back, a moment later.
        """
        if one.granted is None:
            return math.inf
        if one.is_shared:
            if one.revoked is None:
                return math.inf
            # What was asked later may be granted under a new claim.
            moments = (time for time in self._leases_revoked[one.host] if one.ask <= time)
            return max((time for time in moments if 0 <= one.revoked - time <= 2 * SLACK), default=math.inf)
        ends = [
            window.begin for window in self._silent[one.host]
            if window.kind == "host-killing" and window.begin >= one.ask
        ]
        return min(ends, default=math.inf) + self._grace * MILLISECOND

    def _judge_tokens(self, requests: list[Request]) -> None:
        """G7 across hosts: of two grants one after the other, one of them a writer's, the later has the higher token."""
        # What was granted before a request was sent came before it, whatever the hosts.
        granted = sorted((one for one in requests if one.granted is not None), key=lambda one: one.granted)
        times = [one.granted for one in granted]
        highest: list[Request] = []
        highest_writer: list[Request | None] = []
        for one in granted:
            top = highest[-1] if highest else one
            highest.append(max(top, one, key=lambda other: other.token))
            writer = highest_writer[-1] if highest_writer else None
            if one.mode != "read" and (writer is None or one.token > writer.token):
                writer = one
            highest_writer.append(writer)
        for one in granted:
            index = bisect_right(times, one.ask) - 1
            if index < 0:
                continue
            before = highest_writer[index] if one.mode == "read" else highest[index]
            if before is not None and before.token >= one.token:
                self.fail("token", f"{one} came after {before}")
        by_token: dict[int, list[Request]] = defaultdict(list)
        for one in granted:
            by_token[one.token].append(one)
        for token, ones in by_token.items():
            # Readers of hosts that got the name together may have the same one.
            if len(ones) > 1 and (any(one.mode != "read" for one in ones) or len({one.host for one in ones}) < len(ones)):
                self.fail("token", f"{token} was given to {', '.join(map(str, ones))}")

    def _judge_marks(self, requests: list[Request]) -> None:
        """G11 across hosts: the next grant after a writer that died tells so, and none without a reason."""
        granted = sorted((one for one in requests if one.granted is not None), key=lambda one: one.token)
        for before, one in zip(granted, granted[1:]):
            if before.mode == "write" and before.died_as_writer and not one.died and before.is_shared:
                self.fail("owner-died", f"{one} was not told that {before} had died")
        for one in granted:
            if not one.died or not one.is_shared:
                continue
            # A host that dies with a write claim leaves a mark, whether a session held under it or not.
            if one.died == "maybe" and any(fault.loses and fault.begin < one.granted for fault in self.faults):
                continue
            reasons = (other for other in requests if other.ask <= one.granted and other.may_leave_mark and other is not one)
            if next(reasons, None) is None:
                self.fail("owner-died", f"{one} was told of a death that never was")

    def _judge_answer(self, one: Request) -> None:
        """G5 and G13: each request is answered, at its deadline at the latest, and is not given up before it."""
        answer = one.granted if one.granted is not None else one.refused
        if answer is None:
            if one.gone is None and self.finished is not None:
                self.fail("unanswered", f"{one} was never answered")
            return
        if one.wait is None:
            return
        deadline = one.ask + one.wait * MILLISECOND
        if one.how == "TIMEOUT" and answer < deadline - PRECISION:
            self.fail("early", f"{one} timed out before its {one.wait} ms were over")
        if answer > deadline + SLACK and not self._is_silent(one.host, one.ask, answer):
            if not self._is_silent(one.process, one.ask, answer):
                late = (answer - deadline) / MILLISECOND
                self.fail("late", f"{one} was answered {late:.0f} ms after its time was over")
        if one.how in ("TIMEOUT", "cluster-unavailable") and one.of is None and self.is_calm(one.ask, answer):
            if one.how == "cluster-unavailable":
                # With a worker end the answers that it waited for. The next one asks again, in what is left of the half second:
                # that is enough after one kill.
                killed = [time for time in self._workers_killed[one.host] if one.ask <= time <= answer]
                if one.wait == 0 and answer >= one.ask + PROBE and len(killed) >= 2:
                    self.counts["refused with its workers"] += 1
                    return
                self.fail("unavailable", f"{one} was refused while nothing was wrong")
            elif one.wait * MILLISECOND >= PATIENCE:
                self.fail("starved", f"{one} waited for {one.wait} ms while nothing was wrong")

    def _judge_validations(self) -> None:
        """G7: what VALIDATE says on any host is true at some time between the question and the answer."""
        grants: dict[tuple[str, int], list[Request]] = defaultdict(list)
        upgrades: dict[Request, int] = {}
        for one in self.requests:
            if one.granted is not None:
                grants[one.lock, one.token].append(one)
            if one.of is not None and one.refused is None:
                upgrades[one.of] = one.ask
        for event in self._validations:
            for one in grants[event["lock"], event["token"]]:
                end = upgrades.get(one, math.inf)
                if event["how"] == "VALID" and one.over is not None and one.over < event["asked"]:
                    if len(grants[event["lock"], event["token"]]) == 1:
                        self.fail("validate", f"{one} was valid after its end, for {event['p']}")
                elif event["how"] == "STALE" and self._must_know(one, event["asked"], event["t"]):
                    if any(hold.begin < event["asked"] and event["t"] < min(hold.end, end) for hold in one.holds()):
                        self.fail("validate", f"{one} was stale while it was held, for {event['p']}")

    def _must_know(self, one: Request, begin: int, end: int) -> bool:
        """Whether the client of a grant would have read its loss by then."""
        return one.revoked is None and not self._is_silent(one.process, begin, end)

    def _judge_loss(self, one: Request) -> None:
        """A grant is only revoked for a fault that can end a claim."""
        if one.revoked is not None and self.is_calm(one.revoked, one.revoked, only_losing=True):
            self.fail("revoked", f"{one} was revoked while nothing was wrong with the lease of {one.host}")

    def _is_worker_killed(self, host: str, begin: int, end: int) -> bool:
        killed = self._workers_killed[host]
        last = bisect_right(killed, end)
        return last > 0 and killed[last - 1] >= begin

    def is_calm(self, begin: int, end: int, only_losing: bool = False) -> bool:
        """Whether no fault was on, nor just over, at any time between."""
        return not any(
            fault.begin <= end and begin <= fault.end + self._settled
            for fault in self.faults if fault.loses or not only_losing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where the processes' histories are")
    parser.add_argument("--lease", type=float, default=3, help="the seconds of the hosts' leases (3)")
    options = parser.parse_args()
    judge = Judge(history.read(options.folder), int((options.lease + 5) * SECOND))
    violations = judge.judge()
    for violation in violations:
        print(violation)
    print(f"{len(judge.grants)} grants, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
