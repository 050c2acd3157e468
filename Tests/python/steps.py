"""Calling something between two steps of the package."""

from __future__ import annotations

import dis
import os
import sys
import threading
from types import CodeType, FrameType
from typing import Any, Callable

import prwlock

TOOL = 5
TAKE_OVER = dis.opmap.get("PUSH_EXC_INFO")
FOLDER = os.path.dirname(prwlock.__file__)


class AtSteps:
    """Calls something before the opcodes with these numbers that this thread runs in the package's modules."""

    def __init__(self, action: Callable[[], object], *steps: int) -> None:
        self.action = action
        self.steps = set(steps)
        self.count = 0
        #: How often `action` was called.
        self.called = 0
        self.thread = threading.get_ident()

    def __enter__(self) -> AtSteps:
        self.thread = threading.get_ident()
        if sys.version_info >= (3, 12):
            tools = sys.monitoring
            tools.use_tool_id(TOOL, "steps")
            tools.register_callback(TOOL, tools.events.INSTRUCTION, self._monitor)
            tools.set_events(TOOL, tools.events.INSTRUCTION)
        else:
            sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        if sys.version_info >= (3, 12):
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.register_callback(TOOL, sys.monitoring.events.INSTRUCTION, None)
            sys.monitoring.free_tool_id(TOOL)
        else:
            sys.settrace(None)

    def _monitor(self, code: CodeType, offset: int) -> None:
        # Not at the start of an exception handler: no signal can be delivered there.
        if code.co_filename.startswith(FOLDER) and code.co_code[offset] != TAKE_OVER:
            self._step()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            self._step()
        return self._trace

    def _step(self) -> None:
        if threading.get_ident() != self.thread:
            return
        self.count += 1
        if self.count in self.steps:
            self.called += 1
            self.action()


class AtChecks:
    """Calls something where Python may run signal handlers: at the beginning of a function, and after a call of C.

    What is raised there comes out of that call, unlike what `AtSteps` raises. The beginning of an `__exit__` is left
    out: no class in Python can survive an exception there.
    """

    def __init__(self, action: Callable[[], object], *checks: int) -> None:
        self.action = action
        self.checks = set(checks)
        self.count = 0
        #: How often `action` was called.
        self.called = 0

    def __enter__(self) -> AtChecks:
        sys.setprofile(self._check)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _check(self, frame: FrameType, event: str, argument: object) -> None:
        if event not in ("call", "c_return") or not frame.f_code.co_filename.startswith(FOLDER):
            return
        if event == "call" and frame.f_code.co_name == "__exit__":
            return
        self.count += 1
        if self.count in self.checks:
            self.called += 1
            self.action()
