"""The command line: options, subcommands, exit statuses as prwlock(1) has them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, Optional

from . import __version__, _standard
from ._client import Client
from ._errors import (
    AccessRefused,
    Cancelled,
    DaemonUnavailable,
    Deadlock,
    Denied,
    LimitExceeded,
    LockError,
    LockLost,
)
from ._location import Location, find
from ._shown import as_json, harmless, table
from ._standard import say
from ._status import Change, SessionStatus
from ._wire import check_encoded, decode_name, encode_name

#: The exit statuses of prwlock(1), mostly from sysexits.h. The first class that fits counts.
_STATUS = (
    (AccessRefused, 77),
    (Denied, 77),
    ((LimitExceeded, Deadlock, Cancelled), 75),
    (LockLost, 1),
    (DaemonUnavailable, 69),
    (LockError, 76),
    (ValueError, 64),
    (OSError, 71),
)
#: The daemon is stopped or starts: the same command may work later.
_TEMPORARY = 75
_NO_OUTPUT = 74


def main(arguments: Sequence[str]) -> int:
    """Runs a command line, without the program's name; returns the exit status."""
    _standard.open_closed()
    try:
        try:
            status = _run_command(arguments)
        except SystemExit as end:
            # Help, version, or a wrong command line.
            status = end.code if isinstance(end.code, int) else 64
        _standard.write("")
        return status
    except BrokenPipeError:
        # The reader of this output has closed it.
        _standard.forget_output()
        return 128 + signal.SIGPIPE
    except _standard.OutputFailed as error:
        _standard.complain(f"the output cannot be written: {error}")
        _standard.forget_output()
        return _NO_OUTPUT


def _run_command(arguments: Sequence[str]) -> int:
    from ._command_line import split

    try:
        words, command = split(arguments)
        options = _parser().parse_args(words)
        options.command = command
        status: int = options.action(options)
        return status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        _standard.complain(harmless(str(error)))
        return exit_status(error)


