"""Cached grants: what a thread has released and can take again without the daemon, until another request wants it.

The steps are in `_slots`, an extension in C. Where it is missing, or this process does not permit it, a client asks for
no slots, and each request goes to the daemon. Everything else is the same.

A cached grant belongs to its owner, a thread (`_owner`). Its slot says whether it is held. A `Cell` has the cached
grants of one lock, one for each thread, and for each the `Grant` that becomes live with the next hold. So what is held
by a slot is a grant in the lock's `Book` as any other one:

    RELEASE by a slot   the swap, the end of the grant, and its removal from the book: one call of C
    acquire by a slot   the swap, and the same grant in the book again: one call of C

No signal handler runs in such a call. If it returns False, the request goes to the daemon, as without a cache.

The extension also has the usual exchange of a request, with or without a cache: its line and its reply in one call.
"""

from __future__ import annotations

import _thread
import os
import socket
import struct

from ._deadline import step
from ._sockets import bound_wait, no_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional

    from ._slots import Cell, Memory, Slot, Wire

#: How long the daemon may take to hand over the slots, in seconds.
_PATIENCE = 1.5
_SIZE = (4_096,)
_ROOM = socket.CMSG_SPACE(8 * 4)
_TWO = 2


def is_possible() -> bool:
    """Returns whether this process can use slots."""
    # With gevent's patches, an owner is a greenlet, and the extension tells only threads apart.
    if os.environ.get("PRWLOCK_NO_EXTENSION") or _thread._local.__module__ != "_thread":
        return False
    try:
        from . import _slots  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def new_cell() -> Cell:
    """Returns a cell without cached grants."""
    from ._slots import new_cell

    return new_cell()


def new_wire(
    connection: socket.socket, open: dict[bytes, Any], waiting: list[Any], queued: dict[bytes, Any]
) -> Wire:
    """Returns what sends the requests of a session and reads their replies, each in one call."""
    from ._slots import new_wire

    return new_wire(connection.fileno(), open, waiting, queued)


def ask(connection: socket.socket, path: str, end: Optional[float]) -> tuple[Optional[Memory], bytes]:
    """Asks a daemon that has answered for the slots of its session. No other thread may use the connection yet.

    Returns:
        The memory; None if there are no slots. And all bytes that the daemon has sent meanwhile.

    Raises:
        DaemonTimeout: it did not answer in time.
    """
    messages: list[tuple[bytes, list[Any], int, Any]] = []
    try:
        try:
            connection.send(b"HELLO cache=1\nPING\n")
            bound_wait(connection, socket.SO_RCVTIMEO, step(_PATIENCE, end))
            while not _is_answered(messages):
                # One call of C, so an interrupt cannot lose what was received.
                messages.extend(map(connection.recvmsg, _SIZE, (_ROOM,), (socket.MSG_CMSG_CLOEXEC,)))
        except BlockingIOError:
            raise no_answer(connection, path) from None
        except ConnectionError:
            # The next request finds that out.
            pass
        return _map(_descriptors(messages)), b"".join(message[0] for message in messages)
    finally:
        for descriptor in _descriptors(messages):
            os.close(descriptor)


def _is_answered(messages: Sequence[tuple[bytes, list[Any], int, Any]]) -> bool:
    if not messages:
        return False
    received = b"\n" + b"".join(message[0] for message in messages)
    return not messages[-1][0] or b"\nPONG\n" in received


def _descriptors(messages: Sequence[tuple[bytes, list[Any], int, Any]]) -> list[int]:
    found: list[int] = []
    for _, ancillary, _, _ in messages:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found += struct.unpack(f"{len(data) // 4}i", data[: len(data) // 4 * 4])
    return found


def _map(descriptors: list[int]) -> Optional[Memory]:
    from ._slots import map_slots

    return map_slots(descriptors[0], descriptors[1]) if len(descriptors) == _TWO else None


def slot_of(memory: Memory, words: list[bytes]) -> Optional[Slot]:
    """Returns the slot of a grant, by the words of its reply; None if it is not cached."""
    if len(words) < 7 or not words[5].startswith(b"slot=") or not words[6].startswith(b"gen="):
        return None
    index, generation = words[5][5:], words[6][4:]
    if not index.isdigit() or not generation.isdigit() or len(index) > 9 or len(generation) > 19:
        return None
    return memory.slot(int(index), int(generation))
