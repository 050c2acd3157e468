"""The words of a command line, as `argparse` can read them.

`argparse` takes words out of a command (``--``), and reads a value that begins with a dash as an option. So the options
of ``run`` end where this module says, and each value is joined to its option.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

#: The options that take a value, and the others, by their long names.
_VALUES = (
    "wait", "timeout", "conflict-exit-code", "lease", "note", "command", "kill-after", "socket", "pid", "runs",
    "seconds", "echo", "original",
)  # fmt: skip
_FLAGS = (
    "shared", "read", "exclusive", "write", "update", "nb", "nonblock", "nonblocking", "close", "no-fork", "inherit",
    "verbose", "encoded", "help", "version", "unlock", "print-token", "no-signal", "json", "pin",
)  # fmt: skip
_LETTERS = {"w": "wait", "E": "conflict-exit-code", "c": "command", "k": "kill-after"}


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the words for the parser, and for ``run`` also the name and the command."""
    words = list(arguments[:1])
    is_run = words == ["run"]
    rest = list(arguments[1:])
    while rest:
        word = rest.pop(0)
        if word == "--":
            return (words, rest) if is_run else ([*words, word, *rest], [])
        if not word.startswith("-") or word == "-":
            if is_run:
                return words, [word, *rest]
            words.append(word)
            continue
        if word.startswith("--"):
            name = word[2:]
            needs_value = "=" not in name and _has_value(name)
        else:
            flags, last = _letters(word)
            words += flags
            if last is None:
                continue
            needs_value = "=" not in last
            word = f"--{last}"
        if needs_value and rest:
            word = f"{word}={rest.pop(0)}"
        words.append(word)
    return words, rest


def _has_value(name: str) -> bool:
    """Returns whether an option, or an abbreviation of one, takes a value."""
    if name in _FLAGS or name in _VALUES:
        return name in _VALUES
    return any(value.startswith(name) for value in _VALUES)


def _letters(word: str) -> tuple[list[str], Optional[str]]:
    """Returns the letters of a word that take no value, and the last option as ``name`` or ``name=value``."""
    flags: list[str] = []
    for index, letter in enumerate(word[1:], 1):
        if letter in _LETTERS:
            value = word[index + 1 :]
            return flags, _LETTERS[letter] + (f"={value}" if value else "")
        flags.append(f"-{letter}")
    return flags, None
