"""The descriptors 0, 1 and 2 of the command line, and writing to them."""

from __future__ import annotations

import os
import sys

from ._harmless import harmless
from ._shown import Shown, plain


class OutputFailed(Exception):
    """The output cannot be written. Its reader would take an incomplete list for a complete one."""


class Complaint(Exception):
    """Ends a command with a message, if there is one, and an exit status."""

    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.status = status


def open_closed() -> None:
    """Opens those of the three that are closed on `/dev/null`.

    Otherwise the next socket or file gets such a number, and what is meant for standard error is written into it. The
    new ones are closed in a program that this process executes, as its caller had them.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # All lower numbers are open, so this is the lowest free one.
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Do not fail on a table because of the locale.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def say(text: str) -> None:
    """Writes a line of text from anywhere to the standard output, as `write`."""
    write(Shown(plain(text) + "\n"))


def write(text: Shown) -> None:
    """Writes a text to the standard output at once.

    Raises:
        OutputFailed: it cannot be written.
        BrokenPipeError: the reader has enough.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputFailed(error.strerror) from error


def forget_output() -> None:
    """Discards all further output. Otherwise Python would try again at its exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)


def complain(text: str) -> None:
    """Writes a line of text from anywhere to the standard error, if that is possible."""
    try:
        print(f"prwlock: {harmless(text)}", file=sys.stderr, flush=True)
    except OSError:
        pass
