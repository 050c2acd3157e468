"""The daemon's listings and notices as values. Loaded only when they are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional, Union

from ._errors import LockError, ProtocolError
from ._wire import decode_name, encode_name, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from ._wire import Text

#: The number of locks in a page of `LIST`.
PAGE = 1_000


class Holder(NamedTuple):
    """A grant. Times are in seconds; `pid` is None where the daemon cannot see the process."""

    pid: Optional[int]
    mode: str
    #: The owner's word within its session; None if the owner is the session.
    owner: Optional[str]
    token: int
    #: The time since the grant.
    age: float
    #: The time until it expires; None if it has no lease.
    lease: Optional[float]
    note: Optional[str]


class Waiter(NamedTuple):
    """A request that waits. Times are in seconds."""

    pid: Optional[int]
    mode: str
    owner: Optional[str]
    waited: float
    #: The whole time that it may wait; None for ever.
    timeout: Optional[float]
    note: Optional[str]
    #: The token of the grant that it upgrades; None if it is no upgrade.
    upgrades: Optional[int] = None


class Claim(NamedTuple):
    """A host that has a lock from its cluster, or waits for it, and the mode."""

    host: str
    mode: str


class LockStatus(NamedTuple):
    """The holders of a lock, in the order of their grants, and its waiters, in the order of the queue."""

    name: str
    holders: tuple[Holder, ...]
    waiters: tuple[Waiter, ...]
    #: If hosts share the lock: those that claim it, and those that wait for a claim, in the order of their queue.
    claims: tuple[Claim, ...] = ()
    claim_waiters: tuple[Claim, ...] = ()


class LockSummary(NamedTuple):
    """One lock of a list."""

    name: str
    #: The strongest mode of its grants; None if there is no grant.
    mode: Optional[str]
    holders: int
    waiters: int
    #: Whether a writer ended without a release, and no later writer has released.
    owner_died: bool
    #: Whether `owner_died` is only possible: a host died with a shared lock, and may have had no writer.
    owner_died_is_unsure: bool = False
    #: What is claimed of a lock that hosts share; None if it is not shared. The mode is None if no host claims it.
    claim: Optional[tuple[Optional[str], Optional[str]]] = None


class HotLock(NamedTuple):
    """What a lock has cost since the daemon's process began to serve. Times are in seconds."""

    name: str
    #: The grants that have ended, and the time of all of them together: estimates.
    grants: int
    held: float
    waits: int
    #: The time of all waits together, and the longest of them.
    waited: float
    longest: float
    #: The process that held the lock for most of the longest wait, and its mode; None if no request has waited.
    behind: Optional[tuple[Optional[int], str]]
    #: The time since the longest wait ended; None if no request has waited.
    ago: Optional[float]
    #: The most that the row may lack, in microseconds of waiting.
    over: int
    #: How many waits and grants were how long, on a logarithmic scale.
    wait_buckets: list[int]
    hold_buckets: list[int]


class SessionStatus(NamedTuple):
    """A connection."""

    id: int
    pid: Optional[int]
    uid: int
    client: Optional[str]
    grants: int
    waiters: int
    #: The time since it connected, in seconds.
    age: float


class Change(NamedTuple):
    """A change of a grant, which `token` names, or of a request (`token` is None)."""

    name: str
    #: `granted`, `released`, `downgraded`, `upgraded`, `expired`, `revoked`, `died`;
    #: `waiting`, `timeout`, `cancelled`, `refused`.
    what: str
    pid: Optional[int]
    mode: str
    token: Optional[int]


class Missed(NamedTuple):
    """The number of changes that were left out because they were not read in time: read the listing again."""

    number: int


