"""What the commands that this process descends from hold: the variable ``PRWLOCK_HELD``.

It is a list of ``NAME=MODE=TOKEN`` with spaces in between, the name encoded. An item may be out of date, as an
environment can outlive a command: the daemon is asked whether the token is valid before an item counts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from ._connection import Connection

_VARIABLE = b"PRWLOCK_HELD"
#: By their strength.
_MODES = ("read", "update", "write")


class Held(NamedTuple):
    """A grant of a command that this process runs under."""

    name: bytes
    mode: str
    token: int

    def forbids(self, mode: str) -> bool:
        """Whether a request in this mode would wait until the grant ends, and the grant's command for the request."""
        return "write" in (self.mode, mode) or self.mode == mode == "update"

    def covers(self, mode: str) -> bool:
        """Whether the grant allows all that a grant in this mode would."""
        return _MODES.index(self.mode) >= _MODES.index(mode)


def find(name: bytes, connection: Connection) -> Optional[Held]:
    """The newest grant on this lock that is still valid; None if there is none."""
    for held in reversed(_items()):
        line = b"VALIDATE %s token=%d" % (name, held.token)
        if held.name == name and connection.ask(line).words[:1] == [b"VALID"]:
            return held
    return None


def added(name: bytes, mode: str, token: int) -> bytes:
    """The variable's value for a command that holds this as well; of one name the newest item is enough."""
    items = [*(held for held in _items() if held.name != name), Held(name, mode, token)]
    return b" ".join(b"%s=%s=%d" % (held.name, held.mode.encode(), held.token) for held in items)


def _items() -> list[Held]:
    """What the environment says; words that are no items are passed over."""
    items = []
    for word in os.environb.get(_VARIABLE, b"").split(b" "):
        fields = word.split(b"=")
        if len(fields) == 3 and fields[1].decode("ascii", "replace") in _MODES and fields[2].isdigit():
            items.append(Held(fields[0], fields[1].decode(), int(fields[2])))
    return items
