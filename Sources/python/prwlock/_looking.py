"""What a client asks about the locks of its daemon."""

from __future__ import annotations

from ._wire import check, encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import List, Optional

    from ._location import Location
    from ._session import Request
    from ._status import LockStatus, LockSummary, SessionStatus
    from ._watch import Watch
    from ._wire import Text


class Looking:
    """The part of `prwlock.Client` that requests no lock; see there."""

    _location: Location

    def _asked(self, text: bytes) -> Request:
        """Sends a request that changes nothing, and returns it with its reply."""
        raise NotImplementedError

    def _ask(self, text: bytes) -> List[bytes]:
        """Sends a request that changes nothing, and returns the words of the reply."""
        return self._asked(text).words

    def _rows(self, text: bytes) -> Sequence[bytes]:
        request = self._asked(text)
        check(request.words, b"END")
        return request.rows

    def ping(self) -> None:
        """Waits for an answer of the daemon, ten seconds at most; starts a daemon if none runs and that is allowed.

        Raises:
            DaemonTimeout: no daemon answered.
            DaemonUnavailable: none runs and none could be started, or it went away before it answered.
        """
        self._ask(b"PING")

    def status(self, name: Text) -> LockStatus:
        """Returns the holders and waiters of a lock, within ten seconds; the errors are those of `ping`."""
        from . import _status

        return _status.lock_status(name, self._rows(b"STATUS " + encode_name(name)))

    def list(self, prefix: Text = "") -> List[LockSummary]:
        """Returns all locks with names that begin with a prefix, in the order of names.

        A lock that is only cached is free, and not among them. It requests a thousand locks at a time, so a lock that
        is acquired or released meanwhile may be in it or not. The daemon has ten seconds for each thousand; the errors
        are those of `ping`.
        """
        from . import _status

        locks: List[LockSummary] = []
        after: Optional[bytes] = b""
        while after is not None:
            rows = self._rows(_status.list_request(prefix, after))
            locks += _status.lock_summaries(rows)
            after = _status.next_page(rows)
        return locks

    def sessions(self) -> List[SessionStatus]:
        """Returns all sessions, in no order, within ten seconds; the errors are those of `ping`."""
        from . import _status

        return _status.sessions(self._rows(b"SESSIONS"))

    def stats(self) -> dict[str, int]:
        """Returns the daemon's counters, within ten seconds; the errors are those of `ping`."""
        from . import _status

        return _status.stats(self._rows(b"STATS"))

    def watch(self, prefix: Text = "") -> Watch:
        """Iterates over the changes, from now on, of all locks with names that begin with a prefix.

        This waits for the daemon's answer, so no change after it is missed; the errors are those of `ping`. After an
        error or an interrupt there is no watch. The iteration can wait for ever; see `Watch`.
        """
        from ._watch import Watch

        return Watch(self._location, prefix)

    def validate(self, name: Text, token: int) -> bool:
        """Returns whether a grant of any session on that lock has this token now.

        It ends within ten seconds; the errors are those of `ping`.
        """
        words = self._ask(b"VALIDATE %s token=%d" % (encode_name(name), token))
        return check(words, b"VALID", b"STALE") == b"VALID"

    def revoke(self, name: Text, token: int) -> None:
        """Revokes a grant of any session. For root and the daemon's own user.

        It ends within ten seconds. If it was interrupted, or raises ``DaemonTimeout`` or ``DaemonUnavailable``, the
        grant may have been revoked or not; `validate` says it.

        Raises:
            Denied: this user may not revoke it.
            LockLost: the grant has ended before.
            DaemonUnavailable: as `ping`.
        """
        check(self._ask(b"REVOKE %s token=%d" % (encode_name(name), token)), b"REVOKED")
