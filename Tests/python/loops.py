"""Running coroutines in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Callable

Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def until(condition: Callable[[], object]) -> None:
    """Polls until the condition is true, while the loop runs."""
    while not condition():
        await asyncio.sleep(0.001)
