#!/usr/bin/env python3
"""Reads the histories of processes (history.py) and reports violations of the guarantees.

A history of a reader-writer lock is correct if each grant and each release has a point in time, between its request and
its reply, such that the points obey the lock's rules (linearizability; Herlihy and Wing, 1990). In general this needs a
search. Here tokens give the order of the grants, and the earliest possible point for each grant is the best one: a later
grant never needs an earlier one to be later.

A cached grant is held several times in a row, each time by a request of its owner. The first of them has its place among
all grants by its token. Each of the others must obey the same rules on its own lock.
"""

from __future__ import annotations

import argparse
import bisect
import dataclasses
import math
import sys
from collections import Counter, defaultdict
from typing import Any

import history
from operation import MILLISECOND, Life, Operation

# The daemon forgot a request that timed out although its lock was free for so long before.
PATIENCE = 500 * MILLISECOND
# The daemon rounds times to milliseconds.
PRECISION = 2 * MILLISECOND


class Checker:
    def __init__(self, events: list[dict[str, Any]], reader_patience: int | None = None) -> None:
        # The daemon's `--reader-patience` in milliseconds.
        self.reader_patience = reader_patience
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        self.operations: list[Operation] = []
        self.lives: list[Life] = []
        self.finished: int | None = None
        self._connected: dict[tuple[int, Any], int] = {}
        self._read(events)
        self._asks: dict[str, list[int]] = defaultdict(list)
        self._by_lock: dict[str, list[Operation]] = defaultdict(list)
        for one in self.operations:
            self._by_lock[one.lock].append(one)
            self._asks[one.lock].append(one.ask)
        self.grants = sorted(
            (one for one in self.operations if one.granted is not None), key=lambda one: (one.token, one.granted))

    def _read(self, events: list[dict[str, Any]]) -> None:
        by_name: dict[tuple[int, Any], Operation] = {}
        sessions: dict[tuple[int, Any], list[Operation]] = defaultdict(list)
        killed: dict[int, tuple[int, int | None]] = {}
        for event in events:
            kind, time, process = event["e"], event["t"], event["p"]
            self.counts[kind] += 1
            if kind == "ask":
                names = {field.name for field in dataclasses.fields(Operation)}
                fields = {name: value for name, value in event.items() if name in names}
                one = Operation(process=process, session=event.get("s"), ask=time, **fields)
                by_name[process, one.op] = one
                self.operations.append(one)
                sessions[process, one.session].append(one)
            elif kind in ("queued", "releasing", "released", "downgrading", "downgraded"):
                setattr(by_name[process, event["op"]], kind, time)
                by_name[process, event["op"]].to = event.get("to", by_name[process, event["op"]].to)
            elif kind == "not-held":
                by_name[process, event["op"]].not_held = time
            elif kind == "granted":
                one = by_name[process, event["op"]]
                one.granted, one.token, one.died = time, event["token"], event["died"]
                if one.of is not None:
                    old = by_name[process, one.of]
                    old.upgrade = one
                    one.lease_from = old.ask if old.lease_from is None else old.lease_from
            elif kind == "refused":
                one = by_name[process, event["op"]]
                one.refused, one.how = time, event["how"]
                self.counts[event["how"]] += 1
            elif kind == "connected":
                self._connected[process, event["s"]] = time
            elif kind in ("closing", "lost"):
                for one in sessions[process, event["s"]]:
                    one.gone = time if one.gone is None else one.gone
                    if kind == "lost":
                        one.gone_at_last = time
            elif kind == "killing":
                killed[event["pid"]] = (time, None)
            elif kind == "killed":
                killed[event["pid"]] = (killed[event["pid"]][0], time)
            elif kind == "daemon-starting":
                self.lives.append(Life(time, event["grace"] * MILLISECOND))
            elif kind == "daemon-stopping" and self.lives:
                self.lives[-1].end = time
            elif kind == "daemon-ended" and self.lives:
                self.lives[-1].ended = time
            elif kind == "finished":
                self.finished = time
        for one in self.operations:
            begin, end = killed.get(one.process, (None, None))
            if begin is None or one.gone_at_last is not None:
                continue
            # It lived until its last event, even if the driver announced the kill before.
            begin = max(begin, one.ask, one.granted or 0)
            one.gone = begin if one.gone is None else min(one.gone, begin)
            one.gone_at_last = end
        self._settle_lives()

    def _settle_lives(self) -> None:
        """Find the daemon that answered each request; no grant outlives its daemon."""
        for one in self.operations:
            began = self._connected.get((one.process, one.session), one.ask)
            possible = [index for index, life in enumerate(self.lives) if life.start <= began]
            one.life = possible[-1] if possible else None
            if one.granted is not None and (one.process, one.session) not in self._connected:
                # The client reconnects by itself: only the time tells which daemon it was.
                last = [index for index, life in enumerate(self.lives) if life.start <= one.granted]
                one.life = last[-1] if last and (not possible or last[-1] == possible[-1]) else None
            # If the daemon is unknown, take the end of the first possible one: the grant was held at least so long.
            known = one.life if one.life is not None else possible[-1] if possible else None
            if known is not None:
                life = self.lives[known]
                if life.end is not None and (one.gone is None or one.gone > life.end):
                    one.gone = life.end
                if life.ended is not None and (one.gone_at_last is None or one.gone_at_last > life.ended):
                    one.gone_at_last = life.ended

    def fail(self, kind: str, text: str) -> None:
        self.violations.append(f"{kind}: {text}")

    # The guarantees

    def check(self) -> list[str]:
        self._check_points()
        self._check_order()
        self._check_reader_patience()
        self._check_marks()
        self._check_deadlines()
        self._check_wake_ups()
        return self.violations

    def _check_points(self) -> None:
        """G1, G5 and G7: each grant and each release has a point in time."""
        now = 0.0
        last: Operation | None = None
        held: dict[str, list[Operation]] = defaultdict(list)
        for one in self.grants:
            is_again = last is not None and one.token == last.token
            if last is not None and is_again and not self._may_follow(one, last):
                self.fail("token", f"{one} was given twice")
            last = one
            if now > one.granted:
                self.fail("token", f"{one} was granted before a grant with a lower token could be asked for")
            earliest = max(now, one.ask)
            life = self.lives[one.life] if one.life is not None else None
            if life is not None and one.granted < life.start + life.grace:
                self.fail("grace", f"{one} was granted in the grace after a crash")
            for other in held[one.lock]:
                if other is one or one.of == other.op and one.process == other.process:
                    continue
                until = other.kept_out_until(one.mode)
                if until > one.granted:
                    self.fail("exclusion", f"{one} was granted while {other} was held")
                else:
                    earliest = max(earliest, until)
            if one.wait is not None and one.queued is not None:
                deadline = one.queued + one.wait * MILLISECOND + PRECISION
                if earliest > deadline:
                    self.fail("deadline", f"{one} was granted {(earliest - deadline) / MILLISECOND:.0f} ms too late")
            one.earliest = earliest
            if not is_again:
                now = max(now, min(earliest, one.granted))
                held[one.lock] = [other for other in held[one.lock] if other.held_at_most_until > one.ask]
            held[one.lock].append(one)

    @staticmethod
    def _may_follow(one: Operation, last: Operation) -> bool:
        """Whether a grant may be held again: it is cached, with a clean release before, and nothing else than that."""
        is_same = all(getattr(one, name) == getattr(last, name) for name in ("process", "session", "owner", "lock", "mode"))
        is_plain = one.mode != "update" and one.lease is None and one.of is None and last.downgrading is None
        return is_same and is_plain and last.released is not None and last.released <= one.ask and not one.died

    def _check_order(self) -> None:
        """G2 and G3: writers and updaters in their order, and no new reader before a waiting writer."""
        queues: dict[tuple[str, Any], list[Operation]] = defaultdict(list)
        for one in self.grants:
            queues[one.lock, one.life].append(one)
        for (_, life), grants in queues.items():
            if life is None:
                continue
            waited = [one for one in grants if one.queued is not None and one.of is None and one.mode != "read"]
            for one in waited:
                for other in grants:
                    if other.token >= one.token or other.ask <= one.queued or other.of is not None:
                        continue
                    if other.mode == "read" and (one.mode != "write" or self._held_before(other)):
                        continue
                    if other.mode == "update" and self._held_before(other):
                        continue
                    self.fail("order", f"{other} came after {one} and was granted before it")

    def _check_reader_patience(self) -> None:
        """G2: no writer passes a reader that came before it and has lost patience."""
        if self.reader_patience is None:
            return
        reads: dict[tuple[str, Any], list[Operation]] = defaultdict(list)
        for one in self.operations:
            if one.mode == "read" and one.queued is not None and one.life is not None:
                reads[one.lock, one.life].append(one)
        for writer in self.grants:
            if writer.mode != "write" or writer.of is not None or writer.life is None:
                continue
            for reader in reads[writer.lock, writer.life]:
                if writer.ask <= reader.queued or writer.token > (reader.token or math.inf):
                    continue
                if reader.how not in ("", "TIMEOUT"):
                    continue  # It may have been refused before the writer was granted.
                impatient = reader.queued + self.reader_patience * MILLISECOND + PRECISION
                end = math.inf if reader.gone is None else reader.gone
                if reader.wait is not None:
                    end = min(end, reader.ask + reader.wait * MILLISECOND - PRECISION)
                # If it was granted, its token shows that it waited until after the writer.
                still_waited = reader.granted is not None or writer.granted < end
                if still_waited and writer.earliest > impatient:
                    self.fail("patience", f"{writer} was granted before {reader}, which had lost patience")

    def _held_before(self, one: Operation) -> bool:
        """Whether its owner may have held the lock when it asked (G4)."""
        return any(
            other.process == one.process and other.session == one.session and other.owner == one.owner
            and other is not one and other.lock == one.lock and other.held_at_most_until >= one.ask
            for other in self.grants
        )

    def _check_marks(self) -> None:
        """G11: exactly the grants after a writer that died say so."""
        locks: dict[tuple[str, int], list[Operation]] = defaultdict(list)
        unseen: dict[str, list[Operation]] = defaultdict(list)
        for one in self.operations:
            if one.granted is None and one.refused is None and one.mode == "write":
                unseen[one.lock].append(one)
        # A client without any reply may have died in the backlog: the daemon then reads its lines, and notices its death,
        # when it accepts the connection.
        answered = {
            (one.process, one.session) for one in self.operations
            if one.granted is not None or one.refused is not None or one.queued is not None
        }
        unsure = {one.lock for one in self.grants if one.life is None}
        for one in self.grants:
            if one.life is not None:
                locks[one.lock, one.life].append(one)
        for (lock, _), grants in locks.items():
            if lock in unsure:
                continue
            marked: bool | None = False
            cleaned = 0
            for one in grants:
                if marked is True and not one.died:
                    self.fail("owner-died", f"{one} was not told that a writer before it died")
                if marked is False and one.died and not any(
                    other.ask <= one.granted
                    and (
                        other.gone_at_last is None or other.gone_at_last >= cleaned
                        or (other.process, other.session) not in answered
                    )
                    for other in unseen[lock]
                ):
                    self.fail("owner-died", f"{one} was told of a death that never was")
                if one.mode == "write":
                    clean = one.ended_cleanly
                    marked = None if clean is None else not clean
                    if clean:
                        cleaned = one.ask

    def _check_deadlines(self) -> None:
        """G5: the daemon does not refuse a request before its time is over."""
        for one in self.operations:
            if one.how == "TIMEOUT" and one.wait is not None and one.refused is not None:
                if one.refused < one.ask + one.wait * MILLISECOND - PRECISION:
                    self.fail("early", f"{one} timed out before its {one.wait} ms were over")

    def _check_wake_ups(self) -> None:
        """G13: each request that waits for nothing is granted, and each request is answered."""
        for one in self.operations:
            if one.granted is None and one.refused is None and one.gone is None and self.finished is not None:
                self.fail("unanswered", f"{one} was never answered")
            if one.how != "TIMEOUT" or one.wait is None or one.of is not None or one.wait * MILLISECOND < PATIENCE:
                continue
            end = one.ask + one.wait * MILLISECOND
            life = self.lives[one.life] if one.life is not None else None
            if life is None or (life.end is not None and life.end < end) or life.start + life.grace > end - PATIENCE:
                continue
            before = bisect.bisect_left(self._asks[one.lock], end)
            # The newest first: most often one of them qualifies.
            if not any(
                other is not one and self._over(other) > end - PATIENCE
                for other in reversed(self._by_lock[one.lock][:before])
            ):
                self.fail("forgotten", f"{one} waited for a lock that was free, until its time was over")

    @staticmethod
    def _over(one: Operation) -> float:
        """The time at which a request and its grant were over."""
        if one.granted is None and one.refused is not None:
            return one.refused
        return one.held_at_most_until


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where the processes' histories are")
    checker = Checker(history.read(parser.parse_args().folder))
    violations = checker.check()
    for violation in violations:
        print(violation)
    print(f"{len(checker.grants)} grants, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
