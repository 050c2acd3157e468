"""The event loop, in a thread of its own, that asks the daemon for all asynchronous locks of the process.

A session of `prwlock.aio` ends with its event loop. The locks of filelock do not: a program may acquire in one
``asyncio.run`` and release in the next one. So their session belongs to this loop, which lives as long as the process.
A waiting task takes no thread of an executor, which `release` might need.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from time import monotonic
from typing import Any, Callable, Optional, TypeVar

from ..._errors import LimitExceeded
from ..._forking import Guarded
from ..._rwlock import RWLock
from ...aio import RWLock as TaskLock
from ...aio._grant import Grant

Result = TypeVar("Result")
#: The pause before a request that found too many others waiting is repeated, in seconds.
_PAUSE = 0.05


class GaveUp(Exception):
    """A wait has ended because the caller wants that."""


class _Engine(Guarded):
    def __init__(self) -> None:
        super().__init__()
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    def after_fork(self) -> None:
        super().after_fork()
        # The thread exists only in the parent.
        self._loop = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, which begins with its first use."""
        with self.guard:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="prwlock-filelock", daemon=True).start()
                self._loop = loop
            return self._loop

    def run(self, body: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Runs a coroutine as a task of the loop."""
        return asyncio.run_coroutine_threadsafe(body, self.loop)


_engine = _Engine()


async def _acquire(lock: RWLock, mode: str, timeout: Optional[float], lease: Optional[float]) -> Grant:
    own = TaskLock.of(lock)
    end = None if timeout is None else monotonic() + timeout
    while True:
        try:
            return await (own.read if mode == "read" else own.write)(timeout, lease=lease)
        except LimitExceeded as error:
            # More tasks wait than the daemon lets one session: this one asks again when others have been served.
            if error.code != "limit-waiters" or (end is not None and end <= monotonic()):
                raise
        await asyncio.sleep(_PAUSE)
        timeout = None if end is None else max(0, end - monotonic())


def ask(lock: RWLock, mode: str, timeout: Optional[float], lease: Optional[float] = None) -> Future[Grant]:
    """Requests a lock. To cancel the future gives the request up; a grant without a reader is released.

    The owner is a new task, so the daemon never counts the grant as a part of a deadlock.
    """
    return _engine.run(_acquire(lock, mode, timeout, lease))


def release_blocking(grant: Grant) -> None:
    """Releases a grant of `ask` for a thread that waits."""
    _engine.run(grant.release()).result()


async def release(grant: Grant) -> None:
    """Releases a grant of `ask`. If the caller is cancelled, the release finishes first.

    Raises:
        LockLost: the grant has ended before.
    """
    await finish(_engine.run(grant.release()))


async def finish(future: Future[Result]) -> Result:
    """Waits for a future also if the caller is cancelled, which it then is as soon as the future is done."""
    return await _finish(asyncio.wrap_future(future))


async def _finish(waiting: asyncio.Future[Result]) -> Result:
    cancelled: Optional[asyncio.CancelledError] = None
    try:
        while not waiting.done():
            try:
                await asyncio.wait({waiting})
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled from waiting.exception()
        return waiting.result()
    finally:
        del cancelled, waiting


async def wait_for(future: Future[Result], step: Callable[[], Optional[float]], check: Callable[[], bool]) -> Result:
    """Waits for a future; calls `check` each time when a step has passed, and gives up when it returns true.

    Raises:
        GaveUp: `check` returned true, or other code has cancelled the future.
    """
    waiting = asyncio.wrap_future(future)
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=step())
            if not waiting.done() and check():
                raise GaveUp
        if waiting.cancelled():
            # The caller was not cancelled: other code has cancelled the future.
            raise GaveUp
        return waiting.result()
    except BaseException:
        waiting.cancel()
        raise
    finally:
        # A cycle of this frame and the futures' error would keep the caller's lock alive.
        del future, waiting


class Gate(Guarded):
    """Lets the tasks that share a lock object acquire it one after the other, also tasks of several event loops."""

    def __init__(self) -> None:
        super().__init__()
        self._is_taken = False
        self._waiting: set[asyncio.Future[None]] = set()

    def after_fork(self) -> None:
        super().after_fork()
        self._is_taken = False
        self._waiting = set()

    def try_enter(self) -> bool:
        """Enters if no other task is inside."""
        with self.guard:
            is_free = not self._is_taken
            self._is_taken = True
            return is_free

    async def enter(self, step: Callable[[], Optional[float]], check: Callable[[], bool]) -> None:
        """Waits until no other task is inside, and enters.

        Raises:
            GaveUp: `check` returned true after a step.
        """
        while True:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            with self.guard:
                if self.try_enter():
                    return
                self._waiting.add(turn)
            try:
                await asyncio.wait({turn}, timeout=step())
            finally:
                with self.guard:
                    self._waiting.discard(turn)
            if not turn.done() and check():
                raise GaveUp

    def leave(self) -> None:
        """Leaves; every waiting task tries to enter, so a cancelled one cannot keep the others from it."""
        with self.guard:
            self._is_taken = False
            waiting, self._waiting = self._waiting, set()
        for turn in waiting:
            with suppress(RuntimeError):  # Its loop has ended.
                turn.get_loop().call_soon_threadsafe(_wake, turn)


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


async def in_thread(executor: Any, is_wanted: bool, call: Callable[[], Result]) -> Result:
    """Calls a function in an executor if that is wanted, and finishes the call also if the caller is cancelled."""
    if not is_wanted:
        return call()
    running: Awaitable[Result] = asyncio.get_running_loop().run_in_executor(executor, call)
    return await _finish(asyncio.ensure_future(running))
