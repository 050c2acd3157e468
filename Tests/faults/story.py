"""Histories for tests of the checker."""

from __future__ import annotations

from typing import Any

from checker import Checker
from operation import MILLISECOND

WRITER, READER, THIRD = 11, 12, 13


class Story:
    """A history with times in milliseconds."""

    def __init__(self, grace: int = 0) -> None:
        self.events: list[dict[str, Any]] = []
        self.number = 0
        self.note(0, 1, "daemon-starting", grace=grace)

    def note(self, time: float, process: int, event: str, **fields: Any) -> Story:
        self.events.append({"t": int(time * MILLISECOND), "p": process, "e": event, **fields})
        return self

    def ask(self, time: float, process: int, mode: str, **more: Any) -> int:
        self.number += 1
        fields = {"s": 1, "lock": "jobs", "mode": mode, "owner": "-", "wait": 10_000, "lease": None} | more
        self.note(time, process, "ask", op=self.number, **fields)
        return self.number

    def get(self, time: float, process: int, mode: str, token: int, seen: float = 0, **more: Any) -> int:
        """Add a request at a time that is granted a millisecond later, or when `granted` says."""
        died = more.pop("died", False)
        number = self.ask(time, process, mode, **more)
        self.note(seen or time + 1, process, "granted", op=number, token=token, died=died)
        return number

    def give(self, time: float, process: int, number: int) -> None:
        self.note(time, process, "releasing", op=number)
        self.note(time + 1, process, "released", op=number)

    def kill(self, time: float, process: int) -> None:
        self.note(time, 1, "killing", pid=process)
        self.note(time + 1, 1, "killed", pid=process)

    def violations(self, reader_patience: int | None = None) -> list[str]:
        """The kinds of violations that the checker finds."""
        found = Checker(sorted(self.events, key=lambda event: event["t"]), reader_patience).check()
        return [text.split(":")[0] for text in found]
