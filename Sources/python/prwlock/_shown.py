"""Names and notes for people and programs. Their text may come from any other user of the host."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
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


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns rows as a table: numbers are aligned to the right, words to the left, and `-` means none."""
    cells = [["-" if value is None else harmless(str(value)) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells)]
    is_number = [all(isinstance(row[column], (int, type(None))) for row in rows) for column in range(len(heads))]
    lines = []
    for line in [list(heads), *cells]:
        parts = (
            text.rjust(width) if right else text.ljust(width) for text, width, right in zip(line, widths, is_number)
        )
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)
