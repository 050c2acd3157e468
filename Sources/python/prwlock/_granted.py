"""What the grants of both surfaces have in common: their facts, their end, and the lines that change them."""

from __future__ import annotations

from os import getpid

from ._ahead import shows_end
from ._errors import DaemonTimeout, DaemonUnavailable, LockLost, NotHeld
from ._log import log
from ._wire import decode_name, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Protocol

    from ._ahead import Watched
    from ._wire import Mode

    class Held(Watched, Protocol):
        """What a grant needs of its session."""

        pid: int
        fault: Optional[str]
        ended: dict[bytes, str]

        def release_soon(self, name: bytes, token: bytes) -> None:
            """Releases a grant without a wait."""


class Granted:
    """The facts of a grant, from the words of the daemon's last reply about it."""

    _owner: bytes
    #: One element until the grant ends. The call that removes the element ends the grant.
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
        """The fencing token: higher than that of every earlier grant, over all locks and restarts of the daemon."""
        return int(self._words[4][6:])

    @property
    def owner(self) -> str:
        """The word of the thread or task that acquired it, as listings show it."""
        return self._owner.decode()

    @property
    def owner_died(self) -> bool:
        """Whether an earlier writer ended without a release, so the protected data may be half written."""
        return len(self._words) > 5 and self._words[5] == b"ownerdied=1"

    @property
    def is_held(self) -> bool:
        """Whether it is held, as far as the daemon has told this process; False in a forked child.

        It is False as soon as the end of the grant or of the connection can be read, also if no call reads it. It asks
        the daemon nothing, so it does not wait; `is_valid` asks.
        """
        if self._is_over or self._connection.pid != getpid():
            return False
        words = self._words
        return not shows_end(self._connection, words[2], words[4]) and self._lost is None

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
        """The reason why it was lost; None if no loss is known."""
        if self._connection.fault is not None:
            return "connection"
        return self._connection.ended.get(self._words[4])

    def _loss(self, reason: Optional[str]) -> LockLost:
        """Returns the error for a lost grant, and logs it."""
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
        """Marks the grant as ended. Of several threads, one succeeds.

        Raises:
            NotHeld: another call has ended the grant.
        """
        try:
            self._live.pop()
        except IndexError:
            raise NotHeld("it was released before") from None

    def _fault(self, error: DaemonUnavailable) -> Exception:
        """Returns what to raise if a request has failed: the grant is lost, unless the connection still lives."""
        return error if isinstance(error, DaemonTimeout) else self._loss("connection")

    # The lines that change it

    def _line(self, verb: bytes, options: bytes = b"") -> bytes:
        return b"%s %s %s%s" % (verb, self._words[2], self._words[4], options)

    def _check_released(self, reply: list[bytes], asked: list[bytes]) -> None:
        """Checks the reply to a release; `asked` are the grant's words when the release was sent.

        Raises:
            LockLost: the grant has ended before.
        """
        if reply[:1] == [b"RELEASED"]:
            return
        if self._words is not asked:
            # An upgrade that was given up was granted before the daemon read the release, so the token has changed.
            self._connection.release_soon(self._words[2], self._words[4])
            return
        raise self._loss(self._connection.ended.pop(asked[4], None))

    def _check_changed(self, reply: list[bytes]) -> None:
        """Raises the error of a reply that refuses a change."""
        if reply[0] not in (b"GRANTED", b"RENEWED"):
            refused = refusal(reply)
            raise self._loss(self._lost) if isinstance(refused, LockLost) else refused

    def _accept(self, reply: bytes) -> None:
        """Stores the new words of a changed grant, also if the reply comes after the caller has given up."""
        words = reply.split(b" ")
        if words[1] == b"GRANTED":
            self._words = words


def downgrade_option(to: str) -> bytes:
    """Returns the option of a ``DOWNGRADE``."""
    if to not in ("read", "update"):
        raise ValueError(f"a grant is downgraded to 'read' or 'update', not {to!r}")
    return b" to=" + to.encode()
