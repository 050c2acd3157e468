"""One session with the daemon, without its connection: bytes in, lines out, and what becomes of each request.

A `Session` knows no socket, no clock and no thread. `_connection` drives it for threads and `aio._connection` for an
event loop; the tests drive it in virtual time. A request goes through these states:

    [ OPEN ] ─ a reply ──────────────────────────▶ [ ANSWERED ]
       │ `give_up`: CANCEL is queued                    │ `give_up`, and a lock was granted
       ▼                                                ▼
    [ GIVEN UP ] ─ a lock is granted nevertheless ─▶ [ RETURNING ] (RELEASE is queued)
       │ the reply to CANCEL                            │ the reply to RELEASE
       └────────────────────▶ [ SETTLED ] ◀─────────────┘

An exception may be raised between any two steps of a caller (``KeyboardInterrupt``). So every step can be repeated:

1. Lines move from one list to another in one call of C (`move`), so no line is lost and none is there twice.
2. A reply stays in `_input` until its request has it. No tag is used twice, so the second time changes nothing.
3. A request is in `_open` before its line is sent. `give_up` may be called any number of times.
"""

from __future__ import annotations

from ._wire import release_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Optional

#: The most lines without a waiting caller that are sent and not answered: more of their replies could fill the socket.
MOST_UNANSWERED = 2_000
#: The most lines in one piece, so that the kernel takes the piece whole or not at all.
_PIECE = 30
#: How long a request still waits after its end, in seconds: if this process was stopped, the reply is there already.
_ONCE_MORE = 0.05
_LAST = (-1,)


def move(take: Callable[[int], bytes], argument: Sequence[int], into: list[bytes]) -> None:
    """Appends what `take` returns to a list. Both happen in one call of C, so an exception cannot come in between."""
    into.extend(map(take, argument))


class Request:
    """A line for the daemon, and what becomes of it.

    Args:
        tag: With the space behind it, as it stands before the request and its reply.
        end: When the request's time is over; None if never.
        accept: Called with a reply that comes after `give_up`. Without it, a lock that was granted is given back.
    """

    end: Optional[float] = None
    accept: Optional[Callable[[bytes], None]] = None
    #: The reply without the line's end; empty if the connection ended first.
    reply: Optional[bytes] = None
    rows: Sequence[bytes] = ()
    is_given_up = False
    is_returning = False
    is_settled = False
    #: Whether the end was reached once.
    is_late = False

    def __init__(
        self, tag: bytes, text: bytes, end: Optional[float] = None, accept: Optional[Callable[[bytes], None]] = None
    ) -> None:
        self.tag = tag
        self.text = text
        self.end = end
        self.accept = accept

    @property
    def words(self) -> list[bytes]:
        """The words of the reply behind its tag."""
        return (self.reply or b"").split(b" ")[1:]

    def is_over(self, now: float) -> bool:
        """Whether the request's time is over. The first time, `end` moves by a moment: see `_ONCE_MORE`."""
        if self.end is None or now < self.end:
            return False
        if self.is_late:
            return True
        self.is_late = True
        self.end = now + _ONCE_MORE
        return False

    def wake(self) -> None:
        """Wakes the caller, which waits for a reply or for the settlement."""


