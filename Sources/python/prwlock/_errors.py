"""What can go wrong, as exceptions that callers already catch.

All are ``LockError`` and so ``OSError``. An expected "no" carries who stood in the way.
"""

from __future__ import annotations

from errno import EBUSY, EDEADLK, ENOLCK, ENOTCONN, EPERM, EPROTO, ESTALE, ETIMEDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


class HeldBy:
    """Who stood in the way: the process (None where the daemon cannot see it) and the mode of its grant."""

    __slots__ = ("mode", "pid")

    def __init__(self, pid: Optional[int], mode: str) -> None:
        self.pid = pid
        self.mode = mode

    def __repr__(self) -> str:
        return f"{'?' if self.pid is None else self.pid}/{self.mode}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeldBy) and (self.pid, self.mode) == (other.pid, other.mode)

    def __hash__(self) -> int:
        return hash((self.pid, self.mode))


class Hop:
    """One step of a circle of waiting: a process, its owner's word if it has one, and the lock that it waits for."""

    __slots__ = ("name", "owner", "pid")

    def __init__(self, pid: Optional[int], owner: Optional[str], name: str) -> None:
        self.pid = pid
        self.owner = owner
        self.name = name

    def __repr__(self) -> str:
        owner = "" if self.owner is None else f"/{self.owner}"
        return f"{'?' if self.pid is None else self.pid}{owner}:{self.name}"


class LockError(OSError):
    """The base of all errors of this package."""

    standard_errno = EPROTO

    def __init__(self, *arguments: object) -> None:
        # A text alone gets the class's errno; what pickle and copy pass on has one already.
        super().__init__(*((self.standard_errno, *arguments) if len(arguments) == 1 else arguments))

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class AcquireTimeout(LockError, TimeoutError):
    """The lock could not be had in time; ``held_by`` says who had it (a few), ``more`` how many others did.

    ``held_by`` is empty while a daemon that follows a crash grants nothing to anybody.
    """

    standard_errno = ETIMEDOUT
    held_by: tuple[HeldBy, ...] = ()
    more = 0


class WouldBlock(AcquireTimeout, BlockingIOError):
    """With a timeout of 0: the lock cannot be had at once."""

    standard_errno = EBUSY


class Deadlock(LockError, ValueError):
    """To wait would close a circle of waiting, which ``cycle`` names; ``more`` is how many steps it leaves out."""

    standard_errno = EDEADLK
    cycle: tuple[Hop, ...] = ()
    more = 0


class Denied(LockError, PermissionError):
    """This client may not have what it asks for, whoever holds what."""

    standard_errno = EPERM


class Cancelled(LockError):
    """The request was withdrawn while it waited, or the grant that it would have changed ended."""

    standard_errno = ESTALE


class LockLost(LockError):
    """A grant ended before it was released. ``reason``: ``expired``, ``revoked``, ``connection`` or ``unknown``."""

    standard_errno = ESTALE
    reason = "unknown"


class NotHeld(LockError, ValueError):
    """What is to be released is not held: released before, or the parent process's."""

    standard_errno = EPERM


class LimitExceeded(LockError):
    """A limit of the daemon is reached; ``code`` names it."""

    standard_errno = ENOLCK
    code = ""


class DaemonUnavailable(LockError, ConnectionError):
    """No daemon could be reached or started, or it went away; the text says what to do."""

    standard_errno = ENOTCONN
    #: Whether a process is in the way that may go on by itself: a stopped daemon, or another client that starts one.
    is_temporary = False


class DaemonTimeout(DaemonUnavailable, TimeoutError):
    """No daemon answered within the call's time: it is stopped, is being started, or ends. Nothing was acquired."""

    standard_errno = ETIMEDOUT
    is_temporary = True


class AccessRefused(DaemonUnavailable, PermissionError):
    """There may be a daemon, but its socket or folder is not this user's to use."""

    standard_errno = EPERM


class ProtocolError(LockError):
    """What answered does not speak the protocol, or did not understand; ``code`` is the daemon's word for it."""

    code = ""


class Closed(LockError, ValueError):
    """The client was closed."""

    standard_errno = ENOTCONN


class NestedUse(LockError, RuntimeError):
    """A signal handler or a finalizer asked for a lock in the middle of another request of its thread."""

    standard_errno = EDEADLK


class DurationTooLong(ValueError, OverflowError):
    """A duration of more than 876,000 hours, or an infinite one. For ever is ``None``."""
