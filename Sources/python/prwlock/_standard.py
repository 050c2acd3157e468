"""The descriptors 0, 1 and 2, and what is written to them: for the command line only."""

from __future__ import annotations

import os
import sys


class OutputFailed(Exception):
    """The output cannot be written. A program that reads half a list would take it for the whole."""


def open_closed() -> None:
    """Opens those of the three that are closed on `/dev/null`.

    Otherwise the next socket or file gets such a number, and what is meant for standard error is written into it. The
    new ones are closed in a program that this process executes, as its caller had them.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one, as those below are open.
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A table is written in any locale.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def say(text: str) -> None:
    """Writes a line to the standard output, as `write`."""
    write(text + "\n")


def write(text: str) -> None:
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
    """Has nothing written any more: Python would try, and complain, once more on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)


def complain(text: str) -> None:
    """Says a line on the standard error, where it can be written."""
    try:
        print(f"prwlock: {text}", file=sys.stderr, flush=True)
    except OSError:
        pass
