"""What a session's socket has to read, without reading it: whether a grant has ended by that.

Only calls read the socket. So a program that holds a grant and calls nothing would not notice the end of the grant.
Looking ahead takes nothing from the socket, so it cannot disturb the thread or the event loop that reads, and a signal
handler or finalizer may do it too.
"""

from __future__ import annotations

from select import POLLIN, POLLRDHUP, poll
from socket import MSG_DONTWAIT, MSG_PEEK

from ._until import until_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Protocol

    from ._received import Received

    class Watched(Protocol):
        """The parts of a session that are needed here."""

        _socket: socket.socket
        _input: tuple[list[bytes], list[bytes], Received]


#: What is looked at first, and the size of a socket's whole queue.
_SIZES = (16_384, 1 << 20)


def shows_end(session: Watched, name: bytes, token: bytes) -> bool:
    """Returns whether the connection's end can be read, or a notice that this grant has ended.

    Bytes move from the socket to the session's input, and from there to its fields. Look at the fields after this call:
    then nothing that moves meanwhile is missed.
    """
    look = poll()
    try:
        look.register(session._socket, POLLIN | POLLRDHUP)
        ready = look.poll(0)
    except (OSError, ValueError):  # The socket is closed.
        return True
    if ready and ready[0][1] & ~POLLIN:
        return True
    chunks, lines, _ = session._input
    if not ready and not chunks and not lines:
        return False
    text = _unread(session) if ready else _stored(session)
    notices = (b"\n! %s %s %s" % (kind, name, token) for kind in (b"EXPIRED", b"REVOKED"))
    return any(notice + end in text for notice in notices for end in (b"\n", b" "))


def latest_until(session: Watched) -> float:
    """Returns the latest moment that lines state which no call has read, for grants on shared locks; 0 without any."""
    lines = _unread(session).split(b"\n")
    # The last line may be a part of one.
    return max((until_of(line) for line in lines[:-1] if line.startswith(b"! UNTIL ")), default=0.0)


def _stored(session: Watched) -> bytes:
    """Returns the input that was read and is not processed yet."""
    chunks, lines, _ = session._input
    return b"\n".join([b"", *reversed(lines), b"".join(chunks)])


def _unread(session: Watched) -> bytes:
    """Returns the input that is not processed yet, also that which is in the socket."""
    while True:
        before = _stored(session)
        unread = b""
        for size in _SIZES:
            try:
                unread = session._socket.recv(size, MSG_PEEK | MSG_DONTWAIT)
            except OSError:  # Another thread has read it, or has closed the socket.
                unread = b""
            if len(unread) < size:
                break
        # If another thread has read meanwhile, the two parts do not fit together.
        if _stored(session) == before:
            return before + unread
