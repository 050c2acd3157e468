"""What is worth a line in a program's log, under the name ``prwlock``."""

from __future__ import annotations

import sys


def log(level: str, text: str) -> None:
    """Says it, if the program has anything to do with logging: where it has not, nobody has set it up."""
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("prwlock").log(getattr(logging, level), text)
