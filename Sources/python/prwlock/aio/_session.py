"""One session with the daemon on one event loop: lines out, replies and notices in."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator
from itertools import count
from typing import Callable, Optional

from .. import _forking
from .._errors import DaemonUnavailable
from .._location import Location
from .._rendezvous import connect, no_answer
from .._request import PATIENCE
from .._stream import getpid
from .._wire import release_of

Settle = Callable[[bytes], None]

_LATER = b"#-"


def _ignore(_: list[bytes]) -> None:
    pass


class Asked:
    """A line that was sent, and what will come of it."""

    def __init__(self, text: bytes, reply: asyncio.Future[bytes], settle: Optional[Settle]) -> None:
        self.text = text
        self._reply = reply
        #: Told of the reply if the caller was cancelled; without it, what was granted is given back.
        self.settle = settle
        self.rows: list[bytes] = []

    @property
    def reply(self) -> bytes:
        """The whole line without its end."""
        return self._reply.result()

    @property
    def words(self) -> list[bytes]:
        """The reply's words behind its tag."""
        return self.reply.split(b" ")[1:]


class Session(asyncio.Protocol):
    """A connection of this process and this event loop to a daemon that has answered on it."""

    def __init__(self, connected: socket.socket, received: bytes, path: str) -> None:
        self.path = path
        self.pid = getpid()
        #: Why it has ended; None while it lives.
        self.fault: Optional[str] = None
        self.is_draining = False
        #: Grants that ended unasked, by their tokens: ``expired`` or ``revoked``.
        self.ended: dict[int, str] = {}
        #: Called for every notice, with its words; with none at the end.
        self.hear: Callable[[list[bytes]], None] = _ignore
        self.end_of_loop: Optional[AsyncGenerator[None, None]] = None
        self.loop = asyncio.get_running_loop()
        self._socket = connected
        self._rest = received
        self._rows: list[bytes] = []
        self._asked: dict[bytes, Asked] = {}
        self._numbers = count(1)
        self._transport: Optional[asyncio.Transport] = None
        _forking.remember(self)

    @property
    def is_usable(self) -> bool:
        """Whether new requests may go here."""
        return self.fault is None and not self.is_draining and self.pid == getpid()

    # Requests

    async def ask(
        self, text: bytes, patience: Optional[float] = PATIENCE, settle: Optional[Settle] = None
    ) -> Asked:
        """Sends a line and waits for its reply.

        If the caller is cancelled, the request is withdrawn, and what was granted all the same is given back (or given
        to `settle`) as soon as the daemon says so; nobody waits for that.

        Raises:
            DaemonUnavailable: the connection ended.
            DaemonTimeout: the daemon does not answer in time.
        """
        if self.fault is not None:
            raise self._gone()
        tag = b"#%d" % next(self._numbers)
        reply: asyncio.Future[bytes] = self.loop.create_future()
        asked = self._asked[tag] = Asked(text, reply, settle)
        self._write(b"%s %s\n" % (tag, text))
        alarm = None
        if patience is not None:
            alarm = self.loop.call_later(patience, self._give_up, reply)
        try:
            line = await reply
        except BaseException:
            if reply.cancelled() or reply.exception() is not None:
                self._write(b"%s CANCEL %s\n" % (_LATER, tag))
            else:
                self._leave(asked, reply.result())
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
        if settle is not None:
            settle(line)
        return asked

    def _give_up(self, reply: asyncio.Future[bytes]) -> None:
        if not reply.done():
            reply.set_exception(no_answer(self._socket, self.path))

    def release_later(self, name: bytes, token: bytes) -> None:
        """Releases a grant without a wait; on the loop's thread."""
        self._write(b"%s RELEASE %s %s\n" % (_LATER, name, token))

    def _leave(self, asked: Asked, line: bytes) -> None:
        """Nobody waits for that reply any more."""
        words = line.split(b" ")
        if asked.settle is not None:
            asked.settle(line)
        elif words[1] == b"GRANTED" and len(words) > 4:
            self.release_later(words[2], words[4])

    def _write(self, line: bytes) -> None:
        if self.fault is None and self._transport is not None and self.pid == getpid():
            self._transport.write(line)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A loop of another make has transports of its own kind.
        self._transport = transport  # type: ignore[assignment]
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                self._dispatch(line)
            except (IndexError, ValueError):
                # No daemon says such a thing, so nothing that it says can be trusted.
                self.close(f"this is no line of a lock daemon: {line!r}")
                return

    def _dispatch(self, line: bytes) -> None:
        first = line[:1]
        if first == b"#":
            self._deliver(line)
        elif first == b"*":
            self._rows.append(line)
        elif first == b"!":
            self._note(line.split(b" "))

    def _deliver(self, line: bytes) -> None:
        tag = line.partition(b" ")[0]
        asked = self._asked.pop(tag, None)
        if asked is None:
            return
        if line.startswith(b" OK ", len(tag)):
            asked.rows, self._rows = self._rows, []
        if asked._reply.done():
            self._leave(asked, line)
        else:
            asked._reply.set_result(line)

    def _note(self, words: list[bytes]) -> None:
        if words[1] == b"DRAIN":
            self.is_draining = True
        elif words[1] in (b"EXPIRED", b"REVOKED"):
            self.ended[int(words[3][6:])] = words[1].decode().lower()
        self.hear(words)

    def connection_lost(self, error: Optional[Exception]) -> None:
        if self.fault is None:
            self.fault = str(error) if error else "the daemon closed it"
        for asked in self._asked.values():
            if not asked._reply.done():
                asked._reply.set_exception(self._gone())
        self._asked.clear()
        self.hear([])

    def _gone(self) -> DaemonUnavailable:
        return DaemonUnavailable(f"the connection to the lock daemon at {self.path} ended: {self.fault}")

    # The end

    def close(self, fault: str = "the client was closed") -> None:
        """Ends the session at once."""
        if self.pid != getpid() or self._transport is None:
            return
        if self.fault is None:
            # What is granted to a request that is open would look as if a writer had died.
            for asked in self._asked.values():
                release = release_of(asked.text)
                if release is not None:
                    self._write(b"%s %s\n" % (_LATER, release))
            self.fault = fault
            try:
                # Not by close alone: a child may have a copy of the descriptor.
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._transport.close()

    def after_fork(self) -> None:
        """Closes a forked child's copy; the session is its parent's, and goes on."""
        self.fault = "it belongs to the parent process"
        self._socket.close()


async def open_session(location: Location, end: Optional[float] = None) -> Session:
    """Connects, and where that is allowed starts a daemon, until `end` at most; in a thread, as that may wait.

    Raises:
        As `prwlock._rendezvous.connect`.
    """
    connected, received = await _connect(location, end)
    connected.setblocking(False)
    session = Session(connected, received, location.path)
    await session.loop.create_unix_connection(lambda: session, sock=connected)
    # A loop that ends tells its asynchronous generators, and nobody else.
    session.end_of_loop = _until_end_of_loop(session)
    await session.end_of_loop.__anext__()
    return session


async def _until_end_of_loop(session: Session) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        session.close()


def _connect(location: Location, end: Optional[float]) -> asyncio.Future[tuple[socket.socket, bytes]]:
    """As `prwlock._rendezvous.connect`, in a thread of its own: a loop that ends would wait for one of its executor."""
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
