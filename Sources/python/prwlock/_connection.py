"""One session with the daemon, which all threads of the process that connected share.

Whoever sends a request reads the socket itself until its reply is there, so that a lock costs one write and one read.
Of several threads one reads, and hands the others their replies:

                    a reader is there                   its reply came, or it is made reader
    [ SENT ] ───────────────────────────▶ [ FOLLOWER ] ─────────────────────┐
       │ nobody reads                          ▲                            ▼
       └──────────────▶ [ READER ] ────────────┘ another is preferred    (replied, or READER)
                             │ its reply came: the next follower is made reader
                             ▼
                          (replied)

Signals. A handler that raises (``KeyboardInterrupt``) may do so between any two steps of a thread. So:

1. What is read goes from the socket into `_chunks` without a step between: a line is never lost.
2. A line stays in `_lines` until it has been dispatched. To dispatch one twice changes nothing: no tag is used twice.
3. Every request stands in `_pending` before it is sent, and whoever is interrupted calls `withdraw`: it cancels the
   request, waits until the daemon has said what became of it, and gives back what was granted. `withdraw` begins anew
   when it is interrupted itself.
4. A thread is in one request at a time (`Thread.is_inside`): a handler that asks for a lock in the middle of another
   request of its thread would wait for itself, and gets ``NestedUse``.

Finalizers run anywhere, even in between here. They only ever send (`release_later`), and wait for nothing.
"""

from __future__ import annotations

import os
import socket
from _thread import allocate_lock
from errno import EAGAIN, EPIPE

from . import _forking
from ._errors import DaemonUnavailable, LockError, NestedUse
from ._rendezvous import LOOK
from ._request import PATIENCE, Notice, Request, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

_SIZE = (16_384,)
_SPACE = 32
#: The tag of what nobody waits for.
_LATER = b"#-"
#: So many releases of finalizers may be unanswered; more wait for the next request.
_MOST_LATER = 2_000
#: What a request gets for a reply when the connection ends.
_LOST = b""

getpid = os.getpid


class SentInVain(DaemonUnavailable):
    """The connection had ended before this was sent, so that nobody can have read it."""


