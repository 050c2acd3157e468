"""Grants at the prompt of an interactive session, which keeps every value that it displays, in the name ``_``.

A bare ``lock.write()`` would be held until the next value is displayed, by a name that no one wrote. So `_` does not
keep a displayed grant: a grant that no variable keeps is released when its line is done, as in a program.
"""

from __future__ import annotations

import sys

from ._harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from weakref import WeakSet

    from ._granted import Granted


def attend_prompt() -> None:
    """Takes over the display of grants, if this process has a prompt."""
    if hasattr(sys, "ps1") and not isinstance(sys.displayhook, Display):
        sys.displayhook = Display(sys.displayhook)


class Display:
    """A `sys.displayhook` that shows a grant without keeping it, and leaves all other values to the hook before it."""

    def __init__(self, before: Callable[[object], object]) -> None:
        from weakref import WeakSet

        self._before = before
        self._shown: WeakSet[Granted] = WeakSet()

    def __call__(self, value: object) -> None:
        from ._granted import Granted

        if not isinstance(value, Granted):
            self._before(value)
            return
        _print(repr(value))
        if value not in self._shown:
            from weakref import finalize

            self._shown.add(value)
            finalize(value, _report_release, value._live, value.name, value.mode).atexit = False


def _report_release(live: list[bool], name: str, mode: str) -> None:
    """Says that a grant was released because nothing keeps it. `live` is empty if it was released by a call."""
    if live:
        _print(
            f"prwlock: {name!r} is released, because no variable keeps this grant: hold it by `with lock.{mode}():` "
            f"or `grant = lock.{mode}()`"
        )


def _print(text: str) -> None:
    """Prints a line. Harmful characters, and those that the encoding of the output lacks, are escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(harmless(text).encode(encoding, "backslashreplace").decode(encoding))
