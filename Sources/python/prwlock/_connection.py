"""One session with the daemon for all threads of the process that connected: a socket, and the order of its readers.

A thread that sends a request waits for the reply itself, so a lock costs one write and one read. The threads that wait
are in a queue, `_waiting`. The first thread reads for all, and wakes each thread when it reads that thread's reply.
Entering, checking for the first place and leaving are one list operation each. So the queue needs no lock, which an
interrupted thread could keep. No wake-up is lost:

- A thread enters the queue before it checks whether it is first, and leaves it before it wakes the new first thread.
- A thread makes the lock that it sleeps on (`Sleeper.bell`) before it checks for its reply. The reader stores the reply
  before it checks for that lock.

A call that is interrupted, or that reaches its timeout, stops waiting. A keeper thread waits in its place (`_keeper`).
Finalizers may run in the middle of this code. They only queue and send lines (`release_soon`), and never wait.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from errno import EPIPE
from os import getpid
from time import monotonic

from . import _cached, _forking
from ._deadline import LOOK, PATIENCE, SLACK, look_within
from ._errors import DaemonUnavailable
from ._owner import MOST_INTERRUPTS, call, threads
from ._session import MOST_PIECES, Session
from ._sleeper import Listener, Sleeper
from ._sockets import bound_wait, no_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

    from ._notices import Listening
    from ._slots import Memory

#: A request is one small line, so the kernel accepts all of it or nothing.
_FLAGS = socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
_SIZE = (16_384,)
#: What `_exchange.c` leaves to be done besides waiting.
LOOK_FIRST, END_FIRST = 1, 2
_LAST = (-1,)
#: How often an interrupted caller checks that there is a keeper, in seconds.
_A_MOMENT = 0.02


class SentInVain(DaemonUnavailable):
    """The connection had ended before the request was sent, so no daemon can have read the request."""


class Connection(Session):
    """A connection of this process to a daemon that has answered on it."""

    def __init__(
        self,
        connected: socket.socket,
        received: bytes,
        path: str,
        memory: Optional[Memory] = None,
        is_quick: bool = False,
    ) -> None:
        super().__init__(received, path)
        #: The slots of cached grants; None without them.
        self.memory = memory
        self._socket = connected
        self._send = connected.send
        self._receive = connected.recv
        #: An upper bound of the socket's receive timeout, which the reader sets.
        self._look_of_socket = LOOK
        self._waiting: list[Sleeper] = []
        #: The usual exchange in one call of C; None without the extension.
        self._wire = _cached.new_wire(connected, self._open, self._waiting, self._queued) if is_quick else None
        #: The callables for lost grants; see `_notices`.
        self.losses: dict[int, Listening] = {}
        #: Whether a keeper thread runs; see `_keeper`.
        self.has_keeper = False
        _forking.remember(self)

    # Requests

    @call
    def ask(
        self,
        text: bytes,
        patience: Optional[float] = PATIENCE,
        accept: Optional[Callable[[bytes], None]] = None,
        kind: type[Sleeper] = Sleeper,
    ) -> Sleeper:
        """Sends a line for this thread and waits for its reply.

        Args:
            accept: Called with the reply, even if the call is interrupted before the reply comes.
            kind: How the request looks at the clock.
        """
        own = threads.own
        if own.request is not None:
            own.clean_up()
        request = kind(self, own, text, patience, accept)
        own.request = request
        try:
            reply = self.exchange(request)
            if accept is not None:
                accept(reply)
            own.request = None
            return request
        except BaseException:
            self.abandon(request)
            own.request = None
            raise

    def exchange(self, request: Sleeper) -> bytes:
        """Sends a request, waits for its reply, and returns the reply with its tag. If this raises, call `abandon`.

        Raises:
            SentInVain: the connection had ended before.
            DaemonUnavailable: the connection ended before the reply.
            DaemonTimeout: the daemon did not answer in time.
        """
        if self._wire is not None and request.look >= self._look_of_socket:
            outcome = self._wire.exchange(self, request, request.tag, request.text)
            if isinstance(outcome, bytes):
                if self._queued:
                    self.flush(self._send_at_once)
                return outcome
            if outcome is not None:
                return self._end_exchange(request, outcome)
        tag = request.tag
        line = tag + request.text + b"\n"
        self._open[tag] = request
        if self.fault is not None:
            # The session ended after the caller chose it. `end` may have missed this request.
            raise SentInVain(f"the connection to the lock daemon at {self.path} has ended")
        if self._queued:
            self.flush(self._send_at_once)
        try:
            if self._send(line, _FLAGS) != len(line):
                self.end("a line could not be sent whole")
        except BlockingIOError:
            self._send_late(request, line)
        except OSError as error:
            self._refuse(error)
        waiting = self._waiting
        waiting.append(request)
        chunks, lines, received = self._input
        # The usual case without a call in Python: no other thread waits, and one line comes, the reply.
        is_usual = waiting[0] is request and request.reply is None and request.look >= self._look_of_socket
        if is_usual and not (chunks or lines or self._rows or received.repeats):
            try:
                chunks.extend(map(self._receive, _SIZE))
            except BlockingIOError:
                self._look(request)
            except OSError:
                # It comes again.
                pass
            else:
                chunk = chunks[0]
                if chunk.startswith(tag) and chunk.find(b"\n") == len(chunk) - 1:
                    request.reply = reply = chunk[:-1]
                    self._open.pop(tag, None)
                    received.pieces.extend(map(chunks.pop, _LAST))
                    if len(received.pieces) > MOST_PIECES:
                        self._input = (chunks, lines, received.counted())
                    if self._queued:
                        self.flush(self._send_at_once)
                    waiting.remove(request)
                    if waiting:
                        self._leave(request)
                    return reply
        self._wait(request)
        if not request.reply:
            raise self.gone()
        return request.reply

    def _end_exchange(self, request: Sleeper, outcome: int) -> bytes:
        """Ends an exchange that `_wire` has begun, with the request in the queue."""
        if outcome == LOOK_FIRST:
            self._look(request)
        elif outcome == END_FIRST:
            self.end("a line could not be sent whole")
        self._wait(request)
        if not request.reply:
            raise self.gone()
        return request.reply

    def _send_at_once(self, data: bytes) -> None:
        self._send(data, _FLAGS)

    def _send_late(self, request: Sleeper, line: bytes) -> None:
        """Sends a line once the socket has room. It has none if the daemon has not read for a long time."""
        from select import POLLOUT, poll

        room = poll()
        room.register(self._socket, POLLOUT)
        end = monotonic() + PATIENCE
        if request.end is not None:
            end = min(end, request.end)
        while True:
            left = end - monotonic()
            if left <= 0:
                # Nothing was sent.
                self._open.pop(request.tag, None)
                raise no_answer(self._socket, self.path)
            room.poll(min(left, LOOK) * 1_000)
            try:
                if self._send(line, _FLAGS) != len(line):
                    self.end("a line could not be sent whole")
                return
            except BlockingIOError:
                continue
            except OSError as error:
                self._refuse(error)
                return

    def _refuse(self, error: OSError) -> None:
        self.end(error.strerror or str(error))
        if error.errno == EPIPE:
            raise SentInVain(f"the connection to the lock daemon at {self.path} has ended") from error

    def abandon(self, request: Sleeper) -> None:
        """Stops waiting for a request, and undoes it at the daemon.

        A keeper thread waits for the daemon's answers. An interrupted caller waits for the keeper, `SLACK` at most. If
        this function is interrupted itself, it may be called again.
        """
        if self.pid != getpid():
            return
        for _ in range(MOST_INTERRUPTS):
            try:
                self._begin_to_settle(request)
                break
            except BaseException:  # Another interrupt. The call already ends because of the first one.
                continue
        end = monotonic() + (0 if request.is_late else SLACK)
        while request.is_given_up and not request.is_settled and self.fault is None and monotonic() < end:
            request.sleep(_A_MOMENT)
            # Before Python 3.12 an exception that another thread sets for this thread may hit a new keeper instead.
            self.keep_until_settled(request)

    def _begin_to_settle(self, request: Sleeper) -> None:
        """Gives a request up. This never waits, and may be repeated."""
        self._leave(request)
        if self.fault is not None or self.pid != getpid() or (request.tag not in self._open and not request.reply):
            return
        self.give_up(request)
        if not request.is_settled:
            self.flush(self._send_at_once)
            self.keep_until_settled(request)

    def keep_until_settled(self, request: Sleeper) -> None:
        """Makes sure that there is a keeper, unless the request is settled."""
        if not request.is_settled and not self.has_keeper:
            from ._keeper import keep

            keep(self)

    # The queue of those that wait

    def _wait(self, request: Sleeper) -> None:
        """Waits for the reply of a request that is in the queue. If this raises, call `_leave`.

        Raises:
            DaemonTimeout: the request reached its timeout.
        """
        waiting = self._waiting
        while True:
            is_first = waiting[0] is request
            # Check in this order: only the first thread stores replies, so a missing reply can only come by reading.
            if request.reply is not None:
                break
            if not is_first:
                if not request.sleep(request.look):
                    self._look(request)
                continue
            try:
                if request.look < self._look_of_socket:
                    self._set_look(request.look)
                chunks, lines, _ = self._input
                # An interrupted reader may have left complete lines.
                if not lines and not (chunks and b"\n" in chunks[-1]):
                    # One call of C, so an interrupt cannot lose what was read.
                    chunks.extend(map(self._receive, _SIZE))
            except BlockingIOError:
                self._look(request)
                if request.look > self._look_of_socket:
                    self._set_look(request.look)
                continue
            except OSError as error:
                self.end(error.strerror or str(error))
                break
            self.receive(request)
            if self._queued:
                self.flush(self._send_at_once)
        waiting.remove(request)
        if waiting:
            self._leave(request)

    def _leave(self, request: Sleeper) -> None:
        """Removes a request from the queue, if it is still in it, and wakes the first thread."""
        waiting = self._waiting
        # Only the request's own thread removes it, so nothing else can remove it between these two steps.
        if request in waiting:
            waiting.remove(request)
        for first in waiting[:1]:
            first.wake()

    def _set_look(self, seconds: float) -> None:
        """Sets the socket's receive timeout. An interrupt may leave it lower than `_look_of_socket`, never higher."""
        if seconds > self._look_of_socket:
            self._look_of_socket = seconds
        bound_wait(self._socket, socket.SO_RCVTIMEO, seconds)
        self._look_of_socket = seconds

    def _look(self, request: Sleeper) -> None:
        """Checks the clock after a while without a line."""
        now = monotonic()
        if request.is_over(now):
            raise no_answer(self._socket, self.path)
        if request.end is not None:
            request.look = look_within(request.end - now)

    # Notices

    def listen(self) -> None:
        """Keeps notices for `next_notice` from now on."""
        self.listener = Listener(self, threads.own, b"", None)

    def next_notice(self) -> Optional[bytes]:
        """Waits for a notice, or for `Listener.is_time` (b""); returns None at the end. One thread may call this."""
        if not isinstance(listener := self.listener, Listener):
            raise RuntimeError("a connection needs `listen` before it has notices")
        while True:
            listener.reply = None
            if self.notices or listener.take_time():
                return self.notices.pop(0) if self.notices else b""
            if self.fault is not None or self.pid != getpid():
                return None
            self._waiting.append(listener)
            self._wait(listener)

    # Releases without a waiting caller

    def release_soon(self, name: bytes, token: bytes) -> None:
        """Releases a grant without waiting. A finalizer may call this."""
        if self.fault is None and self.pid == getpid():
            self.release_later(name, token)
            self.flush(self._send_at_once)

    # The end

    def end(self, fault: str) -> None:
        # First, so that no grant is released by its slot after the end.
        if self.memory is not None:
            self.memory.end()
        super().end(fault)
        # Again: the daemon may have filled a slot since. A grant that comes from now on finds the fault.
        if self.memory is not None:
            self.memory.end()

    def keep(self, lowest: int) -> int:
        """Keeps the session open across ``exec``, on a descriptor with that number or a higher one."""
        import fcntl

        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, b"\0" * 16)
        kept = fcntl.fcntl(self._socket.fileno(), fcntl.F_DUPFD, lowest)
        self.end("it was kept for another program")
        return kept

    def send_last_words(self, is_all: bool = False) -> None:
        """Sends the releases of `queue_last_words`."""
        self.queue_last_words(is_all)
        self.flush(self._send_at_once)

    def close(self, fault: str = "it was closed") -> None:
        """Ends the session at once. Threads that wait get an error."""
        if self.pid != getpid():
            self.after_fork()
            return
        self.send_last_words(is_all=True)
        self.end(fault)
        with suppress(OSError):
            # A child may have a copy of the descriptor, so `close` alone would not end the session.
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._wire is not None:
            # Not while a thread reads: another file may get the number of the descriptor.
            self._wire.close(super(socket.socket, self._socket).detach)
        self._socket.close()

    def after_fork(self) -> None:
        """Closes the copy of a forked child. The parent's session continues."""
        self.fault = "it belongs to the parent process"
        self._socket.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # At the interpreter's exit, modules may be gone already.
            pass