class _Parsing:
    """Makes a `ProtocolError` of what goes wrong while a row or a notice is parsed: no daemon has sent it."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if isinstance(error, (LookupError, ValueError)) and not isinstance(error, LockError):
            raise ProtocolError("the lock daemon sent a row that this version does not expect") from error


PARSING = _Parsing()


def lock_status(name: Text, rows: Sequence[bytes]) -> LockStatus:
    """Parses the rows of ``STATUS``."""
    words = [row.split(b" ") for row in rows]
    with PARSING:
        holders = tuple(_holder(fields(row)) for row in words if row[1] == b"holder")
        waiters = tuple(_waiter(fields(row)) for row in words if row[1] == b"waiter")
        claims = tuple(_claim(fields(row)) for row in words if row[1] == b"claim")
        claim_waiters = tuple(_claim(fields(row)) for row in words if row[1] == b"claim-waiter")
    return LockStatus(decode_name(encode_name(name)), holders, waiters, claims, claim_waiters)


def _claim(row: dict[bytes, bytes]) -> Claim:
    return Claim(row[b"host"].decode(), row[b"mode"].decode())


def _holder(row: dict[bytes, bytes]) -> Holder:
    return Holder(
        pid=_number(row[b"pid"]),
        mode=row[b"mode"].decode(),
        owner=_text(row[b"owner"]),
        token=int(row[b"token"]),
        age=_seconds(row[b"age"]) or 0,
        lease=_seconds(row[b"lease"]),
        note=_text(row[b"note"]),
    )


def _waiter(row: dict[bytes, bytes]) -> Waiter:
    return Waiter(
        pid=_number(row[b"pid"]),
        mode=row[b"mode"].decode(),
        owner=_text(row[b"owner"]),
        waited=_seconds(row[b"waited"]) or 0,
        timeout=_seconds(row[b"timeout"]),
        note=_text(row[b"note"]),
        upgrades=_number(row.get(b"upgrades", b"-")),
    )


def list_request(prefix: Text, after: bytes) -> bytes:
    """Returns the request for the page of ``LIST`` behind an encoded name."""
    text = b"LIST %s limit=%d" % (encode_name(prefix, "a prefix") if prefix else b"", PAGE)
    return text + b" after=" + after if after else text


def next_page(rows: Sequence[bytes]) -> Optional[bytes]:
    """Returns the encoded name that the next page of ``LIST`` begins behind; None if these rows are the last page."""
    locks = _rows_of(b"* lock ", rows)
    return locks[-1].split(b" ")[2] if len(locks) >= PAGE else None


def _rows_of(kind: bytes, rows: Sequence[bytes]) -> list[bytes]:
    """The rows of one kind. A later daemon may send others, which are ignored."""
    return [row for row in rows if row.startswith(kind)]


def lock_summary(row: bytes) -> LockSummary:
    """Parses a row of ``LIST``."""
    words = row.split(b" ")
    values = fields(words)
    with PARSING:
        return LockSummary(
            name=decode_name(words[2]),
            mode=_text(values[b"mode"]),
            holders=int(values[b"holders"]),
            waiters=int(values[b"waiters"]),
            owner_died=values[b"ownerdied"] != b"0",
            owner_died_is_unsure=values[b"ownerdied"] == b"maybe",
            claim=_claimed(values) if b"claim" in values else None,
        )


def _claimed(values: dict[bytes, bytes]) -> tuple[Optional[str], Optional[str]]:
    mode = values[b"claim"]
    return None if mode == b"none" else mode.decode(), _text(values[b"host"])


def lock_summaries(rows: Sequence[bytes]) -> list[LockSummary]:
    """Parses the rows of ``LIST``, without the locks that are only cached: nothing holds them or waits for them."""
    summaries = map(lock_summary, _rows_of(b"* lock ", rows))
    return [lock for lock in summaries if lock.holders or lock.waiters or lock.owner_died or lock.mode]


def hot_request(prefix: Text, by: str, limit: int) -> bytes:
    """Returns the request for what locks have cost, the worst first."""
    return b"HOT %s by=%s limit=%d" % (encode_name(prefix, "a prefix") if prefix else b"", by.encode(), limit)


def hot_locks(rows: Sequence[bytes]) -> list[HotLock]:
    """Parses the rows of ``HOT``."""
    with PARSING:
        return [_hot_lock(decode_name(words[2]), fields(words)) for words in (row.split(b" ") for row in rows)]


def _hot_lock(name: str, row: dict[bytes, bytes]) -> HotLock:
    process, _, mode = row[b"behind"].partition(b"/")
    return HotLock(
        name=name,
        grants=int(row[b"grants"]),
        held=_seconds(row[b"held"]) or 0,
        waits=int(row[b"waits"]),
        waited=_seconds(row[b"waited"]) or 0,
        longest=_seconds(row[b"longest"]) or 0,
        behind=(_number(process), mode.decode()) if mode else None,
        ago=_seconds(row[b"ago"]),
        over=int(row[b"over"]),
        wait_buckets=[int(number) for number in row[b"wait-buckets"].split(b",")],
        hold_buckets=[int(number) for number in row[b"hold-buckets"].split(b",")],
    )


def stats(rows: Sequence[bytes]) -> dict[str, int]:
    """Parses the rows of ``STATS``."""
    with PARSING:
        words = (row.split(b" ") for row in rows)
        return {row[1].decode(): int(row[2]) for row in words if len(row) > 2 and row[2].isdigit()}


def sessions(rows: Sequence[bytes]) -> list[SessionStatus]:
    """Parses the rows of ``SESSIONS``."""
    with PARSING:
        return [
            SessionStatus(
                id=int(row[b"id"]),
                pid=_number(row[b"pid"]),
                uid=int(row[b"uid"]),
                client=_text(row[b"client"]),
                grants=int(row[b"grants"]),
                waiters=int(row[b"waiters"]),
                age=_seconds(row[b"age"]) or 0,
            )
            for row in (fields(line.split(b" ")) for line in _rows_of(b"* session ", rows))
        ]


def news(notice: bytes) -> Union[Change, Missed, None]:
    """Parses a notice about watched locks; returns None for other notices."""
    words = notice.split(b" ")
    with PARSING:
        if words[1] == b"MISSED":
            return Missed(int(words[2]))
        if words[1] != b"CHANGED":
            return None
        row = fields(words)
        return Change(
            name=decode_name(words[2]),
            what=words[3].decode(),
            pid=_number(row[b"pid"]),
            mode=row[b"mode"].decode(),
            token=_number(row[b"token"]),
        )


def _number(word: bytes) -> Optional[int]:
    return None if word in (b"?", b"-") else int(word)


def _text(word: bytes) -> Optional[str]:
    return None if word == b"-" else decode_name(word)


def _seconds(word: bytes) -> Optional[float]:
    """Parses a duration or an age (``250ms``, ``3s``, ``3.250s``, ``0``); returns None for ``-`` and ``forever``."""
    if word in (b"-", b"forever"):
        return None
    if word.endswith(b"ms"):
        return int(word[:-2]) / 1_000
    return float(word.rstrip(b"s"))
