"""The client for asyncio: one session for each event loop, made at the first request."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
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
from .._prompt import attend_prompt
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
#: How much longer than an attempt to connect another task waits for the attempt, in seconds.
_A_MOMENT = 0.1
_owners: WeakKeyDictionary[asyncio.Task[Any], bytes] = WeakKeyDictionary()
_numbers = Numbers()
_shared: dict[tuple[str, str], Link] = {}


def owner() -> bytes:
    """Returns the owner word of the running task. All code outside of tasks is one owner."""
    task = asyncio.current_task()
    if task is None:
        return b"a0"
    word = _owners.get(task)
    if word is None:
        word = _owners[task] = b"a%d" % _numbers.next()
    return word


class TaskLosses(Losses):
    """The losses of a connection on one loop. A callable may be a coroutine function, which runs as a task."""

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
    """The locks of one daemon, for asyncio; see `prwlock.Client`.

    For all coroutines, and for those of `prwlock.aio.RWLock` and `Grant`:

    - **Waiting for ever.** Only three can: a request for a lock and `Grant.upgrade`, both without a timeout, and an
      iteration over a `Watch`. Every other one gives the daemon ten seconds to answer (``DaemonTimeout``).
    - **Cancellation.** A task that is cancelled stops waiting at once, also if the daemon is stopped. Nothing remains
      of a request for a lock: a grant that was made at the same moment is released, and no task waits for that. A
      release that has begun is carried out nevertheless. `asyncio.timeout` and `asyncio.wait_for` cancel in this way.
    - **Timeout.** A call with a timeout ends then, or within a second after it (``DaemonTimeout``) if no daemon
      answers.
    - **The daemon goes away** (it dies, is stopped by its service manager, or is replaced). A call that waits raises
      ``DaemonUnavailable`` (that of a `Grant`: ``LockLost``); it does not request the lock again. All grants are lost
      (``LockLost`` at their release). The next call connects to the next daemon, or starts one. A daemon that is
      leaving (draining) still grants what waits already; a new request waits for the next daemon.
    - **A daemon that is stopped** (SIGSTOP) answers nothing. A request for a lock without a timeout waits until it
      continues or dies. A client that connects gives up after 1.5 seconds (``DaemonTimeout``), also without a timeout.

    Waiting blocks only the task: the event loop goes on.
    """

    def __init__(self, socket: Optional[Union[str, PathLike[str]]] = None) -> None:
        self._setup(_location.find() if socket is None else Location(fspath(socket)))

    @classmethod
    def _at(cls, location: Location) -> Client:
        """Returns the client that all locks of this process at that location share."""

        def make() -> Client:
            client = cls.__new__(cls)
            client._setup(location)
            return client

        return shared(_shared, location.key, make, lambda client: not client._is_closed)

    def _setup(self, location: Location) -> None:
        self._location = location
        #: The connection of each loop. Only the thread that runs the loop reads its entry.
        self._connections: WeakKeyDictionary[AbstractEventLoop, Future[Connection]] = WeakKeyDictionary()
        self._is_closed = False

    @property
    def path(self) -> str:
        """The path of the daemon's socket."""
        return self._location.path

    # Locks

    def lock(self, name: Text) -> RWLock:
        """Returns an object for the lock of that name; it asks the daemon nothing."""
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
        """Requests a lock as `prwlock.Client.acquire`; `on_lost` runs on the loop, and may be a coroutine function.

        This call itself only checks its arguments (``ValueError``, ``TypeError``). The request, its waiting and its
        other errors come with the ``await`` or ``async with``.

        Without a timeout it can wait for ever: as long as other owners hold the lock, and always if the task holds it
        and awaits in its block another task which requests it in a conflicting mode; see `RWLock`. If the daemon lets
        no more requests of one session wait (1,000 by default), the next ones wait in the client, in their order.

        After a cancellation, a timeout or any other error there is neither a grant nor a request.
        """
        if mode not in ("read", "update", "write"):
            raise ValueError(f"a mode is 'read', 'update' or 'write', not {mode!r}")
        options = acquire_options(lease, note)
        Deadline.of(timeout)  # Refuses an impossible timeout at once.
        attend_prompt()
        verb, encoded = mode.upper().encode(), encode_name(name)
        return Acquiring(lambda: self._acquire(verb, encoded, options, timeout, on_lost), encoded, mode)

    async def _acquire(
        self, verb: bytes, name: bytes, options: bytes, timeout: Optional[Seconds], on_lost: Optional[OnLost]
    ) -> Grant:
        deadline = Deadline.of(timeout)
        word = owner()
        attempts = 0
        while attempts < _ATTEMPTS:
            attempts += 1
            connection = await self._connected(None if deadline is None else deadline.end)
            text = b"%s %s owner=%s%s" % (verb, name, word, options)
            request = await connection.turns.ask(name, text, deadline)
            words = request.words
            if words[0] == b"GRANTED" and len(words) > 3:
                grant = Grant(connection, [b"", *words], word)
                grant._note_until()
                if on_lost is not None:
                    connection.losses = connection.losses or TaskLosses()
                    connection.losses.add(grant, on_lost)
                    # The loss may have come with the grant, before there was anything to call.
                    connection.loop.call_soon(connection.hear)
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
        """Returns this loop's connection. All tasks wait for the same attempt to connect, each until its own end.

        The attempt ends with the timeout of the task that began it. A task that has more time begins another attempt.
        """
        loop = asyncio.get_running_loop()
        while True:
            if self._is_closed:
                raise Closed("this client is closed")
            opening = self._connections.get(loop)
            is_own = opening is None or _is_of_no_use(opening)
            if opening is None or is_own:
                opening = self._connections[loop] = asyncio.ensure_future(self._open(end))
                # Retrieve the result, so that asyncio does not log a failure that no task waits for.
                opening.add_done_callback(lambda done: done.cancelled() or done.exception())
            # The attempt's own error is more precise, so give it a moment more.
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
            # Another thread closed the client meanwhile, and did not find this connection.
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
        """Ends the sessions and all their grants; it never waits. Later calls raise ``Closed``.

        Tasks that wait get ``DaemonUnavailable`` or ``Closed``, and releasing one of the grants raises ``LockLost``.
        The sessions of other event loops end a moment later.
        """
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
            except RuntimeError:  # That loop and its session have ended.
                pass

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Looking

    async def ping(self) -> None:
        """Waits for an answer of the daemon, ten seconds at most; the errors are those of `prwlock.Client.ping`."""
        await self._ask(b"PING")

    async def status(self, name: Text) -> LockStatus:
        """Returns the holders and waiters of a lock, within ten seconds; the errors are those of `ping`."""
        return _status.lock_status(name, await self._rows(b"STATUS " + encode_name(name)))

    async def list(self, prefix: Text = "") -> List[LockSummary]:
        """Returns all locks with names that begin with a prefix, as `prwlock.Client.list`.

        The daemon has ten seconds for each thousand; the errors are those of `ping`.
        """
        locks: List[LockSummary] = []
        after: Optional[bytes] = b""
        while after is not None:
            rows = await self._rows(_status.list_request(prefix, after))
            locks += _status.lock_summaries(rows)
            after = _status.next_page(rows)
        return locks

    async def sessions(self) -> List[SessionStatus]:
        """Returns all sessions, in no order, within ten seconds; the errors are those of `ping`."""
        return _status.sessions(await self._rows(b"SESSIONS"))

    async def stats(self) -> dict[str, int]:
        """Returns the daemon's counters, within ten seconds; the errors are those of `ping`."""
        return _status.stats(await self._rows(b"STATS"))

    async def validate(self, name: Text, token: int) -> bool:
        """Returns whether a grant of any session on that lock has this token now.

        It ends within ten seconds; the errors are those of `ping`.
        """
        words = (await self._ask(b"VALIDATE %s token=%d" % (encode_name(name), token))).words
        return check(words, b"VALID", b"STALE") == b"VALID"

    async def revoke(self, name: Text, token: int) -> None:
        """Revokes a grant of any session; see `prwlock.Client.revoke`.

        If it is cancelled, the grant may be revoked nevertheless.
        """
        check((await self._ask(b"REVOKE %s token=%d" % (encode_name(name), token))).words, b"REVOKED")

    def watch(self, prefix: Text = "") -> Watch:
        """Iterates over the changes of all locks with names that begin with a prefix, from the ``async with`` on.

        This call itself does not wait. The iteration can wait for ever; see `Watch`.
        """
        from ._watch import Watch

        return Watch(self._location, prefix)


def _end(opening: Future[Connection]) -> None:
    """Closes a connection, or cancels the attempt. Runs on that connection's loop."""
    if opening.done() and not opening.cancelled() and opening.exception() is None:
        opening.result().close()
    else:
        opening.cancel()


def _is_of_no_use(opening: Future[Connection]) -> bool:
    if not opening.done():
        return False
    return opening.cancelled() or opening.exception() is not None or not opening.result().is_usable
