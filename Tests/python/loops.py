"""Coroutines in tests: on which loop they run, and how they wait."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Callable

Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def until(condition: Callable[[], object]) -> None:
    """Looks until it is so; the loop goes on meanwhile."""
    while not condition():
        await asyncio.sleep(0.001)
