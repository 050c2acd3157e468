"""The lines of one session with the daemon, which all threads of the process that connected share.

Whoever sends a request reads the socket itself until its reply is there, so that a lock costs one write and one read.
Of several threads one reads, and hands the others their replies:

               somebody else reads                 its reply came, or nobody reads any more
    [ SENT ] ───────────────────────▶ [ FOLLOWER ] ─────────────────────┐
       │ nobody reads                        ▲                          ▼
       └─────────────▶ [ READER ]            └─── another was first ── (looks again)
                            │ its reply came: a follower is woken
                            ▼
                        (replied)

No lock guards this, as whoever is interrupted could keep it. Each step is one operation on a dictionary, a list or an
attribute, and no wake-up is lost: a follower stands in `_followers` before it looks for its reply and for a reader, and
what is brought, or given up, is there before `_followers` is looked at. So one of the two sees the other.

Signals. A handler that raises (``KeyboardInterrupt``) may do so between any two steps of a thread. So:

1. What is read goes from the socket into `_chunks` without a step between: a line is never lost.
2. A line stays in `_lines` until it has been dispatched. To dispatch one twice changes nothing: no tag is used twice.
3. Every request stands in `_pending` before it is sent, and whoever is interrupted calls `withdraw`: it cancels the
   request, waits until the daemon has said what became of it, and gives back what was granted. `withdraw` begins anew
   when it is interrupted itself, and if even its call was, the thread's next request makes up for it.
4. A thread is in one request at a time (`Thread.settle`): a handler that asks for a lock in the middle of another
   request of its thread would wait for itself, and gets ``NestedUse``.

Finalizers run anywhere, even in between here. They only ever send (`release_later`), and wait for nothing.
"""

from __future__ import annotations

import os
import socket
from _thread import allocate_lock
from time import monotonic

from ._rendezvous import bound_wait, no_answer
from ._request import LOOK, Notice, Request, Thread, look_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

_SIZE = (16_384,)
#: The tag of what nobody waits for.
_LATER = b"#- "
#: So many releases of finalizers may be unanswered; more wait for the next request.
_MOST_LATER = 2_000
#: So many of those are sent at once: few enough for the kernel to take them whole or not at all.
_PIECE = 30
_MOST_PIECES = 50
#: How long a request whose time is over looks for its reply once more, in seconds: this process may have been stopped.
_ONCE_MORE = 0.05
#: What a request gets for a reply when the connection ends.
_LOST = b""

getpid = os.getpid


