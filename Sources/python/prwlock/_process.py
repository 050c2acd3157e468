"""The id of this process from memory. The system call costs a quarter of a microsecond, or more."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: ``MADV_WIPEONFORK``, which the module `mmap` does not name.
_WIPE_ON_FORK = 18
#: The process that used the package last, as long as the first byte of the page is 1.
_process = 0
_page: Any = b"\0"


def process_id() -> int:
    """Returns the id of this process, mostly without the system call of `os.getpid`.

    The kernel wipes the page in a forked child, also in one that was forked without Python's knowledge.
    """
    return _process if _page[0] else _begin()


def _begin() -> int:
    global _process, _page
    process = os.getpid()
    if _process == 0:
        _page = _make_page()
    _process = process
    if _page != b"\0":
        _page[0] = 1
    return process


def _make_page() -> Any:
    try:
        from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, mmap

        page = mmap(-1, PAGESIZE, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        page.madvise(_WIPE_ON_FORK)
        return page
    except (ImportError, OSError, ValueError):
        # An old kernel, or no descriptor is left to load the module: each call asks the system.
        return b"\0"
