"""The settings of the locks that have one holder, as attributes."""

from __future__ import annotations

import os
import threading
import warnings
from typing import Callable, Optional, Union

from ..._rwlock import RWLock
from .._paths import PathLike
from ._context import Context, Hold, ThreadContext, Turns
from ._options import (
    UNSET_MODE,
    CloseErrorPolicy,
    ContextErrorPolicy,
    check_blocking,
    lifetime_seconds,
    poll_seconds,
    seconds,
)


class Settings:
    """What a lock was made with. Without `thread_local`, a change of an attribute is one for all threads."""

    _lifetime_replacements: Optional[tuple[str, str]] = None

    def __init__(
        self,
        lock_file: PathLike,
        timeout: float = -1,
        mode: int = UNSET_MODE,
        thread_local: bool = True,
        *,
        blocking: bool = True,
        is_singleton: bool = False,
        poll_interval: float = 0.05,
        lifetime: Optional[float] = None,
        context_error_policy: ContextErrorPolicy = "chain",
        close_error_policy: CloseErrorPolicy = "default",
        fallback_to_soft: bool = True,
        preserve_lock_file: bool = False,
        on_acquired: Optional[Callable[[int], None]] = None,
    ) -> None:
        self._path = os.fspath(lock_file)
        self._context = (ThreadContext if thread_local else Context)(timeout, mode, blocking, poll_interval, lifetime)
        self._turns = None if thread_local else Turns()
        self._is_singleton = is_singleton
        self._context_error_policy = context_error_policy
        self._close_error_policy = close_error_policy
        self._fallback_to_soft = fallback_to_soft
        self._preserve_lock_file = preserve_lock_file
        self._on_acquired = on_acquired
        self._lock: Optional[RWLock] = None
        #: The holds, and the threads that began them. A hold outlives its thread.
        self._begun: dict[Hold, threading.Thread] = {}

    @property
    def lock_file(self) -> str:
        """The path that was given."""
        return self._path

    @property
    def is_locked(self) -> bool:
        """Whether it is held: by this thread, or without `thread_local` by this object."""
        return self._context.hold.is_real

    @property
    def lock_counter(self) -> int:
        """How many acquisitions are not released."""
        hold = self._context.hold
        return hold.count if hold.is_real else 0

    @property
    def timeout(self) -> float:
        """The timeout of `acquire`; a negative or infinite one means for ever."""
        return self._context.timeout

    @timeout.setter
    def timeout(self, value: Union[float, str]) -> None:
        if isinstance(value, (str, bytes, bytearray)):
            warnings.warn(
                "setting timeout from a string is deprecated and will be removed; pass a number",
                DeprecationWarning,
                stacklevel=2,
            )
            value = float(value)
        self._context.timeout = seconds("timeout", value)

    @property
    def blocking(self) -> bool:
        """Whether `acquire` waits."""
        return self._context.blocking

    @blocking.setter
    def blocking(self, value: bool) -> None:
        check_blocking(value)
        self._context.blocking = value

    @property
    def poll_interval(self) -> float:
        """How often `cancel_check` is called; the wait itself needs no interval."""
        return self._context.poll_interval

    @poll_interval.setter
    def poll_interval(self, value: float) -> None:
        self._context.poll_interval = poll_seconds(value)

    @property
    def lifetime(self) -> Optional[float]:
        """After how many seconds a soft lock ends without a release; None for never."""
        return self._context.lifetime

    @lifetime.setter
    def lifetime(self, value: Optional[float]) -> None:
        kind = type(self)
        self._context.lifetime = lifetime_seconds(value, kind.__name__, kind._lifetime_replacements, 3)

    @property
    def mode(self) -> int:
        """The mode of the file; 0o644 if there is no explicit one, as the original says."""
        return 0o644 if self._context.mode == UNSET_MODE else self._context.mode

    @property
    def has_explicit_mode(self) -> bool:
        """Whether a mode was given."""
        return self._context.mode != UNSET_MODE

    @property
    def is_singleton(self) -> bool:
        """Whether there is one object for each path."""
        return self._is_singleton

    def is_thread_local(self) -> bool:
        """Whether each thread has its own hold and settings."""
        return self._turns is None

    @property
    def context_error_policy(self) -> ContextErrorPolicy:
        """Whether an error of the release follows that of the body (``chain``), or both are raised (``group``)."""
        return self._context_error_policy

    @property
    def close_error_policy(self) -> CloseErrorPolicy:
        """Whether an error of closing the descriptor for `on_acquired` is raised."""
        return self._close_error_policy

    @property
    def fallback_to_soft(self) -> bool:
        """The option that was given."""
        return self._fallback_to_soft

    @property
    def preserve_lock_file(self) -> bool:
        """The option that was given; a native lock never removes its file."""
        return self._preserve_lock_file

    @property
    def on_acquired(self) -> Optional[Callable[[int], None]]:
        """The callable that gets a descriptor of the file after each acquisition."""
        return self._on_acquired
