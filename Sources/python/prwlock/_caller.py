"""The process that ``hold`` holds a lock for, and what kind of process it is.

A lock that is held for a process ends with that process, and the process gets SIGTERM if the lock is lost. A script
wants both. A parent that only starts programs (`timeout`, `su`, `xargs`, `make`) ends at once or never, so the lock
would become free without notice or be held for ever. SIGTERM to a service manager would stop all its services.
"""

from __future__ import annotations

import os
from typing import Optional

from ._harmless import harmless
from ._shown import typed
from ._standard import Complaint
from ._wire import decode_name

_SHELLS = frozenset((
    "sh", "bash", "dash", "ash", "zsh", "ksh", "ksh93", "mksh", "lksh", "pdksh", "oksh", "loksh", "yash", "posh",
    "fish", "csh", "tcsh", "rc", "es", "elvish", "nu", "osh", "ysh", "oil", "xonsh", "pwsh", "rbash", "rksh",
))  # fmt: skip
_MANAGERS = frozenset((
    "systemd", "init", "runit", "runsvdir", "s6-svscan", "openrc-init", "dinit", "upstart", "launchd", "tini",
    "dumb-init", "docker-init", "catatonit", "supervisord",
))  # fmt: skip
#: Programs that contain many commands; the first argument selects one.
_MULTICALL = frozenset(("busybox", "toybox"))
_USAGE = 64


class Caller:
    """A process to hold a lock for."""

    def __init__(self, process: int) -> None:
        self.process = process
        comm = _read(process, "comm").decode("utf-8", "replace").strip()
        program = _program(process)
        self.name = program or comm or "?"
        self.is_shell = program is not None and is_shell(program)
        self.is_manager = bool(_MANAGERS & {program, comm}) or (process == 1 and not self.is_shell)


def to_hold_for(chosen: Optional[int], name: bytes) -> Caller:
    """Returns the process that a lock is to be held for. Call this before the fork.

    Raises:
        Complaint: locks are not held for this kind of process.
    """
    process = os.getppid() if chosen is None else chosen
    advice = f"`prwlock hold --pid $$ {typed(name)}`"
    if process == 0:
        raise Complaint(
            "the parent of this process is not in this container: say for which process the lock is to be held, "
            f"in a shell {advice}",
            _USAGE,
        )
    caller = Caller(process)
    shown = harmless(caller.name)
    if caller.is_manager:
        raise Complaint(
            f"process {process} ({shown}) is a service manager, and would get TERM if the lock were lost: "
            f"run the service itself under the lock (`ExecStart=prwlock run {typed(name)} COMMAND`), "
            f"or hold it for the service's process (`ExecStartPost=prwlock hold --pid $MAINPID {typed(name)}`)",
            _USAGE,
        )
    if chosen is None and not caller.is_shell:
        raise Complaint(
            f"the parent of this process, {process} ({shown}), is not a shell: say for which process the lock is "
            f"to be held, in a shell {advice}",
            _USAGE,
        )
    return caller


def shown(name: bytes) -> str:
    """Returns the plain name for people."""
    return harmless(decode_name(name))


def is_shell(program: str) -> bool:
    """Accepts a version suffix too, as in `bash-5.2` and `zsh5`."""
    return bool(_SHELLS & {program, program.partition("-")[0], program.partition("-")[0].rstrip("0123456789.")})


def _program(process: int) -> Optional[str]:
    """Returns the name of the program that a process runs; None if this user may not see it."""
    try:
        path = os.readlink(f"/proc/{process}/exe")
    except OSError:
        return None
    program = os.path.basename(path.removesuffix(" (deleted)"))
    if program not in _MULTICALL:
        return program
    # The command line is `busybox sh script`, or begins with the name of a link to the program, such as `sh`.
    words = [word.decode("utf-8", "replace") for word in _read(process, "cmdline").split(b"\0") if word]
    applets = (os.path.basename(word.removeprefix("-")) for word in words[:2])
    return next((applet for applet in applets if applet not in _MULTICALL), program)


def _read(process: int, file: str) -> bytes:
    try:
        with open(f"/proc/{process}/{file}", "rb") as opened:
            return opened.read()
    except OSError:
        return b""
