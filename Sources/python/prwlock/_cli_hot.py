"""``hot``: the locks that have cost most."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple, Optional

from ._client import Client
from ._described import Described, clock, lookup
from ._errors import ProtocolError
from ._report import milliseconds, name_members
from ._shown import in_words
from ._standard import Complaint
from ._status import HotLock, hot_locks, hot_request
from ._table import Column, Listing

#: The daemon sent an unexpected answer (`EX_PROTOCOL`).
_PROTOCOL_FAULT = 76
#: What the locks may be ordered by.
COSTS = ("waited", "waits", "grants", "held", "longest")
_COLUMNS = (
    Column("WAITED"), Column("WAITS", is_number=True), Column("P50", rank=6), Column("P95", rank=7), Column("LONGEST"),
    Column("AT", rank=4), Column("BEHIND"), Column("USER", rank=3), Column("COMMAND", may_be_cut=True, rank=5),
    Column("GRANTS", is_number=True, rank=2), Column("HELD", rank=1), Column("NAME", may_be_cut=True),
)  # fmt: skip


class Asked(NamedTuple):
    """The options of a command line."""

    prefix: str
    by: str
    limit: int
    is_json: bool


def show(client: Client, asked: Asked) -> int:
    """Prints the locks, the worst first."""
    try:
        rows = hot_locks(client._rows(hot_request(asked.prefix, asked.by, asked.limit)))
    except ProtocolError as error:
        raise Complaint(
            "the lock daemon is older than this command, and does not count what locks cost: install the new one, then "
            "`prwlock upgrade`", _PROTOCOL_FAULT,
        ) from error  # fmt: skip
    listing = Listing(_COLUMNS, asked.is_json)
    facts = lookup(client)
    for row in rows:
        holder = _holder(row, facts)
        listing.add(_cells(row, holder), _members(row, holder))
    listing.finish("no lock has cost anything yet; a time counts when it ends")
    return 0


def percentile(counts: Sequence[int], percent: int, longest: float) -> Optional[float]:
    """Estimates the seconds that so many of a hundred times do not exceed; None if nothing was counted.

    The first bucket has times of up to 16 µs, and each further one those of up to four times as long; the last one has
    no end. The times of a bucket count as spread evenly over it, as in ``histogram_quantile`` of Prometheus.
    """
    total = sum(counts)
    if not total:
        return None
    rank = total * percent / 100
    before = 0
    for bucket, count in enumerate(counts[:-1]):
        if count and before + count >= rank:
            start = 0 if bucket == 0 else 16 << (2 * (bucket - 1))
            end = 16 << (2 * bucket)
            return min(longest, (start + (rank - before) / count * (end - start)) / 1e6)
        before += count
    return longest


def _holder(row: HotLock, facts: Callable[[Optional[int]], Described]) -> Described:
    """Describes the process that held the lock; not one that began later, which only has the same id."""
    if row.behind is None or row.behind[0] is None or row.ago is None:
        return Described()
    try:
        with open(f"/proc/{row.behind[0]}/stat", "rb") as file:
            ticks = int(file.read().rpartition(b") ")[2].split(b" ")[19])
    except OSError:
        return Described()
    began = ticks / os.sysconf("SC_CLK_TCK")
    is_later = began >= time.clock_gettime(time.CLOCK_BOOTTIME) - row.ago
    return Described() if is_later else facts(row.behind[0])


def _words(seconds: Optional[float]) -> str:
    """Returns a time in words. Many waits are shorter than a millisecond."""
    if seconds is None:
        return ""
    return f"{int(seconds * 1e6)} µs" if seconds < 0.001 else in_words(seconds)


def _cells(row: HotLock, holder: Described) -> tuple[str, ...]:
    has_waited = row.waits > 0
    behind = "" if row.behind is None else f"{'?' if row.behind[0] is None else row.behind[0]} ({row.behind[1]})"
    percentiles = [_words(percentile(row.wait_buckets, percent, row.longest)) for percent in (50, 95)]
    return (
        _words(row.waited) if has_waited else "", str(row.waits), *percentiles,
        _words(row.longest) if has_waited else "", "" if row.ago is None else clock(row.ago), behind, holder.user or "",
        holder.command or "", str(row.grants), _words(row.held), row.name,
    )  # fmt: skip


def _members(row: HotLock, holder: Described) -> dict[str, Any]:
    percentiles = [percentile(row.wait_buckets, percent, row.longest) for percent in (50, 95)]
    p50, p95 = (None if seconds is None else int(seconds * 1e6) for seconds in percentiles)
    behind = None if row.behind is None else {"pid": row.behind[0], "mode": row.behind[1], **holder.members}
    return {
        **name_members(row.name), "grants": row.grants, "waits": row.waits, "waited_ms": milliseconds(row.waited),
        "held_ms": milliseconds(row.held), "wait_p50_us": p50, "wait_p95_us": p95,
        "longest_wait_ms": milliseconds(row.longest), "longest_wait_ago_ms": milliseconds(row.ago),
        "longest_wait_behind": behind, "over_us": row.over, "wait_buckets": row.wait_buckets,
        "hold_buckets": row.hold_buckets,
    }  # fmt: skip
