"""Who is called for which lost grants of a connection; only loaded for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, TypeVar
from weakref import ref

from ._log import log

if TYPE_CHECKING:
    from ._granted import Granted

AnyGrant = TypeVar("AnyGrant", bound="Granted")


class Losses:
    """The callables to be called for grants that end before they are released; it does not keep the grants alive."""

    def __init__(self) -> None:
        self._callbacks: dict[ref[Any], Callable[[Any], Any]] = {}

    def add(self, grant: AnyGrant, on_lost: Callable[[AnyGrant], Any]) -> None:
        """Has `on_lost` called with the grant, once, by `look`."""
        self._callbacks[ref(grant, self._forget)] = on_lost

    def _forget(self, reference: ref[Any]) -> None:
        self._callbacks.pop(reference, None)

    def look(self) -> None:
        """Calls for every grant that is lost by now."""
        for reference, on_lost in list(self._callbacks.items()):
            grant = reference()
            if grant is None or grant._is_over:
                self._forget(reference)
            elif grant._lost is not None and self._callbacks.pop(reference, None) is not None:
                try:
                    self.call(on_lost, grant)
                except Exception as error:  # It is the caller's; this connection serves others too.
                    log("ERROR", f"on_lost of {grant!r} raised {error!r}")

    def call(self, on_lost: Callable[[Any], Any], grant: Granted) -> None:
        """Calls for one grant."""
        on_lost(grant)
