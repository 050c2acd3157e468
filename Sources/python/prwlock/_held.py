"""The grants of the commands that started this process, from the variable ``PRWLOCK_HELD``.

The variable is a list of ``NAME=MODE=TOKEN`` with spaces in between; the names are encoded. An environment can outlive
a command, so the daemon must confirm a token before its item counts.
"""

from __future__ import annotations

import os
from typing import Callable, NamedTuple, Optional

from ._errors import AcquireTimeout
from ._harmless import harmless
from ._hold_mark import client_of
from ._shown import in_words
from ._wire import decode_name, fields

#: Sends a request, and returns the words of its reply and of its rows.
Ask = Callable[[bytes], tuple[list[bytes], list[list[bytes]]]]

_VARIABLE = b"PRWLOCK_HELD"
#: In the order of their strength.
_MODES = ("read", "update", "write")


class Held(NamedTuple):
    """A grant of a command that started this process, or one that ``hold`` holds for such a process."""

    name: bytes
    mode: str
    token: int
    #: The holder, in words.
    holder: str = "a command that this one runs under"

    def forbids(self, mode: str) -> bool:
        """Returns whether a request in this mode would wait for this grant, and its command for the request."""
        return "write" in (self.mode, mode) or self.mode == mode == "update"

    def covers(self, mode: str) -> bool:
        """Returns whether the grant permits everything that a grant in this mode permits."""
        return _MODES.index(self.mode) >= _MODES.index(mode)

    def refusal(self, hint: str) -> str:
        """Returns the message for a request that is refused because of this grant."""
        return (
            f"{harmless(decode_name(self.name))}: {self.holder} holds it already ({self.mode}, token {self.token}), "
            f"so this request would wait for itself; {hint}"
        )


def find(name: bytes, ask: Ask, besides: bytes = b"") -> Optional[Held]:
    """Returns the newest valid grant on this lock; None if there is none.

    Args:
        ask: Sends a request, and returns the words of its reply and of its rows.
        besides: An owner that changes its own grants, so they do not count.
    """
    for held in reversed(_items()):
        line = b"VALIDATE %s token=%d" % (name, held.token)
        if held.name == name and ask(line)[0][:1] == [b"VALID"]:
            return held
    rows = [fields(row) for row in ask(b"STATUS " + name)[1] if row[1] == b"holder"]
    clients = [(row, client_of(row[b"owner"].decode())) for row in rows if row[b"owner"] != besides]
    above = set(_ancestors()) if any(client for _, client in clients) else set()
    for row, client in reversed(clients):
        if client is not None and client[1] and client[0] in above:
            words = f"`prwlock hold` for process {client[0]}"
            return Held(name, row[b"mode"].decode(), int(row[b"token"]), words)
    return None


def conflict(name: bytes, error: AcquireTimeout, elapsed: float) -> str:
    """Returns the message for a lock that others hold."""
    holders = [f"{holder.pid or '?'} ({holder.mode})" for holder in error.held_by]
    holders += [f"{error.more} more"] if error.more else []
    words = ", ".join(holders) or "none: the lock daemon has just started after an unclean end"
    return f"{harmless(decode_name(name))}: not granted after {in_words(elapsed)}; held by {words}"


def _ancestors() -> list[int]:
    """Returns this process, its parent, and so on."""
    line: list[int] = []
    process = os.getpid()
    # During the walk a parent may end and another process may get its id, so a repeated id must end the walk.
    while process > 0 and process not in line:
        line.append(process)
        try:
            with open(f"/proc/{process}/stat", "rb") as file:
                process = int(file.read().rpartition(b") ")[2].split(b" ")[1])
        except (OSError, IndexError, ValueError):
            break
    return line


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