class Connection:
    """A connection of this process to a daemon that has answered on it."""

    def __init__(self, connected: socket.socket, received: bytes, path: str) -> None:
        self.path = path
        #: The process whose session it is; for any other, a forked child, it is not there.
        self.pid = getpid()
        #: Why it has ended; None while it lives.
        self.fault: Optional[str] = None
        #: Whether the daemon is leaving: it grants nothing more.
        self.is_draining = False
        #: Grants that ended unasked, by their tokens: ``EXPIRED`` or ``REVOKED``.
        self.ended: dict[int, str] = {}
        self._socket = connected
        self._send = connected.send
        self._receive = connected.recv
        self._chunks: list[bytes] = [received] if received else []
        self._lines: list[bytes] = []
        self._rows: list[bytes] = []
        self._pending: dict[bytes, Request] = {}
        self._mutex = allocate_lock()
        self._reader: Optional[Request] = None
        self._followers: list[Request] = []
        self._listener: Optional[Request] = None
        self._notices: list[Notice] = []
        self._sent_later = 0
        self._later: list[bytes] = []
        _forking.remember(self)

    @property
    def is_usable(self) -> bool:
        """Whether new requests may go here."""
        return self.fault is None and not self.is_draining

    # Requests

    def ask(
        self,
        text: bytes,
        patience: Optional[float] = PATIENCE,
        settle: Optional[Callable[[bytes], None]] = None,
    ) -> Request:
        """Sends a line for this thread and waits for its reply, which `settle` is told of even if it is interrupted."""
        thread = threads.own
        if thread.is_inside:
            raise nested_use()
        request = Request(thread, patience)
        try:
            thread.is_inside = True
            reply = self.exchange(request, text)
            if settle is not None:
                settle(reply)
            return request
        except BaseException:
            self.withdraw(request, gives_back=False)
            if settle is not None and request.reply:
                settle(request.reply)
            raise
        finally:
            thread.is_inside = False

    def exchange(self, request: Request, text: bytes) -> bytes:
        """Sends a line and waits for its reply, which is returned with its tag and without its end.

        Whoever is interrupted in here calls `withdraw`.

        Raises:
            SentInVain: the connection had ended before.
            DaemonUnavailable: it ended before the reply, or the daemon does not answer in time.
        """
        tag = request.tag
        self._pending[tag] = request
        line = b"%s %s\n" % (tag, text)
        if self._later:
            line = self._take_later() + line
        try:
            if self._send(line, socket.MSG_NOSIGNAL) != len(line):
                self._break("a line could not be sent whole")
        except OSError as error:
            self._refuse(error)
        thread = request.thread
        with self._mutex:
            reader = self._reader
            # A reader of this very thread was interrupted on its way out.
            if reader is None or reader.thread is thread:
                self._reader = request
        while request.reply is None:
            if self._reader is request:
                self._read(request)
            else:
                self._follow(request)
        if self._reader is request:
            self._hand_over(request)
        if not request.reply:
            raise DaemonUnavailable(f"the connection to the lock daemon at {self.path} ended: {self.fault}")
        return request.reply

    def _refuse(self, error: OSError) -> None:
        if error.errno == EAGAIN:
            raise DaemonUnavailable(
                f"the lock daemon at {self.path} does not read (waited {PATIENCE} s)"
            ) from error
        self._break(error.strerror or str(error))
        if error.errno == EPIPE:
            raise SentInVain(f"the connection to the lock daemon at {self.path} has ended") from error

    def withdraw(self, request: Request, gives_back: bool = True) -> None:
        """Leaves nothing behind of a request whose caller was interrupted: neither in the queue nor as a grant.

        With `gives_back` false, what was granted is kept: the request's reply tells.
        """
        request.is_orphan = gives_back
        while self.fault is None and self.pid == getpid():
            try:
                return self._withdraw(request, gives_back)
            except LockError:
                return None
            except BaseException:  # Another interrupt. What it would end is under way already.
                continue
        return None

    def _withdraw(self, request: Request, gives_back: bool) -> None:
        thread = request.thread
        with self._mutex:
            self._followers = [other for other in self._followers if other.thread is not thread]
        if request.reply is None and request.tag in self._pending:
            # Its answer comes behind the other's, if there is one to come.
            self.exchange(Request(thread), b"CANCEL " + request.tag)
        words = (request.reply or b"").split(b" ")
        if gives_back and len(words) > 4 and words[1] == b"GRANTED":
            self.exchange(Request(thread), b"RELEASE %s %s" % (words[2], words[4]))
        self._pending.pop(request.tag, None)
        reader = self._reader
        if reader is not None and reader.thread is thread:
            self._hand_over(reader)

    # Reading

    def _read(self, request: Request) -> None:
        """Takes what the socket has, and waits for something if it has nothing."""
        chunks = self._chunks
        lines = self._lines
        try:
            if not lines and not (chunks and b"\n" in chunks[-1]):
                # In one step: nothing is lost between the socket and the list.
                chunks.extend(map(self._receive, _SIZE))
        except BlockingIOError:
            self._look(request)
            return
        except OSError as error:
            self._break(error.strerror or str(error))
            return
        if len(chunks) == 1 and not lines:
            chunk = chunks[0]
            tag = request.tag
            end = len(tag)
            # By far the most usual: the one line that this thread waits for, and no listing's end.
            if (
                chunk.startswith(tag)
                and chunk[end] == _SPACE
                and chunk.find(b"\n") == len(chunk) - 1
                and not chunk.startswith(b" OK ", end)
            ):
                request.reply = chunk[:-1]
                self._pending.pop(tag, None)
                chunks.clear()
                return
        self._sort()

    def _sort(self) -> None:
        """Dispatches all whole lines that have been read."""
        chunks = self._chunks
        lines = self._lines
        if not lines:
            if chunks and not chunks[-1]:
                self._break("the daemon closed it")
                return
            *whole, rest = b"".join(chunks).split(b"\n")
            # First the lines: what is interrupted in between is dispatched twice, and not lost.
            lines[:] = whole
            chunks[:] = [rest] if rest else []
        while lines:
            self._dispatch(lines[0])
            del lines[0]

    def _dispatch(self, line: bytes) -> None:
        first = line[:1]
        if first == b"#":
            tag = line.partition(b" ")[0]
            request = self._pending.get(tag)
            if request is not None:
                if line.startswith(b" OK ", len(tag)):
                    number = int(line[len(tag) + 4 :])
                    request.rows, self._rows = self._rows[len(self._rows) - number :], []
                self._deliver(request, line)
                self._pending.pop(tag, None)
                if request.is_orphan:
                    self._give_back(line)
            elif tag == _LATER:
                self._sent_later -= 1
        elif first == b"*":
            self._rows.append(line)
        elif first == b"!":
            self._note(line.split(b" "))

    def _give_back(self, line: bytes) -> None:
        words = line.split(b" ")
        if words[1] == b"GRANTED":
            self.release_later(words[2], words[4])

    def _deliver(self, request: Request, reply: bytes) -> None:
        with self._mutex:
            request.reply = reply
            self._wake(request)

    def _wake(self, request: Request) -> None:
        wake = request.wake
        if wake is not None:
            request.wake = None
            if request in self._followers:
                self._followers.remove(request)
            wake.release()

    def _note(self, words: list[bytes]) -> None:
        kind = words[1]
        if kind == b"DRAIN":
            self.is_draining = True
        elif kind in (b"EXPIRED", b"REVOKED"):
            self.ended[int(words[3][6:])] = kind.decode().lower()
        if self._listener is not None:
            self._notices.append(Notice(kind, words))
            with self._mutex:
                self._wake(self._listener)

    def _follow(self, request: Request) -> None:
        """Waits until the reader brings the reply, or until this thread is made reader."""
        wake = allocate_lock()
        wake.acquire()
        with self._mutex:
            if request.reply is not None or self._reader is request or self._has_news_for(request):
                return
            if self._reader is None:
                self._reader = request
                return
            request.wake = wake
            if request not in self._followers:
                self._followers.append(request)
        if not wake.acquire(True, LOOK):
            self._look(request)

    def _hand_over(self, request: Request) -> None:
        with self._mutex:
            if self._reader is request:
                self._reader = self._listener if self._listener in self._followers else None
                if self._reader is None and self._followers:
                    self._reader = self._followers[0]
                if self._reader is not None:
                    self._wake(self._reader)

    def _look(self, request: Request) -> None:
        """Nothing has come for a while."""
        if request.patience is not None:
            request.patience -= LOOK
            if request.patience < 0:
                self._hand_over(request)
                raise DaemonUnavailable(f"the lock daemon at {self.path} does not answer")

    # Notices

    def listen(self) -> None:
        """From now on notices are kept for `next_notice`."""
        self._listener = Request(threads.own, None)

    def next_notice(self) -> Optional[Notice]:
        """Waits for a notice; None at the connection's end. One thread at a time may do this."""
        request = self._listener
        if request is None:
            raise RuntimeError("nobody listens for notices")
        request.thread = threads.own
        while not self._notices:
            if self.fault is not None or self.pid != getpid():
                return None
            if self._reader is request:
                self._read(request)
            else:
                self._follow(request)
        # While the notice is acted on, others must be able to read.
        self._hand_over(request)
        return self._notices.pop(0)

    def _has_news_for(self, request: Request) -> bool:
        return request is self._listener and (bool(self._notices) or self.fault is not None)

    # Releases that nobody waits for

    def release_later(self, name: bytes, token: bytes) -> None:
        """Releases a grant without a wait, from wherever a finalizer may run."""
        if self.fault is not None or self.pid != getpid():
            return
        line = b"%s RELEASE %s %s\n" % (_LATER, name, token)
        try:
            if self._sent_later >= _MOST_LATER:
                self._later.append(line)
            else:
                self._sent_later += 1
                self._socket.send(line, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._sent_later -= 1
            self._later.append(line)
        except OSError:
            pass

    def _take_later(self) -> bytes:
        later = self._later[:_MOST_LATER // 2]
        del self._later[: len(later)]
        self._sent_later += len(later)
        return b"".join(later)

    # The end

    def _break(self, fault: str) -> None:
        with self._mutex:
            if self.fault is None:
                self.fault = fault
            for request in list(self._pending.values()):
                request.reply = _LOST
                self._wake(request)
            self._pending.clear()
            if self._listener is not None:
                self._wake(self._listener)

    def close(self, fault: str = "it was closed") -> None:
        """Ends the session at once. Whoever waits gets an error."""
        if self.pid != getpid():
            self.forget()
            return
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


def nested_use() -> NestedUse:
    """The error of rule 4."""
    return NestedUse("a signal handler or finalizer may not ask in the middle of another request of its thread")
