"""The subcommands that lock: ``run``, ``hold`` and ``release``."""

from __future__ import annotations

import argparse
import os
import re
from typing import Any, Optional

from ._location import Location, find
from ._wire import check_encoded, encode_name

TEXTS = {
    "run": "Run a command under a lock, as flock(1) does",
    "hold": "Hold a lock for the rest of a script",
    "release": "Release a lock that `prwlock hold` holds",
}
_ABOUT_RUN = (
    "Runs a command under a lock, as flock(1) does. The lock lives exactly as long as the command, which finds its "
    "fencing token in PRWLOCK_TOKEN, PRWLOCK_OWNERDIED=1 if the last writer died, and all locks that it runs under in "
    "PRWLOCK_HELD. Where the grant is lost, the command gets SIGTERM, and the status is 79."
)
_ABOUT_HOLD = (
    "Holds a lock for the rest of a script. It ends with the script's process, or with `prwlock release`. A second "
    "hold for the same process changes the mode, or does nothing."
)
#: A number without a sign, and a unit.
_TIME = re.compile(r"((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)(ms|s|m|h)?")
#: The longest time that a daemon accepts.
_LONGEST = 876_000 * 3_600
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600}


def add_options(command: argparse.ArgumentParser, name: str) -> None:
    """Adds the options of a subcommand to its parser, and its action."""
    command.set_defaults(action={"run": _run, "hold": _hold, "release": _release}[name])
    if name == "run":
        usage = f"{command.prog} [options] NAME"
        command.usage = f"{usage} [--] COMMAND [ARGUMENT ...]\n       {usage} -c LINE"
        command.description = _ABOUT_RUN
        _add_lock_options(command)
        _add_run_options(command)
    else:
        if name == "hold":
            command.description = _ABOUT_HOLD
            _add_lock_options(command)
            command.add_argument("--print-token", action="store_true", help="print the fencing token")
            command.add_argument(
                "--no-signal", action="store_true", help="leave the process alone when the grant is lost (else SIGTERM)"
            )
        command.add_argument(
            "--pid", type=_process, metavar="PID", help="the process that the lock is held for; else the parent"
        )
        command.add_argument("name", help="the lock's name")
    command.add_argument("--encoded", action="store_true", help="the name is encoded already: %%20 is a space")
    command.add_argument("--socket", metavar="PATH", help="the lock daemon's socket")


def _add_lock_options(command: argparse.ArgumentParser) -> None:
    for names, value, help in (
        (("-s", "--shared", "--read"), "read", "lock for reading, with other readers"),
        (("-x", "-e", "--exclusive", "--write"), "write", "lock for writing, alone (the default)"),
        (("--update",), "update", "lock for reading, with no other updater or writer"),
    ):
        command.add_argument(*names, dest="mode", action="store_const", const=value, default="write", help=help)
    nonblock = ("-n", "--nb", "--nonblock", "--nonblocking")
    command.add_argument(*nonblock, dest="nonblock", action="store_true", help="fail rather than wait")
    command.add_argument(
        "-w", "--wait", "--timeout", type=duration, metavar="SECONDS", help="wait for so long; also 250ms, 2m, 1h"
    )
    command.add_argument(
        "-E", "--conflict-exit-code", dest="conflict", type=exit_code, default=1, metavar="NUMBER",
        help="with -n or -w (1)",
    )  # fmt: skip
    command.add_argument(
        "--lease", type=_lease, metavar="SECONDS", help="the grant ends if it is not renewed in time"
    )
    command.add_argument("--note", metavar="TEXT", help="a note that the lock's status shows")
    command.add_argument(
        "--verbose", action="store_true", help="say how long it took to get the lock, or why it was not"
    )
    command.add_argument("-u", "--unlock", action="store_true", help=argparse.SUPPRESS)


def _add_run_options(run: argparse.ArgumentParser) -> None:
    run.add_argument("-c", "--command", dest="line", metavar="LINE", help="give a line to the shell, $SHELL or /bin/sh")
    run.add_argument("-o", "--close", action="store_true", help="close the connection in the command")
    run.add_argument(
        "-F", "--no-fork", action="store_true", help="become the command, without a parent that guards it"
    )
    run.add_argument(
        "-k", "--kill-after", type=duration, default=10.0, metavar="SECONDS", help="from SIGTERM to SIGKILL (10)"
    )
    run.add_argument(
        "--inherit", action="store_true", help="a command that runs under this lock already runs under that grant"
    )


def duration(text: str) -> float:
    """Returns the seconds of a time on the command line."""
    parts = _TIME.fullmatch(text)
    seconds = -1.0 if parts is None else float(parts[1]) * _UNITS[parts[2] or "s"]
    if not 0 <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 250ms, 5, 2m or 1h")
    return seconds


def _lease(text: str) -> float:
    lease = duration(text)
    if lease < 0.001:
        raise argparse.ArgumentTypeError("it must be at least 1ms")
    return lease


def exit_code(text: str) -> int:
    """Returns an exit status on the command line."""
    if text.isascii() and text.isdecimal() and int(text) <= 255:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 255")


def _process(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 31:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a process id")


def plain_name(word: str, is_encoded: bool) -> bytes:
    """Returns the encoded form of a name on the command line: plain bytes, unless the caller has encoded it."""
    raw = os.fsencode(word)
    return check_encoded(raw) if is_encoded else encode_name(raw)


def location_of(options: argparse.Namespace) -> Location:
    """Returns where the daemon is."""
    return find() if options.socket is None else Location(options.socket)


def _request(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Returns what ``run`` and ``hold`` both ask for."""
    if options.unlock:
        raise ValueError("-u unlocks a descriptor in flock(1); here it is `prwlock release NAME`")
    wait: Optional[float] = options.wait
    return {
        "location": location_of(options),
        "name": plain_name(name, options.encoded),
        "mode": options.mode,
        "timeout": 0.0 if options.nonblock else wait,
        "lease": options.lease,
        "note": os.fsencode(options.note) if options.note else None,
        "conflict": options.conflict,
        "is_verbose": options.verbose,
    }


def _run(options: argparse.Namespace) -> int:
    from ._run import Asked, run

    name, *command = options.command or [""]
    if options.line is None and command[:1] in (["-c"], ["--command"]):
        if len(command) != 2:
            raise ValueError(f"{command[0]} takes exactly one command line")
        options.line, command = command[1], []
    elif command[:1] == ["--"]:
        command = command[1:]
    if options.unlock:
        _request(options, name)
    if not options.command:
        raise ValueError("the name of a lock is missing")
    if options.line is not None:
        if command:
            raise ValueError("-c and a command cannot both be run")
        command = [os.environ.get("SHELL") or "/bin/sh", "-c", options.line]
    if not command:
        raise ValueError("a command is missing")
    if options.no_fork and (options.close or options.lease is not None):
        raise ValueError("-F leaves no process that holds the lock (-o) or renews its lease (--lease)")
    asked = Asked(
        **_request(options, name),
        command=[os.fsencode(word) for word in command],
        closes=options.close,
        inherits=options.inherit,
    )
    return run(asked, None if options.no_fork else options.kill_after)


def _hold(options: argparse.Namespace) -> int:
    from ._attempt import Asked
    from ._hold import hold

    return hold(
        Asked(
            **_request(options, options.name),
            process=options.pid,
            prints_token=options.print_token,
            signals_loss=not options.no_signal,
        )
    )


def _release(options: argparse.Namespace) -> int:
    from ._hold import release

    return release(location_of(options), plain_name(options.name, options.encoded), options.pid)
