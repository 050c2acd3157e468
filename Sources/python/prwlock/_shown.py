"""Names and notes for people and programs. Their text may come from any other user of the host."""

from __future__ import annotations

import json
from typing import Any, NewType

from ._harmless import harmless, is_harmful

#: Text that may go to a terminal as it is. The functions here, and `Style` and `Table`, make it from other text.
Shown = NewType("Shown", str)


def plain(line: str) -> Shown:
    """Returns a line of text from anywhere for a terminal."""
    return Shown(harmless(line))


def valid(text: str) -> str:
    """Returns text for JSON: U+FFFD replaces bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def as_json(value: Any) -> Shown:
    """Returns a value as one line of JSON. Harmful characters are escaped, also those that JSON need not escape."""
    text = valid(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    if not (text.isascii() and text.isprintable()):
        text = "".join(_as_units(character) if is_harmful(character) else character for character in text)
    return Shown(text)


def _as_units(character: str) -> str:
    """Returns the escape of JSON: of a character beyond the first plane, those of two units."""
    digits = character.encode("utf-16-be").hex()
    return "".join(f"\\u{digits[start : start + 4]}" for start in range(0, len(digits), 4))


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
