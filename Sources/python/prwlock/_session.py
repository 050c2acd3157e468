"""One session with the daemon without I/O: bytes in, lines out, and the states of each request.

A `Session` has no socket, no clock and no thread. `_connection` drives it for threads and `aio._connection` for an
event loop; the tests drive it in virtual time. A request goes through these states:

    [ OPEN ] ─ a reply ──────────────────────────▶ [ ANSWERED ]
       │ `give_up`: CANCEL is queued                    │ `give_up`, and a lock was granted
       ▼                                                ▼
    [ GIVEN UP ] ─ a lock is granted nevertheless ─▶ [ RETURNING ] (RELEASE is queued)
       │ the reply to CANCEL                            │ the reply to RELEASE
       └────────────────────▶ [ SETTLED ] ◀─────────────┘

Python may raise ``KeyboardInterrupt`` between any two steps. So every step can be repeated:

1. Lines move from one list to another in one call of C (`move`), so no line is lost or doubled.
2. A reply stays in `_input` until its request has it. No tag is used twice, so a second dispatch changes nothing.
   What leaves `_input` is counted in the same step, as `_received` needs the exact number of bytes.
3. A request is in `_open` before its line is sent. `give_up` may be called any number of times.
"""

from __future__ import annotations

from os import getpid

from ._errors import DaemonUnavailable
from ._received import Received
from ._until import until_of
from ._wire import release_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Optional

#: The most lines without a waiting caller that may be unanswered. The replies to more lines could fill the socket.
MOST_UNANSWERED = 2_000
#: The most lines in one piece. The kernel accepts a piece of this size as a whole, or nothing of it.
_PIECE = 30
#: How long a request waits after its end, in seconds. If this process was stopped, the reply may be there to be read.
ONCE_MORE = 0.05
_LAST = (-1,)
#: The most replies that are kept until they are counted.
MOST_PIECES = 200


def move(take: Callable[[int], bytes], argument: Sequence[int], into: list[bytes]) -> None:
    """Appends what `take` returns to a list, in one call of C: no exception can be raised in between."""
    into.extend(map(take, argument))


