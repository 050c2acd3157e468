"""The client for asyncio: a session for each event loop, made when it is first needed."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from os import PathLike, fspath
from time import monotonic
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Union
from weakref import WeakKeyDictionary

from .. import _location, _status
from .._deadline import PATIENCE, Deadline, retry_pause
from .._errors import Closed, DaemonTimeout, DaemonUnavailable
from .._location import Location
from .._losses import Losses
from .._once import Link, Numbers, shared
from .._status import LockStatus, LockSummary, SessionStatus
from .._wire import acquire_options, check, encode_name
from ._connection import Awaited, Connection, open_connection
from ._grant import Acquiring, Grant

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from .._granted import Granted
    from .._wire import Mode, Seconds, Text
    from ._rwlock import RWLock
    from ._watch import Watch

OnLost = Callable[[Any], Any]

_ATTEMPTS = 3
#: So much later than an attempt to connect a task that waits for it gives up, in seconds.
_A_MOMENT = 0.1
_owners: WeakKeyDictionary[asyncio.Task[Any], bytes] = WeakKeyDictionary()
_numbers = Numbers()
_shared: dict[tuple[str, str], Link] = {}


def owner() -> bytes:
    """The running task's word; all that runs in no task is one owner."""
    task = asyncio.current_task()
    if task is None:
        return b"a0"
    word = _owners.get(task)
    if word is None:
        word = _owners[task] = b"a%d" % _numbers.next()
    return word


class TaskLosses(Losses):
    """Those of a connection on one loop. What is called may be a coroutine, which becomes a task."""

    def __init__(self) -> None:
        super().__init__()
        self._running: set[asyncio.Future[Any]] = set()

    def call(self, on_lost: OnLost, grant: Granted) -> None:
        told = on_lost(grant)
        if inspect.isawaitable(told):
            running = asyncio.ensure_future(told)
            self._running.add(running)
            running.add_done_callback(self._running.discard)