def exit_status(error: Exception) -> int:
    """Returns the exit status for an error."""
    if isinstance(error, DaemonUnavailable) and error.is_temporary:
        return _TEMPORARY
    return next(status for kind, status in _STATUS if isinstance(error, kind))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(64, f"prwlock: {harmless(message)} (see `python -m prwlock --help`)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        # `argparse` ignores a failure to write.
        if message and file is sys.stdout:
            _standard.write(message)
        else:
            super()._print_message(message, file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m prwlock", description="Locks for scripts, and a look at who holds what.")
    parser.add_argument("--version", action="version", version=f"prwlock {__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    _add_run(commands)

    def add(name: str, action: Any, help: str, is_json: bool = True) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help)
        command.set_defaults(action=action)
        command.add_argument("--socket", metavar="PATH", help="the lock daemon's socket")
        if is_json:
            command.add_argument("--json", action="store_true", help="print JSON, for programs")
        return command

    _add_name(add("status", _status, "Show who holds a lock and who waits for it."), "name")
    _add_name(add("list", _list, "Show the locks, by name."), "prefix", nargs="?", default="")
    add("sessions", _sessions, "Show the clients that are connected.")
    _add_name(add("watch", _watch, "Show every change of a lock as it happens."), "prefix", nargs="?", default="")
    add("ping", _ping, "Say whether the daemon answers, and where.")
    bench = add("bench", _bench, "Measure an acquire and a release, beside what else is installed.")
    bench.add_argument("--runs", type=int, default=5, metavar="N", help="how often to measure all of them (default: 5)")
    bench.add_argument("--seconds", type=float, default=2, metavar="S", help="how long each is measured in each run")
    bench.add_argument("--pin", action="store_true", help="have all processes on one processor")
    bench.add_argument("--echo", metavar="PROGRAM", help="prwlock-bench, for its echo server in C")
    bench.add_argument("--original", metavar="DIR", help="a folder with prwlock 0.4.1 in it")
    return parser


def _add_name(command: argparse.ArgumentParser, kind: str, **options: Any) -> None:
    command.add_argument(kind, **options)
    command.add_argument("--encoded", action="store_true", help=f"the {kind} is encoded already: %%20 is a space")


def _client(options: argparse.Namespace) -> Client:
    return Client(options.socket)


def _say_space(options: argparse.Namespace, client: Client) -> None:
    """Writes which user's locks were shown, if other users have other daemons: root would not see those."""
    if not options.json and options.socket is None and client._location.space == "user":
        _standard.complain(
            f"these are the locks of user {_user_name()} only; the locks of other users are not shown"
        )


def _user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def plain_name(word: str, is_encoded: bool) -> bytes:
    """Returns the encoded form of a name on the command line: plain bytes, unless the caller has encoded it."""
    raw = os.fsencode(word)
    return check_encoded(raw) if is_encoded else encode_name(raw)


def _plain_prefix(options: argparse.Namespace) -> str:
    raw = os.fsencode(options.prefix)
    if options.encoded and raw:
        return decode_name(check_encoded(raw))
    return raw.decode("utf-8", "surrogateescape")


# Running


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        usage="python -m prwlock run [options] NAME [--] COMMAND [ARGUMENT ...]\n"
        "       python -m prwlock run [options] NAME -c LINE",
        help="Run a command under a lock, as flock(1) does.",
        description="Runs a command under a lock, as flock(1) does. The lock lives exactly as long as the command, "
        "which finds its fencing token in PRWLOCK_TOKEN, PRWLOCK_OWNERDIED=1 if the last writer died, and all locks "
        "that it runs under in PRWLOCK_HELD. Where the grant is lost, the command gets SIGTERM, and the status is 79.",
    )
    for names, value, help in (
        (("-s", "--shared", "--read"), "read", "lock for reading, with other readers"),
        (("-x", "-e", "--exclusive", "--write"), "write", "lock for writing, alone (the default)"),
        (("--update",), "update", "lock for reading, with no other updater or writer"),
    ):
        run.add_argument(*names, dest="mode", action="store_const", const=value, default="write", help=help)
    nonblock = ("-n", "--nb", "--nonblock", "--nonblocking")
    run.add_argument(*nonblock, dest="nonblock", action="store_true", help="fail rather than wait")
    run.add_argument(
        "-w", "--wait", "--timeout", type=_duration, metavar="SECONDS", help="wait for so long; also 250ms, 2m, 1h"
    )
    run.add_argument(
        "-E", "--conflict-exit-code", dest="conflict", type=_code, default=1, metavar="NUMBER", help="with -n or -w (1)"
    )
    run.add_argument("--lease", type=_duration, metavar="SECONDS", help="the grant ends if it is not renewed in time")
    run.add_argument("--note", metavar="TEXT", help="a note that the lock's status shows")
    run.add_argument("-c", "--command", dest="line", metavar="LINE", help="give a line to the shell, $SHELL or /bin/sh")
    run.add_argument("-o", "--close", action="store_true", help="close the connection in the command")
    run.add_argument(
        "-F", "--no-fork", action="store_true", help="become the command, without a parent that guards it"
    )
    run.add_argument(
        "-k", "--kill-after", type=_duration, default=10.0, metavar="SECONDS", help="from SIGTERM to SIGKILL (10)"
    )
    run.add_argument(
        "--inherit", action="store_true", help="a command that runs under this lock already runs under that grant"
    )
    run.add_argument("--verbose", action="store_true", help="say how long it took to get the lock, or why it was not")
    run.add_argument("--encoded", action="store_true", help="the name is encoded already: %%20 is a space")
    run.add_argument("--socket", metavar="PATH", help="the lock daemon's socket")
    run.set_defaults(action=_run)


def _duration(text: str) -> float:
    try:
        for unit, length in (("ms", 0.001), ("s", 1), ("m", 60), ("h", 3_600)):
            if text.endswith(unit):
                return float(text[: -len(unit)]) * length
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 250ms, 5, 2m or 1h") from None


def _code(text: str) -> int:
    if text.isdecimal() and int(text) <= 255:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 255")


def _run(options: argparse.Namespace) -> int:
    from ._run import Asked, run

    name, *command = options.command or [""]
    if options.line is None and command[:1] in (["-c"], ["--command"]):
        if len(command) != 2:
            raise ValueError(f"{command[0]} takes exactly one command line")
        options.line, command = command[1], []
    elif command[:1] == ["--"]:
        command = command[1:]
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
        location=find() if options.socket is None else Location(options.socket),
        name=plain_name(name, options.encoded),
        mode=options.mode,
        timeout=0.0 if options.nonblock else options.wait,
        lease=options.lease,
        note=os.fsencode(options.note) if options.note else None,
        command=[os.fsencode(word) for word in command],
        conflict=options.conflict,
        closes=options.close,
        inherits=options.inherit,
        is_verbose=options.verbose,
    )
    return run(asked, None if options.no_fork else options.kill_after)


