"""What a case reports, and how long it waits for an event."""

from __future__ import annotations

from typing import Any

#: How long a case waits for something that must happen, in seconds. Nothing that passes takes so long.
patience = 20.0


class Failure(Exception):
    """The client, or the kit, did something else than the case requires."""


class Skipped(Exception):
    """The case cannot be run on this machine; the text says why."""


def require(holds: Any, what: str) -> None:
    """Fails the case unless something holds; `what` says what should hold."""
    if not holds:
        raise Failure(what)


def require_equal(is_now: Any, should_be: Any, what: str) -> None:
    """Fails the case unless two values are equal; `what` names the value."""
    if is_now != should_be:
        raise Failure(f"{what} is {is_now!r}, and should be {should_be!r}")
