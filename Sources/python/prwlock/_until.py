"""Until when a grant on a lock that hosts share counts.

A daemon has such a lock from a cluster, for a time. It says until when: in the reply that grants, and again by a notice
for all of a session's grants on shared locks. When that moment has passed without a newer one, these grants are lost,
also if the daemon or the whole machine was stopped: another host may have the lock.
"""

from __future__ import annotations

from time import CLOCK_BOOTTIME, clock_gettime

from ._wire import fields

#: How often a waiting thread or task checks this clock while such grants are held, in seconds. The waits of Python do
#: not count while the machine sleeps, so after a sleep a loss is noticed so much later at most.
GLANCE = 0.25
#: Why such a grant is lost, for people.
UNCONFIRMED = "the lock daemon did not confirm in time that this host still has it"
_UNITS = ((b"ms", 1_000), (b"s", 1))


def boot_now() -> float:
    """Returns the time in seconds, on a clock that also counts while the machine sleeps."""
    return clock_gettime(CLOCK_BOOTTIME)


def until_of(line: bytes) -> float:
    """Returns the moment that a line states; 0 if it states none.

    The line may have waited since the daemon wrote it, so the earlier of both clocks counts. A line without sense
    counts for no time.
    """
    if b" until=" not in line:
        return 0.0
    now = boot_now()
    values = fields(line.split(b" "))
    try:
        return min(now, _seconds(values[b"clock"])) + _seconds(values[b"until"])
    except (KeyError, ValueError):
        return now


def _seconds(word: bytes) -> float:
    for unit, parts in _UNITS:
        if word.endswith(unit):
            return int(word[: -len(unit)]) / parts
    return int(word)
