"""The command line: options, subcommands, exit statuses as prwlock(1) has them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, Optional

from . import __version__
from ._client import Client
from ._errors import (
    AccessRefused,
    AcquireTimeout,
    DaemonUnavailable,
    Deadlock,
    Denied,
    LimitExceeded,
    LockError,
)
from ._location import Location, find
from ._status import Change, LockSummary, SessionStatus

#: As sysexits.h has them; the first class that fits counts.
_STATUS = (
    (AccessRefused, 77),
    (Denied, 77),
    (LimitExceeded, 75),
    (DaemonUnavailable, 69),
    (LockError, 76),
    (ValueError, 64),
    (OSError, 71),
)


def main(arguments: Sequence[str]) -> int:
    """Runs a command line, without the program's name; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        status: int = options.action(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read has enough. Python would complain once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except (OSError, ValueError) as error:
        print(f"prwlock: {error}", file=sys.stderr)
        return next(status for kind, status in _STATUS if isinstance(error, kind))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(64, f"prwlock: {message} (see `python -m prwlock --help`)\n")


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

    add("status", _status, "Show who holds a lock and who waits for it.").add_argument("name")
    add("list", _list, "Show the locks, by name.").add_argument("prefix", nargs="?", default="")
    add("sessions", _sessions, "Show the clients that are connected.")
    add("watch", _watch, "Show every change of a lock as it happens.").add_argument("prefix", nargs="?", default="")
    add("ping", _ping, "Say whether the daemon answers, and where.")
    bench = add("bench", _bench, "Measure an acquire and a release, beside what else is installed.")
    bench.add_argument("--runs", type=int, default=5, metavar="N", help="how often to measure all of them (default: 5)")
    bench.add_argument("--seconds", type=float, default=2, metavar="S", help="how long each is measured in each run")
    bench.add_argument("--pin", action="store_true", help="have all processes on one processor")
    bench.add_argument("--echo", metavar="PROGRAM", help="prwlock-bench, for its echo server in C")
    bench.add_argument("--original", metavar="DIR", help="a folder with prwlock 0.4.1 in it")
    return parser


def _client(options: argparse.Namespace) -> Client:
    return Client(options.socket)


# Running


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        usage="python -m prwlock run [options] NAME [--] COMMAND [ARGUMENT ...]",
        help="Run a command under a lock, as flock(1) does.",
        description="Runs a command under a lock, as flock(1) does. The lock lives exactly as long as the command, "
        "which finds its fencing token in PRWLOCK_TOKEN, and PRWLOCK_OWNERDIED=1 if the last writer died. If the grant "
        "is lost, the command gets SIGTERM.",
    )
    mode = run.add_mutually_exclusive_group()
    for names, value, help in (
        (("-s", "--shared", "--read"), "read", "lock for reading, with other readers"),
        (("-x", "-e", "--exclusive", "--write"), "write", "lock for writing, alone (the default)"),
        (("--update",), "update", "lock for reading, with no other updater or writer"),
    ):
        mode.add_argument(*names, dest="mode", action="store_const", const=value, default="write", help=help)
    never = "fail rather than wait"
    run.add_argument("-n", "--nb", "--nonblock", dest="wait", action="store_const", const=0.0, help=never)
    run.add_argument("-w", "--wait", "--timeout", dest="wait", type=float, metavar="SECONDS", help="wait for so long")
    run.add_argument(
        "-E", "--conflict-exit-code", dest="conflict", type=int, default=1, metavar="NUMBER", help="with -n or -w (1)"
    )
    run.add_argument("--note", metavar="TEXT", help="words for whoever asks who holds the lock")
    run.add_argument("--socket", metavar="PATH", help="the lock daemon's socket")
    run.add_argument("name", metavar="NAME")
    run.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    run.set_defaults(action=_run)


def _run(options: argparse.Namespace) -> int:
    from ._run import become

    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise ValueError("a command is missing")
    location = find() if options.socket is None else Location(options.socket)
    try:
        become(location, options.name, options.mode, options.wait, options.note, command)
    except (AcquireTimeout, Deadlock) as error:
        if isinstance(error, Deadlock):
            print(f"prwlock: {error}", file=sys.stderr)
        return int(options.conflict)