# Inspecting


def _name_members(name: str) -> dict[str, str]:
    """Returns the plain name and its encoded form."""
    return {"name": name, "encoded": encode_name(name).decode()}


def _status(options: argparse.Namespace) -> int:
    client = _client(options)
    status = client.status(decode_name(plain_name(options.name, options.encoded)))
    holders, waiters = status.holders, status.waiters
    if options.json:
        rows = {"holders": [_milliseconds(row) for row in holders], "waiters": [_milliseconds(row) for row in waiters]}
        say(as_json({**_name_members(status.name), **rows}))
        return 0
    # The alphabetical order of the modes is the order of their strength.
    held = f"held ({max(row.mode for row in holders)})" if holders else "free"
    say(f"{harmless(status.name)}: {held}, {len(holders)} hold it, {len(waiters)} wait")
    if holders:
        _print_table(
            ("HOLDER", "MODE", "FOR", "LEASE LEFT", "TOKEN", "OWNER", "NOTE"),
            [(row.pid, row.mode, _age(row.age), _age(row.lease), row.token, row.owner, row.note) for row in holders],
        )
    if waiters:
        _print_table(
            ("WAITER", "MODE", "FOR", "TIMEOUT", "OWNER", "NOTE"),
            [(row.pid, row.mode, _age(row.waited), _age(row.timeout), row.owner, row.note) for row in waiters],
        )
    _say_space(options, client)
    return 0


def _milliseconds(row: Any) -> dict[str, Any]:
    """Converts a value for JSON: durations are whole milliseconds, and their keys end with that unit."""
    values: dict[str, Any] = row._asdict()
    names = {"age": "age_ms", "lease": "lease_left_ms", "waited": "waited_ms", "timeout": "timeout_ms"}
    return {
        names.get(key, key): round(value * 1_000) if key in names and value is not None else value
        for key, value in values.items()
    }


def _list(options: argparse.Namespace) -> int:
    client = _client(options)
    locks = client.list(_plain_prefix(options))
    if options.json:
        say(as_json([{**_name_members(lock.name), **_without_name(lock._asdict())} for lock in locks]))
        return 0
    rows = [(row.mode, row.holders, row.waiters, "died" if row.owner_died else None, row.name) for row in locks]
    _print_table(("MODE", "HOLDERS", "WAITING", "LAST WRITER", "NAME"), rows)
    _say_space(options, client)
    return 0


def _sessions(options: argparse.Namespace) -> int:
    client = _client(options)
    sessions: list[SessionStatus] = sorted(client.sessions())
    if options.json:
        say(as_json([_milliseconds(row) for row in sessions]))
        return 0
    rows = [(row.id, row.pid, row.uid, row.grants, row.waiters, _age(row.age), row.client) for row in sessions]
    _print_table(("SESSION", "PID", "UID", "HOLDS", "WAITS", "FOR", "CLIENT"), rows)
    _say_space(options, client)
    return 0


def _watch(options: argparse.Namespace) -> int:
    with _client(options).watch(_plain_prefix(options)) as changes:
        for change in changes:
            if not isinstance(change, Change):
                missed = {"missed": change.number}
                say(as_json(missed) if options.json else f"{change.number} changes were missed")
            elif options.json:
                row = _without_name(change._asdict())
                say(as_json({**_name_members(change.name), "change": row.pop("what"), **row}))
            else:
                token = "" if change.token is None else f" token {change.token}"
                who = "?" if change.pid is None else change.pid
                say(f"{harmless(change.name)} {change.what} {change.mode} by {who}{token}")
    return 0


def _ping(options: argparse.Namespace) -> int:
    client = _client(options)
    client.ping()
    if options.json:
        say(as_json({"socket": client.path, "space": client._location.space}))
    else:
        say(f"the lock daemon answers at {harmless(client.path)}")
        _say_space(options, client)
    return 0


def _bench(options: argparse.Namespace) -> int:
    from ._bench import bench

    return bench(options)


def _age(seconds: Optional[float]) -> Optional[str]:
    if seconds is None:
        return None
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} m" if hours else f"{minutes} m {rest} s" if minutes else f"{rest} s"


def _without_name(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "name"}


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    say(table(heads, rows))
