"""What a session has received, and what a daemon with a keeper sends a second time (protocol.md, "Lines that come again")."""


class Received:
    """Counts the bytes of a session's lines, but for those of RESUMED."""

    def __init__(self) -> None:
        self.resumed = 0
        # The position of the next line, and the most that was ever received.
        self._position = self._received = 0

    @property
    def has_some(self) -> bool:
        return self._received > 0

    def is_new(self, line: bytes) -> bool:
        """Takes a line without its LF. False if it came before, or is `! RESUMED` itself."""
        if line.startswith(b"! RESUMED from="):
            self.resumed += 1
            self._position = int(line.partition(b"=")[2])
            return False
        self._position += len(line) + 1
        if self._position <= self._received:
            return False
        self._received = self._position
        return True
