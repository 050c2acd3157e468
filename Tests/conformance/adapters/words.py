"""What the two adapters for the Python package share: the words of the driver for values and errors of the package."""

from __future__ import annotations

import json
import os
from typing import Any, Optional

import prwlock

#: The most special class first.
ERRORS = [
    (prwlock.WouldBlock, "busy"),
    (prwlock.AcquireTimeout, "timeout"),
    (prwlock.Deadlock, "deadlock"),
    (prwlock.Denied, "denied"),
    (prwlock.Cancelled, "cancelled"),
    (prwlock.LockLost, "lost"),
    (prwlock.NotHeld, "not-held"),
    (prwlock.LimitExceeded, "limit"),
    (prwlock.ClusterUnavailable, "cluster"),
    (prwlock.DaemonTimeout, "silent"),
    (prwlock.AccessRefused, "untrusted"),
    (prwlock.DaemonUnavailable, "unavailable"),
    (ValueError, "invalid"),
]


def say(fields: dict[str, Any]) -> None:
    """Writes one line, with one system call, because a forked child writes too."""
    os.write(1, json.dumps(fields).encode() + b"\n")


def seconds(command: dict[str, Any], key: str) -> Optional[float]:
    milliseconds = command.get(key)
    return None if milliseconds is None else milliseconds / 1000


def name(command: dict[str, Any]) -> bytes:
    return bytes.fromhex(command.get("name_hex", "")) or str(command.get("name", "")).encode()


def error(fault: Exception) -> dict[str, Any]:
    word = next((word for kind, word in ERRORS if isinstance(fault, kind)), "other")
    code = str(getattr(fault, "code", ""))
    fields: dict[str, Any] = {"error": code if code == "wrong-mode" else word, "text": str(fault), "code": code}
    if isinstance(fault, prwlock.AcquireTimeout):
        more = [f"+{fault.more}"] if fault.more else []
        fields["held_by"] = ",".join([*map(repr, fault.held_by), *more]) or "?"
    if isinstance(fault, prwlock.Deadlock):
        more = [f"+{fault.more}"] if fault.more else []
        fields["cycle"] = ">".join([*map(repr, fault.cycle), *more])
    if isinstance(fault, prwlock.LockLost):
        fields["reason"] = fault.reason
    return fields


def facts(grant: Any) -> dict[str, Any]:
    fields = {"token": str(grant.token), "mode": grant.mode}
    if grant.owner_died:
        fields["ownerdied"] = "maybe" if grant.owner_died_is_unsure else "1"
    return fields


def status(of: Any) -> dict[str, Any]:
    return {
        "holders": " ".join(f"{one.pid}/{one.mode}/{one.token}/{one.note or '-'}" for one in of.holders),
        "waiters": " ".join(f"{one.pid}/{one.mode}/{one.note or '-'}" for one in of.waiters),
    }


def event(change: Any, watch: int) -> dict[str, Any]:
    if isinstance(change, prwlock.Missed):
        return {"event": "missed", "of": watch, "count": str(change.number)}
    token = "-" if change.token is None else str(change.token)
    fields = {"name": change.name, "what": change.what, "mode": change.mode, "token": token}
    return {"event": "change", "of": watch, **fields}
