"""``python -m prwlock``: the command line, where the command `prwlock` is not installed."""

from __future__ import annotations

from ._cli import command

command()