class Client:
    """The locks of one daemon, for asyncio; see `prwlock.Client`."""

    def __init__(self, socket: Optional[Union[str, PathLike[str]]] = None) -> None:
        self._setup(_location.find() if socket is None else Location(fspath(socket)))

    @classmethod
    def _at(cls, location: Location) -> Client:
        """The one that all locks of this process at that place share."""

        def make() -> Client:
            client = cls.__new__(cls)
            client._setup(location)
            return client

        return shared(_shared, location.key, make, lambda client: not client._is_closed)

    def _setup(self, location: Location) -> None:
        self._location = location
        #: Each loop's own; only the thread that runs the loop looks it up.
        self._connections: WeakKeyDictionary[AbstractEventLoop, Future[Connection]] = WeakKeyDictionary()
        self._is_closed = False

    @property
    def path(self) -> str:
        """The path of the daemon's socket."""
        return self._location.path

    # Locks

    def lock(self, name: Text) -> RWLock:
        """The lock of that name, as an object."""
        from ._rwlock import RWLock

        return RWLock(name, client=self)

    def acquire(
        self,
        name: Text,
        mode: Mode = "write",
        timeout: Optional[Seconds] = None,
        *,
        lease: Optional[Seconds] = None,
        note: Optional[Text] = None,
        on_lost: Optional[OnLost] = None,
    ) -> Acquiring:
        """Asks for a lock, as `prwlock.Client.acquire`; `on_lost` is called on the loop, and may be a coroutine."""
        if mode not in ("read", "update", "write"):
            raise ValueError(f"a mode is 'read', 'update' or 'write', not {mode!r}")
        options = acquire_options(None, lease, note)
        if timeout is not None:
            Deadline(timeout)  # A time that cannot be is refused here.
        verb = mode.upper().encode()
        return Acquiring(lambda: self._acquire(verb, encode_name(name), options, timeout, on_lost))

    async def _acquire(
        self, verb: bytes, name: bytes, options: bytes, timeout: Optional[Seconds], on_lost: Optional[OnLost]
    ) -> Grant:
        deadline = None if timeout is None else Deadline(timeout)
        word = owner()
        attempts = 0
        while attempts < _ATTEMPTS:
            attempts += 1
            connection = await self._connected(None if deadline is None else deadline.end)
            text = b"%s %s owner=%s%s" % (verb, name, word, options)
            if deadline is None:
                request = await connection.ask(text, None)
            else:
                request = await connection.ask(text + deadline.wait, deadline.left)
            words = request.words
            if words[0] == b"GRANTED" and len(words) > 3:
                grant = Grant(connection, [b"", *words], word)
                if on_lost is not None:
                    connection.losses = connection.losses or TaskLosses()
                    connection.losses.add(grant, on_lost)
                return grant
            pause = retry_pause(words, deadline)
            if pause is None:
                connection.is_draining = True
            else:
                await asyncio.sleep(pause)
                attempts = 0
        raise DaemonUnavailable(f"the lock daemon at {self.path} ends again and again")

    # The connection

    async def _connected(self, end: Optional[float]) -> Connection:
        """This loop's connection. Tasks that come while it is made wait for the one attempt, each until its own end.

        The attempt ends with the time of the task that began it. Another one that has more time begins a new one.
        """
        loop = asyncio.get_running_loop()
        while True:
            if self._is_closed:
                raise Closed("this client is closed")
            opening = self._connections.get(loop)
            is_own = opening is None or _is_of_no_use(opening)
            if opening is None or is_own:
                opening = self._connections[loop] = asyncio.ensure_future(self._open(end))
                # An attempt that all tasks have given up is of no interest.
                opening.add_done_callback(lambda done: done.cancelled() or done.exception())
            # The attempt itself knows best what is in the way, and ends at the same time.
            await asyncio.wait({opening}, timeout=None if end is None else max(0, end - monotonic()) + _A_MOMENT)
            if not opening.done():
                raise DaemonTimeout(f"no lock daemon at {self.path} has answered in time")
            if opening.cancelled():
                continue
            try:
                return opening.result()
            except DaemonTimeout:
                if is_own or (end is not None and end <= monotonic()):
                    raise

    async def _open(self, end: Optional[float]) -> Connection:
        connection = await open_connection(self._location, end)
        if self._is_closed:
            # While it was opened, and perhaps by another thread, which did not find it.
            connection.close()
            raise Closed("this client is closed")
        return connection

    async def _ask(self, text: bytes) -> Awaited:
        end = monotonic() + PATIENCE
        connection = await self._connected(end)
        return await connection.ask(text, end - monotonic())

    async def _rows(self, text: bytes) -> Sequence[bytes]:
        request = await self._ask(text)
        check(request.words, b"END")
        return request.rows

    async def close(self) -> None:
        """Ends the sessions: what they hold is free, and whoever waits gets an error."""
        self._is_closed = True
        for reference in self._connections.keyrefs():
            loop = reference()
            opening = None if loop is None else self._connections.get(loop)
            if loop is None or opening is None:
                continue
            if loop is asyncio.get_running_loop():
                _end(opening)
                continue
            try:
                loop.call_soon_threadsafe(_end, opening)
            except RuntimeError:  # That loop has ended, and its session with it.
                pass

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Looking

    async def ping(self) -> None:
        """Returns when the daemon has answered."""
        await self._ask(b"PING")

    async def status(self, name: Text) -> LockStatus:
        """Who holds a lock and who waits for it."""
        return _status.lock_status(name, await self._rows(b"STATUS " + encode_name(name)))

    async def list(self, prefix: Text = "") -> AsyncIterator[LockSummary]:
        """All locks whose names begin with a prefix, in the order of their names, page by page."""
        after = b""
        while True:
            rows = await self._rows(_status.list_request(prefix, after))
            for row in rows:
                yield _status.lock_summary(row)
            if len(rows) < _status.PAGE:
                return
            after = rows[-1].split(b" ")[2]

    async def sessions(self) -> List[SessionStatus]:
        """Who is connected, in no order."""
        return _status.sessions(await self._rows(b"SESSIONS"))

    async def stats(self) -> dict[str, int]:
        """The daemon's counters."""
        return _status.stats(await self._rows(b"STATS"))

    async def validate(self, name: Text, token: int) -> bool:
        """Whether a grant on that lock has this token at this moment; of whichever session."""
        words = (await self._ask(b"VALIDATE %s token=%d" % (encode_name(name), token))).words
        return check(words, b"VALID", b"STALE") == b"VALID"

    async def revoke(self, name: Text, token: int) -> None:
        """Takes a grant away from whoever has it; see `prwlock.Client.revoke`."""
        check((await self._ask(b"REVOKE %s token=%d" % (encode_name(name), token))).words, b"REVOKED")

    def watch(self, prefix: Text = "") -> Watch:
        """Every change on the locks whose names begin with a prefix, from the ``async with`` on."""
        from ._watch import Watch

        return Watch(self._location, prefix)


def _end(opening: Future[Connection]) -> None:
    """On the loop of that session."""
    if opening.done() and not opening.cancelled() and opening.exception() is None:
        opening.result().close()
    else:
        opening.cancel()


def _is_of_no_use(opening: Future[Connection]) -> bool:
    if not opening.done():
        return False
    return opening.cancelled() or opening.exception() is not None or not opening.result().is_usable
