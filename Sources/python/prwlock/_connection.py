"""One session with the daemon for all threads of the process that connected: a socket, and who reads it.

A thread that sends a request waits for the reply itself, so a lock costs one write and one read. Threads that wait
stand in a queue, `_waiting`. The first one reads for all, and wakes those whose replies it brings. To come, to be the
first and to leave is one operation on a list each, so no lock guards the queue, which an interrupted thread could keep.
No wake-up is lost:

- A thread is in the queue before it looks whether it is the first. One that leaves has left before it looks who is the
  first now, and wakes that one.
- A thread makes its lock to sleep on (`Sleeper.bell`) before it looks for its reply. The reader brings the reply before
  it looks for that lock.

A call that is interrupted, or whose time is over, waits no more. A keeper thread waits in its place (`_keeper`).
Finalizers run anywhere, even in the middle of this code. They only queue and send (`release_soon`), and wait for
nothing.
"""

from __future__ import annotations

import socket
from _thread import allocate_lock
from errno import EPIPE
from os import getpid
from time import monotonic

from . import _forking
from ._deadline import LOOK, PATIENCE, SLACK, look_within
from ._errors import DaemonUnavailable
from ._owner import call, threads
from ._session import Request, Session
from ._sockets import bound_wait, no_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from typing import Optional

    from ._notices import Listening
    from ._owner import Thread

#: A request is one small line: the kernel takes it whole or not at all.
_FLAGS = socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
_SIZE = (16_384,)
#: How long an interrupted caller waits for a keeper until it looks whether there is one, in seconds.
_A_MOMENT = 0.02
#: So often a step of a moment begins anew when it is interrupted: an interrupt that comes without end is to end it.
_MOST_INTERRUPTS = 100


class SentInVain(DaemonUnavailable):
    """The connection had ended before this was sent, so that no daemon can have read it."""


class Sleeper(Request):
    """A request whose caller is a thread, which sleeps while another one reads."""

    #: Released to wake the thread; None as long as it has not slept.
    bell: Optional[LockType] = None
    #: How often to look at the clock, in seconds.
    look = LOOK

    def __init__(
        self,
        connection: Connection,
        thread: Thread,
        text: bytes,
        patience: Optional[float],
        accept: Optional[Callable[[bytes], None]] = None,
    ) -> None:
        self.tag = b"#%s.%d " % (thread.owner, next(thread.numbers))
        self.text = text
        self.connection = connection
        if accept is not None:
            self.accept = accept
        if patience is not None:
            self.end = monotonic() + patience
            if patience < LOOK:
                self.look = look_within(patience)

    def sleep(self, seconds: float) -> bool:
        """Sleeps until `wake`, for at most so long; returns whether it was woken. The first time it returns at once."""
        if self.bell is None:
            bell = allocate_lock()
            bell.acquire()
            self.bell = bell
            return True
        return self.bell.acquire(True, seconds)

    def wake(self) -> None:
        if self.bell is not None:
            try:
                self.bell.release()
            except RuntimeError:  # It was woken before, and has not come to itself yet.
                pass

    def abandon(self) -> None:
        """Leaves nothing of this request at the daemon."""
        self.connection.abandon(self)


