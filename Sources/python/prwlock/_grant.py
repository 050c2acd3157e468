"""The permission that a daemon gave: a lock, a mode, a token."""

from __future__ import annotations

from sys import is_finalizing

from ._connection import Connection, Sleeper
from ._deadline import PATIENCE, Deadline
from ._errors import DaemonUnavailable, NestedUse, NotHeld
from ._granted import Granted, downgrade_option, lease_option
from ._owner import Thread, call, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Literal, Optional

    from ._wire import Seconds


class Grant(Granted):
    """A lock that is held. Used as a context manager, it is released at the block's end.

    It ends when it is released, when its lease is over, when it is revoked, with the connection, and when nobody refers
    to it any more (but for the interpreter's end, which is the process's death). A grant that ended unasked raises
    ``LockLost`` when it is released, also at a block's end.
    """

    _connection: Connection

    def __init__(self, connection: Connection, words: list[bytes], thread: Thread) -> None:
        self._words = words
        self._connection = connection
        self._thread = thread
        self._live = [True]

    # The end

    def release(self) -> None:
        """Gives it back.

        Raises:
            NotHeld: it was released before, or it belongs to the parent process; a ``ValueError``.
            LockLost: it had ended before.
            DaemonTimeout: the daemon does not answer. It is released as soon as the daemon goes on.
        """
        self._check()
        self._release()

    @call
    def _release(self) -> None:
        """Gives back what is known to be this process's.

        Raises:
            NotHeld: another thread has done so.
        """
        connection = self._connection
        own = threads.own
        words = self._words
        if own.request is not None:
            try:
                own.clean_up()
            except NestedUse:
                # In a signal handler, in the middle of another call of this thread, which will read the reply.
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
            # It is released all the same; even if there was no room for the line.
            self._disown()
            connection.release_soon(words[2], words[4])
            connection.abandon(request)
            own.request = None
            if isinstance(error, DaemonUnavailable):
                raise self._fault(error) from error
            raise
        if b" RELEASED " not in reply:
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

    def _disown(self) -> None:
        """Leaves the release to another part of the program."""
        self._live.clear()

    def __del__(self) -> None:
        # Not at the interpreter's end: whoever ends in the middle has not released, and the next one must hear of it.
        if self._live and not is_finalizing():
            self._connection.release_soon(self._words[2], self._words[4])

    # Changes

    def upgrade(self, timeout: Optional[Seconds] = None) -> None:
        """Becomes the writer, with nobody in between, as soon as all readers have left; with a new token.

        From ``update`` it always can; of two that upgrade from ``read``, the second is refused. What is refused stands
        as it was.

        Raises:
            WouldBlock, AcquireTimeout, Deadlock: it could not be had.
            Cancelled: the grant ended meanwhile.
            LockLost: it had ended before.
            DaemonTimeout: the daemon does not answer.
        """
        if timeout is None:
            self._change(b"UPGRADE", b"", None)
        else:
            deadline = Deadline(timeout)
            self._change(b"UPGRADE", deadline.wait, deadline.left)

    def downgrade(self, to: Literal["read", "update"] = "read") -> None:
        """Becomes weaker, with nobody in between; keeps its token.

        Raises:
            ValueError: `to` is no such mode.
            ProtocolError: it is not in a stronger mode than that.
            LockLost: it had ended before.
        """
        self._change(b"DOWNGRADE", downgrade_option(to))

    def renew(self, lease: Optional[Seconds] = None) -> None:
        """Has the lease end so many seconds from now; without `lease`, as many as it was given last.

        Raises:
            LockLost: it had ended before.
            ProtocolError: there is no length to repeat.
        """
        self._change(b"RENEW", lease_option(lease))

    def is_valid(self) -> bool:
        """Whether the daemon says that it is held at this moment."""
        if not self.is_held:
            return False
        return self._connection.ask(self._line(b"VALIDATE")).words[0] == b"VALID"

    def _change(self, verb: bytes, options: bytes, patience: Optional[float] = PATIENCE) -> None:
        self._check()
        try:
            request = self._connection.ask(self._line(verb, options), patience, self._accept)
        except DaemonUnavailable as error:
            raise self._fault(error) from error
        self._check_changed(request.words)

    # Being told

    def _tell(self, on_lost: Callable[[Grant], Any]) -> None:
        from ._notices import tell

        tell(self, self._connection, on_lost)
