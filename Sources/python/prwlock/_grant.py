"""A grant for threads: the permission to hold a lock in a mode, named by a token."""

from __future__ import annotations

from sys import is_finalizing

from ._connection import Connection
from ._deadline import PATIENCE, Deadline
from ._errors import DaemonTimeout, DaemonUnavailable, NestedUse, NotHeld
from ._granted import Granted, downgrade_option
from ._owner import Thread, call, threads
from ._sleeper import Change, Sleeper
from ._wire import lease_option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Literal, Optional

    from ._slots import Slot
    from ._wire import Seconds


class Grant(Granted):
    """A lock that is held. As a context manager, it is released at the end of the block.

    A grant ends when it is released, when its lease expires, when it is revoked, with the connection, and when it is
    collected (but not at the interpreter's exit, which counts as the death of the process). Releasing a grant that was
    lost raises ``LockLost``, also at the end of a block.

    Any thread may call the methods. The attributes ask the daemon nothing.

    - Only `upgrade` can wait for ever. Every other method ends within ten seconds, with ``DaemonTimeout`` if the daemon
      does not answer.
    - If the daemon goes away (it dies, ends or is replaced), the grant is lost: `is_held` is False as soon as the end
      can be read, and the methods raise ``LockLost``.
    - An exception out of a signal handler (``KeyboardInterrupt``, for example) ends a call within a second. A `release`
      is carried out nevertheless. Another change may take effect or not: `mode` shows it when the daemon has answered.
    """

    _connection: Connection
    #: The slot, if the grant is cached.
    _slot: Optional[Slot] = None

    def __init__(self, connection: Connection, words: list[bytes], thread: Thread, owner: bytes) -> None:
        self._words = words
        self._connection = connection
        self._thread = thread
        self._owner = owner
        self._live = [True]

    # The end

    def release(self) -> None:
        """Releases the grant, also if the call is interrupted or reaches its ten seconds.

        A signal handler or a finalizer may call it in the middle of another call of its thread. It does not wait then,
        and reports no loss.

        Raises:
            NotHeld: it was released before, or it belongs to the parent process; a ``ValueError``.
            LockLost: it has ended before, for example with the daemon.
            DaemonTimeout: the daemon did not answer. It releases the grant when it continues.
        """
        self._check()
        self._release()

    @call
    def _release(self) -> None:
        """Releases the grant, which belongs to this process.

        Raises:
            NotHeld: another thread has released it.
        """
        slot = self._slot
        if slot is not None:
            if slot.leave(self._live):
                if slot.needs_grant:
                    self._keep(slot)
                return
            self._slot = None
        connection = self._connection
        own = threads.own
        words = self._words
        if self._is_shared and not self.is_held:
            self._release_lost()
        if own.request is not None:
            try:
                own.clean_up()
            except NestedUse:
                # A signal handler releases in the middle of another call of its thread, which will read the reply.
                connection.release_soon(words[2], words[4])
                self._disown()
                return
        request = Sleeper(connection, own, b"RELEASE %s %s" % (words[2], words[4]), PATIENCE)
        try:
            try:
                self._live.pop()
            except IndexError:
                raise NotHeld("it was released before") from None
            own.request = request
            reply = connection.exchange(request)
            own.request = None
        except NotHeld:
            raise
        except BaseException as error:
            # Release the grant nevertheless, also if the socket had no room for the line.
            self._disown()
            connection.release_soon(words[2], words[4])
            connection.abandon(request)
            own.request = None
            if isinstance(error, DaemonUnavailable):
                raise self._fault(error) from error
            raise
        if b" RELEASED " not in reply or self._is_shared:
            self._check_released(request.words, words)

    def __enter__(self) -> Grant:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if not self._is_over:
            self.release()

    def _keep(self, slot: Slot) -> None:
        """Makes the grant that is live when the slot is entered the next time."""
        grant = Grant(self._connection, self._words, self._thread, self._owner)
        grant._live.clear()
        grant._slot = slot
        slot.keep(grant, grant._live)

    def _give_back(self) -> None:
        """Ends the grant of a call that an interrupt ends; may be repeated. It waits as `Connection.abandon` does."""
        slot = self._slot
        if slot is not None and slot.leave(self._live):
            if slot.needs_grant:
                self._keep(slot)
        elif self._live:
            request = Sleeper(self._connection, self._thread, b"", None)
            request.reply = b" ".join(self._words)
            self._connection.abandon(request)
            self._disown()

    def _disown(self) -> None:
        """Marks the grant as ended, because other code releases it."""
        self._live.clear()

    def __del__(self) -> None:
        # Not at the interpreter's exit: a program that exits within its critical section must leave a mark (G11).
        if self._live and not is_finalizing():
            if self._slot is not None:
                self._slot.forget()
            self._connection.release_soon(self._words[2], self._words[4])

    # Changes

    def upgrade(self, timeout: Optional[Seconds] = None) -> None:
        """Changes the mode to ``write``, with a new token, when all other readers have released.

        No other writer gets in between.

        From ``update`` this is always possible. Of two grants that upgrade from ``read``, the second is refused. A
        refusal leaves the grant unchanged.

        Without a timeout it can wait for ever: as long as another reader keeps the lock, and always if this thread
        waits for that reader, or for a thread which waits for this grant. An interrupted upgrade is cancelled, and so
        is one after ``DaemonTimeout``. If the daemon grants it before it reads the cancellation, the upgrade stays in
        effect.

        Raises:
            WouldBlock, AcquireTimeout, Deadlock: the upgrade was refused.
            Cancelled: the grant ended meanwhile: by another thread's release, its lease, or a revocation.
            LockLost: the grant has ended before, or the daemon went away during the wait, or, if hosts share the lock,
                the daemon did not confirm in time that this host still has it.
            DaemonTimeout: the daemon did not answer within the timeout and a second.
        """
        deadline = Deadline.of(timeout)
        if deadline is None:
            self._change(b"UPGRADE", b"", None)
        else:
            self._change(b"UPGRADE", deadline.wait, deadline.left)

    def downgrade(self, to: Literal["read", "update"] = "read") -> None:
        """Changes to a weaker mode without a release in between. The token stays the same.

        Raises:
            ValueError: `to` is neither ``read`` nor ``update``.
            ProtocolError: the grant's mode is not stronger than `to`.
            LockLost: the grant has ended before, for example with the daemon.
            DaemonTimeout: the daemon did not answer. It may downgrade the grant later.
        """
        self._change(b"DOWNGRADE", downgrade_option(to))

    def renew(self, lease: Optional[Seconds] = None) -> None:
        """Lets the lease expire so many seconds from now; without `lease`, it gets its last length again.

        Raises:
            LockLost: the grant has ended before, for example with the daemon.
            DaemonTimeout: the daemon did not answer. It may renew the lease later.
            ProtocolError: the grant had no lease that could be repeated.
        """
        self._change(b"RENEW", lease_option(lease))

    def is_valid(self) -> bool:
        """Returns whether the grant is held now, according to the daemon; False after a loss that is known already.

        Raises:
            DaemonTimeout: the daemon did not answer within ten seconds.
            DaemonUnavailable: the daemon went away during the call, so the grant is lost.
        """
        if not self.is_held:
            return False
        try:
            return self._connection.ask(self._line(b"VALIDATE"), kind=self._kind).words[0] == b"VALID"
        except DaemonTimeout:
            if self._is_shared and not self.is_held:
                return False
            raise

    @property
    def _kind(self) -> type[Sleeper]:
        return Change if self._is_shared else Sleeper

    def _change(self, verb: bytes, options: bytes, patience: Optional[float] = PATIENCE) -> None:
        self._check()
        self._check_shared()
        try:
            request = self._connection.ask(self._line(verb, options), patience, self._accept, self._kind)
        except DaemonUnavailable as error:
            raise self._fault(error) from error
        self._check_changed(request.words)

    # Losses

    def _attend(self) -> None:
        """Lets a thread read for the connection if hosts share the lock: no call may read for a long time."""
        if self._note_until():
            from ._notices import listen

            listen(self._connection)

    def _tell(self, on_lost: Callable[[Grant], Any]) -> None:
        from ._notices import tell

        tell(self, self._connection, on_lost)