# Looking


def _print_json(value: Any) -> None:
    print(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def _status(options: argparse.Namespace) -> int:
    status = _client(options).status(options.name)
    holders, waiters = status.holders, status.waiters
    if options.json:
        rows = {"holders": [_milliseconds(row) for row in holders], "waiters": [_milliseconds(row) for row in waiters]}
        _print_json({"name": status.name, **rows})
        return 0
    # In the order of the alphabet they are in the order of strength.
    held = f"held ({max(row.mode for row in holders)})" if holders else "free"
    print(f"{_shown(status.name)}: {held}, {len(holders)} hold it, {len(waiters)} wait")
    if holders:
        _table(
            ("HOLDER", "MODE", "FOR", "LEASE LEFT", "TOKEN", "OWNER", "NOTE"),
            [(row.pid, row.mode, _age(row.age), _age(row.lease), row.token, row.owner, row.note) for row in holders],
        )
    if waiters:
        _table(
            ("WAITER", "MODE", "FOR", "TIMEOUT", "OWNER", "NOTE"),
            [(row.pid, row.mode, _age(row.waited), _age(row.timeout), row.owner, row.note) for row in waiters],
        )
    return 0


def _milliseconds(row: Any) -> dict[str, Any]:
    """As JSON: durations are whole milliseconds, and say so in their names."""
    values: dict[str, Any] = row._asdict()
    names = {"age": "age_ms", "lease": "lease_left_ms", "waited": "waited_ms", "timeout": "timeout_ms"}
    return {
        names.get(key, key): round(value * 1_000) if key in names and value is not None else value
        for key, value in values.items()
    }


def _list(options: argparse.Namespace) -> int:
    locks: list[LockSummary] = [*_client(options).list(options.prefix)]
    if options.json:
        _print_json([lock._asdict() for lock in locks])
        return 0
    rows = [(row.mode, row.holders, row.waiters, "died" if row.owner_died else None, row.name) for row in locks]
    _table(("MODE", "HOLDERS", "WAITING", "LAST WRITER", "NAME"), rows)
    return 0


def _sessions(options: argparse.Namespace) -> int:
    sessions: list[SessionStatus] = sorted(_client(options).sessions())
    if options.json:
        _print_json([_milliseconds(row) for row in sessions])
        return 0
    rows = [(row.id, row.pid, row.uid, row.grants, row.waiters, _age(row.age), row.client) for row in sessions]
    _table(("SESSION", "PID", "UID", "HOLDS", "WAITS", "FOR", "CLIENT"), rows)
    return 0


def _watch(options: argparse.Namespace) -> int:
    with _client(options).watch(options.prefix) as changes:
        for change in changes:
            if options.json:
                _print_json(change._asdict())
            elif isinstance(change, Change):
                token = "" if change.token is None else f" token {change.token}"
                who = "?" if change.pid is None else change.pid
                print(f"{_shown(change.name)} {change.what} {change.mode} by {who}{token}")
            else:
                print(f"{change.number} changes were missed")
            sys.stdout.flush()
    return 0


def _ping(options: argparse.Namespace) -> int:
    client = _client(options)
    client.ping()
    if options.json:
        _print_json({"socket": client.path})
    else:
        print(f"the lock daemon answers at {client.path}")
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


def _shown(text: str) -> str:
    """As a terminal may have it: what would steer it is shown as an escape."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape", "replace").decode() for sign in text)


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Numbers stand to the right, words to the left, and `-` is none."""
    cells = [["-" if value is None else _shown(str(value)) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells)]
    is_number = [all(isinstance(row[column], (int, type(None))) for row in rows) for column in range(len(heads))]
    for line in [list(heads), *cells]:
        parts = (
            text.rjust(width) if right else text.ljust(width) for text, width, right in zip(line, widths, is_number)
        )
        print("  ".join(parts).rstrip())
