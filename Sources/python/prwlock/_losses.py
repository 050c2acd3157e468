"""The callables for lost grants of one connection. Loaded only when there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, TypeVar
from weakref import ref

from ._log import log

if TYPE_CHECKING:
    from ._granted import Granted

AnyGrant = TypeVar("AnyGrant", bound="Granted")


class Losses:
    """The grants of a connection that report their loss, and the callables to report it to. It keeps no grant alive."""

    def __init__(self) -> None:
        self._callbacks: dict[ref[Any], Callable[[Any], Any]] = {}

    def add(self, grant: AnyGrant, on_lost: Callable[[AnyGrant], Any]) -> None:
        """Lets `look` call `on_lost` once, if the grant is lost."""
        self._callbacks[ref(grant, self._forget)] = on_lost

    def _forget(self, reference: ref[Any]) -> None:
        self._callbacks.pop(reference, None)

    def look(self) -> None:
        """Calls the callables of all grants that are lost by now."""
        for reference, on_lost in list(self._callbacks.items()):
            grant = reference()
            if grant is None or grant._is_over:
                self._forget(reference)
            elif grant._lost is not None and self._callbacks.pop(reference, None) is not None:
                try:
                    self.call(on_lost, grant)
                except Exception as error:  # A fault of the user's callable must not stop the other calls.
                    log("ERROR", f"on_lost of {grant!r} raised {error!r}")

    def call(self, on_lost: Callable[[Any], Any], grant: Granted) -> None:
        """Calls a callable for one grant."""
        on_lost(grant)
