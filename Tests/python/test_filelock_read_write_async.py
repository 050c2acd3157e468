"""The end of all holds of the reader-writer lock for tasks, in the shape of filelock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import prwlock
import pytest
from prwlock.compat.filelock import AsyncReadWriteLock, ReadWriteLock

from loops import Run


@pytest.mark.parametrize("is_blocking", [True, False])
def test_an_end_goes_through_all_holds_and_raises_the_first_error(
    is_blocking: bool, home: Path, client: prwlock.Client, loop_run: Run
) -> None:
    async def body() -> None:
        lock = AsyncReadWriteLock(home / "rw")
        tasks = [asyncio.ensure_future(lock.acquire_read()) for _ in range(3)]  # type: ignore[arg-type, unused-ignore]
        await asyncio.gather(*tasks)
        name = client.list()[0].name
        client.revoke(name, client.status(name).holders[0].token)
        with pytest.raises(prwlock.LockLost):
            if is_blocking:
                ReadWriteLock(home / "rw").close()
            else:
                await lock.close()
        assert not client.status(name).holders

    loop_run(body())
