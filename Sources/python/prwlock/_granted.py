"""What the daemon said when it granted a lock."""

from __future__ import annotations

from ._errors import LockLost
from ._log import log
from ._wire import decode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ._wire import Mode


class Granted:
    """The facts of a grant, from the words of the daemon's last reply about it."""

    def __init__(self, words: list[bytes]) -> None:
        self._words = words

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


def loss(granted: Granted, reason: str, fault: Optional[str]) -> LockLost:
    """The error of a grant that ended unasked, which the program's log hears of too."""
    details = {
        "expired": "its lease ended",
        "revoked": "it was revoked",
        "connection": f"the connection to the daemon ended ({fault})",
    }
    text = f"{granted.name!r} (mode {granted.mode}, token {granted.token}) was lost: "
    error = LockLost(text + details.get(reason, "it was no longer held"))
    error.reason = reason
    log("WARNING", str(error))
    return error
