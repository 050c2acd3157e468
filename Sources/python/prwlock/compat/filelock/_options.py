"""The options of filelock's locks: their defaults, and the errors of values that the original refuses."""

from __future__ import annotations

import math
import warnings
from decimal import Decimal
from numbers import Real
from threading import TIMEOUT_MAX
from time import monotonic
from typing import Any, Callable, Literal, NamedTuple, Optional, TypedDict

from ._errors import SoftFileLockLifetimeWarning
from ._groups import can_group

ContextErrorPolicy = Literal["chain", "group"]
CloseErrorPolicy = Literal["default", "raise", "suppress"]

#: The mode of a lock that got none: new files get 0o666 without the bits of the umask.
UNSET_MODE = -1
#: A pause between two looks at `cancel_check` is at least so long, in seconds.
_SHORTEST_PAUSE = 0.001


class LockOptions(TypedDict, total=False):
    """The options that a subclass may pass on to `BaseFileLock`."""

    timeout: float
    mode: int
    thread_local: bool
    blocking: bool
    is_singleton: bool
    poll_interval: float
    lifetime: Optional[float]
    context_error_policy: ContextErrorPolicy
    close_error_policy: CloseErrorPolicy
    fallback_to_soft: bool
    preserve_lock_file: bool
    on_acquired: Optional[Callable[[int], None]]


class AcquireWait(NamedTuple):
    """How long one call of `acquire` waits: a negative `timeout` means for ever; `start_time` is of `monotonic`."""

    blocking: bool
    cancel_check: Optional[Callable[[], bool]]
    timeout: float
    poll_interval: float
    start_time: float

    @property
    def left(self) -> Optional[float]:
        """How many seconds are left; None for ever."""
        if not self.blocking:
            return 0
        if self.timeout < 0:
            return None
        return max(0, self.start_time + self.timeout - monotonic())

    @property
    def pause(self) -> float:
        """How many seconds to wait between two looks at `cancel_check`."""
        left = self.left
        pause = max(self.poll_interval, _SHORTEST_PAUSE)
        return pause if left is None else min(pause, left)

    @property
    def is_over(self) -> bool:
        """Whether the time has passed, or the caller has cancelled."""
        return self.left == 0 or (self.cancel_check is not None and self.cancel_check())


def acquire_wait(
    timeout: float, poll_interval: float, blocking: bool, cancel_check: Optional[Callable[[], bool]]
) -> AcquireWait:
    """Checks the options of a call of `acquire`.

    Raises:
        TypeError: `blocking` is not a bool, or a duration is not a number.
        ValueError: the timeout is NaN, or the interval is out of range.
    """
    check_blocking(blocking)
    poll_interval = poll_seconds(poll_interval)
    return AcquireWait(blocking, cancel_check, timeout_seconds(timeout, blocking), poll_interval, monotonic())


def seconds(what: str, value: Any) -> float:
    """Returns a duration as a float; any real number or `Decimal` is one, and a bool is none."""
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        raise TypeError(f"{what} must be a number of seconds, not {type(value).__name__}")
    if isinstance(value, Decimal) and value.is_snan():
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{what} is too large to be a number of seconds: {value!r}") from None
    # A negative number that is too small for a float means for ever, not 0.
    return -1.0 if number == 0 and value < 0 else number


def timeout_seconds(timeout: float, blocking: bool) -> float:
    """Returns the timeout of a call; -1 stands for an infinite one. A call that does not wait may have any number."""
    number = seconds("timeout", timeout)
    if math.isnan(number):
        if blocking:
            raise ValueError("timeout must be a number of seconds, not nan")
        return 0
    return -1 if number == math.inf else number


def read_write_timeout(timeout: float, blocking: bool) -> float:
    """Returns the timeout of a call of a reader-writer lock, for which only -1 means for ever."""
    check_blocking(blocking)
    number = timeout_seconds(timeout, blocking)
    if number < 0 and number != -1 and blocking:
        raise ValueError(f"timeout must be a non-negative number or -1, not {number!r}")
    return number


def same_timeout(first: float, second: float, *, is_any_negative: bool) -> bool:
    """Returns whether two timeouts mean the same wait."""

    def meaning(timeout: float) -> object:
        if math.isnan(timeout):
            return "nan"
        return -1.0 if timeout == math.inf or (is_any_negative and timeout < 0) else timeout

    return meaning(first) == meaning(second)


def check_blocking(blocking: Any) -> None:
    """Refuses what is not a bool."""
    if not isinstance(blocking, bool):
        raise TypeError(f"blocking must be a bool, not {type(blocking).__name__}")


def poll_seconds(poll_interval: float) -> float:
    """Returns the interval of looks at `cancel_check`."""
    number = seconds("poll_interval", poll_interval)
    if number < 0 or not math.isfinite(number):
        raise ValueError(f"poll_interval must be finite and non-negative, not {number!r}")
    if number > TIMEOUT_MAX:
        raise ValueError(f"poll_interval must not exceed threading.TIMEOUT_MAX ({TIMEOUT_MAX}), got {number!r}")
    return number


def lifetime_seconds(
    lifetime: Optional[float], kind: str, replacements: Optional[tuple[str, str]], stacklevel: int
) -> Optional[float]:
    """Returns the lifetime of a lock; `replacements` are what to use instead, None for a lock that ignores it.

    Warns:
        UserWarning: the lock ignores its lifetime.
        SoftFileLockLifetimeWarning: the lock has a lifetime.
    """
    if lifetime is None:
        return None
    number = lifetime if isinstance(lifetime, int) and not isinstance(lifetime, bool) else seconds("lifetime", lifetime)
    if number < 0 or (isinstance(number, float) and not math.isfinite(number)):
        raise ValueError(f"lifetime must be finite and non-negative, not {number!r}")
    if replacements is None:
        warnings.warn(
            f"lifetime is ignored for {kind}: a native OS lock cannot be broken safely by file age; "
            "only SoftFileLock supports lifetime-based expiry",
            stacklevel=stacklevel,
        )
        return None
    strict, lease = replacements
    warnings.warn(
        f"{kind}(lifetime=...) uses age-based expiry and can overlap a live holder; "
        f"use {lease} for expiry or {strict} for fail-closed locking",
        SoftFileLockLifetimeWarning,
        stacklevel=stacklevel,
    )
    return number


def check_mode(mode: int, kind: str) -> None:
    """Refuses a mode that is none, or without the owner's permissions."""
    if mode == UNSET_MODE:
        return
    if isinstance(mode, bool) or not isinstance(mode, int):
        raise TypeError(f"mode must be an int, not {type(mode).__name__}")
    if not 0 <= mode <= 0o777:
        raise ValueError(f"mode={mode:#o} must be within 0o000-0o777 for {kind}")
    if ~mode & 0o600:
        raise ValueError(f"mode={mode:#o} must grant the owner read and write for {kind}")


def check_policies(context_error_policy: str, close_error_policy: str) -> None:
    """Refuses policies that do not exist, and exception groups where Python has none."""
    if context_error_policy not in ("chain", "group"):
        raise ValueError(f"context_error_policy must be 'chain' or 'group', got {context_error_policy!r}")
    if context_error_policy == "group" and not can_group():
        raise ValueError("context_error_policy='group' needs the exception groups of Python 3.11")
    if close_error_policy not in ("default", "raise", "suppress"):
        raise ValueError(f"close_error_policy must be 'default', 'raise', or 'suppress', got {close_error_policy!r}")