class Stream:
    """The lines of a connection, as the threads of a process share them; `Connection` asks on it."""

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
        #: The socket's time to wait is at most this; the reader sets it.
        self._look_of_socket = LOOK
        self._socket = connected
        self._send = connected.send
        self._receive = connected.recv
        self._chunks: list[bytes] = [received] if received else []
        self._lines: list[bytes] = []
        self._rows: list[bytes] = []
        self._pending: dict[bytes, Request] = {}
        #: The thread that reads, if one does.
        self._reader: dict[int, Thread] = {}
        self._followers: list[Request] = []
        self._listener: Optional[Request] = None
        self._notices: list[Notice] = []
        #: An element for each line without a request that is sent and not answered.
        self._unanswered: list[None] = []
        self._later: list[bytes] = []

    def _read(self, request: Request) -> None:
        """Takes what the socket has, and waits for something if it has nothing."""
        chunks = self._chunks
        try:
            if request.look < self._look_of_socket:
                self._set_look(request.look)
            if not self._lines and not (chunks and b"\n" in chunks[-1]):
                # In one step: nothing is lost between the socket and the list.
                chunks.extend(map(self._receive, _SIZE))
        except BlockingIOError:
            self._look(request)
            if request.look > self._look_of_socket:
                self._set_look(request.look)
            return
        except OSError as error:
            self._break(error.strerror or str(error))
            return
        if len(chunks) == 1 and not self._lines and not self._rows:
            chunk = chunks[0]
            # By far the most usual: the one line that this thread waits for.
            if chunk.startswith(request.tag) and chunk.find(b"\n") == len(chunk) - 1:
                request.reply = chunk[:-1]
                self._pending.pop(request.tag, None)
                chunks.clear()
                return
        self._sort()

    def _set_look(self, seconds: float) -> None:
        """For the reader. Interrupted in between, the socket waits for less than is written here, never for more."""
        if seconds > self._look_of_socket:
            self._look_of_socket = seconds
        bound_wait(self._socket, socket.SO_RCVTIMEO, seconds)
        self._look_of_socket = seconds

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
            try:
                self._dispatch(lines[0])
            except (IndexError, ValueError):
                # No daemon says such a thing, so nothing that it says can be trusted.
                self._break(f"this is no line of a lock daemon: {lines[0]!r}")
            del lines[0]

    def _dispatch(self, line: bytes) -> None:
        first = line[:1]
        if first == b"#":
            tag = line[: line.find(b" ") + 1]
            request = self._pending.get(tag)
            if request is not None:
                if line.startswith(b"OK ", len(tag)):
                    number = int(line[len(tag) + 3 :])
                    request.rows, self._rows = self._rows[len(self._rows) - number :], []
                self._deliver(request, line)
                self._pending.pop(tag, None)
                if request.was_withdrawn:
                    if request.settle is None:
                        self._give_back(line)
                    else:
                        request.settle(line)
            elif tag == _LATER:
                self._uncount(1)
        elif first == b"*":
            self._rows.append(line)
        elif first == b"!":
            self._note(line.split(b" "))

    def _give_back(self, line: bytes) -> None:
        words = line.split(b" ")
        if words[1] == b"GRANTED" and len(words) > 4:
            self.release_later(words[2], words[4])

    def _deliver(self, request: Request, reply: bytes) -> None:
        request.reply = reply
        self._wake(request)

    @staticmethod
    def _wake(request: Request) -> None:
        wake = request.wake
        if wake is not None:
            try:
                wake.release()
            except RuntimeError:  # It was woken before, and has not come to itself yet.
                pass

    def _note(self, words: list[bytes]) -> None:
        kind = words[1]
        if kind == b"DRAIN":
            self.is_draining = True
        elif kind in (b"EXPIRED", b"REVOKED"):
            self.ended[int(words[3][6:])] = kind.decode().lower()
        if self._listener is not None:
            self._notices.append(Notice(kind, words))
            self._wake(self._listener)

    def _follow(self, request: Request) -> None:
        """Waits until the reader brings the reply, or reads no more; whoever calls looks what it was."""
        request.wake = wake = allocate_lock()
        wake.acquire()
        self._followers.append(request)
        try:
            is_early = request.reply is None and self._reader and not self._has_news_for(request)
            # Not for ever: an interrupted reader may be gone without a word.
            if is_early and not wake.acquire(True, request.look):
                self._look(request)
        finally:
            self._unfollow(request)

    def _unfollow(self, request: Request) -> None:
        try:
            self._followers.remove(request)
        except ValueError:
            pass

    def _hand_over(self, thread: Thread) -> None:
        """Reads no more, if this thread did, and wakes one who may."""
        if self._reader.get(0) is thread:
            self._reader.pop(0, None)
        self._wake_next()

    def _wake_next(self) -> None:
        """Nobody reads: a follower may."""
        for follower in list(self._followers):
            if follower.reply is None:
                self._wake(follower)
                break

    def _look(self, request: Request) -> None:
        """Nothing has come for a while.

        Raises:
            DaemonTimeout: the request's time is over.
        """
        if request.end is None:
            return
        left = request.end - monotonic()
        if left <= 0 and not request.is_late:
            request.is_late = True
            request.end = monotonic() + (left := _ONCE_MORE)
        if left <= 0:
            request.was_given_up = True
            self._hand_over(request.thread)
            raise no_answer(self._socket, self.path)
        request.look = look_within(left)

    def _has_news_for(self, request: Request) -> bool:
        return request is self._listener and (bool(self._notices) or self.fault is not None)

    # Releases that nobody waits for

    def release_later(self, name: bytes, token: bytes) -> None:
        """Releases a grant without a wait, from wherever a finalizer may run."""
        if self.fault is None and self.pid == getpid():
            self._send_later(b"RELEASE %s %s" % (name, token))

    def _send_later(self, text: bytes) -> None:
        line = b"%s%s\n" % (_LATER, text)
        try:
            if len(self._unanswered) >= _MOST_LATER:
                self._later.append(line)
            else:
                # Counted first: another thread may read the reply at once.
                self._unanswered.append(None)
                self._socket.send(line, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._later.append(line)
            self._uncount(1)
        except OSError:
            pass

    def _uncount(self, number: int) -> None:
        del self._unanswered[-number:]

    def _send_left_over(self) -> None:
        """Sends what could not go at once, a piece at a time, as far as the daemon takes it.

        A line stays where it is until it was sent, so that no interrupt loses it. Two threads may send it both, or one
        twice: to release or cancel once more changes nothing.
        """
        for _ in range(_MOST_PIECES):
            lines = self._later[:_PIECE]
            if not lines or len(self._unanswered) >= _MOST_LATER:
                return
            self._unanswered.extend([None] * len(lines))
            try:
                self._send(b"".join(lines), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except OSError:  # It takes no more, or has ended.
                self._uncount(len(lines))
                return
            for line in lines:
                try:
                    self._later.remove(line)
                except ValueError:  # Another thread has sent it too.
                    pass

    def _break(self, fault: str) -> None:
        if self.fault is None:
            self.fault = fault
        for request in list(self._pending.values()):
            self._deliver(request, _LOST)
        self._pending.clear()
        if self._listener is not None:
            self._wake(self._listener)
