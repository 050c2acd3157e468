"""The client for threads: the locks of one daemon, over a connection that is replaced after a fork or a failure."""

from __future__ import annotations

import os
from os import getpid
from time import monotonic, sleep

from . import _cached, _forking, _location
from ._connection import Connection, SentInVain
from ._deadline import PATIENCE, Deadline, retry_pause
from ._errors import Closed, DaemonUnavailable
from ._grant import Grant
from ._location import Location
from ._log import log
from ._looking import Looking
from ._once import Link, once, shared
from ._owner import call, threads
from ._process import process_id
from ._prompt import attend_prompt
from ._rendezvous import connect
from ._sleeper import Sleeper
from ._sockets import no_answer
from ._wire import acquire_options, encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Optional, Union

    from ._rwlock import RWLock
    from ._slots import Cell
    from ._wire import Mode, Seconds, Text

#: How often a request begins again if the daemon ends or drains before it reads the request.
_ATTEMPTS = 3
#: How often a thread that waits for the keeper checks the clock, in seconds.
_A_MOMENT = 0.02
#: The most locks that are cached by name.
_MOST_CELLS = 256
_shared: dict[tuple[str, str], Link] = {}


class Client(Looking):
    """The locks of one daemon.

    All threads share one connection, which is made at the first request. If no daemon runs, this starts one where that
    is allowed. A forked child gets its own connection. Each thread is an owner: threads of one process exclude each
    other as processes do.

    For all methods, and for those of `prwlock.RWLock` and `Grant`:

    - **Waiting for ever.** Only three calls can: a request for a lock and `Grant.upgrade`, both without a timeout, and
      an iteration over a `Watch`. Every other call gives the daemon ten seconds to answer (``DaemonTimeout``).
    - **Timeout.** A call with a timeout ends then, or within a second after it (``DaemonTimeout``) if no daemon
      answers. Nothing remains of a request for a lock, also if a stopped daemon grants it later.
    - **Interrupt.** An exception out of a signal handler (``KeyboardInterrupt``, for example) ends a call within a
      second. Nothing remains of a request for a lock, and a release is carried out nevertheless.
    - **The daemon goes away** (it dies, is stopped by its service manager, or is replaced). A call that waits raises
      ``DaemonUnavailable`` (that of a `Grant`: ``LockLost``); it does not request the lock again. All grants are lost
      (``LockLost`` at their release). The next call connects to the next daemon, or starts one. A daemon that is
      leaving (draining) still grants what waits already; a new request waits for the next daemon.
    - **A daemon that is stopped** (SIGSTOP) answers nothing. A request for a lock without a timeout waits until it
      continues or dies. A client that connects gives up after 1.5 seconds (``DaemonTimeout``), also without a timeout.
    - **Signal handlers.** A call from a handler or a finalizer in the middle of another call of its thread raises
      ``NestedUse``. Only `Grant.release` works there.

    Args:
        socket: The path of the daemon's socket; by default the place that `protocol.md` defines.
        cache: Whether a thread may take a lock again without the daemon, while no other request wants it.
    """

    def __init__(self, socket: Optional[Union[str, os.PathLike[str]]] = None, *, cache: bool = True) -> None:
        self._caches = cache
        self._setup(_location.find() if socket is None else Location(os.fspath(socket)))

    @classmethod
    def _at(cls, location: Location) -> Client:
        """Returns the client that all locks of this process at that location share."""

        def make() -> Client:
            client = cls.__new__(cls)
            client._caches = True
            client._setup(location)
            return client

        return shared(_shared, location.key, make, lambda client: not client._is_closed)

    def _setup(self, location: Location) -> None:
        self._location = location
        #: The newest connection, or an older one that leads to it. Each connection replaces an unusable one.
        self._place = Link(None)
        self._is_closed = False
        #: What is cached of each lock, by its name; for a while, as each `RWLock` keeps its own cell.
        self._cells: dict[bytes, Cell] = {}
        _forking.remember(self)

    def after_fork(self) -> None:
        """Drops the parent's connection."""
        self._place = Link(None)
        self._cells = {}

    @property
    def _connection(self) -> Optional[Connection]:
        connection: Optional[Connection] = self._place.value
        return connection

    @property
    def path(self) -> str:
        """The path of the daemon's socket."""
        return self._location.path

    def __repr__(self) -> str:
        return f"<prwlock.Client at {self.path}>"

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
        on_lost: Optional[Callable[[Grant], Any]] = None,
    ) -> Grant:
        """Requests a lock, and waits for it for `timeout` seconds (for ever if None, not at all if 0).

        Without a timeout it can wait for ever: as long as other owners hold the lock, and always if this thread holds
        it and waits in its block for another thread or a child process which requests it in a conflicting mode. The
        daemon sees a circle of owners that wait for locks, but not that one thread waits for another.

        After an interrupt, a timeout or any other error there is neither a grant nor a request; see `Client`.

        Args:
            name: Any text or bytes of at most 255 bytes when encoded (three bytes for most characters but letters).
            mode: ``read``, ``update`` or ``write``.
            timeout: In seconds, to the millisecond. It also runs while a daemon starts, or another one drains. An
                infinite one waits for ever, as does one that is longer than a daemon accepts (876,000 hours). With 0, a
                call waits up to a second for a daemon that has just started after an unclean end.
            lease: The grant expires after so many seconds unless it is renewed.
            note: For people who inspect the lock.
            on_lost: Called with the grant, in a separate thread, if the grant ends before it is released.

        Raises:
            WouldBlock, AcquireTimeout: the lock was not granted in time. The error names its holders.
            Deadlock: waiting would close a circle.
            DaemonTimeout: no daemon answered within the timeout and a second. The request has no effect.
            DaemonUnavailable: no daemon runs and none could be started, or the daemon went away during the wait.
            LockError: another reason that the class names.
        """
        if mode not in ("read", "update", "write"):
            raise ValueError(f"a mode is 'read', 'update' or 'write', not {mode!r}")
        deadline = Deadline.of(timeout)
        options = acquire_options(lease, note)
        attend_prompt()
        grants: dict[Grant, int] = {}
        self._acquire(mode.upper().encode(), encode_name(name), options, deadline, grants)
        (grant,) = grants
        if on_lost is not None:
            grant._tell(on_lost)
        return grant

    @call
    def _acquire(
        self,
        verb: bytes,
        name: bytes,
        options: bytes,
        deadline: Optional[Deadline],
        grants: dict[Grant, int],
        alone: bytes = b"",
        is_cacheable: bool = False,
    ) -> None:
        """Requests a lock, and as its last step stores the grant in `grants`.

        With `alone`, the request has an owner of its own, which begins with that word. So the daemon never counts it
        as a part of a deadlock. With `is_cacheable`, the grant may be cached.

        After an exception, at whatever step, there is neither a grant nor a request.
        """
        own = threads.own
        if own.request is not None:
            own.clean_up()
        request: Optional[Sleeper] = None
        grant: Optional[Grant] = None
        try:
            owner = b"%s.%s.%d" % (alone, own.owner, next(own.numbers)) if alone else own.owner
            text = b"%s %s owner=%s%s" % (verb, name, owner, options)
            attempts = 0
            while attempts < _ATTEMPTS:
                attempts += 1
                own.request = own
                connection = self._connected(None if deadline is None else deadline.end)
                if connection._unanswered or connection._queued:
                    self._await_given_up(connection, name, owner, deadline)
                line, patience = text, None
                if deadline is not None:
                    line, patience = text + deadline.wait, deadline.left
                if connection.memory is not None and not is_cacheable and verb != b"UPDATE":
                    line += b" cache=0"
                own.request = request = Sleeper(connection, own, line, patience)
                try:
                    words = connection.exchange(request).split(b" ")
                except SentInVain:
                    continue
                if words[1] == b"GRANTED" and len(words) > 4:
                    grant = Grant(connection, words, own, owner)
                    if len(words) > 5:
                        grant._attend()
                        if is_cacheable:
                            self._cache(name, grant)
                    own.request = None
                    grants[grant] = 1
                    return
                pause = retry_pause(words[1:], deadline)
                if pause is None:
                    connection.is_draining = True
                else:
                    own.request = None
                    sleep(pause)
                    attempts = 0
            raise DaemonUnavailable(f"the lock daemon at {self.path} ends again and again")
        except BaseException:
            if grant is not None:
                grants.pop(grant, None)
            if request is not None:
                request.abandon()
            if grant is not None:
                grant._disown()
            own.request = None
            raise

    def _await_given_up(
        self, connection: Connection, name: bytes, owner: bytes, deadline: Optional[Deadline]
    ) -> None:
        """Waits until what this owner has given up for the lock is settled: a late grant would refuse its next request.

        Raises:
            DaemonTimeout: the daemon did not answer in time.
        """
        for request in connection.given_up(name, owner):
            while isinstance(request, Sleeper) and not request.is_settled and connection.fault is None:
                if deadline is not None and deadline.left <= 0:
                    raise no_answer(connection._socket, self.path)
                request.sleep(_A_MOMENT)
                connection.keep_until_settled(request)

    # Cached grants

    def _cell(self, name: bytes) -> Optional[Cell]:
        """Returns what is cached of a lock, for all its objects; None if this client can cache nothing."""
        connection = self._connection
        if connection is None or connection.memory is None:
            return None
        if len(self._cells) >= _MOST_CELLS:
            self._forget_cells()
        return once(self._cells, name, _cached.new_cell)

    def _cache(self, name: bytes, grant: Grant) -> None:
        """Takes a grant of this thread into the cell of its lock, if it has a slot."""
        memory = grant._connection.memory
        slot = None if memory is None else _cached.slot_of(memory, grant._words)
        cell = self._cell(name)
        if slot is not None and cell is not None:
            grant._slot = slot
            cell.add(slot, grant._thread, grant._words[3] == b"write")
            connection = grant._connection
            # Another thread has closed or replaced the session meanwhile, and did not find this grant.
            if connection.fault is not None or connection is not self._connection:
                cell.clear()

    def _forget_cells(self) -> None:
        """Drops what is cached. What only a lock object keeps would also keep its session's socket open."""
        cells, self._cells = self._cells, {}
        for cell in cells.values():
            cell.clear()

    # The connection

    def _connected(self, end: Optional[float]) -> Connection:
        """Returns the connection for new requests; `end` is the end of the call."""
        connection: Optional[Connection] = self._place.value
        # The same as `is_usable`, inline because every request runs this.
        if (
            connection is not None
            and connection.fault is None
            and not connection.is_draining
            and connection.pid == process_id()
        ):
            return connection
        return self._connect(end)

    def _connect(self, end: Optional[float]) -> Connection:
        """Replaces an unusable connection. Grants that are held through it keep it alive.

        Threads that connect at the same time all use the connection that was stored first. A slow thread that starts
        from an old connection follows the chain to the newest one. So there are never two usable connections.
        """
        place = self._place
        own: Optional[Link] = None
        while True:
            connection: Optional[Connection] = place.value
            # Check after the connection was stored: a `close` that did not find it has set the flag before.
            if self._is_closed:
                if connection is not None:
                    connection.close("the client was closed")
                raise Closed("this client is closed")
            if connection is not None and (place is own or connection.is_usable):
                return connection
            following = place.following
            if following is None:
                own = Link(self._connect_behind(connection, end))
                following = place.append(own)
                if following is not own:
                    own.value.close("another thread was quicker")
            place = self._place = following

    def _connect_behind(self, before: Optional[Connection], end: Optional[float]) -> Connection:
        if before is not None and before.pid == getpid():
            log("WARNING", f"connecting anew to the lock daemon at {self.path}: {before.fault or 'it is leaving'}")
        self._forget_cells()
        connected, received = connect(self._location, end)
        is_quick = _cached.is_possible()
        if not is_quick:
            self._caches = False
        if not self._caches:
            return Connection(connected, received, self.path, None, is_quick)
        try:
            memory, more = _cached.ask(connected, self.path, end)
        except BaseException:
            connected.close()
            raise
        return Connection(connected, received + more, self.path, memory, is_quick)

    @call
    def _ready(self, end: float) -> Connection:
        """Returns the connection for a request that changes nothing, in a call of its own."""
        own = threads.own
        if own.request is not None:
            own.clean_up()
        try:
            own.request = own
            return self._connected(end)
        finally:
            own.request = None

    def _asked(self, text: bytes) -> Sleeper:
        end = monotonic() + PATIENCE
        for _ in range(_ATTEMPTS):
            try:
                return self._ready(end).ask(text, end - monotonic())
            except SentInVain:
                continue
        raise DaemonUnavailable(f"the lock daemon at {self.path} ends again and again")

    def close(self) -> None:
        """Ends the session and all its grants; it never waits. Later calls raise ``Closed``.

        Any thread may call it. Threads that wait get ``DaemonUnavailable`` or ``Closed``, and releasing one of the
        grants raises ``LockLost``.
        """
        self._is_closed = True
        place: Optional[Link] = self._place
        while place is not None:
            if place.value is not None:
                place.value.close("the client was closed")
            place = place.following

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
