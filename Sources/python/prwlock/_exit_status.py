"""The exit statuses of the command line, as prwlock(1) has them."""

from __future__ import annotations

from ._errors import (
    AccessRefused,
    Cancelled,
    DaemonUnavailable,
    Deadlock,
    Denied,
    LimitExceeded,
    LockError,
    LockLost,
)

#: Mostly from sysexits.h. The first class that fits counts.
_STATUS = (
    (AccessRefused, 77),
    (Denied, 77),
    ((LimitExceeded, Deadlock, Cancelled), 75),
    (LockLost, 1),
    (DaemonUnavailable, 69),
    (LockError, 76),
    (ValueError, 64),
    (OSError, 71),
)
#: The daemon is stopped or starts: the same command may work later.
_TEMPORARY = 75
#: The daemon's answer is no.
NO = 1
#: The command line is wrong.
USAGE = 64
#: The output could not be written.
NO_OUTPUT = 74
#: This user may not do it.
NOT_PERMITTED = 77


def exit_status(error: Exception) -> int:
    """Returns the exit status for an error."""
    if isinstance(error, DaemonUnavailable) and error.is_temporary:
        return _TEMPORARY
    return next(status for kind, status in _STATUS if isinstance(error, kind))
