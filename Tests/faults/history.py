"""The histories of processes: a line of JSON for each event, written at once, so that a kill loses no earlier event.

Every event has a time `t` in nanoseconds of CLOCK_BOOTTIME, a process `p` and a name `e`. A process writes an action before
it acts and an observation after it observed, so that the true time of each lies between two events.

A client's events; all but the first belong to a request `op`:

    connected   session `s` is open
    ask         session, `lock`, `mode`, `owner`, `wait` and `lease` in ms or null; of an upgrade also `of`, the grant's `op`
    queued      the request waits: a later line of the same session was answered before it
    granted     `token`, and `died` if a writer before died
    refused     `how`: BUSY, TIMEOUT, DEADLOCK, CANCELLED, or an error's code
    releasing, released, not-held
    downgrading (`to`), downgraded
    lost        session `s`: the daemon closed it
    not-asked   a `line` that answers no request, or one that has its answer
    closing     session `s` is closed by its own process, with whatever it holds

The driver's events: `killing` and `killed` of a process `pid`; `stopping`, `continuing`; `daemon-starting` (`grace` in ms,
0 after an orderly end), `daemon-stopping`, `daemon-ended`; `finished`, after all clients have closed their sessions.

On a fleet (`Tests/fleet`) also: `of-host`, the `host` of a session `s`; `granted` has `until`, the time that `until=` gives,
and in `died` the word of `ownerdied=`; `extended`, all shared grants of the session count `until` then; `revoked` (`how`:
REVOKED or EXPIRED); `ended`, the client counts a grant as lost at its until; `validated`, the answer (`how`) to the question
of the time `asked` whether a `token` of any client on a `lock` is valid. Of the driver: `host-killing`, `host-serving`,
`host-stopping`, `host-continued`, `worker-killing` with `host`; `fault-begins` (`loses`: whether a host may lose its claims by
it), `fault-ends` with `fault`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Recorder:
    """Writes the events of one process to its own file."""

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder) / f"{os.getpid()}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._process = os.getpid()

    def note(self, event: str, **fields: Any) -> int:
        time = now()
        line = json.dumps({"t": time, "p": self._process, "e": event, **fields}) + "\n"
        os.write(self._file, line.encode())
        return time


def read(folder: str | Path) -> list[dict[str, Any]]:
    """Read all events in a folder in the order of their times, without lines that a kill cut off."""
    events = []
    for path in Path(folder).glob("*.jsonl"):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                events.append(json.loads(line))
    return sorted(events, key=lambda event: event["t"])