class Session:
    """The state of one session; see the module."""

    def __init__(self, received: bytes) -> None:
        #: Why the session has ended; None while it lives.
        self.fault: Optional[str] = None
        #: Whether the daemon is leaving: it grants nothing more.
        self.is_draining = False
        #: Grants that ended unasked, by their tokens as on the wire: ``expired`` or ``revoked``.
        self.ended: dict[bytes, str] = {}
        #: The chunks that were read, and the whole lines of earlier chunks, the next line last. They change together.
        self._input: tuple[list[bytes], list[bytes]] = ([received] if received else [], [])
        self._rows: list[bytes] = []
        self._open: dict[bytes, Request] = {}
        #: Lines without a waiting caller, by their tags: each with the request that it settles.
        self._queued: dict[bytes, tuple[bytes, Optional[Request]]] = {}
        self._unanswered: dict[bytes, Optional[Request]] = {}
        #: Notices, if `listener` is there to be woken for them.
        self.notices: list[bytes] = []
        self.listener: Optional[Request] = None

    # Requests

    def open(self, request: Request) -> bytes:
        """Begins a request; returns the line to be sent."""
        self._open[request.tag] = request
        return b"%s%s\n" % (request.tag, request.text)

    def give_up(self, request: Request) -> None:
        """Ends a request whose caller waits no more. A lock that is granted to it goes back."""
        request.is_given_up = True
        # Whoever sets `reply` looks at `is_given_up` afterwards: one of the two sees the other.
        if request.reply is not None:
            self._give_back(request)
        elif request.text.startswith(b"RELEASE "):
            # Perhaps it was not sent. To release twice changes nothing.
            self._queue(request.tag[:-1] + b".r ", request.text, request)
        else:
            self._queue(request.tag[:-1] + b".c ", b"CANCEL " + request.tag[:-1], request)

    def _give_back(self, request: Request) -> None:
        words = request.words
        if request.accept is not None:
            request.accept(request.reply or b"")
        elif words[:1] == [b"GRANTED"] and len(words) > 3:
            request.is_returning = True
            self._queue(request.tag[:-1] + b".r ", b"RELEASE %s %s" % (words[1], words[3]), request)
        if not request.is_returning and not self._is_queued(request):
            self._settle(request)

    def _is_queued(self, request: Request) -> bool:
        tag = request.tag[:-1] + b".c "
        return tag in self._queued or tag in self._unanswered

    def _settle(self, request: Request) -> None:
        self._open.pop(request.tag, None)
        request.is_settled = True
        request.wake()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be sent, and all that was given up is settled."""
        return not self._queued and not any(list(self._unanswered.values()))

    # Lines that no caller waits for

    def release_later(self, name: bytes, token: bytes) -> None:
        """Queues a release; from anywhere, also from a finalizer."""
        self._queue(b"#%s " % token.replace(b"=", b"-"), b"RELEASE %s %s" % (name, token), None)

    def _queue(self, tag: bytes, text: bytes, settled: Optional[Request]) -> None:
        if self.fault is None:
            self._queued[tag] = (text, settled)

    @property
    def has_queued(self) -> bool:
        """Whether `flush` has something to send."""
        return bool(self._queued)

    def flush(self, send: Callable[[bytes], object]) -> None:
        """Sends what is queued, a piece at a time, until `send` raises ``OSError`` as there is no room for a piece.

        A line is taken from the queue after it was sent, so it may be sent twice. To release or to cancel once more
        changes nothing.
        """
        while self._queued and len(self._unanswered) < MOST_UNANSWERED:
            piece = list(self._queued.items())[:_PIECE]
            self._unanswered.update((tag, settled) for tag, (_, settled) in piece)
            try:
                send(b"".join([b"%s%s\n" % (tag, text) for tag, (text, _) in piece]))
            except OSError:
                for tag, _ in piece:
                    self._unanswered.pop(tag, None)
                return
            for tag, _ in piece:
                self._queued.pop(tag, None)

    def queue_last_words(self, is_all: bool) -> None:
        """Queues the release of what open requests may be granted; for a session that ends without another read.

        Otherwise a grant that crosses the end looks like the death of a writer. With `is_all` false, only requests that
        were given up are meant.
        """
        for request in list(self._open.values()):
            release = release_of(request.text) if is_all or request.is_given_up else None
            if release is not None:
                self._queue(request.tag[:-1] + b".e ", release, None)

    # What the daemon says

    @property
    def inbox(self) -> list[bytes]:
        """Takes what is read; `receive` takes it apart."""
        return self._input[0]

    def receive(self, expected: Optional[Request] = None) -> None:
        """Takes apart what is in `inbox`. `expected` is the request that the next reply most likely answers."""
        chunks, lines = self._input
        if expected is not None and len(chunks) == 1 and not lines and not self._rows:
            chunk = chunks[0]
            # By far the most usual case: one line, for the caller.
            if chunk.startswith(expected.tag) and chunk.find(b"\n") == len(chunk) - 1:
                expected.reply = chunk[:-1]
                self._open.pop(expected.tag, None)
                chunks.clear()
                return
        if not lines:
            if chunks and not chunks[-1]:
                self.end("the daemon closed it")
                return
            *lines, rest = b"".join(chunks).split(b"\n")
            lines.reverse()
            self._input = ([rest] if rest else [], lines)
        while lines:
            line = lines[-1]
            try:
                self._dispatch(line, lines)
            except (IndexError, ValueError):
                # No daemon says this, so nothing that it says can be trusted.
                self.end(f"this is no line of a lock daemon: {line!r}")
                lines.clear()

    def _dispatch(self, line: bytes, lines: list[bytes]) -> None:
        first = line[:1]
        if first == b"*":
            move(lines.pop, _LAST, self._rows)
            return
        if first == b"!":
            self._note(line.split(b" "))
            if self.listener is not None:
                move(lines.pop, _LAST, self.notices)
                self._wake_listener(self.listener)
                return
        elif first == b"#":
            tag = line[: line.find(b" ") + 1]
            request = self._open.get(tag)
            if request is not None:
                self._answer(request, line)
            elif tag in self._unanswered:
                self._answer_queued(tag)
        del lines[-1]

    def _answer(self, request: Request, line: bytes) -> None:
        if line.startswith(b"END ", len(request.tag)):
            if self._rows:
                request.rows = self._rows
                self._rows = []
            if len(request.rows) != int(line.rpartition(b" ")[2]):
                raise ValueError("rows are missing")
        request.reply = line
        if request.is_given_up:
            self._give_back(request)
        self._open.pop(request.tag, None)
        request.wake()

    def _answer_queued(self, tag: bytes) -> None:
        settled = self._unanswered[tag]
        # CANCEL is answered behind the request, but RELEASE behind CANCEL.
        if settled is not None and (tag.endswith(b".r ") or not settled.is_returning):
            self._settle(settled)
        self._unanswered.pop(tag, None)

    def _note(self, words: list[bytes]) -> None:
        kind = words[1]
        if kind == b"DRAIN":
            self.is_draining = True
        elif kind in (b"EXPIRED", b"REVOKED"):
            self.ended[words[3]] = kind.decode().lower()

    @staticmethod
    def _wake_listener(listener: Request) -> None:
        listener.reply = b"!"
        listener.wake()

    # The end

    def end(self, fault: str) -> None:
        """Ends the session. Each caller that waits is woken, with an empty reply."""
        if self.fault is None:
            self.fault = fault
        given_up = [settled for _, settled in list(self._queued.values())] + list(self._unanswered.values())
        self._queued.clear()
        self._unanswered.clear()
        for request in filter(None, given_up):
            self._settle(request)
        for request in list(self._open.values()):
            if request.reply is None:
                request.reply = b""
            request.wake()
        self._open.clear()
        if self.listener is not None:
            self._wake_listener(self.listener)
