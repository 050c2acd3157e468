"""The command line: subcommands, the parser, and the end of the process, as prwlock(1) has them."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from . import __version__, _standard
from ._exit_status import NO_OUTPUT, USAGE, exit_status
from ._harmless import harmless
from ._shown import Shown

#: The subcommands, in the order of the help.
_COMMANDS = (
    "run", "hold", "release", "status", "list", "hot", "sessions", "stats", "watch", "wait", "ping", "validate",
    "revoke", "bench",
)  # fmt: skip
#: Those that only the native command has.
_NATIVE = ("top", "graph", "log", "doctor", "upgrade")


def command() -> NoReturn:
    """Runs this process's command line as the program `prwlock`, which the wheel installs."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Runs a command line, without the program's name; returns the exit status."""
    _standard.open_closed()
    try:
        try:
            status = _run_command(arguments)
        except SystemExit as end:
            # Help, version, or a wrong command line.
            status = end.code if isinstance(end.code, int) else USAGE
        _standard.write(Shown(""))
        return status
    except BrokenPipeError:
        # The reader of this output has closed it.
        _standard.forget_output()
        return 128 + signal.SIGPIPE
    except _standard.OutputFailed as error:
        _standard.complain(f"the output cannot be written: {error}")
        _standard.forget_output()
        return NO_OUTPUT


def _run_command(arguments: Sequence[str]) -> int:
    from ._command_line import split

    try:
        if not arguments:
            arguments = ["--help"]
        elif arguments[0] == "help":
            arguments = [*arguments[1:2], "--help"]
        if arguments[0] in _NATIVE:
            raise _standard.Complaint(_is_native(arguments[0]), USAGE)
        if not arguments[0].startswith("-") and arguments[0] not in _COMMANDS:
            raise _standard.Complaint(_unknown(arguments[0]), USAGE)
        words, command = split(arguments)
        options = _parser(words[0]).parse_args(words)
        options.command = command
        status: int = options.action(options)
        return status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        raise
    except _standard.Complaint as error:
        if str(error):
            _standard.complain(str(error))
        return error.status
    except (OSError, ValueError) as error:
        _standard.complain(str(error))
        return exit_status(error)


def _is_native(word: str) -> str:
    return (
        f"only the native command has `{word}`, which is usually /usr/bin/prwlock, of the package prwlock; to build "
        "it: `swift build -c release --product prwlock`"
    )


def _unknown(word: str) -> str:
    # On a tie, prefer a name of the same length: people swap letters more often than they omit one.
    ranked = [(_distance(word, name), abs(len(name) - len(word)), name) for name in _COMMANDS]
    distance, _, near = min(ranked)
    shown = f"there is no subcommand '{word}'"
    if distance <= max(1, len(word) // 3):
        return f"{shown}; did you mean '{near}'?"
    return f"{shown}: `{program()} --help` lists them; a command under a lock is `{program()} run NAME COMMAND`"


def _distance(one: str, other: str) -> int:
    """Returns the number of letters to insert, remove, replace or swap with their neighbour (R. Lowrance, 1975)."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one):
        row = [i + 1]
        for j, far in enumerate(other):
            row.append(min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (letter != far)))
            if i > 0 and j > 0 and letter == other[j - 1] and one[i - 1] == far:
                row[-1] = min(row[-1], rows[i - 1][j - 1] + 1)
        rows.append(row)
    return rows[-1][-1]


def program() -> str:
    """Returns how this program was called."""
    return "prwlock" if os.path.basename(sys.argv[0]) == "prwlock" else "python -m prwlock"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"prwlock: {harmless(message)} (see `{self.prog} --help`)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        # `argparse` ignores a failure to write.
        if message and file is sys.stdout:
            # The help and the version have only this program's words.
            _standard.write(Shown(message))
        else:
            super()._print_message(message, file)


def _parser(command: str) -> argparse.ArgumentParser:
    """Returns the parser; only the options of the subcommand are made, as each of them costs time."""
    from . import _cli_lock, _cli_look

    python = ".".join(map(str, sys.version_info[:3]))
    version = f"prwlock {__version__} (Python {python})"
    parser = _Parser(prog=program(), description="Reader-writer locks for the processes of a host.")
    parser.add_argument("-V", "--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="command", required=True)
    texts = {**_cli_lock.TEXTS, **_cli_look.TEXTS}
    for name in _COMMANDS:
        added: argparse.ArgumentParser = commands.add_parser(name, help=texts[name], description=f"{texts[name]}.")
        added.add_argument("-V", "--version", action="version", version=version, help=argparse.SUPPRESS)
        if name == command:
            (_cli_lock if name in _cli_lock.TEXTS else _cli_look).add_options(added, name)
    return parser
