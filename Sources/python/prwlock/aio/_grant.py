"""A grant for asyncio."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from os import getpid
from sys import is_finalizing
from typing import TYPE_CHECKING, Any, Callable, Literal, Optional
from warnings import warn

from .._deadline import PATIENCE, Deadline
from .._errors import DaemonTimeout, DaemonUnavailable, LockLost
from .._granted import Granted, downgrade_option
from .._wire import decode_name, lease_option
from ._connection import Awaited, Connection

if TYPE_CHECKING:
    from .._wire import Mode, Seconds


class Grant(Granted):
    """A lock that is held; as `prwlock.Grant`, with coroutines. ``async with`` releases it at the end of the block.

    Its coroutines run on the event loop that acquired it. The attributes ask the daemon nothing.

    - Only `upgrade` can wait for ever. Every other coroutine ends within ten seconds, with ``DaemonTimeout`` if the
      daemon does not answer.
    - If the daemon goes away (it dies, ends or is replaced), the grant is lost: `is_held` is False as soon as the end
      can be read, and the coroutines raise ``LockLost``.
    - A task that is cancelled stops waiting at once. A release is carried out nevertheless. Another change may take
      effect or not: `mode` shows it when the daemon has answered.
    """

    _connection: Connection

    def __init__(self, connection: Connection, words: list[bytes], owner: bytes) -> None:
        super().__init__(connection, words)
        self._owner = owner

    async def release(self) -> None:
        """Releases the grant, also if the caller is cancelled.

        Raises:
            NotHeld: it was released before, or it belongs to the parent process.
            LockLost: it has ended before, for example with the daemon.
            DaemonTimeout: the daemon did not answer. It releases the grant when it continues.
        """
        self._check()
        if self._is_shared and not self.is_held:
            self._release_lost()
        self._end()
        words = self._words
        try:
            request = await self._connection.ask(self._line(b"RELEASE"))
        except DaemonUnavailable as error:
            raise self._fault(error) from error
        self._check_released(request.words, words)

    def release_nowait(self) -> None:
        """Releases the grant without waiting for the daemon, as `asyncio.Lock.release`.

        The line is sent at once, as far as the socket has room, and before all lines that this loop sends later. So a
        request that follows finds the lock released. If the daemon is stopped, it releases the grant when it continues.
        If the grant has ended before the daemon reads the line, the loss is logged as a warning.

        Raises:
            NotHeld: it was released before, or it belongs to the parent process.
            LockLost: it is known that the grant has ended before.
            RuntimeError: the caller does not run on the event loop that acquired the grant.
        """
        self._check()
        if self._is_shared and not self.is_held:
            self._release_lost()
        words = self._words
        lost = self._lost
        if lost is not None:
            self._end()
            self._connection.ended.pop(words[4], None)
            raise self._loss(lost)
        self._connection.tell(self._line(b"RELEASE"), lambda request: self._log_loss(request, words))
        self._end()

    def _log_loss(self, request: Awaited, words: list[bytes]) -> None:
        """Logs if a release without a wait came too late."""
        if not request.reply:
            if not self._connection.is_closed:
                self._loss("connection")
            return
        try:
            self._check_released(request.words, words)
        except LockLost:  # It is logged.
            pass

    async def upgrade(self, timeout: Optional[Seconds] = None) -> None:
        """As `prwlock.Grant.upgrade`. A cancelled upgrade that the daemon has granted stays in effect.

        Without a timeout it can wait for ever: as long as another reader keeps the lock, and always if the task awaits
        that reader.
        """
        deadline = Deadline.of(timeout)
        if deadline is None:
            await self._change(b"UPGRADE", b"", None)
        else:
            await self._change(b"UPGRADE", deadline.wait, deadline.left)

    async def downgrade(self, to: Literal["read", "update"] = "read") -> None:
        """As `prwlock.Grant.downgrade`. A cancelled one may take effect nevertheless."""
        await self._change(b"DOWNGRADE", downgrade_option(to))

    async def renew(self, lease: Optional[Seconds] = None) -> None:
        """As `prwlock.Grant.renew`. A cancelled one may take effect nevertheless."""
        await self._change(b"RENEW", lease_option(lease))

    async def is_valid(self) -> bool:
        """Returns whether the grant is held now, according to the daemon; as `prwlock.Grant.is_valid`."""
        if not self.is_held:
            return False
        try:
            request = await self._connection.ask(self._line(b"VALIDATE"), is_of_shared=self._is_shared)
            return request.words[0] == b"VALID"
        except DaemonTimeout:
            if self._is_shared and not self.is_held:
                return False
            raise

    async def _change(self, verb: bytes, options: bytes, patience: Optional[float] = PATIENCE) -> None:
        self._check()
        self._check_shared()
        try:
            request = await self._connection.ask(self._line(verb, options), patience, self._accept, self._is_shared)
        except DaemonUnavailable as error:
            raise self._fault(error) from error
        self._check_changed(request.words)

    async def __aenter__(self) -> Grant:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._is_over:
            await self.release()

    def __del__(self) -> None:
        # Not at the interpreter's exit: see `prwlock.Grant`. In a forked child the loop belongs to the parent.
        connection = self._connection if self._live else None
        if connection is None or is_finalizing() or connection.pid != getpid():
            return
        try:
            # A finalizer may run in any thread.
            connection.loop.call_soon_threadsafe(connection.release_soon, self._words[2], self._words[4])
        except RuntimeError:  # The loop and the session have ended.
            pass


class Unasked:
    """What is made for an ``await`` or ``async with``. Until then it does nothing, and without it, it warns at its end.

    A lock that a program only seems to hold is worse than one that it cannot get. Python warns in the same way of a
    coroutine that was never awaited.
    """

    _is_used = False

    def __del__(self) -> None:
        if not self._is_used and not is_finalizing():
            warn(f"{self!r} was never awaited, so no lock was requested", RuntimeWarning, stacklevel=2, source=self)


class Acquiring(Unasked, Coroutine[Any, Any, Grant]):
    """A request for a grant: ``await`` sends it, or ``async with``, or a task that is made of it.

    There is no coroutine before that. A request that is never sent warns as a coroutine does, and a second ``await``
    raises ``RuntimeError``, also at the time of an ``async with``. After the end of an ``async with`` another one may
    begin. `Client.acquire` says how it waits, and what happens at a cancellation.
    """

    #: Whether it was awaited, or is in an ``async with``.
    _is_begun = False

    def __init__(self, asks: Callable[[], Coroutine[Any, Any, Grant]], name: bytes, mode: Mode) -> None:
        self._asks = asks
        self._facts = (name, mode)
        self._asking: Optional[Coroutine[Any, Any, Grant]] = None
        self._grant: Optional[Grant] = None

    def __repr__(self) -> str:
        name, mode = self._facts
        return f"<prwlock.aio.Acquiring {decode_name(name)!r} {mode}>"

    def _begin(self) -> Coroutine[Any, Any, Grant]:
        if self._is_begun:
            raise RuntimeError(f"{self!r} was awaited already: make an object for each request")
        self._is_begun = self._is_used = True
        return self._asks()

    def __await__(self) -> Generator[Any, None, Grant]:
        return (yield from self._begin().__await__())

    async def __aenter__(self) -> Grant:
        asking = self._begin()
        try:
            self._grant = await asking
        except BaseException:
            self._is_begun = False
            raise
        return self._grant

    async def __aexit__(self, *_: object) -> None:
        grant, self._grant = self._grant, None
        self._is_begun = False
        if grant is not None and not grant._is_over:
            await grant.release()

    # What a task calls

    def send(self, value: Any) -> Any:
        """As a coroutine's."""
        if self._asking is None:
            self._asking = self._begin()
        return self._asking.send(value)

    def throw(self, *error: Any) -> Any:
        """As a coroutine's: a task that is cancelled before its first step requests nothing."""
        if self._asking is None:
            self._asking = self._begin()
        return self._asking.throw(*error)

    def close(self) -> None:
        """As a coroutine's."""
        self._is_begun = self._is_used = True
        if self._asking is not None:
            self._asking.close()
