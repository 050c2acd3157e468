"""``python -m prwlock``: the command line, where the command `prwlock` is not installed."""

from __future__ import annotations

import sys

from ._cli import main

sys.exit(main(sys.argv[1:]))
