"""One session with the daemon: what is asked on it, how it is heard, and how it ends. `Stream` has its lines."""

from __future__ import annotations

import socket
from errno import EPIPE
from time import monotonic

from . import _forking
from ._deadline import SLACK
from ._errors import DaemonTimeout, DaemonUnavailable, LockError
from ._rendezvous import no_answer
from ._request import LOOK, PATIENCE, Notice, Request, asking, threads
from ._stream import Stream, getpid
from ._wire import release_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

    from ._notices import _Listening

#: A request is one small line: the kernel takes it whole or not at all.
_FLAGS = socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
#: So often an interrupted clean-up begins anew; who is interrupted without end is to end.
_MOST_INTERRUPTS = 1_000


def _nothing(_: bytes) -> None:
    pass


class SentInVain(DaemonUnavailable):
    """The connection had ended before this was sent, so that nobody can have read it."""


class Connection(Stream):
    """A connection of this process to a daemon that has answered on it."""

    def __init__(self, connected: socket.socket, received: bytes, path: str) -> None:
        super().__init__(connected, received, path)
        #: Who is told of lost grants; see `_notices`.
        self.listening: dict[int, _Listening] = {}
        #: The thread that waits for replies to requests that were given up; see `_settling`.
        self.settling: dict[int, object] = {}
        _forking.remember(self)

    @property
    def is_usable(self) -> bool:
        """Whether new requests may go here."""
        return self.fault is None and not self.is_draining and self.pid == getpid()

    # Requests

    @asking
    def ask(
        self,
        text: bytes,
        patience: Optional[float] = PATIENCE,
        settle: Optional[Callable[[bytes], None]] = None,
    ) -> Request:
        """Sends a line for this thread and waits for its reply, which `settle` is told of even if it is interrupted."""
        thread = threads.own
        if thread.request is not None:
            thread.settle()
        request = Request(self, thread, patience, settle or _nothing)
        try:
            thread.request = request
            reply = self.exchange(request, text)
            if settle is not None:
                settle(reply)
            thread.request = None
            return request
        except BaseException:
            self.withdraw(request)
            thread.request = None
            raise

    def exchange(self, request: Request, text: bytes) -> bytes:
        """Sends a line and waits for its reply, which is returned with its tag and without its end.

        Whoever is interrupted in here calls `withdraw`.

        Raises:
            SentInVain: the connection had ended before.
            DaemonUnavailable: it ended before the reply.
            DaemonTimeout: the daemon does not answer in time.
        """
        tag = request.tag
        request.text = text
        self._pending[tag] = request
        if self.fault is not None:
            # It broke after it was chosen, and may have looked at what is pending before this was.
            self._pending.pop(tag, None)
            raise SentInVain(f"the connection to the lock daemon at {self.path} has ended")
        if self._later:
            self._send_left_over()
        line = b"%s%s\n" % (tag, text)
        try:
            if self._send(line, _FLAGS) != len(line):
                self._break("a line could not be sent whole")
        except BlockingIOError:
            self._send_late(request, line)
        except OSError as error:
            self._refuse(error)
        thread = request.thread
        reader = self._reader
        while request.reply is None:
            # One who was interrupted may be the reader still.
            if reader.setdefault(0, thread) is thread:
                # The reader before may have brought the reply since this thread looked; nothing more would come.
                if request.reply is None:
                    self._read(request)
            else:
                self._follow(request)
        # First let go of the reading, then look who may go on with it.
        if reader.get(0) is thread:
            reader.pop(0, None)
        if self._followers:
            self._wake_next()
        if not request.reply:
            raise DaemonUnavailable(f"the connection to the lock daemon at {self.path} ended: {self.fault}")
        return request.reply

    def _send_late(self, request: Request, line: bytes) -> None:
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
                self._pending.pop(request.tag, None)
                raise no_answer(self._socket, self.path)
            room.poll(min(left, LOOK) * 1_000)
            try:
                if self._send(line, _FLAGS) != len(line):
                    self._break("a line could not be sent whole")
                return
            except BlockingIOError:
                continue
            except OSError as error:
                self._refuse(error)
                return

    def _refuse(self, error: OSError) -> None:
        self._break(error.strerror or str(error))
        if error.errno == EPIPE:
            raise SentInVain(f"the connection to the lock daemon at {self.path} has ended") from error

    def withdraw(self, request: Request) -> None:
        """Leaves nothing behind of a request whose caller was interrupted: neither in the queue nor as a grant."""
        request.was_withdrawn = True
        for _ in range(_MOST_INTERRUPTS):
            if self.fault is not None or self.pid != getpid():
                return
            try:
                if request.was_given_up:
                    self._leave(request)
                else:
                    self._withdraw(request)
                return
            except DaemonTimeout:
                request.was_given_up = True
                continue
            except LockError:
                return
            except BaseException:  # Another interrupt. What it would end is under way already.
                continue

    def _withdraw(self, request: Request) -> None:
        thread = request.thread
        for other in list(self._followers):
            if other.thread is thread:
                self._unfollow(other)
        if request.reply is None and request.tag in self._pending:
            # Its answer comes behind the other's, if there is one to come.
            self.exchange(Request(self, thread, SLACK), b"CANCEL " + request.tag)
        reply = request.reply
        if reply and request.settle is not None:
            request.settle(reply)
        elif reply:
            words = reply.split(b" ")
            if words[1] == b"GRANTED" and len(words) > 4:
                self.exchange(Request(self, thread, SLACK), b"RELEASE %s %s" % (words[2], words[4]))
        self._pending.pop(request.tag, None)
        self._hand_over(thread)

    def release_given_up(self) -> None:
        """For the session's end: what a silent daemon will grant to requests that were given up is released in order.

        Else it would look as if a writer had died. Whatever else their owners hold ends with the session as well.
        """
        for request in list(self._pending.values()):
            release = release_of(request.text) if request.was_given_up else None
            if release is not None:
                self._send_later(release)

    def _leave(self, request: Request) -> None:
        """Ends a request that a silent daemon will answer some time, without a wait for that."""
        thread = request.thread
        for other in list(self._followers):
            if other.thread is thread:
                self._unfollow(other)
        self._hand_over(thread)
        reply = request.reply
        if reply:
            # It came at the last moment. Perhaps its reader has given it back as well, which changes nothing.
            if request.settle is None:
                self._give_back(reply)
            else:
                request.settle(reply)
            self._pending.pop(request.tag, None)
        elif request.tag in self._pending:
            self._send_later(b"CANCEL " + request.tag)
            request.was_left = True
            from ._settling import settle

            settle(self)

    # Notices

    def listen(self) -> None:
        """From now on notices are kept for `next_notice`."""
        self._listener = Request(self, threads.own, None)

    def next_notice(self) -> Optional[Notice]:
        """Waits for a notice; None at the connection's end. One thread at a time may do this."""
        request = self._listener
        if request is None:
            raise RuntimeError("nobody listens for notices")
        request.thread = threads.own
        while not self._notices:
            if self.fault is not None or self.pid != getpid():
                return None
            if self._reader.setdefault(0, request.thread) is request.thread:
                # As in `exchange`.
                if not self._has_news_for(request):
                    self._read(request)
            else:
                self._follow(request)
        # While the notice is acted on, others must be able to read.
        self._hand_over(request.thread)
        return self._notices.pop(0)

    # The end

    def keep(self, lowest: int) -> int:
        """Has the session outlive this program's code, on a descriptor of that number or a higher one."""
        import fcntl

        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, b"\0" * 16)
        kept = fcntl.fcntl(self._socket.fileno(), fcntl.F_DUPFD, lowest)
        self._break("it was kept for another program")
        return kept

    def close(self, fault: str = "it was closed") -> None:
        """Ends the session at once. Whoever waits gets an error."""
        if self.pid != getpid():
            self.forget()
            return
        self.release_given_up()
        self._break(fault)
        try:
            # Not by close alone: a child may have a copy of the descriptor.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def forget(self) -> None:
        """Closes a forked child's copy; the session is its parent's, and goes on."""
        self.fault = "it belongs to the parent process"
        self._socket.close()

    after_fork = forget

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # At the interpreter's end anything may be gone already.
            pass
