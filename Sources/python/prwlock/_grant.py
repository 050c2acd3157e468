"""The permission that a daemon gave: a lock, a mode, a token."""

from __future__ import annotations

from sys import is_finalizing

from ._connection import Connection
from ._deadline import Deadline
from ._errors import DaemonTimeout, DaemonUnavailable, LockLost, NotHeld
from ._granted import Granted, loss
from ._request import PATIENCE, Request, Thread, asking, threads
from ._stream import getpid
from ._wire import milliseconds, refusal

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

    #: One element until the grant ends; the call that takes it out ends it. Until it is whole there is nothing to end.
    _live: list[bool] = []  # noqa: RUF012

    def __init__(self, connection: Connection, words: list[bytes], thread: Thread) -> None:
        self._words = words
        self._connection = connection
        self._thread = thread
        self._live = [True]

    @property
    def _is_over(self) -> bool:
        return not self._live

    @property
    def is_held(self) -> bool:
        """Whether it is neither released nor known to be lost, in the process that it belongs to."""
        return not self._is_over and self._connection.pid == getpid() and self._lost() is None

    def __repr__(self) -> str:
        state = "released" if self._is_over else "held" if self.is_held else "lost"
        return f"<prwlock.Grant {self.name!r} {self.mode} token={self.token} {state}>"

    # The end

    def release(self) -> None:
        """Gives it back.

        Raises:
            NotHeld: it was released before, or it belongs to the parent process; a ``ValueError``.
            LockLost: it had ended before.
            DaemonTimeout: the daemon does not answer. It is released as soon as the daemon goes on.
        """
        if self._is_over:
            raise NotHeld("it was released before")
        if self._connection.pid != getpid():
            raise NotHeld("it is held by the parent process")
        self._release()

    @asking
    def _release(self) -> None:
        """Gives back what is known to be this process's.

        Raises:
            NotHeld: another thread has done so.
        """
        connection = self._connection
        thread = threads.own
        words = self._words
        if thread.request is not None:
            if thread.is_nested():
                # In a signal handler, within another request of this thread: that one will read the reply.
                connection.release_later(words[2], words[4])
                self._live.clear()
                return
            thread.settle()
        request = Request(connection, thread)
        try:
            self._end()
            thread.request = request
            reply = connection.exchange(request, b"RELEASE %s %s" % (words[2], words[4]))
            thread.request = None
        except NotHeld:
            raise
        except DaemonTimeout:
            # Once more, if there was no room for it; twice changes nothing.
            connection.release_later(words[2], words[4])
            thread.request = None
            raise
        except DaemonUnavailable as error:
            thread.request = None
            raise self._loss("connection") from error
        except BaseException:
            # Interrupted, and released all the same.
            connection.release_later(words[2], words[4])
            connection.withdraw(request)
            thread.request = None
            raise
        if b" RELEASED " not in reply:
            if self._words is not words:
                # An upgrade that was given up was granted before this was read: it has another token.
                connection.release_later(self._words[2], self._words[4])
                return
            raise self._loss(connection.ended.pop(self.token, "unknown"))

    def _end(self) -> None:
        try:
            self._live.pop()
        except IndexError:
            raise NotHeld("it was released before") from None

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
            self._connection.release_later(self._words[2], self._words[4])

    def _lost(self) -> Optional[str]:
        if self._connection.fault is not None:
            return "connection"
        return self._connection.ended.get(self.token)

    def _loss(self, reason: str) -> LockLost:
        return loss(self, reason, self._connection.fault)

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
        if to not in ("read", "update"):
            raise ValueError(f"a grant is downgraded to 'read' or 'update', not {to!r}")
        self._change(b"DOWNGRADE", b" to=" + to.encode())

    def renew(self, lease: Optional[Seconds] = None) -> None:
        """Has the lease end so many seconds from now; without `lease`, as many as it was given last.

        Raises:
            LockLost: it had ended before.
            ProtocolError: there is no length to repeat.
        """
        text = b"" if lease is None else b" lease=%dms" % milliseconds(lease, "a lease")
        self._change(b"RENEW", text)

    def is_valid(self) -> bool:
        """Whether the daemon says that it is held at this moment."""
        words = self._words
        if self._is_over or self._lost() is not None:
            return False
        reply = self._connection.ask(b"VALIDATE %s %s" % (words[2], words[4])).reply or b""
        return b" VALID " in reply

    def _change(self, verb: bytes, options: bytes, patience: Optional[float] = PATIENCE) -> None:
        if self._is_over:
            raise NotHeld("it was released before")
        if self._connection.pid != getpid():
            raise NotHeld("it is held by the parent process")
        words = self._words
        try:
            text = b"%s %s %s%s" % (verb, words[2], words[4], options)
            reply = self._connection.ask(text, patience, self._settle).reply or b""
        except DaemonTimeout:
            raise
        except DaemonUnavailable as error:
            raise self._loss("connection") from error
        answer = reply.split(b" ")
        if answer[1] not in (b"GRANTED", b"RENEWED"):
            refused = refusal(answer[1:])
            raise self._loss(self._lost() or "unknown") if isinstance(refused, LockLost) else refused

    def _settle(self, reply: bytes) -> None:
        words = reply.split(b" ")
        if words[1] == b"GRANTED":
            self._words = words

    # Being told

    def _tell(self, on_lost: Callable[[Grant], Any]) -> None:
        from ._notices import tell

        tell(self, self._connection, on_lost)
