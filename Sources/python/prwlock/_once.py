"""Values that are made once at their first use, also if several threads use them first at the same time.

There is no lock: an interrupted thread could keep it, and a child that is forked meanwhile would inherit it locked.
Each decision is one ``setdefault`` of a dictionary, which is atomic, also in an interpreter without a global lock.
Several threads may make the value at the same time. One value is taken, and the others are dropped.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, TypeVar

    Key = TypeVar("Key")
    Value = TypeVar("Value")


def once(made: dict[Key, Value], key: Key, make: Callable[[], Value]) -> Value:
    """Returns the value of a key. The first thread that asks for it makes it, and all threads get the same value."""
    found = made.get(key)
    return made.setdefault(key, make()) if found is None else found


class Link:
    """An element of a chain that only grows: a value, and one successor, which is set once.

    From any link, the chain leads to its newest element. So several threads may set a variable that should hold the
    newest link: if it holds an older one for a while, that leads to the same end.
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
        """Makes a link the successor of this one, unless there is a successor already; returns the successor."""
        return self._behind.setdefault(0, link)


class Numbers:
    """1, 2, 3, and so on; each number is given once."""

    def __init__(self) -> None:
        self._last = Link(0)

    def next(self) -> int:
        """Returns a number that no other call returns."""
        last = self._last
        while True:
            own = Link(last.value + 1)
            last = last.append(own)
            if last is own:
                self._last = own
                return int(own.value)


def shared(places: dict[Key, Link], key: Key, make: Callable[[], Value], is_usable: Callable[[Value], bool]) -> Value:
    """Returns the one value of a key. A value that is no longer usable is replaced, once."""
    link = once(places, key, lambda: Link(make()))
    while not is_usable(link.value):
        link = places[key] = link.following or link.append(Link(make()))
    value: Value = link.value
    return value
