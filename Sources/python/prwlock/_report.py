"""The holders and waiters of a lock, with a description of each process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional

from ._described import Described, clock, describe
from ._hold_mark import client_of
from ._shown import Shown, in_words, plain
from ._status import Holder, LockStatus, Waiter
from ._table import Column, Style, Table
from ._wire import encode_name

_HOLDERS = (
    Column("HOLDER", is_number=True), Column("MODE"), Column("SINCE", rank=1), Column("FOR"),
    Column("LEASE LEFT", rank=2), Column("TOKEN", is_number=True), Column("USER"),
    Column("UNIT", may_be_cut=True, rank=3), Column("NOTE", may_be_cut=True, rank=4),
    Column("COMMAND", may_be_cut=True),
)  # fmt: skip
_WAITERS = (
    Column("WAITING", is_number=True), Column("MODE"), Column("FOR"), Column("GIVES UP IN", rank=3),
    Column("WAITS FOR", may_be_cut=True), Column("USER"), Column("UNIT", may_be_cut=True, rank=1),
    Column("NOTE", may_be_cut=True, rank=2), Column("COMMAND", may_be_cut=True),
)  # fmt: skip


_HOSTS = (Column("HOST"), Column("CLAIMS"), Column("WAITS FOR A CLAIM"))


class Report:
    """A lock's status for people and for programs."""

    def __init__(self, status: LockStatus, facts: Callable[[Optional[int]], Described]) -> None:
        self.name = status.name
        self._hosts = status.claims, status.claim_waiters
        self._holders = [(row, facts(row.pid), _client(row)) for row in status.holders]
        self._waiters = [
            (row, facts(row.pid), _obstacles(row, status.holders, status.waiters[:index]))
            for index, row in enumerate(status.waiters)
        ]

    @property
    def is_free(self) -> bool:
        """Whether the lock has neither holders nor waiters."""
        return not self._holders and not self._waiters

    def text(self, style: Style) -> Shown:
        """Returns a summary line, a table of holders and one of waiters."""
        text = f"{style.strong(self.name)}: {plain(self._summary)}\n"
        if self._holders:
            text += "\n" + Table(_HOLDERS, style).render([_holder_cells(*holder) for holder in self._holders])
        if self._waiters:
            text += "\n" + Table(_WAITERS, style).render([_waiter_cells(*waiter) for waiter in self._waiters])
        if any(self._hosts):
            rows = [(claim.host, claim.mode, "") for claim in self._hosts[0]]
            rows += [(claim.host, "", claim.mode) for claim in self._hosts[1]]
            text += "\n" + Table(_HOSTS, style).render(rows)
        return Shown(text)

    @property
    def _summary(self) -> str:
        waiting = f"{len(self._waiters)} waiting" if self._waiters else "no request waits"
        if not self._holders:
            # Whether other hosts hold what they claim is known there only.
            free = "not held on this host" if any(self._hosts) else "free"
            return f"{free}, {waiting}" if self._waiters else free
        # The alphabetical order of the modes is the order of their strength.
        mode = max(row.mode for row, _, _ in self._holders)
        count = len(self._holders)
        return f"held ({mode}), {'1 holder' if count == 1 else f'{count} holders'}, {waiting}"

    @property
    def json(self) -> dict[str, Any]:
        """The same for programs: durations are in milliseconds."""
        members: dict[str, Any] = {
            **name_members(self.name),
            "holders": [_holder_json(*holder) for holder in self._holders],
            "waiters": [_waiter_json(*waiter) for waiter in self._waiters],
        }
        if any(self._hosts):
            for key, claims in zip(("claims", "claim_waiters"), self._hosts):
                members[key] = [claim._asdict() for claim in claims]
        return members


def name_members(name: str) -> dict[str, str]:
    """Returns the plain name and its encoded form."""
    return {"name": name, "encoded": encode_name(name).decode()}


def _client(row: Holder) -> Optional[tuple[int, Described]]:
    """Returns the process that ``hold`` holds the lock for."""
    client = client_of(row.owner)
    # The process id in the owner is one of the holder's namespace.
    return client and (client[0], describe(client[0]) if client[1] else Described())


def _obstacles(waiter: Waiter, holders: Sequence[Holder], ahead: Sequence[Waiter]) -> list[Optional[int]]:
    """Returns the processes that a waiter waits for: holders and earlier waiters in a conflicting mode (G2, G3)."""
    # A waiting upgrade does not wait for its own grant.
    others = [
        row for row in holders if (row.pid, row.owner, row.note) != (waiter.pid, waiter.owner, waiter.note)
    ]
    pairs = [(row.pid, row.mode) for row in others] + [(row.pid, row.mode) for row in ahead]
    return [pid for pid, mode in pairs if "write" in (mode, waiter.mode) or mode == waiter.mode == "update"]


def _spelled(process: Optional[int]) -> str:
    return "?" if process is None else str(process)


def _optional(seconds: Optional[float]) -> str:
    return "" if seconds is None else in_words(seconds)


def _holder_cells(row: Holder, process: Described, client: Optional[tuple[int, Described]]) -> list[str]:
    # For a background holder, its client's process is more informative.
    shown = process if client is None else client[1]
    head = "" if client is None else f"for {client[0]}: "
    return [
        _spelled(row.pid), row.mode, clock(row.age), in_words(row.age), _optional(row.lease), str(row.token),
        shown.user or "", shown.unit or "", row.note or "", head + (shown.command or "?"),
    ]  # fmt: skip


def _waiter_cells(row: Waiter, process: Described, obstacles: Sequence[Optional[int]]) -> list[str]:
    named = [_spelled(pid) for pid in obstacles[:3]]
    if len(obstacles) > 3:
        named.append(f"+{len(obstacles) - 3}")
    left = None if row.timeout is None else max(0.0, row.timeout - row.waited)
    return [
        _spelled(row.pid), row.mode, in_words(row.waited), _optional(left), ", ".join(named), process.user or "",
        process.unit or "", row.note or "", process.command or "",
    ]  # fmt: skip


def milliseconds(seconds: Optional[float]) -> Optional[int]:
    """Returns a duration for JSON."""
    return None if seconds is None else round(seconds * 1_000)


def token_text(token: Optional[int]) -> Optional[str]:
    """Returns a token for JSON: those of locks that hosts share are above 2**53, where many programs round a number."""
    return None if token is None else str(token)


def _holder_json(row: Holder, process: Described, client: Optional[tuple[int, Described]]) -> dict[str, Any]:
    members = {
        "pid": row.pid, "mode": row.mode, "owner": row.owner, "token": token_text(row.token),
        "age_ms": milliseconds(row.age), "lease_left_ms": milliseconds(row.lease), "note": row.note, **process.members,
    }  # fmt: skip
    return members if client is None else {**members, "for": {"pid": client[0], **client[1].members}}


def _waiter_json(row: Waiter, process: Described, obstacles: Sequence[Optional[int]]) -> dict[str, Any]:
    return {
        "pid": row.pid, "mode": row.mode, "owner": row.owner, "waited_ms": milliseconds(row.waited),
        "timeout_ms": milliseconds(row.timeout), "waits_for": obstacles, "note": row.note, **process.members,
    }  # fmt: skip