class Connection(Session):
    """A connection of this process to a daemon that has answered on it."""

    def __init__(self, connected: socket.socket, received: bytes, path: str) -> None:
        super().__init__(received)
        self.path = path
        #: The process whose session it is; for any other, a forked child, it is not there.
        self.pid = getpid()
        self._socket = connected
        self._send = connected.send
        self._receive = connected.recv
        #: The socket's time to wait is at most this; the reader sets it.
        self._look_of_socket = LOOK
        self._waiting: list[Sleeper] = []
        #: Who is called for lost grants; see `_notices`.
        self.losses: dict[int, Listening] = {}
        #: Whether a keeper thread is at work; see `_keeper`.
        self.has_keeper = False
        _forking.remember(self)

    @property
    def is_usable(self) -> bool:
        """Whether new requests may go here."""
        return self.fault is None and not self.is_draining and self.pid == getpid()

    # Requests

    @call
    def ask(
        self,
        text: bytes,
        patience: Optional[float] = PATIENCE,
        accept: Optional[Callable[[bytes], None]] = None,
    ) -> Sleeper:
        """Sends a line for this thread and waits for its reply.

        Args:
            accept: Called with the reply, even if the call is interrupted before the reply comes.
        """
        own = threads.own
        if own.request is not None:
            own.clean_up()
        request = Sleeper(self, own, text, patience, accept)
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
        """Sends a request and waits for its reply, which is returned with its tag. The caller abandons it in any case.

        Raises:
            SentInVain: the connection had ended before.
            DaemonUnavailable: it ended before the reply.
            DaemonTimeout: the daemon does not answer in time.
        """
        line = self.open(request)
        if self.fault is not None:
            # It ended after it was chosen. `end` may have looked at the open requests before this was one.
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
        self._wait(request)
        if not request.reply:
            raise DaemonUnavailable(f"the connection to the lock daemon at {self.path} ended: {self.fault}")
        return request.reply

    def _send_at_once(self, data: bytes) -> None:
        self._send(data, _FLAGS)

    def _send_late(self, request: Sleeper, line: bytes) -> None:
        """Sends a line for which there is no room, as the daemon has not read for long."""
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
        """Ends the wait for a request. Nothing of it is left at the daemon, or a keeper thread sees to that.

        An interrupted caller waits for the keeper for a moment. This may be called again if it is interrupted itself.
        """
        for _ in range(_MOST_INTERRUPTS):
            try:
                self._begin_to_settle(request)
                break
            except BaseException:  # Another interrupt. What it would end ends already.
                continue
        end = monotonic() + (0 if request.is_late else SLACK)
        while request.is_given_up and not request.is_settled and self.fault is None and monotonic() < end:
            request.sleep(_A_MOMENT)
            # Before Python 3.12 an exception that another thread sets may end a keeper that begins.
            self._keep(request)

    def _begin_to_settle(self, request: Sleeper) -> None:
        """Gives a request up, in a moment and without a wait; again and again if it is interrupted."""
        self._leave(request)
        if self.fault is not None or self.pid != getpid() or (request.tag not in self._open and not request.reply):
            return
        self.give_up(request)
        if not request.is_settled:
            self.flush(self._send_at_once)
            self._keep(request)

    def _keep(self, request: Sleeper) -> None:
        """Makes sure that a keeper waits in the caller's place."""
        if not request.is_settled and not self.has_keeper:
            from ._keeper import keep

            keep(self)

    # The queue of those that wait

    def _wait(self, request: Sleeper) -> None:
        """Waits for the reply. If this raises, the caller calls `_leave`.

        Raises:
            DaemonTimeout: the request's time is over.
        """
        waiting = self._waiting
        waiting.append(request)
        while True:
            is_first = waiting[0] is request
            # Only the first brings replies. So what has not come by now comes by this thread's own reading.
            if request.reply is not None:
                break
            if not is_first:
                if not request.sleep(request.look):
                    self._look(request)
                continue
            try:
                if request.look < self._look_of_socket:
                    self._set_look(request.look)
                chunks, lines = self._input
                # An interrupted reader may have left something to take apart.
                if not lines and not (chunks and b"\n" in chunks[-1]):
                    # In one step: nothing is lost between the socket and the list.
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
        """Takes a request out of the queue, if it is still there, and has the first one go on."""
        waiting = self._waiting
        try:
            waiting.remove(request)
        except ValueError:
            pass
        for first in waiting[:1]:
            first.wake()

    def _set_look(self, seconds: float) -> None:
        """For the reader. Interrupted in between, the socket waits for less than is written here, never for more."""
        if seconds > self._look_of_socket:
            self._look_of_socket = seconds
        bound_wait(self._socket, socket.SO_RCVTIMEO, seconds)
        self._look_of_socket = seconds

    def _look(self, request: Sleeper) -> None:
        """Looks at the clock, as nothing has come for a while."""
        now = monotonic()
        if request.is_over(now):
            raise no_answer(self._socket, self.path)
        if request.end is not None:
            request.look = look_within(request.end - now)

    # Notices

    def listen(self) -> None:
        """From now on notices are kept for `next_notice`."""
        self.listener = Sleeper(self, threads.own, b"", None)

    def next_notice(self) -> Optional[bytes]:
        """Waits for a notice; None at the connection's end. One thread at a time may do this."""
        listener = self.listener
        if not isinstance(listener, Sleeper):
            raise RuntimeError("a connection needs `listen` before it has notices")
        while True:
            listener.reply = None
            if self.notices:
                return self.notices.pop(0)
            if self.fault is not None or self.pid != getpid():
                return None
            self._wait(listener)

    # Releases that no caller waits for

    def release_soon(self, name: bytes, token: bytes) -> None:
        """Releases a grant without a wait, from wherever a finalizer may run."""
        if self.fault is None and self.pid == getpid():
            self.release_later(name, token)
            self.flush(self._send_at_once)

    # The end

    def keep(self, lowest: int) -> int:
        """Has the session outlive this program's code, on a descriptor of that number or a higher one."""
        import fcntl

        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, b"\0" * 16)
        kept = fcntl.fcntl(self._socket.fileno(), fcntl.F_DUPFD, lowest)
        self.end("it was kept for another program")
        return kept

    def send_last_words(self, is_all: bool = False) -> None:
        """Releases what requests without a caller may be granted; see `queue_last_words`."""
        self.queue_last_words(is_all)
        self.flush(self._send_at_once)

    def close(self, fault: str = "it was closed") -> None:
        """Ends the session at once. Whoever waits gets an error."""
        if self.pid != getpid():
            self.after_fork()
            return
        self.send_last_words(is_all=True)
        self.end(fault)
        try:
            # Not by close alone: a child may have a copy of the descriptor.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def after_fork(self) -> None:
        """Closes a forked child's copy; the session is its parent's, and goes on."""
        self.fault = "it belongs to the parent process"
        self._socket.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # At the interpreter's end anything may be gone already.
            pass
