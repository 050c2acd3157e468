"""Calls in other threads."""

from __future__ import annotations

import threading
from typing import Any, Callable


class Call:
    """A call in another thread."""

    def __init__(self, body: Callable[[], object]) -> None:
        self._body = body
        self._outcome: list[Any] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome += (self._body(), None)
        except BaseException as error:
            self._outcome += (None, error)

    @property
    def is_done(self) -> bool:
        return bool(self._outcome)

    def result(self) -> Any:
        """Waits for the call's end, for a minute at most; returns its result, or raises its exception."""
        self._thread.join(60)
        assert self.is_done, "it waits for ever"
        result, error = self._outcome
        if error is not None:
            raise error
        return result


def in_thread(body: Callable[[], object]) -> Any:
    """Returns the result of a call in another thread."""
    return Call(body).result()
