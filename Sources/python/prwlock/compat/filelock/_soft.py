"""The soft locks: their file is there as long as they are held."""

from __future__ import annotations

from os import getpid
from typing import Optional

from ..._errors import LockLost
from ..._status import Holder
from ._context import Hold
from ._file import Marker
from ._lock import BaseFileLock


class SoftFileLock(BaseFileLock):
    """`filelock.SoftFileLock`: the same lock as `FileLock`, and a file that is removed at the release.

    The file only shows that the lock is held. The lock itself ends with its process, also if the file remains.

    With `lifetime`, the hold ends so many seconds after it was acquired, and `is_locked` is false from then on. In the
    original, each waiter applies its own lifetime to the file; here it is that of the holder.
    """

    _lifetime_replacements: Optional[tuple[str, str]] = ("StrictSoftFileLock", "SoftFileLease")
    _is_soft = True

    def _acquire(self) -> None:
        pass

    def _release(self) -> None:
        pass

    def _open_file(self, hold: Hold) -> None:
        hold.file = Marker(self.lock_file, self._context.mode)

    @property
    def pid(self) -> Optional[int]:
        """The process that holds the lock, according to the daemon; None if there is none, or it cannot be seen.

        It ends within ten seconds; the errors are those of `prwlock.Client.ping`.
        """
        holder = self._find_holder()
        return None if holder is None else holder.pid

    @property
    def is_lock_held_by_us(self) -> bool:
        """Whether this process holds the lock, according to the daemon; as `pid`."""
        return self.pid == getpid()

    def break_lock(self) -> None:
        """Takes the lock from its holder. The holder's release then raises ``LockLost``.

        It waits for no lock, and gives the daemon ten seconds for each answer. After an interrupt or a
        ``DaemonUnavailable`` the lock may be taken or not.

        Raises:
            Denied: only root and the user of the daemon may do that.
            DaemonUnavailable: as `prwlock.Client.ping`.
        """
        holder = self._find_holder()
        if holder is not None:
            lock = self._named_lock()
            try:
                lock.client.revoke(lock.name, holder.token)
            except LockLost:
                pass

    def _find_holder(self) -> Optional[Holder]:
        holders = self._named_lock().status().holders
        return holders[0] if holders else None


class StrictSoftFileLock(SoftFileLock):
    """`filelock.StrictSoftFileLock`: a soft lock that has no lifetime, which the original ignores with a warning."""

    _lifetime_replacements = None
