"""Grants for asyncio."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from sys import is_finalizing
from typing import TYPE_CHECKING, Any, Callable, Literal, Optional

from .._deadline import Deadline
from .._errors import DaemonTimeout, DaemonUnavailable, LockLost, NotHeld
from .._granted import Granted, loss
from .._request import PATIENCE
from .._stream import getpid
from .._wire import milliseconds, refusal
from ._session import Session

if TYPE_CHECKING:
    from .._wire import Seconds


class Grant(Granted):
    """A lock that is held; as `prwlock.Grant`, with coroutines. Used by ``async with``, it is released at the end."""

    _is_over = True

    def __init__(self, session: Session, words: list[bytes], owner: bytes) -> None:
        super().__init__(words)
        self._session = session
        self._owner = owner
        self._is_over = False

    @property
    def is_held(self) -> bool:
        """Whether it is neither released nor known to be lost, in the process that it belongs to."""
        return not self._is_over and self._session.pid == getpid() and self._lost() is None

    def __repr__(self) -> str:
        state = "released" if self._is_over else "held" if self.is_held else "lost"
        return f"<prwlock.aio.Grant {self.name!r} {self.mode} token={self.token} {state}>"

    async def release(self) -> None:
        """Gives it back; cancelled or not.

        Raises:
            NotHeld: it was released before, or belongs to the parent process.
            LockLost: it had ended before.
            DaemonTimeout: the daemon does not answer. It is released as soon as the daemon goes on.
        """
        self._check()
        self._is_over = True
        words = self._words
        try:
            # Who is cancelled in here has sent it.
            asked = await self._session.ask(b"RELEASE %s %s" % (words[2], words[4]))
        except DaemonTimeout:
            raise
        except DaemonUnavailable as error:
            raise self._loss("connection") from error
        if asked.words[0] != b"RELEASED":
            if self._words is not words:
                # An upgrade that was given up was granted before this was read: it has another token.
                self._session.release_later(self._words[2], self._words[4])
                return
            raise self._loss(self._session.ended.pop(self.token, "unknown"))

    async def upgrade(self, timeout: Optional[Seconds] = None) -> None:
        """As `prwlock.Grant.upgrade`. An upgrade that is granted while it is cancelled stays."""
        if timeout is None:
            await self._change(b"UPGRADE", b"", None)
        else:
            deadline = Deadline(timeout)
            await self._change(b"UPGRADE", deadline.wait, deadline.left)

    async def downgrade(self, to: Literal["read", "update"] = "read") -> None:
        """As `prwlock.Grant.downgrade`."""
        if to not in ("read", "update"):
            raise ValueError(f"a grant is downgraded to 'read' or 'update', not {to!r}")
        await self._change(b"DOWNGRADE", b" to=" + to.encode())

    async def renew(self, lease: Optional[Seconds] = None) -> None:
        """As `prwlock.Grant.renew`."""
        await self._change(b"RENEW", b"" if lease is None else b" lease=%dms" % milliseconds(lease, "a lease"))

    async def is_valid(self) -> bool:
        """Whether the daemon says that it is held at this moment."""
        if not self.is_held:
            return False
        words = self._words
        asked = await self._session.ask(b"VALIDATE %s %s" % (words[2], words[4]))
        return asked.words[0] == b"VALID"

    def _check(self) -> None:
        if self._is_over:
            raise NotHeld("it was released before")
        if self._session.pid != getpid():
            raise NotHeld("it is held by the parent process")

    async def _change(self, verb: bytes, options: bytes, patience: Optional[float] = PATIENCE) -> None:
        self._check()
        words = self._words
        try:
            text = b"%s %s %s%s" % (verb, words[2], words[4], options)
            answer = (await self._session.ask(text, patience, self._settle)).words
        except DaemonTimeout:
            raise
        except DaemonUnavailable as error:
            raise self._loss("connection") from error
        if answer[0] not in (b"GRANTED", b"RENEWED"):
            refused = refusal(answer)
            raise self._loss(self._lost() or "unknown") if isinstance(refused, LockLost) else refused

    def _settle(self, reply: bytes) -> None:
        words = reply.split(b" ")
        if words[1] == b"GRANTED":
            self._words = words

    def _lost(self) -> Optional[str]:
        return "connection" if self._session.fault is not None else self._session.ended.get(self.token)

    def _loss(self, reason: str) -> LockLost:
        return loss(self, reason, self._session.fault)

    async def __aenter__(self) -> Grant:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._is_over:
            await self.release()

    def __del__(self) -> None:
        # Not at the interpreter's end: see `prwlock.Grant`. In a forked child the loop is the parent's.
        if self._is_over or is_finalizing() or self._session.pid != getpid():
            return
        try:
            # A finalizer may run in any thread.
            self._session.loop.call_soon_threadsafe(self._session.release_later, self._words[2], self._words[4])
        except RuntimeError:  # The loop has ended, and the session with it.
            pass


class Acquiring(Awaitable[Grant]):
    """A grant that is about to be asked for: ``await`` it, or use it by ``async with``."""

    def __init__(self, asks: Callable[[], Awaitable[Grant]]) -> None:
        self._asks = asks
        self._grant: Optional[Grant] = None

    def __await__(self) -> Generator[Any, None, Grant]:
        return self._asks().__await__()

    async def __aenter__(self) -> Grant:
        self._grant = await self._asks()
        return self._grant

    async def __aexit__(self, *_: object) -> None:
        if self._grant is not None and not self._grant._is_over:
            await self._grant.release()
