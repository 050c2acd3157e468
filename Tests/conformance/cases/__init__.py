"""The cases, in the order in which a new client gets to pass them."""

from . import locks, waits, names, ends, lines, later, places, trust, changes, leases, looking, cached, fleet, limits

__all__ = [
    "cached", "changes", "ends", "fleet", "later", "leases", "limits", "lines", "locks", "looking", "names", "places",
    "trust", "waits",
]
