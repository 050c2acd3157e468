"""The cases, in the order in which a new client gets to pass them: each module declares its own when it is imported."""

from . import (  # isort: skip
    locks, waits, names, ends, lines, later, places, trust, limits, changes, leases, looking, fleet, cached
)  # fmt: skip

__all__ = [
    "cached", "changes", "ends", "fleet", "later", "leases", "limits", "lines", "locks", "looking", "names", "places",
    "trust", "waits",
]
