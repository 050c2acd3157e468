"""The grant of a background process, which holds it for a client and changes it for later calls of ``hold``.

A process holds a lock once, as an open file is locked once: a later ``hold`` for the same process changes the mode, and
is granted at once if the mode is the same (as flock(1) does with one descriptor). Only this process can change the
grant, because the grant belongs to its session (G6). So the later call finds it by its mark, and asks it.

                a caller connects                asks for another mode
    [ HOLDING ] ─────────────────▶ [ HEARING ] ──────────────────────▶ [ CHANGING ]
         ▲                           │     ▲                                │
         └──── the caller hangs up ──┘     └── passes on the daemon's reply ┘

1. It serves one caller at a time. The others wait in the socket's backlog.
2. A change that the daemon refuses leaves the grant as it was. `flock(2)` would have lost the lock.
3. If a caller hangs up in `CHANGING`, the change is cancelled, and undone if it was granted nevertheless.
"""

from __future__ import annotations

import os
import socket
import struct
from time import monotonic
from typing import NamedTuple, Optional

from . import _hold_mark
from ._deadline import PATIENCE
from ._hold_mark import Watch
from ._talk import Ended, Talk
from ._until import GLANCE, boot_now, until_of

#: In the order of their strength.
MODES = (b"read", b"update", b"write")
_TAG = b"#change"
#: How often a client without a descriptor is looked at, in seconds.
_LOOK = 0.05


class Wanted(NamedTuple):
    """What is requested from the daemon: the name is encoded, the options are those behind ``owner=``."""

    mode: bytes
    name: bytes
    owner: bytes
    options: bytes
    lease: Optional[float]

    def line(self, mode: bytes, wait: bytes) -> bytes:
        """Returns the request in that mode."""
        return b"%s %s owner=%s%s%s" % (mode.upper(), self.name, self.owner, self.options, wait)


