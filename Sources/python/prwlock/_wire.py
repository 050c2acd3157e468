"""Values to bytes and back: the lines of the protocol, as ``protocol.md`` has them."""

from __future__ import annotations

from ._errors import (
    AcquireTimeout,
    Cancelled,
    ClusterUnavailable,
    DaemonUnavailable,
    Deadlock,
    Denied,
    DurationTooLong,
    HeldBy,
    Hop,
    LimitExceeded,
    LockError,
    LockLost,
    ProtocolError,
    WouldBlock,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, Literal, Optional, Union

    from typing_extensions import TypeAlias

    Mode: TypeAlias = Literal["read", "update", "write"]
    Seconds: TypeAlias = Union[int, float, timedelta]
    #: A name or note: any bytes.
    Text: TypeAlias = Union[str, bytes]

_BARE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:@+"
_LONGEST_NAME = 255
_LONGEST_DURATION = 876_000 * 3_600


def encode_name(text: Text, what: str = "the name of a lock") -> bytes:
    """Returns the encoded form of a name or note: its bytes, with ``%XX`` for bytes that may not stand bare.

    Every plain name has exactly one encoded form, the same in all clients, so a percent sign is encoded too. The bytes
    of a ``str`` are its UTF-8. Surrogates that `os.fsdecode` made of other bytes become these bytes again.

    Raises:
        TypeError: the name is neither a string nor bytes.
        ValueError: the name is empty, or longer than 255 bytes when encoded.
    """
    if isinstance(text, str):
        raw = text.encode("utf-8", "surrogateescape")
    elif isinstance(text, bytes):
        raw = text
    else:
        raise TypeError(f"{what} is a str or bytes, not {type(text).__name__}")
    if raw.translate(None, _BARE):
        raw = b"".join(b"%c" % byte if byte in _BARE else b"%%%02X" % byte for byte in raw)
    if not raw:
        raise ValueError(f"{what} must not be empty")
    if len(raw) > _LONGEST_NAME:
        raise ValueError(f"{what} is {len(raw)} bytes long as encoded; at most {_LONGEST_NAME} are allowed")
    return raw


def plain_bytes(name: bytes) -> bytes:
    """Returns the bytes of the plain name with this encoded form. A percent sign without two digits stays as it is."""
    if b"%" not in name:
        return name
    head, *rest = name.split(b"%")
    return head + b"".join(
        bytes([int(part[:2], 16)]) + part[2:] if _is_hex(part[:2]) else b"%" + part for part in rest
    )


def _is_hex(digits: bytes) -> bool:
    return len(digits) == 2 and not digits.translate(None, b"0123456789ABCDEF")


def decode_name(name: bytes) -> str:
    """Returns the plain name as a string, from which `encode_name` makes the same bytes again."""
    return plain_bytes(name).decode("utf-8", "surrogateescape")


def check_encoded(name: bytes) -> bytes:
    """Returns a name that the caller has encoded, unchanged.

    Raises:
        ValueError: the name is not the encoded form of any name.
    """
    if not name or len(name) > _LONGEST_NAME or name.translate(None, _BARE + b"%") or not _is_canonical(name):
        raise ValueError(f"{name.decode('utf-8', 'replace')!a} is not an encoded name")
    return name


def _is_canonical(name: bytes) -> bool:
    return encode_name(plain_bytes(name)) == name


def milliseconds(value: Seconds, what: str = "a timeout") -> int:
    """Seconds as whole milliseconds, rounded up.

    Raises:
        TypeError: it is not a number.
        ValueError: it is negative or not a number (NaN).
        DurationTooLong: it is infinite, or more than 876,000 hours, the longest duration that a daemon accepts.
    """
    total_seconds = getattr(value, "total_seconds", None)
    number: Any = value if total_seconds is None else total_seconds()
    if not isinstance(number, (int, float)):
        number = _float(number, what)
    if number != number:
        raise ValueError(f"{what} is not a number")
    if number < 0:
        raise ValueError(f"{what} must not be negative")
    if number > _LONGEST_DURATION:
        raise DurationTooLong(f"{what} is at most {_LONGEST_DURATION} seconds")
    # Round up to milliseconds, but ignore floating-point errors below a microsecond.
    return int(number * 1_000 + 0.999)


def _float(number: Any, what: str) -> float:
    """Returns the float for a number of any type, an infinite one for a number that is out of a float's range."""
    try:
        # `float` would also read a text.
        return float(type(number).__float__(number))
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    except (AttributeError, TypeError):
        raise TypeError(f"{what} is a number of seconds, not {type(number).__name__}") from None


def lease_option(lease: Optional[Seconds]) -> bytes:
    """Returns the option for a lease.

    Raises:
        ValueError: the lease is 0, or `milliseconds` refuses it.
    """
    if lease is None:
        return b""
    length = milliseconds(lease, "a lease")
    if length == 0:
        raise ValueError("a lease must not be 0")
    return b" lease=%dms" % length


def acquire_options(lease: Optional[Seconds] = None, note: Optional[Text] = None) -> bytes:
    """Returns the options behind the owner and the timeout in a request for a lock."""
    return lease_option(lease) + (b"" if note is None else b" note=" + encode_name(note, "a note"))


def release_of(text: bytes) -> Optional[bytes]:
    """Returns the line that releases, by owner, the grant of a request for a lock; None for other lines."""
    words = text.split(b" ")
    if words[0] in (b"READ", b"UPDATE", b"WRITE") and words[2:3] and words[2].startswith(b"owner="):
        return b"RELEASE %s %s" % (words[1], words[2])
    return None


def fields(words: list[bytes]) -> dict[bytes, bytes]:
    """Returns the ``key=value`` words of a line."""
    return dict(word.split(b"=", 1) for word in words if b"=" in word)


def check(words: list[bytes], *expected: bytes) -> bytes:
    """Returns the first word of a reply, if it is one of the expected words.

    Raises:
        LockError: the error that the reply means otherwise.
    """
    if not words or words[0] not in expected:
        raise refusal(words)
    return words[0]


def refusal(words: list[bytes]) -> LockError:
    """Returns the exception for an unexpected reply. `words` begins with the reply's first word."""
    try:
        return _refusal(words)
    except (IndexError, ValueError):
        return ProtocolError(f"unexpected reply: {b' '.join(words)!r}")


def _refusal(words: list[bytes]) -> LockError:
    word = words[0]
    if word == b"ERROR":
        return _error(words)
    name = decode_name(words[1]) if len(words) > 1 else "?"
    mode = words[2].decode() if len(words) > 2 else "?"
    values = fields(words[3:])
    if word in (b"BUSY", b"TIMEOUT"):
        holders, more, text = _held_by(values.get(b"held-by", b"?"))
        if word == b"BUSY":
            if not holders:
                text = "the lock daemon has just started after an unclean end"
            busy: AcquireTimeout = WouldBlock(f"{name!r} cannot be had at once in mode {mode}: {text}")
        else:
            waited = values.get(b"waited", b"").decode()
            busy = AcquireTimeout(f"{name!r} could not be had in mode {mode} within {waited}: {text}")
        busy.held_by, busy.more = holders, more
        return busy
    if word == b"DEADLOCK":
        hops, more = _cycle(values.get(b"cycle", b""))
        circle = " > ".join(map(repr, hops)) + (f" > {more} more" if more else "")
        deadlock = Deadlock(f"to wait for {name!r} in mode {mode} would close a circle: {circle}")
        deadlock.cycle, deadlock.more = hops, more
        return deadlock
    if word == b"DENIED":
        reason = values.get(b"reason", b"not-permitted").decode()
        return Denied(f"{name!r}: {mode} is not allowed ({reason})")
    if word == b"CANCELLED":
        return Cancelled(f"the request for {name!r} in mode {mode} was cancelled")
    return ProtocolError(f"unexpected reply: {b' '.join(words)!r}")


def _error(words: list[bytes]) -> LockError:
    code = words[1].decode() if len(words) > 1 else ""
    # The daemon names the lock and the mode for clients without tags. Leave them out.
    start = 4 if len(words) > 3 and words[2].startswith(b"lock=") and words[3].startswith(b"mode=") else 2
    text = f"{b' '.join(words[start:]).decode()} ({code})"
    if code == "not-held":
        return LockLost("it is no longer held")
    if code in ("draining", "no-token", "no-memory"):
        return DaemonUnavailable(text)
    if code == "cluster-unavailable":
        return ClusterUnavailable(text)
    if code.startswith("limit-"):
        limit = LimitExceeded(text)
        limit.code = code
        return limit
    error = ProtocolError(text)
    error.code = code
    return error


def _held_by(value: bytes) -> tuple[tuple[HeldBy, ...], int, str]:
    if value == b"?":
        return (), 0, "nothing is granted at this moment"
    holders = []
    more = 0
    for part in value.split(b","):
        if part.startswith(b"+"):
            more = int(part[1:])
        else:
            who, _, mode = part.partition(b"/")
            host = _host(who)
            holders.append(HeldBy(None if host else _pid(who), mode.decode(), host))
    text = "held by " + ", ".join(map(repr, holders)) + (f" and {more} more" if more else "")
    return tuple(holders), more, text


def _cycle(value: bytes) -> tuple[tuple[Hop, ...], int]:
    hops = []
    more = 0
    for part in filter(None, value.split(b">")):
        if part.startswith(b"+"):
            more = int(part[1:])
        else:
            if part.startswith(b"host:"):
                _, host, name = part.split(b":", 2)
                hops.append(Hop(None, None, decode_name(name), host.decode()))
                continue
            who, _, name = part.partition(b":")
            pid, _, owner = who.partition(b"/")
            hops.append(Hop(_pid(pid), owner.decode() or None, decode_name(name)))
    return tuple(hops), more


def _host(word: bytes) -> Optional[str]:
    """Returns the name of another host; None for a process."""
    return word[5:].decode() if word.startswith(b"host:") else None


def _pid(word: bytes) -> Optional[int]:
    return None if word == b"?" else int(word)
