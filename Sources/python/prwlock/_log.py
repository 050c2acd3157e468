"""What is worth a line in a program's log, under the name ``prwlock``."""

from __future__ import annotations

import sys

from ._harmless import harmless


def log(level: str, text: str) -> None:
    """Logs a message, if the program has imported `logging`. Otherwise no handler is set up."""
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("prwlock").log(getattr(logging, level), harmless(text))
