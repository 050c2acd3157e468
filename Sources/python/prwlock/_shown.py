"""Names and notes for people and programs. Their text may come from any other user of the host."""

from __future__ import annotations

import json
import re
from typing import Any

#: Characters that a terminal executes, or that hide or reorder text.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def harmless(text: str) -> str:
    """Returns text for a terminal: control characters, and bytes that are not UTF-8, are escaped."""
    return _HARMFUL.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    # A surrogate stands for a byte that is not UTF-8.
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{{{code:04X}}}"


def valid(text: str) -> str:
    """Returns text for JSON: U+FFFD replaces bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def as_json(value: Any) -> str:
    """Returns a value as one line of JSON. Control characters are escaped, also those that JSON need not escape."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return _HARMFUL.sub(lambda match: f"\\u{ord(match[0]):04x}", valid(text))


def in_words(seconds: float) -> str:
    """Returns a duration in its largest unit, and in the next smaller one where that matters to a reader."""
    if seconds < 1:
        return f"{int(seconds * 1_000)} ms"
    whole = int(seconds)
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    index = next(index for index, (length, _) in enumerate(units) if whole >= length)
    length, unit = units[index]
    words = _count(whole // length, unit)
    # "2 hours 30 minutes" differs enough from "2 hours"; "3 minutes 1 second" does not from "3 minutes".
    if whole // length >= 10 or length <= 60:
        return words
    smaller, smaller_unit = units[index + 1]
    rest = whole % length // smaller
    return words if rest == 0 else f"{words} {_count(rest, smaller_unit)}"


def _count(number: int, unit: str) -> str:
    return f"1 {unit}" if number == 1 else f"{number} {unit}s"


def typed(name: bytes) -> str:
    """Returns an encoded name as a person can type it in a shell, after a subcommand."""
    text = name.decode()
    if "%" in text:
        return f"--encoded {text}"
    return f"-- {text}" if text.startswith("-") else f"'{text}'" if text.startswith("~") else text
