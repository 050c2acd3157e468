"""The process that was called as ``run``, while its child becomes the command.

                   granted                     lost: TERM                     KILL
    [ ASKING ] ──────────────▶ [ GUARDING ] ─────────────▶ [ ENDING ] ──────────────────▶ [ ENDING ]
        │                           │                           │  `kill_after` has passed      │
        └────── the child ended ────┴── its end is passed on ───┴────────── status 79 ──────────┘

It does for the command what a caller expects of the process that it started: it passes on signals that were sent to it
alone, stops and goes on with the command, and ends as the command ended. It renews the lease, and ends the command when
the grant is lost. It asks for no lock itself: the session is the child's, and this process has a copy of its socket.

All that it waits for comes as a signal, so that one `sigtimedwait` waits for everything, and says who sent it: SIGCHLD
of the child, and SIGIO of the channel to the child and of the connection. Signals of one kind are merged while they
are blocked, so each look takes all that is there.

Interleavings that matter:

- The command ends, and the daemon therefore closes the connection, before this process knows of either. So before it
  believes a loss, this process looks whether the child has ended.
- The notice of a loss comes together with the grant, and the child reads it before it hands the connection over. So
  this process first asks the daemon whether the token is valid.
- What arrives before SIGIO is asked for sends none. So there is a look after that.
- A signal killed the command: the daemon looks at the status of the dead process for the mark (G11), which is gone once
  the process was waited for. So this process waits for it only after the daemon has closed the session.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import time
from typing import TYPE_CHECKING, NoReturn, Optional

from ._shown import harmless
from ._standard import complain
from ._wire import decode_name, milliseconds

if TYPE_CHECKING:
    from ._run import Asked

#: The exit status that says that the lock was lost while the command ran.
LOST = 79
_SI_KERNEL = 0x80
#: What a terminal sends to all processes of its foreground.
_OF_GROUPS = {
    signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH, signal.SIGCONT,
}  # fmt: skip
#: Of these a process cannot wait for its own.
_OWN = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGKILL, signal.SIGSTOP}
#: How long the daemon may take to notice that the command was killed, in seconds.
_PATIENCE = 0.5
#: More processes than this are in no line from a process to its ancestor.
_LONGEST_LINE = 100


def taken() -> set[int]:
    """The signals that this process waits for; to be blocked before the child is made, so that none is lost."""
    return {int(number) for number in signal.valid_signals()} - _OWN


class Monitor:
    """Guards a child to its end, and ends as it ended."""

    def __init__(self, child: int, channel: socket.socket, asked: Asked, kill_after: float) -> None:
        self._child = child
        self._channel: Optional[socket.socket] = channel
        self._asked = asked
        self._kill_after = kill_after
        self._connection: Optional[socket.socket] = None
        self._token = 0
        self._heard = b""
        #: How the child ended; it was not waited for yet.
        self._end: Optional[os.waitid_result] = None
        self._loss: Optional[str] = None
        self._kill_at: Optional[float] = None
        self._renew_at: Optional[float] = None

    def guard(self) -> NoReturn:
        """Returns never: it ends this process."""
        status = 1
        try:
            self._keep_nothing_else()
            self._await_end()
            status = self._pass_on()
        finally:
            os._exit(status)

    def _keep_nothing_else(self) -> None:
        """Lets go of what the command was given: a reader of the command's pipes is to see their end with its end."""
        assert self._channel is not None
        kept = {2, self._channel.fileno()}
        for entry in os.listdir("/proc/self/fd"):
            if int(entry) > 2 and int(entry) not in kept:
                try:
                    os.close(int(entry))
                except OSError:  # The one of the listing itself.
                    pass
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for number in (0, 1):
            os.dup2(nothing, number)
        os.chdir("/")

    def _await_end(self) -> None:
        self._listen(self._channel)
        while True:
            self._collect()
            if self._end is not None:
                return
            self._take_handover()
            self._hear()
            self._act_in_time()
            moments = [moment for moment in (self._kill_at, self._renew_at) if moment is not None]
            if moments:
                information = signal.sigtimedwait(taken(), max(0.0, min(moments) - time.monotonic()))
            else:
                information = signal.sigwaitinfo(taken())
            if information is not None and self._is_passed_on(information):
                self._send(information.si_signo)

    @staticmethod
    def _listen(connection: Optional[socket.socket]) -> None:
        """Asks for a SIGIO whenever something arrives."""
        if connection is not None:
            fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)

    def _send(self, number: int) -> None:
        # The child was not waited for, so its number is still its own.
        os.kill(self._child, number)

    # The grant

    def _take_handover(self) -> None:
        if self._channel is None:
            return
        try:
            message, descriptors, _, _ = socket.recv_fds(self._channel, 32, 1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        self._channel.close()
        self._channel = None
        if not descriptors:
            return
        self._connection = socket.socket(fileno=descriptors[0])
        os.set_inheritable(descriptors[0], False)
        self._token = int(message)
        self._listen(self._connection)
        self._say(b"VALIDATE %s token=%d\n" % (self._asked.name, self._token))
        self._plan_renewal()

    def _plan_renewal(self) -> None:
        if self._asked.lease is not None and self._loss is None:
            self._renew_at = time.monotonic() + self._asked.lease / 3

    def _say(self, line: bytes) -> None:
        assert self._connection is not None
        try:
            self._connection.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:  # Its end is heard next.
            pass

    def _hear(self) -> None:
        """Takes what the daemon has said, and looks for the end of the grant in it."""
        if self._connection is None or self._loss is not None:
            return
        while self._loss is None:
            try:
                chunk = self._connection.recv(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            if not chunk:
                self._lose("the lock daemon ended, or closed the connection")
                return
            *lines, self._heard = (self._heard + chunk).split(b"\n")
            for line in lines:
                self._judge(line.split(b" "))

    def _judge(self, words: list[bytes]) -> None:
        of_this = [self._asked.name, b"token=%d" % self._token]
        if words[0] == b"STALE" and words[1:3] == of_this:
            self._lose("it had ended before the command began")
        elif words[0] == b"!" and words[2:4] == of_this and words[1] in (b"EXPIRED", b"REVOKED"):
            self._lose("its lease ended" if words[1] == b"EXPIRED" else "it was revoked")
        elif words[:2] == [b"ERROR", b"not-held"]:
            self._lose("its lease could not be renewed")

    def _lose(self, reason: str) -> None:
        """Ends the command that has lost its grant."""
        if self._loss is not None:
            return
        # The session of a command that has ended is closed as well.
        self._collect()
        if self._end is not None:
            return
        self._loss = reason
        self._renew_at = None
        self._kill_at = time.monotonic() + self._kill_after
        self._send(signal.SIGTERM)
        # A stopped command does not hear it.
        self._send(signal.SIGCONT)
        name = harmless(decode_name(self._asked.name))
        complain(f"the lock {name} was lost ({reason}), and so the command is ended")

    def _act_in_time(self) -> None:
        now = time.monotonic()
        if self._renew_at is not None and now >= self._renew_at:
            lease = b"%dms" % milliseconds(self._asked.lease or 0)
            self._say(b"RENEW %s token=%d lease=%s\n" % (self._asked.name, self._token, lease))
            self._plan_renewal()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            self._send(signal.SIGKILL)

    # Signals and children

    def _is_passed_on(self, information: signal.struct_siginfo) -> bool:
        number = information.si_signo
        if number in (signal.SIGCHLD, signal.SIGIO):
            return False
        if information.si_code == _SI_KERNEL:
            # A terminal that hangs up tells the leader of its session only.
            if number == signal.SIGHUP:
                return os.getsid(0) == os.getpid()
            return number not in _OF_GROUPS
        if number == signal.SIGCONT:
            # A shell continues the whole group, and the command goes on by itself then.
            return _state(self._child) == "T"
        # What the command or a descendant of it sends, as by `kill 0`, would be an echo.
        return information.si_pid <= 0 or not self._is_of_command(information.si_pid)

    def _is_of_command(self, process: int) -> bool:
        for _ in range(_LONGEST_LINE):
            if process == self._child:
                return True
            if process <= 1:
                return False
            process = _parent(process)
        return False

    def _collect(self) -> None:
        """Looks at children: this one, and as process 1 also all that have lost their parents."""
        try:
            while True:
                stopped = os.waitid(os.P_PID, self._child, os.WSTOPPED | os.WNOHANG)
                if stopped is None:
                    break
                self._stop(stopped.si_status)
        except ChildProcessError:
            # It has ended, and so it cannot be stopped any more.
            pass
        self._end = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        while True:
            other = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if other is None or other.si_pid == self._child:
                return
            os.waitpid(other.si_pid, os.WNOHANG)

    def _stop(self, number: int) -> None:
        """The command was stopped: so is this process, where a shell waits for that.

        Not without a terminal: a process that stops the command there, and continues it, need not know of this one,
        which would stay stopped.
        """
        try:
            terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            is_in_foreground = os.tcgetpgrp(terminal) == os.getpgrp()
        except OSError:
            is_in_foreground = False
        finally:
            os.close(terminal)
        # A job that was continued in between is not to stop any more.
        if (number != signal.SIGSTOP or is_in_foreground) and signal.SIGCONT not in signal.sigpending():
            _act_on(number)

    # The end

    def _pass_on(self) -> int:
        """Ends as the command ended: by the same signal, or with the status that is returned."""
        end = self._end
        assert end is not None
        if end.si_code != os.CLD_EXITED and self._loss is None and self._connection is not None:
            self._await_end_of_session(self._connection)
        os.waitpid(self._child, os.WNOHANG)
        if self._loss is not None:
            return LOST
        if end.si_code == os.CLD_EXITED:
            return end.si_status
        # The core, if there is one, is the command's.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _act_on(end.si_status)
        # Process 1 does not die by signals.
        return 128 + end.si_status

    @staticmethod
    def _await_end_of_session(connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        try:
            while connection.recv(4096):
                pass
        except OSError:
            pass


def _act_on(number: int) -> None:
    """Has a signal do to this process what it does by default: end or stop it."""
    if number != signal.SIGSTOP and number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # It acts as soon as it is not blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})


def _fields(process: int) -> list[str]:
    """What the kernel says of a process, from its state on; nothing of one that has gone."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            # The program's name, in parentheses, may have anything in it.
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _state(process: int) -> str:
    return (_fields(process) or ["?"])[0]


def _parent(process: int) -> int:
    fields = _fields(process)
    return int(fields[1]) if len(fields) > 1 else 0
