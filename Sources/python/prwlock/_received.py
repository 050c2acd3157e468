"""What a session has received, and which part of it the daemon sends a second time.

A daemon that goes on after a fault does not know whether its last write reached the client. It sends
``! RESUMED from=P``, and then all from byte P on, counted without the lines of this notice. So a client that has
received more than P bytes passes over what it has already. No texts are compared, so two equal lines are not confused.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

_NOTICE = b"! RESUMED from="


class Received:
    """The number of bytes that were received, and how many of them are known.

    `sift` changes nothing, so an interrupted reader can repeat it. Other whole lines may be added to `pieces`, unless
    the daemon `repeats`.
    """

    __slots__ = ("_count", "_known", "pieces", "repeats")

    def __init__(self, count: int = 0, known: int = 0) -> None:
        self._count = count
        self._known = known
        #: Lines, each with its end, that are not counted yet.
        self.pieces: list[bytes] = []
        #: Whether the next line came before.
        self.repeats = count < known

    def counted(self) -> Received:
        """Returns the same without pieces. Use it now and then, as the pieces take memory."""
        return Received(self._count + sum(map(len, self.pieces)), self._known)

    def sift(self, lines: list[bytes]) -> tuple[Received, list[bytes]]:
        """Returns what is received after these lines, and those of them that are new."""
        start = self.counted()
        text = b"\n".join(lines)
        if not self.repeats and _NOTICE not in text:
            return Received(start._count + (len(text) + 1 if lines else 0), self._known), lines
        return start._sift(lines)

    def _sift(self, lines: list[bytes]) -> tuple[Received, list[bytes]]:
        count, known, new = self._count, self._known, []
        for line in lines:
            position = _position(line)
            if position is not None:
                known = max(known, count)
                count = position
                continue
            if count >= known:
                new.append(line)
            count += len(line) + 1
        return Received(count, known), new


def _position(line: bytes) -> Optional[int]:
    """Returns the byte from which on the daemon sends again; None for other lines."""
    number = line[len(_NOTICE) :].partition(b" ")[0]
    return int(number) if line.startswith(_NOTICE) and number.isdigit() and len(number) < 20 else None
