"""Starting the user's own daemon (`protocol.md`, "Starting a daemon"). Loaded only when a daemon must be started."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
import stat
import subprocess
import time
from errno import EADDRINUSE, EAGAIN, ECONNREFUSED, ENOENT

from ._deadline import step
from ._errors import AccessRefused, DaemonUnavailable
from ._location import Location
from ._trust import program_fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

_PACKAGE_FOLDERS = ("/usr/libexec", "/usr/bin")
_BACKLOG = 4096
#: How long a client waits for a lock file that other processes hold one after the other, in seconds.
_MOST_WAITING = 30
#: Hard limits under which a daemon cannot serve, and which it cannot raise. They are the same for every client
#: (`protocol.md`). Each row: the limit, the resource, its letter for `ulimit`, the least value (None if any limit is
#: too low), the unit's size and name.
_NEEDS = (
    (resource.RLIMIT_CPU, "CPU time", "t", None, 1, " s"),
    (resource.RLIMIT_NOFILE, "open descriptors", "n", 256, 1, ""),
    (resource.RLIMIT_AS, "address space", "v", 512 << 20, 1 << 10, " KiB"),
    (resource.RLIMIT_DATA, "data memory", "d", 256 << 20, 1 << 10, " KiB"),
    (resource.RLIMIT_STACK, "stack", "s", 256 << 10, 1 << 10, " KiB"),
    (resource.RLIMIT_FSIZE, "file size", "f", 1 << 20, 1 << 10, " KiB"),
)
#: The size from which a new daemon truncates the log file, in bytes.
_MOST_OUTPUT = 1 << 20


class Overtaken(DaemonUnavailable):
    """Another process has made the socket or started a daemon, so this process must not start one."""


class StartLock:
    """The lock file beside a daemon's socket. Only its holder may create or remove the socket.

    A process holds it for as long as a daemon takes to start. A process that holds it for longer is probably stopped,
    and the error names that process.
    """

    def __init__(self, socket_path: str, patience: float = 2, end: Optional[float] = None) -> None:
        self.socket_path = socket_path
        self._path = socket_path + ".lock"
        #: How long one process may hold the file, in seconds.
        self._patience = patience
        #: The end of the call that needs the file, by `time.monotonic`.
        self._end = end
        self._file = -1

    def __enter__(self) -> StartLock:
        # flock has no timeout, and a stopped holder would block all other processes. So this polls.
        begin = since = time.monotonic()
        holder, looks_at, pause = None, begin, 0.001
        while not self._try():
            step(_MOST_WAITING, self._end)
            now = time.monotonic()
            if now >= looks_at:
                looks_at = now + 0.1
                current = lock_holder(self._path)
                if current != holder:
                    holder, since = current, now
                if now - since > self._patience or now - begin > _MOST_WAITING:
                    raise self._kept_by(holder)
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
        return self

    def _kept_by(self, holder: Optional[int]) -> DaemonUnavailable:
        who = "another process" if holder is None else f"process {holder}{_program_of(holder)}"
        error = DaemonUnavailable(
            f"{who} keeps {self._path}, without which no lock daemon can be started: look whether it is stopped, "
            f"continue or end it (`fuser {self._path}`), and try again"
        )
        error.is_temporary = True
        return error

    def _try(self) -> bool:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file, and another process may have made and locked a new one.
            if os.path.samestat(os.fstat(file), os.lstat(self._path)):
                self._file, file = file, -1
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            if file >= 0:
                os.close(file)
        return False

    def __exit__(self, *_: object) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __del__(self) -> None:
        # An interrupt in `__enter__` leaves no `__exit__` to be called.
        self.__exit__()

    def listen(self) -> socket.socket:
        """Creates the socket and listens. A file that a dead daemon left is replaced."""
        self._remove_stale()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The socket file gets the descriptor's mode when it is bound, so no other user can connect in between.
            os.fchmod(listener.fileno(), 0o600)
            self._bind(listener)
            os.chmod(self.socket_path, 0o600)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener

    def _bind(self, listener: socket.socket) -> None:
        # The daemon uses the name that the socket was bound to, so bind by the full path.
        try:
            listener.bind(self.socket_path)
        except OSError as error:
            if error.errno != EADDRINUSE:
                raise
            # A process with another lock file has bound it, because this lock file was removed.
            raise Overtaken(f"another lock daemon listens at {self.socket_path}") from error

    def remove_socket(self) -> None:
        """Removes the socket that was made under this lock. Clients in its backlog see the end when it is closed."""
        os.unlink(self.socket_path)

    def _remove_stale(self) -> None:
        try:
            status = os.lstat(self.socket_path)
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(status.st_mode):
            raise DaemonUnavailable(f"{self.socket_path} is not a socket: move it away")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            code = probe.connect_ex(self.socket_path)
        if code == ECONNREFUSED:
            os.unlink(self.socket_path)
        elif code != ENOENT:
            raise Overtaken(f"another lock daemon listens at {self.socket_path}")


def lock_holder(path: str) -> Optional[int]:
    """Returns the process that has locked a file by `flock`; None if there is none, or it is not visible from here."""
    try:
        status = os.stat(path)
        with open("/proc/locks") as file:
            rows = [line.split() for line in file]
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    # On some file systems the device number in /proc/locks differs from that of `stat`.
    number = f":{status.st_ino}"
    found = [row for row in rows if len(row) > 5 and row[1] == "FLOCK" and row[5].endswith(number)]
    found.sort(key=lambda row: row[5] != place)
    return int(found[0][4]) if found and int(found[0][4]) > 0 else None


def _program_of(process: int) -> str:
    """Returns the name of the process's program in parentheses; an empty text if the process has ended."""
    try:
        with open(f"/proc/{process}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return f" ({ascii(file.read().strip())[1:-1]})"
    except OSError:
        return ""


def check_limits(location: Location) -> None:
    """Checks the limits that a daemon would inherit from this process.

    Raises:
        DaemonUnavailable: a daemon cannot serve under one of them.
    """
    for number, subject, letter, least, size, unit in _NEEDS:
        hard = resource.getrlimit(number)[1]
        if hard == resource.RLIM_INFINITY or (least is not None and hard >= least):
            continue
        words = f"hard limit of {subject}, {hard // size}{unit} (`ulimit -H -{letter}`)"
        if least is not None:
            words += f", where it needs {least // size}{unit}"
        raise _limited(location, words)


def _limited(location: Location, words: str) -> DaemonUnavailable:
    return DaemonUnavailable(
        f"no lock daemon listens at {location.path}, and one that this process starts would inherit its {words}: "
        "start it where that limit is not set (`prwlock ping` in another shell), or install the service"
    )


def start(location: Location, program: str, listener: socket.socket, end: Optional[float] = None) -> None:
    """Starts a daemon that serves a listener, which was made under the start lock.

    The client listens before the daemon runs, so other clients wait in the backlog instead of being refused.
    """
    output = _open_output(location.path)
    # `--detach`: the daemon must not become a child that this process has to wait for.
    command = [program, "--listen-fd", str(listener.fileno()), "--exit-when-idle", "--detach"]
    try:
        between = subprocess.Popen(
            command,
            env=_daemon_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            pass_fds=(listener.fileno(),),
            start_new_session=True,
            umask=0o077,
        )
    except OSError as error:
        if error.errno == EAGAIN:
            limit = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            raise _limited(location, f"hard limit of processes, {limit} (`ulimit -H -u`)") from error
        raise DaemonUnavailable(
            f"{program} cannot be executed here ({error.strerror}); the one in this package needs glibc: "
            "name another in PRWLOCK_DAEMON"
        ) from error
    finally:
        os.close(output)
    try:
        between.wait(step(_MOST_WAITING, end))
    except subprocess.TimeoutExpired:
        # The daemon may still start. The next call will find it.
        step(0, end)


def daemon_program() -> str:
    """Returns the program to start, from ``PRWLOCK_DAEMON``, this package, ``PATH``, or the folders of packages."""
    chosen = os.environ.get("PRWLOCK_DAEMON")
    if chosen:
        # A wrong choice is an error. Falling back would run a program that the user did not choose.
        if not (chosen.startswith("/") and _is_executable(chosen)):
            raise _no_program([f"PRWLOCK_DAEMON={chosen}"])
        # The environment may be another user's (`sudo -E`).
        fault = program_fault(chosen)
        if fault:
            raise _untrusted(f"PRWLOCK_DAEMON={chosen}", fault)
        return chosen
    # A relative entry of PATH names another folder in every working directory, so skip it.
    path = [folder for folder in os.environ.get("PATH", "").split(":") if folder.startswith("/")]
    folders = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bin"), *path, *_PACKAGE_FOLDERS]
    refusal = None
    for folder in folders:
        program = f"{folder}/prwlockd"
        if not _is_executable(program):
            continue
        fault = program_fault(program)
        if fault is None:
            return program
        refusal = refusal or _untrusted(program, fault)
    if refusal:
        raise refusal
    raise _no_program(folders)


def _no_program(searched: list[str]) -> DaemonUnavailable:
    return DaemonUnavailable(
        f"no lock daemon is running, and no prwlockd to start was found in {', '.join(searched)}: "
        "install it, or say where it is in PRWLOCK_DAEMON"
    )


def _untrusted(program: str, fault: str) -> AccessRefused:
    return AccessRefused(
        f"no lock daemon is running, and {program} is not started, because another user could replace it: {fault}"
    )


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _daemon_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in ("HOME", "PATH") or name.startswith(("XDG_", "PRWLOCK_"))
    }


def output_path(path: str) -> str:
    """Returns the path of the daemon's log file, beside its socket."""
    return f"{os.path.dirname(path)}/prwlockd.log"


def _open_output(path: str) -> int:
    """Opens the log file, or `/dev/null` if the file cannot be written: the daemon matters more than its log."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        output = os.open(output_path(path), flags, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    if os.fstat(output).st_size > _MOST_OUTPUT:
        os.ftruncate(output, 0)
    return output
