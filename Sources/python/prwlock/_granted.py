"""What the grants of both surfaces have in common: their facts, their end, and the lines that change them."""

from __future__ import annotations

from os import getpid

from ._ahead import latest_until, shows_end
from ._errors import DaemonTimeout, DaemonUnavailable, LockLost, NotHeld
from ._log import log
from ._until import UNCONFIRMED, boot_now
from ._wire import decode_name, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Optional, Protocol

    from ._ahead import Watched
    from ._wire import Mode

    class Held(Watched, Protocol):
        """What a grant needs of its session."""

        pid: int
        fault: Optional[str]
        ended: dict[bytes, str]
        until: float

        def extend(self, line: bytes) -> None:
            """Notes until when grants on shared locks count."""

        def release_soon(self, name: bytes, token: bytes) -> None:
            """Releases a grant without a wait."""


class Granted:
    """The facts of a grant, from the words of the daemon's last reply about it."""

    _owner: bytes
    #: One element until the grant ends. The call that removes the element ends the grant.
    _live: list[bool] = []  # noqa: RUF012
    #: Whether hosts share the lock, so that the grant counts until the moment that the daemon has stated last.
    _is_shared = False

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
        return len(self._words) > 5 and self._words[5].startswith(b"ownerdied=")

    @property
    def owner_died_is_unsure(self) -> bool:
        """Whether `owner_died` is only possible: a host died with a shared lock, and may have had no writer."""
        return len(self._words) > 5 and self._words[5] == b"ownerdied=maybe"

    @property
    def is_held(self) -> bool:
        """Whether it is held, as far as the daemon has told this process; False in a forked child.

        It is False as soon as the end of the grant or of the connection can be read, also if no call reads it. It asks
        the daemon nothing, so it does not wait; `is_valid` asks. If hosts share the lock, it is also False as soon as
        the daemon has not confirmed in time that this host still has the lock.
        """
        if self._is_over or self._connection.pid != getpid():
            return False
        if self._is_shared and self._connection.until <= boot_now():
            # This process may have been stopped, so that no thread has read the newest moment.
            self._connection.until = max(self._connection.until, latest_until(self._connection))
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
        ended, token = self._connection.ended, self._words[4]
        if self._is_shared and token not in ended and self._connection.until <= boot_now():
            # For good, whatever the daemon says later.
            ended[token] = "unconfirmed"
        return ended.get(token)

    def _note_until(self) -> bool:
        """Notes until when the grant counts, and returns whether hosts share the lock."""
        if any(word.startswith(b"until=") for word in self._words[5:]):
            self._is_shared = True
            self._connection.extend(b" ".join(self._words))
        return self._is_shared

    def _loss(self, reason: Optional[str]) -> LockLost:
        """Returns the error for a lost grant, and logs it."""
        details = {
            "expired": "its lease ended",
            "revoked": "it was revoked",
            "unconfirmed": UNCONFIRMED,
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
        if not isinstance(error, DaemonTimeout):
            return self._loss("connection")
        lost = self._lost if self._is_shared else None
        return error if lost is None else self._loss(lost)

    def _check_shared(self) -> None:
        """Looks whether a grant on a shared lock is lost, so that no call waits for a daemon that is stopped.

        Raises:
            LockLost: it is lost.
        """
        if self._is_shared and not self.is_held:
            raise self._loss(self._lost)

    def _release_lost(self) -> NoReturn:
        """Ends a grant on a shared lock that is lost. The daemon may still count it.

        Raises:
            LockLost: always, unless another thread has released the grant.
        """
        lost = self._lost
        self._end()
        self._connection.ended.pop(self._words[4], None)
        self._connection.release_soon(self._words[2], self._words[4])
        raise self._loss(lost)

    # The lines that change it

    def _line(self, verb: bytes, options: bytes = b"") -> bytes:
        return b"%s %s %s%s" % (verb, self._words[2], self._words[4], options)

    def _check_released(self, reply: list[bytes], asked: list[bytes]) -> None:
        """Checks the reply to a release; `asked` are the grant's words when the release was sent.

        Raises:
            LockLost: the grant has ended before.
        """
        if reply[:1] == [b"RELEASED"]:
            # A loss that was noticed before stays one.
            lost = self._connection.ended.pop(asked[4], None) if self._is_shared else None
            if lost is not None:
                raise self._loss(lost)
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
        if self._is_shared and self._lost is not None:
            raise self._loss(self._lost)

    def _accept(self, reply: bytes) -> None:
        """Stores the new words of a changed grant, also if the reply comes after the caller has given up."""
        words = reply.split(b" ")
        if words[1] != b"GRANTED":
            return
        lost = self._connection.ended.get(self._words[4]) if self._is_shared else None
        self._words = words
        if lost is not None:
            # Its program knows already that it is lost.
            self._connection.ended[words[4]] = lost
            self._connection.release_soon(words[2], words[4])
        elif self._is_shared:
            self._note_until()


def downgrade_option(to: str) -> bytes:
    """Returns the option of a ``DOWNGRADE``."""
    if to not in ("read", "update"):
        raise ValueError(f"a grant is downgraded to 'read' or 'update', not {to!r}")
    return b" to=" + to.encode()