class GrantKeeper:
    """The grant, its lease, and the caller that is served."""

    def __init__(self, talk: Talk, wanted: Wanted, token: int, until: float) -> None:
        self._talk = talk
        #: Until when the grant counts, by the clock of `boot_now`; 0 if hosts do not share the lock.
        self._until = until
        self._wanted = wanted
        self._mode = wanted.mode
        self._token = token
        self._caller: Optional[socket.socket] = None
        #: The mode that was requested, and the token of a grant that must be released then.
        self._pending: Optional[tuple[bytes, Optional[int]]] = None
        # Other users see the name but are refused, and cannot take it before this process does.
        self._socket_name = f"prwlock-holder-{os.urandom(8).hex()}"
        self._callers = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._callers.bind("\0" + self._socket_name)
        self._callers.listen(64)
        self._mark = -1
        self._renew_at: Optional[float] = None
        self._open_mark()

    @property
    def descriptors(self) -> set[int]:
        """The descriptors to keep open in the background."""
        return {self._talk.socket.fileno(), self._callers.fileno(), self._mark}

    def _open_mark(self) -> None:
        name = _hold_mark.mark_name(self._wanted.name, self._wanted.owner, self._token, self._talk)
        former, self._mark = self._mark, _hold_mark.open_mark(name, self._socket_name)
        if former >= 0:
            os.close(former)
        self._plan_renewal()

    def _plan_renewal(self) -> None:
        if self._wanted.lease is not None:
            self._renew_at = monotonic() + self._wanted.lease / 3

    def hold(self, client: Watch, termination: int) -> bool:
        """Holds the grant until the client ends, or SIGTERM arrives; returns True if the grant was lost before."""
        try:
            while True:
                watched = [*client.descriptors, termination]
                # The next caller waits until the change of the one before is settled.
                if self._caller is not None:
                    watched.append(self._caller.fileno())
                elif self._pending is None:
                    watched.append(self._callers.fileno())
                # When the time is over, first the lines that have come: this process may have been stopped, too.
                is_over = 0 < self._until <= boot_now()
                moments = [self._renew_at, None if client.descriptors else monotonic() + _LOOK]
                if self._until:
                    # Now and then, because this wait stands still while the machine sleeps.
                    moments.append(monotonic() + max(0.0, min(GLANCE, self._until - boot_now())))
                event = self._talk.event(watched, min(filter(None, moments), default=None))
                if event is None and is_over:
                    return True
                if isinstance(event, bytes):
                    if self._is_loss(event.split(b" ")):
                        return True
                elif event is None:
                    if not client.descriptors and client.has_ended:
                        break
                    self._renew()
                elif event > len(client.descriptors):
                    self._hear()
                else:
                    break
        except Ended:
            return True
        self.release(self._token)
        return False

    def release(self, token: int) -> None:
        """Releases a grant, and waits for that: ``release`` waits only for the end of this process."""
        self._talk.send(b"#release RELEASE %s token=%d" % (self._wanted.name, token))
        end = monotonic() + PATIENCE
        try:
            while monotonic() < end:
                event = self._talk.event(until=end)
                if isinstance(event, bytes) and event.startswith(b"#release "):
                    return
        except Ended:  # The next `event` says so again.
            pass

    def _renew(self) -> None:
        if self._renew_at is not None and monotonic() >= self._renew_at:
            self._talk.send(b"RENEW %s token=%d" % (self._wanted.name, self._token))
            self._plan_renewal()

    def _is_loss(self, words: list[bytes]) -> bool:
        """Carries out a line of the daemon; returns True if it says that the grant has ended."""
        if words[0] == _TAG:
            self._settle(words[1:])
            return False
        if words[:2] == [b"!", b"UNTIL"]:
            self._until = self._until and max(self._until, until_of(b" ".join(words)))
            return False
        if words[0] == b"!":
            of_this = [self._wanted.name, b"token=%d" % self._token]
            return words[1] in (b"EXPIRED", b"REVOKED") and words[2:4] == of_this
        return words[:2] == [b"ERROR", b"not-held"]

    # Callers

    def _hear(self) -> None:
        if self._caller is None:
            caller, _ = self._callers.accept()
            _, user, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if user == os.geteuid():
                self._caller = caller
            else:
                caller.close()
            return
        try:
            # A request is one short line, which arrives as a whole.
            line = self._caller.recv(4096, socket.MSG_DONTWAIT)
        except OSError:
            line = b""
        words = line.rstrip(b"\n").split(b" ")
        is_of_this = words[1:2] == [self._wanted.name] and b"owner=" + self._wanted.owner in words
        if self._pending is not None or words[0].lower() not in MODES or not is_of_this:
            self._hang_up()
            return
        waits = [b" " + word for word in words if word.startswith(b"wait=")]
        self._change(words[0].lower(), b"".join(waits))

    def _hang_up(self) -> None:
        if self._caller is not None:
            self._caller.close()
        self._caller = None
        if self._pending is not None:
            self._talk.send(b"CANCEL %s owner=%s" % (self._wanted.name, self._wanted.owner))

    def _answer(self, reply: bytes) -> None:
        if self._caller is not None:
            try:
                self._caller.send(reply + b"\n", socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            except OSError:  # It has hung up, which the next read shows.
                pass

    # Changes

    def _change(self, mode: bytes, wait: bytes) -> None:
        name = self._wanted.name
        if mode == self._mode:
            self._answer(b"GRANTED %s %s token=%d" % (name, mode, self._token))
            return
        replaced = None
        if MODES.index(mode) < MODES.index(self._mode):
            line = b"DOWNGRADE %s token=%d to=%s" % (name, self._token, mode)
        elif mode == b"write":
            line = b"UPGRADE %s token=%d%s" % (name, self._token, wait)
        else:
            # No request changes `read` to `update`. But an owner may hold both, and then release one.
            line = self._wanted.line(mode, wait)
            replaced = self._token
        self._pending = (mode, replaced)
        self._talk.send(b"%s %s" % (_TAG, line))

    def _settle(self, reply: list[bytes]) -> None:
        if self._pending is None:
            return
        (mode, replaced), self._pending = self._pending, None
        if reply[0] == b"GRANTED":
            before, self._mode = self._mode, mode
            token = int(reply[3].partition(b"=")[2])
            if replaced is not None:
                self.release(replaced)
            self._until = self._until and max(self._until, until_of(b" ".join(reply)))
            if token != self._token:
                self._token = token
                # Before the caller gets the answer: then it may call `release`.
                self._open_mark()
            if self._caller is None and MODES.index(before) < MODES.index(mode):
                self._talk.send(b"DOWNGRADE %s token=%d to=%s" % (self._wanted.name, token, before))
                self._mode = before
        self._answer(b" ".join(reply))
