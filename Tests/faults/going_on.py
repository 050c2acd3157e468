"""The promises of a daemon with a keeper, while only its worker is killed (G14): no session ends, and each request has one answer.

That the order is as before, and that nothing is granted twice or late, is for `checker.py`, which sees one daemon.
"""

from __future__ import annotations

from typing import Any

ANSWERS = ("queued", "granted", "refused", "released", "not-held", "downgraded")


def check(events: list[dict[str, Any]]) -> list[str]:
    """Return what contradicts these promises in the events of history.py."""
    violations = []
    sessions: dict[tuple[int, Any], Any] = {}
    answered = set()
    decided = set()
    for event in events:
        process, kind = event["p"], event["e"]
        if kind == "ask":
            sessions[process, event["op"]] = event.get("s")
        elif kind in ANSWERS:
            answered.add((process, sessions.get((process, event["op"]))))
        elif kind == "not-asked":
            violations.append(f"answer: {process} got {event['line']!r}, which answers nothing, or a second time")
        # A connection may close in the instant of the kill, before its first answer.
        elif kind == "lost" and (process, event["s"]) in answered:
            violations.append(f"session: {process} lost its session {event['s']}")
        if kind in ("granted", "refused"):
            if (process, event["op"]) in decided:
                violations.append(f"answer: {process}/{event['op']} was answered twice")
            decided.add((process, event["op"]))
    return violations
