"""A grant as the daemon described it, whatever the surface: its facts, its end, and the lines that change it."""

from __future__ import annotations

from os import getpid

from ._errors import DaemonTimeout, DaemonUnavailable, LockLost, NotHeld
from ._log import log
from ._wire import decode_name, milliseconds, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Protocol

    from ._wire import Mode, Seconds

    class Held(Protocol):
        """What a grant needs of its session."""

        pid: int
        fault: Optional[str]
        ended: dict[bytes, str]

        def release_soon(self, name: bytes, token: bytes) -> None:
            """Releases a grant without a wait."""


class Granted:
    """The facts of a grant, from the words of the daemon's last reply about it."""

    #: One element until the grant ends; the call that takes it out ends it. Until it is whole there is nothing to end.
    _live: list[bool] = []  # noqa: RUF012

    def __init__(self, connection: Held, words: list[bytes]) -> None:
        self._connection = connection
        #: The whole line: a tag, ``GRANTED``, the name, the mode, the token.
        self._words = words
        self._live = [True]

    @property
    def name(self) -> str:
        """The lock's name."""
        return decode_name(self._words[2])

    @property
    def mode(self) -> Mode:
        """``read``, ``update`` or ``write``."""
        return self._words[3].decode()  # type: ignore[return-value]

    @property
    def token(self) -> int:
        """The fencing token: higher than that of any grant before, over all locks and restarts of the daemon."""
        return int(self._words[4][6:])

    @property
    def owner_died(self) -> bool:
        """Whether a writer before went without a release, so that what the lock protects may be half written."""
        return len(self._words) > 5 and self._words[5] == b"ownerdied=1"

    @property
    def is_held(self) -> bool:
        """Whether it is neither released nor known to be lost, in the process that it belongs to."""
        return not self._is_over and self._connection.pid == getpid() and self._lost is None

    def __repr__(self) -> str:
        state = "released" if self._is_over else "held" if self.is_held else "lost"
        kind = f"{type(self).__module__.rpartition('.')[0]}.Grant"
        return f"<{kind} {self.name!r} {self.mode} token={self.token} {state}>"

    # Its end

    @property
    def _is_over(self) -> bool:
        return not self._live

    @property
    def _lost(self) -> Optional[str]:
        """Why it ended unasked; None if it did not, as far as is known."""
        if self._connection.fault is not None:
            return "connection"
        return self._connection.ended.get(self._words[4])

    def _loss(self, reason: Optional[str]) -> LockLost:
        """The error of a grant that ended unasked, which the program's log hears of too."""
        details = {
            "expired": "its lease ended",
            "revoked": "it was revoked",
            "connection": f"the connection to the daemon ended ({self._connection.fault})",
        }
        reason = reason or "unknown"
        text = f"{self.name!r} (mode {self.mode}, token {self.token}) was lost: "
        error = LockLost(text + details.get(reason, "it was no longer held"))
        error.reason = reason
        log("WARNING", str(error))
        return error

    def _check(self) -> None:
        if self._is_over:
            raise NotHeld("it was released before")
        if self._connection.pid != getpid():
            raise NotHeld("it is held by the parent process")

    def _end(self) -> None:
        """Decides that the caller ends it, and no other.

        Raises:
            NotHeld: another one has done so.
        """
        try:
            self._live.pop()
        except IndexError:
            raise NotHeld("it was released before") from None

    def _fault(self, error: DaemonUnavailable) -> Exception:
        """What to raise if a request for it has failed: the grant ended with the connection, unless that goes on."""
        return error if isinstance(error, DaemonTimeout) else self._loss("connection")

    # The lines that change it

    def _line(self, verb: bytes, options: bytes = b"") -> bytes:
        return b"%s %s %s%s" % (verb, self._words[2], self._words[4], options)

    def _check_released(self, reply: list[bytes], asked: list[bytes]) -> None:
        """Takes the reply to a release of the grant as it was in `asked`; raises if it had ended before."""
        if reply[:1] == [b"RELEASED"]:
            return
        if self._words is not asked:
            # An upgrade that was given up was granted before this was read: it has another token.
            self._connection.release_soon(self._words[2], self._words[4])
            return
        raise self._loss(self._connection.ended.pop(asked[4], None))

    def _check_changed(self, reply: list[bytes]) -> None:
        """Raises unless the change was made."""
        if reply[0] not in (b"GRANTED", b"RENEWED"):
            refused = refusal(reply)
            raise self._loss(self._lost) if isinstance(refused, LockLost) else refused

    def _accept(self, reply: bytes) -> None:
        """Takes over what a reply says, also one that comes after its caller has left."""
        words = reply.split(b" ")
        if words[1] == b"GRANTED":
            self._words = words


def downgrade_option(to: str) -> bytes:
    """What stands behind the token in a ``DOWNGRADE``."""
    if to not in ("read", "update"):
        raise ValueError(f"a grant is downgraded to 'read' or 'update', not {to!r}")
    return b" to=" + to.encode()


def lease_option(lease: Optional[Seconds]) -> bytes:
    """What stands behind the token in a ``RENEW``."""
    return b"" if lease is None else b" lease=%dms" % milliseconds(lease, "a lease")
