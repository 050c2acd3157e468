"""The grants of the commands that started this process, from the variable ``PRWLOCK_HELD``.

The variable is a list of ``NAME=MODE=TOKEN`` with spaces in between; the names are encoded. An environment can outlive
a command, so the daemon must confirm a token before its item counts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from ._connection import Connection

_VARIABLE = b"PRWLOCK_HELD"
#: In the order of their strength.
_MODES = ("read", "update", "write")


class Held(NamedTuple):
    """A grant of a command that started this process."""

    name: bytes
    mode: str
    token: int

    def forbids(self, mode: str) -> bool:
        """Returns whether a request in this mode would wait for this grant, and its command for the request."""
        return "write" in (self.mode, mode) or self.mode == mode == "update"

    def covers(self, mode: str) -> bool:
        """Returns whether the grant permits everything that a grant in this mode permits."""
        return _MODES.index(self.mode) >= _MODES.index(mode)


def find(name: bytes, connection: Connection) -> Optional[Held]:
    """Returns the newest valid grant on this lock; None if there is none."""
    for held in reversed(_items()):
        line = b"VALIDATE %s token=%d" % (name, held.token)
        if held.name == name and connection.ask(line).words[:1] == [b"VALID"]:
            return held
    return None


def added(name: bytes, mode: str, token: int) -> bytes:
    """Returns the variable's value for a command with one more grant. It has one item for each name."""
    items = [*(held for held in _items() if held.name != name), Held(name, mode, token)]
    return b" ".join(b"%s=%s=%d" % (held.name, held.mode.encode(), held.token) for held in items)


def _items() -> list[Held]:
    """Returns the items of the variable, and ignores words that are no items."""
    items = []
    for word in os.environb.get(_VARIABLE, b"").split(b" "):
        fields = word.split(b"=")
        if len(fields) == 3 and fields[1].decode("ascii", "replace") in _MODES and fields[2].isdigit():
            items.append(Held(fields[0], fields[1].decode(), int(fields[2])))
    return items
