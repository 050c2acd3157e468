"""The standard library's own tests of its locks, with the locks of `prwlock.compat`.

They come with most Pythons, but not with Debian's `python3`. Left out are only tests of what these locks do not have:

| test | why |
|---|---|
| `test_repr`, `test_locked_repr` | `repr` shows the lock's name, and does not ask the daemon whether it is held |
| `test_at_fork_reinit` | a forked child begins with free locks without `_at_fork_reinit` |

A comment names the few others, which call a lock as another kind of lock than it is.
"""

from __future__ import annotations

import multiprocessing
import threading
import unittest
from typing import Any, ClassVar

import pytest
from prwlock.compat import Lock, MultiprocessingLock, MultiprocessingRLock, RLock

lock_tests: Any = pytest.importorskip("test.lock_tests", reason="this Python is installed without its own tests")
process_tests: Any = pytest.importorskip(
    "test._test_multiprocessing", reason="this Python is installed without its own tests"
)

pytestmark = pytest.mark.usefixtures("daemon")


class TestLock(lock_tests.LockTests):
    locktype = Lock
    test_repr = test_locked_repr = test_at_fork_reinit = None


class TestRLock(lock_tests.RLockTests):
    locktype = RLock
    test_repr = test_locked_repr = test_at_fork_reinit = None


class TestConditionOnRLock(lock_tests.ConditionTests):
    @staticmethod
    def condtype(lock: Any = None) -> threading.Condition:
        return threading.Condition(lock or RLock())


class TestConditionOnLock(lock_tests.ConditionTests):
    # It acquires twice.
    test_acquire = None

    @staticmethod
    def condtype(lock: Any = None) -> threading.Condition:
        return threading.Condition(lock or Lock())


class TestMultiprocessingLockAsLock(lock_tests.LockTests):
    locktype = MultiprocessingLock
    test_repr = test_locked_repr = test_at_fork_reinit = None
    # Negative and huge timeouts are errors in `threading` only, and `blocking` is called `block` in `multiprocessing`.
    test_timeout = test_state_after_timeout = None


class OurLocks(process_tests.ProcessesMixin):  # type: ignore[misc]
    ALLOWED_TYPES: ClassVar[tuple[str]] = ("processes",)
    Lock = MultiprocessingLock
    RLock = MultiprocessingRLock

    @staticmethod
    def Condition(lock: Any = None) -> Any:  # noqa: N802
        return multiprocessing.Condition(lock or MultiprocessingRLock())


class TestLocksOfProcesses(OurLocks, process_tests._TestLock, unittest.TestCase):
    pass


class TestConditionOfProcesses(OurLocks, process_tests._TestCondition, unittest.TestCase):
    pass
