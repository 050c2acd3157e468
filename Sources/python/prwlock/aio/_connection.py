"""One session with the daemon on one event loop."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator
from itertools import count
from os import getpid
from time import monotonic
from typing import Callable, Optional

from .. import _forking
from .._deadline import PATIENCE
from .._location import Location
from .._losses import Losses
from .._rendezvous import connect
from .._session import Request, Session
from .._sockets import no_answer
from .._until import GLANCE, boot_now
from ._turns import Turns

#: How the lines begin that can wait at the daemon.
_WAITING = (b"READ ", b"UPDATE ", b"WRITE ", b"UPGRADE ")
_FULL = [b"ERROR", b"limit-waiters"]

Accept = Callable[[bytes], None]


class Awaited(Request):
    """A request of a task."""

    #: Whether other requests of the session waited at the daemon when this one's reply was read.
    is_among_others = False
    #: Whether it is about a grant on a shared lock, so that it waits for no longer than the grant counts.
    is_of_shared = False

    def __init__(
        self, connection: Connection, tag: bytes, text: bytes, end: Optional[float], accept: Optional[Accept]
    ) -> None:
        super().__init__(tag, text, end, accept)
        self.answer: asyncio.Future[None] = connection.loop.create_future()
        self._connection = connection

    @property
    def is_refused(self) -> bool:
        """Whether the daemon has no place for one more waiting request."""
        return self.words[:2] == _FULL

    def wake(self) -> None:
        # The task runs later, perhaps after replies that came in the same piece have ended the other requests.
        if self.is_refused:
            self.is_among_others = self._connection.is_waiting
        if not self.answer.done():
            self.answer.set_result(None)


class Connection(Session, asyncio.Protocol):
    """A connection of this process and this event loop to a daemon that has answered on it."""

    def __init__(self, connected: socket.socket, received: bytes, path: str) -> None:
        super().__init__(received, path)
        #: Called after each input, and at the end.
        self.hear: Callable[[], None] = self._look_for_losses
        self.losses: Optional[Losses] = None
        self.end_of_loop: Optional[AsyncGenerator[None, None]] = None
        self.loop = asyncio.get_running_loop()
        #: Whether this process has ended it.
        self.is_closed = False
        #: The requests for which the daemon has no place.
        self.turns = Turns(self)
        self._until_alarm: Optional[asyncio.TimerHandle] = None
        self._socket = connected
        self._numbers = count(1)
        self._transport: Optional[asyncio.Transport] = None
        _forking.remember(self)

    def _look_for_losses(self) -> None:
        if self.losses is not None:
            self.losses.look()

    def extend(self, line: bytes) -> None:
        """As `Session.extend`. When the moment passes, grants on shared locks are lost."""
        super().extend(line)
        self._look_at_until()

    def _look_at_until(self) -> None:
        if self._until_alarm is not None:
            self._until_alarm.cancel()
            self._until_alarm = None
        left = self.until - boot_now()
        if left > 0:
            # Now and then, because the loop's clock stands still while the machine sleeps.
            self._until_alarm = self.loop.call_later(min(left, GLANCE), self._look_at_until)
        else:
            for request in list(self._open.values()):
                if isinstance(request, Awaited) and request.is_of_shared and not request.answer.done():
                    request.answer.set_exception(no_answer(self._socket, self.path))
            self.hear()

    # Requests

    async def ask(
        self,
        text: bytes,
        patience: Optional[float] = PATIENCE,
        accept: Optional[Accept] = None,
        is_of_shared: bool = False,
    ) -> Awaited:
        """Sends a line and waits for its reply.

        If the caller is cancelled, the request is given up. If the daemon grants it nevertheless, the grant is released
        (or `accept` is called). No task waits for that.

        Raises:
            DaemonUnavailable: the connection ended.
            DaemonTimeout: the daemon did not answer in time.
        """
        if self.fault is not None:
            raise self.gone()
        end = None if patience is None else monotonic() + patience
        request = Awaited(self, b"#%d " % next(self._numbers), text, end, accept)
        request.is_of_shared = is_of_shared
        self._write(self.open(request))
        alarm = None if patience is None else self.loop.call_later(patience, self._look, request)
        try:
            await request.answer
        except BaseException:
            self.give_up(request)
            self.flush(self._write)
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
        if not request.reply:
            raise self.gone()
        if accept is not None:
            accept(request.reply)
        return request

    @property
    def is_waiting(self) -> bool:
        """Whether a request that can wait at the daemon has no reply."""
        return any(request.text.startswith(_WAITING) for request in self._open.values())

    def tell(self, text: bytes, answered: Callable[[Awaited], object]) -> None:
        """Sends a line without waiting for its reply. Lines that are sent later reach the daemon after this one.

        `answered` is called when the reply comes, or with an empty reply if the connection ends first.

        Raises:
            RuntimeError: the caller does not run on this connection's loop.
        """
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("a grant is released on the event loop that acquired it")
        request = Awaited(self, b"#%d " % next(self._numbers), text, None, None)
        self._write(self.open(request))
        request.answer.add_done_callback(lambda _: answered(request))

    def _look(self, request: Awaited) -> None:
        if request.answer.done():
            return
        now = monotonic()
        if request.is_over(now):
            request.answer.set_exception(no_answer(self._socket, self.path))
        elif request.end is not None:
            self.loop.call_later(max(0, request.end - now), self._look, request)

    def release_soon(self, name: bytes, token: bytes) -> None:
        """Releases a grant without waiting. Only the loop's thread may call this."""
        self.release_later(name, token)
        self.flush(self._write)

    def _write(self, line: bytes) -> None:
        if self.fault is None and self._transport is not None and self.pid == getpid():
            self._transport.write(line)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Other event loops have transports of other types.
        self._transport = transport  # type: ignore[assignment]
        self._take()

    def data_received(self, data: bytes) -> None:
        self.inbox.append(data)
        self._take()

    def _take(self) -> None:
        self.receive()
        self.flush(self._write)
        if self.fault is not None:
            self.close()
        self.hear()

    def connection_lost(self, error: Optional[Exception]) -> None:
        self.end(str(error) if error else "the daemon closed it")
        self.hear()

    # The end

    def end(self, fault: str) -> None:
        """As `Session.end`."""
        super().end(fault)
        self.turns.give_all()

    def close(self, fault: str = "the client was closed") -> None:
        """Ends the session at once."""
        if self.pid != getpid() or self._transport is None:
            return
        if self.fault is None:
            self.is_closed = True
            self.queue_last_words(is_all=True)
            self.flush(self._write)
            self.end(fault)
        try:
            # A child may have a copy of the descriptor, so `close` alone would not end the session.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._transport.close()

    def after_fork(self) -> None:
        """Closes the copy of a forked child. The parent's session continues."""
        self.fault = "it belongs to the parent process"
        self._socket.close()


