"""Advice for a process that may not connect to the system's daemon: how it gets into the daemon's group."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


def own_service() -> Optional[str]:
    """Returns the system service of this process; None if it has none, or ``/proc`` does not show it."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
            return service_in(file.read())
    except OSError:
        return None


def service_in(control_groups: str) -> Optional[str]:
    """Returns the service in the lines of ``/proc/PID/cgroup``: the first part of the path behind the slices."""
    for line in control_groups.splitlines():
        fields = line.split(":", 2)
        if len(fields) < 3 or fields[1] not in ("", "name=systemd"):
            continue
        for part in fields[2].split("/"):
            if part and not part.endswith(".slice"):
                return part if part.endswith(".service") and not part.startswith("user@") else None
    return None


def way_in(service: Optional[str]) -> str:
    """Returns the advice. A service needs another one than a user, because it does not log in."""
    if service:
        return f"set SupplementaryGroups=prwlock in {service} (`systemctl edit {service}`), and restart it"
    return (
        "ask to be added to the group prwlock (`adduser USER prwlock`), then log in again; "
        "for a service, set SupplementaryGroups=prwlock"
    )
