"""Starting the user's own daemon (`protocol.md`, "Starting a daemon"); only loaded where one has to be started."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
import time
from errno import ECONNREFUSED, ENOENT

from ._errors import DaemonUnavailable
from ._location import Location

_PACKAGE_FOLDERS = ("/usr/libexec", "/usr/bin")
_BACKLOG = 4096
#: More than this, and a new daemon begins the log file anew, in bytes.
_MOST_OUTPUT = 1 << 20


class StartLock:
    """The lock file beside a daemon's socket, held: only who holds it may make the socket or take it away."""

    def __init__(self, socket_path: str, patience: float = 30) -> None:
        self.socket_path = socket_path
        self._path = socket_path + ".lock"
        self._patience = patience
        self._file = -1

    def __enter__(self) -> StartLock:
        # By trying again, since flock has no time-out, and whoever was stopped with the file would stop all others.
        end = time.monotonic() + self._patience
        pause = 0.001
        while not self._try():
            if time.monotonic() > end:
                raise DaemonUnavailable(
                    "another process has been starting the lock daemon for too long: "
                    f"look who holds {self._path} (`fuser {self._path}`)"
                )
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
        return self

    def _try(self) -> bool:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have removed it, and somebody else may have made and locked another.
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
        # Whoever was interrupted on the way in has not got to the way out.
        self.__exit__()

    def listen(self) -> socket.socket:
        """Makes the socket and listens; takes the place of a file that a dead daemon left."""
        self._remove_stale()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # No moment in which others could connect: a socket has its mode from the descriptor it is bound by.
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(self.socket_path)
            os.chmod(self.socket_path, 0o600)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
        return listener

    def remove_socket(self) -> None:
        """Takes away the socket that was made under this lock; clients in its queue see the end when it is closed."""
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
            raise DaemonUnavailable(f"another lock daemon listens at {self.socket_path}")


def start(location: Location, listener: socket.socket) -> None:
    """Starts a daemon that serves a listener, which was made under the start lock.

    The client listens rather than the daemon, so that clients that come from now on wait for it in the queue.
    """
    program = daemon_program()
    output = _open_output(location.path)
    # It leaves by itself (`--detach`), so that it is no child of this process, which need not wait for it.
    number = str(listener.fileno())
    command = [program, "--listen-fd", number, "--socket", location.path, "--exit-when-idle", "--detach"]
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
        raise DaemonUnavailable(
            f"{program} cannot be executed here ({error.strerror}); the one in this package needs glibc: "
            "name another in PRWLOCK_DAEMON"
        ) from error
    finally:
        os.close(output)
    between.wait()


def daemon_program() -> str:
    """The program to start: the first of ``PRWLOCK_DAEMON``, this package's own, ``PATH``, where packages put it."""
    chosen = os.environ.get("PRWLOCK_DAEMON")
    if chosen:
        # A choice that cannot be followed is an error: falling back would run what was not asked for.
        if not (chosen.startswith("/") and _is_executable(chosen)):
            raise _no_program([f"PRWLOCK_DAEMON={chosen}"])
        return chosen
    # A relative entry of PATH names another folder in every working directory, so it is passed over.
    path = [folder for folder in os.environ.get("PATH", "").split(":") if folder.startswith("/")]
    folders = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "_bin"), *path, *_PACKAGE_FOLDERS]
    for folder in folders:
        if _is_executable(f"{folder}/prwlockd"):
            return f"{folder}/prwlockd"
    raise _no_program(folders)


def _no_program(searched: list[str]) -> DaemonUnavailable:
    return DaemonUnavailable(
        f"no lock daemon is running, and no prwlockd to start was found in {', '.join(searched)}: "
        "install it, or say where it is in PRWLOCK_DAEMON"
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
    """The file that takes what a daemon says: beside its socket."""
    return f"{os.path.dirname(path)}/prwlockd.log"


def _open_output(path: str) -> int:
    """A descriptor; of `/dev/null` where the file cannot be written: a daemon is worth more than its words."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        output = os.open(output_path(path), flags, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    if os.fstat(output).st_size > _MOST_OUTPUT:
        os.ftruncate(output, 0)
    return output
