"""The monitor: the process that was started as ``run``, while its child becomes the command.

                   granted                     lost: TERM                     KILL
    [ ASKING ] ──────────────▶ [ GUARDING ] ─────────────▶ [ ENDING ] ──────────────────▶ [ ENDING ]
        │                           │                           │  `kill_after` has passed      │
        └────── the child ended ────┴── its end is passed on ───┴────────── status 79 ──────────┘

The monitor behaves as a caller expects of the process that it started: it forwards signals that were sent only to the
monitor, stops and continues with the command, and ends in the same way as the command. It renews the lease, and ends
the command when the grant is lost. It requests no lock: the session belongs to the child, and the monitor has a copy of
the socket.

Every event arrives as a signal, so one `sigtimedwait` waits for all of them and reports their senders: SIGCHLD for the
child, SIGIO for the channel to the child and for the connection. The kernel merges blocked signals of one kind, so the
monitor handles all pending events after each signal.

Interleavings that matter:

- The command ends, and the daemon closes the connection, before the monitor knows of either. So the monitor checks
  whether the child has ended before it reports a loss.
- The notice of a loss comes together with the grant, and the child reads it before it passes the connection on. So the
  monitor first asks the daemon whether the token is valid.
- Data that arrives before SIGIO is enabled causes no signal. So the monitor reads once after that.
- A signal killed the command. For the mark (G11) the daemon reads the status of the dead process, which exists until
  the process is waited for. So the monitor waits for the process only after the daemon has closed the session.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import time
from typing import TYPE_CHECKING, NoReturn, Optional

from ._deadline import LOOK
from ._harmless import harmless
from ._standard import complain
from ._until import GLANCE, UNCONFIRMED, boot_now, until_of
from ._wire import decode_name, milliseconds

if TYPE_CHECKING:
    from ._run import Asked

#: The exit status if the lock was lost while the command ran.
LOST = 79
_SI_KERNEL = 0x80
#: The signals that a terminal sends to all processes of the foreground.
_OF_GROUPS = {
    signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH, signal.SIGCONT,
}  # fmt: skip
#: Signals that a process cannot wait for.
_OWN = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGKILL, signal.SIGSTOP}
#: How long the daemon may take to notice that the command was killed, in seconds.
_PATIENCE = 0.5
#: The most ancestors of a process that are checked.
_LONGEST_LINE = 100


def taken() -> set[int]:
    """Returns the signals to wait for. Block them before the fork, so that none is lost."""
    return {int(number) for number in signal.valid_signals()} - _OWN


class Monitor:
    """Guards a child until it ends, and then ends in the same way."""

    def __init__(self, child: int, channel: socket.socket, asked: Asked, kill_after: float) -> None:
        self._child = child
        self._channel: Optional[socket.socket] = channel
        self._asked = asked
        self._kill_after = kill_after
        self._connection: Optional[socket.socket] = None
        self._token = 0
        self._heard = b""
        #: How the child ended. It is a zombie then.
        self._end: Optional[os.waitid_result] = None
        self._loss: Optional[str] = None
        self._kill_at: Optional[float] = None
        self._renew_at: Optional[float] = None
        #: Until when the grant counts, by the clock of `boot_now`; None if hosts do not share the lock.
        self._until: Optional[float] = None

    def guard(self) -> NoReturn:
        """Guards the child, and then ends this process."""
        status = 1
        try:
            self._keep_nothing_else()
            self._await_end()
            status = self._pass_on()
        finally:
            os._exit(status)

    def _keep_nothing_else(self) -> None:
        """Closes the command's descriptors, so that the reader of a pipe sees its end when the command ends."""
        assert self._channel is not None
        kept = {2, self._channel.fileno()}
        for entry in os.listdir("/proc/self/fd"):
            if int(entry) > 2 and int(entry) not in kept:
                try:
                    os.close(int(entry))
                except OSError:  # The descriptor of the listing itself.
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
            waits = [moment - time.monotonic() for moment in (self._kill_at, self._renew_at) if moment is not None]
            if self._until is not None and self._loss is None:
                # Now and then, because this wait stands still while the machine sleeps.
                waits.append(min(GLANCE, self._until - boot_now()))
            wait = max(0.0, min(waits, default=LOOK))
            information = signal.sigtimedwait(taken(), wait) if waits else signal.sigwaitinfo(taken())
            if information is not None and self._is_passed_on(information):
                self._send(information.si_signo)

    @staticmethod
    def _listen(connection: Optional[socket.socket]) -> None:
        """Enables SIGIO for a socket."""
        if connection is not None:
            fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
            fcntl.fcntl(connection, fcntl.F_SETFL, fcntl.fcntl(connection, fcntl.F_GETFL) | os.O_ASYNC)

    def _send(self, number: int) -> None:
        # The child was not waited for, so its process id cannot belong to another process.
        os.kill(self._child, number)

    # The grant

    def _take_handover(self) -> None:
        if self._channel is None:
            return
        try:
            message, descriptors, _, _ = socket.recv_fds(self._channel, 64, 1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        self._channel.close()
        self._channel = None
        if not descriptors:
            return
        self._connection = socket.socket(fileno=descriptors[0])
        os.set_inheritable(descriptors[0], False)
        token, until = map(int, message.split())
        self._token = token
        self._until = until / 1_000 if until else None
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
        except OSError:  # The next read reports the end.
            pass

    def _hear(self) -> None:
        """Reads the daemon's lines, and looks for the end of the grant."""
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
        elif words[:2] == [b"!", b"UNTIL"] and self._until is not None:
            self._until = max(self._until, until_of(b" ".join(words)))
        elif words[0] == b"!" and words[2:4] == of_this and words[1] in (b"EXPIRED", b"REVOKED"):
            self._lose("its lease ended" if words[1] == b"EXPIRED" else "it was revoked")
        elif words[:2] == [b"ERROR", b"not-held"]:
            self._lose("its lease could not be renewed")

    def _lose(self, reason: str) -> None:
        """Ends the command because its grant is lost."""
        if self._loss is not None:
            return
        # The session also closes because the command has ended.
        self._collect()
        if self._end is not None:
            return
        self._loss = reason
        self._renew_at = None
        self._kill_at = time.monotonic() + self._kill_after
        self._send(signal.SIGTERM)
        # A stopped command would not receive SIGTERM.
        self._send(signal.SIGCONT)
        name = harmless(decode_name(self._asked.name))
        complain(f"the lock {name} was lost ({reason}), and so the command is ended")

    def _act_in_time(self) -> None:
        now = time.monotonic()
        if self._renew_at is not None and now >= self._renew_at:
            lease = b"%dms" % milliseconds(self._asked.lease or 0)
            self._say(b"RENEW %s token=%d lease=%s\n" % (self._asked.name, self._token, lease))
            self._plan_renewal()
        # The lines that have come were read before: this process may have been stopped, too.
        if self._until is not None and self._until <= boot_now():
            self._lose(UNCONFIRMED)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            self._send(signal.SIGKILL)

    # Signals and children

    def _is_passed_on(self, information: signal.struct_siginfo) -> bool:
        number = information.si_signo
        if number in (signal.SIGCHLD, signal.SIGIO):
            return False
        if information.si_code == _SI_KERNEL:
            # A terminal that hangs up signals only the leader of its session.
            if number == signal.SIGHUP:
                return os.getsid(0) == os.getpid()
            return number not in _OF_GROUPS
        if number == signal.SIGCONT:
            # A shell continues the whole group, so the command may run already.
            return _state(self._child) == "T"
        # Do not return a signal to the command that it or a descendant has sent, as by `kill 0`.
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
        """Checks the child; as process 1 of a container, also reaps orphans."""
        try:
            while True:
                stopped = os.waitid(os.P_PID, self._child, os.WSTOPPED | os.WNOHANG)
                if stopped is None:
                    break
                self._stop(stopped.si_status)
        except ChildProcessError:
            # It has ended, so it cannot be stopped any more.
            pass
        self._end = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        while True:
            other = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if other is None or other.si_pid == self._child:
                return
            os.waitpid(other.si_pid, os.WNOHANG)

    def _stop(self, number: int) -> None:
        """Stops this process too after the command was stopped, if a shell waits for that.

        Without a terminal it does not: a process that stops and continues the command may not know the monitor, which
        would stay stopped.
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
        # Do not stop if the job was continued meanwhile.
        if (number != signal.SIGSTOP or is_in_foreground) and signal.SIGCONT not in signal.sigpending():
            _act_on(number)

    # The end

    def _pass_on(self) -> int:
        """Ends by the signal that ended the command, or returns the command's exit status."""
        end = self._end
        assert end is not None
        if end.si_code != os.CLD_EXITED and self._loss is None and self._connection is not None:
            self._await_end_of_session(self._connection)
        os.waitpid(self._child, os.WNOHANG)
        if self._loss is not None:
            return LOST
        if end.si_code == os.CLD_EXITED:
            return end.si_status
        # Only the command may leave a core file.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _act_on(end.si_status)
        # A signal does not end process 1 of a container.
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
    """Lets a signal end or stop this process, as by default."""
    if number != signal.SIGSTOP and number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # The signal acts as soon as it is not blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})


def _fields(process: int) -> list[str]:
    """Returns the fields of a process's `stat` file, from its state on; none if the process has ended."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            # The program's name, in parentheses, may contain any character.
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _state(process: int) -> str:
    return (_fields(process) or ["?"])[0]


def _parent(process: int) -> int:
    fields = _fields(process)
    return int(fields[1]) if len(fields) > 1 else 0
