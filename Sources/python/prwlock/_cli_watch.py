"""``watch``: changes of locks as they happen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Optional

from ._client import Client
from ._described import clock, lookup
from ._errors import DaemonUnavailable
from ._harmless import harmless
from ._report import name_members, token_text
from ._shown import Shown, as_json
from ._standard import complain, say, write
from ._status import PARSING
from ._table import Style
from ._watch import Watch
from ._wire import decode_name, fields

#: The widths are fixed, because those of later rows are unknown.
_WIDTHS = (8, 10, 6, 7, 16, 8, 0)
_BEGINNINGS = ("granted", "downgraded")


def show(client: Client, prefix: str, is_json: bool) -> int:
    """Prints the changes of the locks with names that begin so, until it is interrupted."""
    style = Style()
    facts = lookup(client)
    #: The note and the user of each grant, because the end of a grant has no row of `STATUS`.
    known: dict[str, tuple[Optional[str], Optional[str]]] = {}
    with client.watch(prefix) as changes:
        if not is_json:
            write(Shown(style.strong(_columns("TIME", "CHANGE", "MODE", "PID", "TOKEN", "USER", "NAME")) + "\n"))
        for words in _notices(changes):
            if words[1] == b"MISSED":
                with PARSING:
                    missed = int(words[2])
                text = f"{clock()}  missed {missed} changes: too slow for them"
                say(as_json({"missed": missed}) if is_json else text)
                continue
            with PARSING:
                row = {key.decode(): value.decode() for key, value in fields(words).items()}
                name, what, mode = decode_name(words[2]), words[3].decode(), row["mode"]
                pid = None if row["pid"] == "?" else int(row["pid"])
                token, owner = row["token"], None if row["owner"] == "-" else row["owner"]
                number = _number(token)
            user = facts(pid).user
            if token == "-":
                note = _note_of_waiter(client, name, pid, owner, mode) if what == "waiting" else None
            elif what in _BEGINNINGS:
                note, user = known.setdefault(token, (_note_of_grant(client, name, number), user))
            else:
                note, user = known.pop(token, (None, user))
            if is_json:
                timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                members = {"change": what, "pid": pid, "mode": mode, "token": token_text(number), "owner": owner}
                say(as_json({"time": timestamp, **name_members(name), **members, "user": user, "note": note}))
            else:
                shown_pid = "?" if pid is None else str(pid)
                line = _columns(clock(), what, mode, shown_pid, token, user or "-", harmless(name))
                say(style.fit(line + (f"  ({harmless(note)})" if note else "")))
    return 0


def _notices(changes: Watch) -> Iterator[list[bytes]]:
    """Yields the words of each notice of a change."""
    while True:
        notice = changes._connection.next_notice()
        if notice is None:
            fault = changes._connection.fault
            raise DaemonUnavailable(f"the connection to the lock daemon has ended ({fault}); look at its journal")
        words = notice.split(b" ")
        if words[1] in (b"CHANGED", b"MISSED"):
            yield words
        elif words[1] == b"DRAIN":
            complain("the lock daemon is leaving")


def _number(token: str) -> Optional[int]:
    return None if token == "-" else int(token)


def _columns(*cells: str) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS))


def _note_of_grant(client: Client, name: str, token: Optional[int]) -> Optional[str]:
    return next((row.note for row in client.status(name).holders if row.token == token), None)


def _note_of_waiter(
    client: Client, name: str, pid: Optional[int], owner: Optional[str], mode: str
) -> Optional[str]:
    rows = client.status(name).waiters
    return next((row.note for row in rows if (row.pid, row.owner, row.mode) == (pid, owner, mode)), None)