async def open_connection(location: Location, end: Optional[float] = None) -> Connection:
    """Connects as `prwlock._rendezvous.connect` does, in a thread, because that may block."""
    connected, received = await _connect(location, end)
    connected.setblocking(False)
    connection = Connection(connected, received, location.path)
    try:
        await connection.loop.create_unix_connection(lambda: connection, sock=connected)
        # An event loop notifies only its asynchronous generators of its end.
        connection.end_of_loop = _until_end_of_loop(connection)
        await connection.end_of_loop.__anext__()
    except BaseException:
        connection.close()
        # The connection closes it only if it has its transport.
        connected.close()
        raise
    return connection


async def _until_end_of_loop(connection: Connection) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        connection.close()


def _connect(location: Location, end: Optional[float]) -> asyncio.Future[tuple[socket.socket, bytes]]:
    """Runs `prwlock._rendezvous.connect` in a thread, but not in the executor, as a loop waits for that at its end."""
    loop = asyncio.get_running_loop()
    connecting: asyncio.Future[tuple[socket.socket, bytes]] = loop.create_future()

    def settle(connection: Optional[tuple[socket.socket, bytes]], error: Optional[Exception]) -> None:
        if connection is not None:
            if connecting.done():
                connection[0].close()
            else:
                connecting.set_result(connection)
        elif error is not None and not connecting.done():
            connecting.set_exception(error)

    def run() -> None:
        connection: Optional[tuple[socket.socket, bytes]] = None
        fault: Optional[Exception] = None
        try:
            connection = connect(location, end)
        except Exception as error:
            fault = error
        try:
            loop.call_soon_threadsafe(settle, connection, fault)
        except RuntimeError:  # The loop has ended.
            if connection is not None:
                connection[0].close()

    threading.Thread(target=run, name="prwlock-connecting", daemon=True).start()
    return connecting
