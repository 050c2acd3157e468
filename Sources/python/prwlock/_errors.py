"""The exceptions. Each one is also a kind of exception that callers of the original and of `threading` catch.

All of them are ``LockError``, and so ``OSError``. A refusal names the processes that caused it.
"""

from __future__ import annotations

from errno import EBUSY, EDEADLK, EHOSTUNREACH, ENOLCK, ENOTCONN, EPERM, EPROTO, ESTALE, ETIMEDOUT

from ._harmless import harmless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


class HeldBy:
    """A holder that caused a refusal: its process (None if the daemon cannot see it) and the mode of its grant.

    If the holder is another host, ``host`` is its name, and there is no process.
    """

    __slots__ = ("host", "mode", "pid")

    def __init__(self, pid: Optional[int], mode: str, host: Optional[str] = None) -> None:
        self.pid = pid
        self.mode = mode
        self.host = host

    def __repr__(self) -> str:
        return f"{_spelled(self.pid, self.host)}/{self.mode}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeldBy) and (self.pid, self.mode, self.host) == (other.pid, other.mode, other.host)

    def __hash__(self) -> int:
        return hash((self.pid, self.mode, self.host))


def _spelled(pid: Optional[int], host: Optional[str]) -> str:
    return f"host:{host}" if host is not None else "?" if pid is None else str(pid)


class Hop:
    """One step of a circle of waiting: a process, its owner's word if it has one, and the lock that it waits for.

    If the circle passes through another host, ``host`` is its name, and there is no process.
    """

    __slots__ = ("host", "name", "owner", "pid")

    def __init__(self, pid: Optional[int], owner: Optional[str], name: str, host: Optional[str] = None) -> None:
        self.pid = pid
        self.owner = owner
        self.name = name
        self.host = host

    def __repr__(self) -> str:
        owner = "" if self.owner is None else f"/{self.owner}"
        return f"{_spelled(self.pid, self.host)}{owner}:{self.name}"


class LockError(OSError):
    """The base of all errors of this package."""

    standard_errno = EPROTO

    def __init__(self, *arguments: object) -> None:
        # A single argument is the text, and gets the class's errno. Pickle and copy pass the errno as well.
        super().__init__(*((self.standard_errno, *arguments) if len(arguments) == 1 else arguments))

    def __str__(self) -> str:
        # A false server chose its text, and a program or a traceback prints it.
        return harmless(self.strerror or super().__str__())


class AcquireTimeout(LockError, TimeoutError):
    """The lock was not granted in time. ``held_by`` names some of its holders, ``more`` counts the others.

    ``held_by`` is empty while a daemon that was started after a crash grants nothing.
    """

    standard_errno = ETIMEDOUT
    held_by: tuple[HeldBy, ...] = ()
    more = 0


class WouldBlock(AcquireTimeout, BlockingIOError):
    """The timeout is 0, and the lock cannot be granted at once."""

    standard_errno = EBUSY


class Deadlock(LockError, ValueError):
    """Waiting would close a circle, which ``cycle`` shows; ``more`` counts the steps that it leaves out."""

    standard_errno = EDEADLK
    cycle: tuple[Hop, ...] = ()
    more = 0


class Denied(LockError, PermissionError):
    """The daemon's rules do not permit this client's request."""

    standard_errno = EPERM


class Cancelled(LockError):
    """The request was cancelled while it waited, or the grant that it would have changed has ended."""

    standard_errno = ESTALE


class LockLost(LockError):
    """A grant ended before it was released. ``reason``: ``expired``, ``revoked``, ``connection``, ``unknown``.

    Or ``unconfirmed``: hosts share the lock, and the daemon did not confirm in time that this host still has it.
    """

    standard_errno = ESTALE
    reason = "unknown"


class NotHeld(LockError, ValueError):
    """There is nothing to release: it was released before, or it belongs to the parent process."""

    standard_errno = EPERM


class LimitExceeded(LockError):
    """A limit of the daemon is reached; ``code`` names it."""

    standard_errno = ENOLCK
    code = ""


class ClusterUnavailable(LockError, ConnectionError):
    """Hosts share the lock, and their cluster cannot be asked now. The text says what is wrong; try again later."""

    standard_errno = EHOSTUNREACH


class DaemonUnavailable(LockError, ConnectionError):
    """No daemon could be reached or started, or the connection ended. The text says what to do."""

    standard_errno = ENOTCONN
    #: Whether it may work later without a change: the daemon is stopped, or another client starts one.
    is_temporary = False


class DaemonTimeout(DaemonUnavailable, TimeoutError):
    """No daemon answered within the call's time: it is stopped, starts, or drains. Nothing was acquired."""

    standard_errno = ETIMEDOUT
    is_temporary = True


class AccessRefused(DaemonUnavailable, PermissionError):
    """This user may not use the daemon's socket or folder."""

    standard_errno = EPERM


class ProtocolError(LockError):
    """The peer does not speak the protocol, or rejected a line; ``code`` is the daemon's error code."""

    code = ""


class Closed(LockError, ValueError):
    """The client was closed."""

    standard_errno = ENOTCONN


class NestedUse(LockError, RuntimeError):
    """A signal handler or a finalizer made a request in the middle of another request of its thread."""

    standard_errno = EDEADLK


class DurationTooLong(ValueError, OverflowError):
    """A lease is infinite, or longer than 876,000 hours. Such a timeout waits for ever."""
