"""What is made at its first use: once, however many threads are first together.

No lock guards it: a thread that is interrupted could keep it, and a child that is forked meanwhile inherits it locked.
Each decision is one ``setdefault`` of a dictionary, which is one step for other threads, also in an interpreter without
a global lock. Threads that come together may all make the thing. One is taken, and the others are dropped.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, TypeVar

    Key = TypeVar("Key")
    Value = TypeVar("Value")


def once(made: dict[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    """What a dictionary has under a key. It is made by the first thread that asks, and the same for all threads."""
    found = made.get(key)
    return made.setdefault(key, make()) if found is None else found


class Link:
    """An element of a chain that only grows: a value, and one place behind it, which is taken once.

    Whoever keeps a link can follow the chain from there to its newest element. So a variable that should name the
    newest may be set by several threads, and name an older one for a while: it leads to the same end.
    """

    __slots__ = ("_behind", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self._behind: dict[int, Link] = {}

    @property
    def following(self) -> Optional[Link]:
        """The next element; None at the end."""
        return self._behind.get(0)

    def append(self, link: Link) -> Link:
        """Takes the place behind this element for another, if it is free; returns the element that has it."""
        return self._behind.setdefault(0, link)


class Numbers:
    """1, 2, 3, and so on, each given once."""

    def __init__(self) -> None:
        self._last = Link(0)

    def next(self) -> int:
        """A number that no other call has returned or returns."""
        last = self._last
        while True:
            own = Link(last.value + 1)
            last = last.append(own)
            if last is own:
                self._last = own
                return int(own.value)


def shared(places: dict[Key, Link], key: Key, make: Callable[[], Value], is_usable: Callable[[Value], bool]) -> Value:
    """The one value for a key; a value that is not usable any more is replaced, once."""
    link = once(places, key, lambda: Link(make()))
    while not is_usable(link.value):
        link = places[key] = link.following or link.append(Link(make()))
    value: Value = link.value
    return value