class Request:
    """A line for the daemon, and what becomes of it.

    Args:
        tag: The tag, with the space behind it.
        end: When the request reaches its timeout; None if never.
        accept: Called with a reply that comes after `give_up`. Without it, a late grant is released.
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
        """Returns whether the request has reached its timeout. The first time, `end` moves: see `ONCE_MORE`."""
        if self.end is None or now < self.end:
            return False
        if self.is_late:
            return True
        self.is_late = True
        self.end = now + ONCE_MORE
        return False

    def wake(self) -> None:
        """Wakes the caller, which waits for a reply or until the request is settled."""


class Session:
    """The state of one session; see the module."""

    def __init__(self, received: bytes, path: str) -> None:
        #: The daemon's socket, for people.
        self.path = path
        #: The process that connected. A forked child must not use the session.
        self.pid = getpid()
        #: Why the session has ended; None while it lives.
        self.fault: Optional[str] = None
        #: Whether the daemon drains, so that it grants nothing more.
        self.is_draining = False
        #: Why grants were lost (``expired``, ``revoked`` or ``unconfirmed``), by their tokens as on the wire.
        self.ended: dict[bytes, str] = {}
        #: Until when grants on shared locks count, by the clock of `boot_now`: the latest moment that was stated.
        self.until = 0.0
        #: The chunks that were read, the complete lines of earlier chunks, the next line last, and how much those
        #: chunks had. All change in one assignment.
        self._input: tuple[list[bytes], list[bytes], Received] = ([received] if received else [], [], Received())
        self._rows: list[bytes] = []
        self._open: dict[bytes, Request] = {}
        #: Lines to be sent that have no waiting caller, by their tags, each with the request that its reply settles.
        self._queued: dict[bytes, tuple[bytes, Optional[Request]]] = {}
        #: The same for such lines that were sent and are not answered.
        self._unanswered: dict[bytes, Optional[Request]] = {}
        #: The notices that the listener has not taken; none without a listener.
        self.notices: list[bytes] = []
        self.listener: Optional[Request] = None

    @property
    def is_usable(self) -> bool:
        """Whether new requests may be sent on this session."""
        return self.fault is None and not self.is_draining and self.pid == getpid()

    def gone(self) -> DaemonUnavailable:
        """Returns the error for a request that the session's end leaves without a reply."""
        return DaemonUnavailable(f"the connection to the lock daemon at {self.path} ended: {self.fault}")

    # Requests

    def open(self, request: Request) -> bytes:
        """Begins a request, and returns the line to send."""
        self._open[request.tag] = request
        return b"%s%s\n" % (request.tag, request.text)

    def give_up(self, request: Request) -> None:
        """Cancels a request that has no waiting caller any more, and releases the grant if it was granted."""
        # First set the flag, then check for a reply. `_answer` does the opposite, so one of the two releases a grant.
        request.is_given_up = True
        if request.reply is not None:
            self._give_back(request)
        elif request.text.startswith(b"RELEASE "):
            # The line may not have been sent. Releasing twice changes nothing.
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
        """Whether no line is queued, and all requests that were given up are settled."""
        return not self._queued and not any(list(self._unanswered.values()))

    def given_up(self, name: bytes, owner: bytes) -> list[Request]:
        """Returns the requests of an owner for a lock that were given up and are not settled."""
        found = []
        for settled in [*list(self._unanswered.values()), *(settled for _, settled in list(self._queued.values()))]:
            if settled is not None and not settled.is_settled:
                words = settled.text.split(b" ", 3)
                if words[1:3] == [name, b"owner=" + owner]:
                    found.append(settled)
        return found

    # Lines without a waiting caller

    def release_later(self, name: bytes, token: bytes) -> None:
        """Queues a release. A finalizer may call this at any time."""
        self._queue(b"#%s " % token.replace(b"=", b"-"), b"RELEASE %s %s" % (name, token), None)

    def _queue(self, tag: bytes, text: bytes, settled: Optional[Request]) -> None:
        if self.fault is None:
            self._queued[tag] = (text, settled)

    @property
    def has_queued(self) -> bool:
        """Whether `flush` has something to send."""
        return bool(self._queued)

    def flush(self, send: Callable[[bytes], object]) -> None:
        """Sends the queued lines in pieces, until `send` raises ``OSError`` because the socket has no room.

        A line leaves the queue after it was sent, so it may be sent twice. A second release or cancellation changes
        nothing.
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
        """Queues releases by owner for all open requests, or for those that were given up; before the session ends.

        Otherwise a request that is granted just before the end would look like the death of a writer (G11).
        """
        for request in list(self._open.values()):
            release = release_of(request.text) if is_all or request.is_given_up else None
            if release is not None:
                self._queue(request.tag[:-1] + b".e ", release, None)

    # Input

    @property
    def inbox(self) -> list[bytes]:
        """The list for chunks that were read; then call `receive`."""
        return self._input[0]

    def receive(self, expected: Optional[Request] = None) -> None:
        """Processes the chunks in `inbox`. The next reply most likely answers the request `expected`."""
        chunks, lines, received = self._input
        if expected is not None and len(chunks) == 1 and not lines and not self._rows and not received.repeats:
            chunk = chunks[0]
            # By far the most frequent case: one line, which is the reply to the caller.
            if chunk.startswith(expected.tag) and chunk.find(b"\n") == len(chunk) - 1:
                expected.reply = chunk[:-1]
                self._open.pop(expected.tag, None)
                move(chunks.pop, _LAST, received.pieces)
                if len(received.pieces) > MOST_PIECES:
                    self._input = (chunks, lines, received.counted())
                return
        if not lines:
            if chunks and not chunks[-1]:
                self.end("the daemon closed it")
                return
            *lines, rest = b"".join(chunks).split(b"\n")
            received, lines = received.sift(lines)
            lines.reverse()
            self._input = ([rest] if rest else [], lines, received)
        while lines:
            line = lines[-1]
            try:
                self._dispatch(line, lines)
            except (IndexError, ValueError):
                # No daemon sends such a line, so do not trust the next lines either.
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
            if len(request.rows) != int(line.split(b" ", 3)[2]):
                raise ValueError("rows are missing")
        if b" until=" in line:
            self.extend(line)
        request.reply = line
        if request.is_given_up:
            self._give_back(request)
        self._open.pop(request.tag, None)
        request.wake()

    def _answer_queued(self, tag: bytes) -> None:
        settled = self._unanswered[tag]
        # The daemon answers the request first, then CANCEL, then RELEASE if there is one.
        if settled is not None and (tag.endswith(b".r ") or not settled.is_returning):
            self._settle(settled)
        self._unanswered.pop(tag, None)

    def _note(self, words: list[bytes]) -> None:
        kind = words[1]
        if kind == b"DRAIN":
            self.is_draining = True
        elif kind in (b"EXPIRED", b"REVOKED"):
            self.ended[words[3]] = kind.decode().lower()
        elif kind == b"UNTIL":
            self.extend(b" ".join(words))

    def extend(self, line: bytes) -> None:
        """Notes until when grants on shared locks count, by a line that says so."""
        self.until = max(self.until, until_of(line))
        if self.listener is not None:
            self._wake_listener(self.listener)

    @staticmethod
    def _wake_listener(listener: Request) -> None:
        listener.reply = b"!"
        listener.wake()

    # The end

    def end(self, fault: str) -> None:
        """Ends the session: every waiting caller wakes up with an empty reply."""
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
