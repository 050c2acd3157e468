"""Kills a worker at a chosen instruction, with ptrace.

A *stop* is the beginning or the end of a system call of the worker's serving thread. A kill at the beginning leaves the call
undone; after a kill at the end nothing learns of its result. From a stop on, the worker can take single instructions.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass

_CONT, SINGLESTEP, _SYSCALL, DETACH, SEIZE, _INTERRUPT = 7, 9, 24, 17, 0x4206, 0x4207
_TRACE_SYSTEM_GOOD, _TRACE_VFORK = 1, 4
_SYSTEM_CALL_STOP = signal.SIGTRAP | 0x80
_WAIT_ALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request: int, process: int, data: int = 0) -> bool:
    return _libc.ptrace(request, process, None, data) == 0


@dataclass(frozen=True)
class Kill:
    """The stop at which one worker is killed, counted from 1, and the number of instructions after it."""

    stop: int
    instructions: int = 0

    def __str__(self) -> str:
        return f"{self.stop}+{self.instructions}" if self.instructions else f"{self.stop}"


class Tracer:
    """Kills the worker, and the workers after it, once each. Then it leaves their successor alone.

    The caller calls `pump` after each SIGCHLD. The tracer is the parent of the keeper, and reaps all children.
    """

    def __init__(self, keeper: int, worker: int, kills: list[Kill]) -> None:
        self.keeper, self.worker = keeper, worker
        self.kills = list(kills)
        self.stops = 0
        self.killed = 0
        self.instructions = 0
        # By process id: the wait status of each process that has ended.
        self.ended: dict[int, int] = {}
        # Its next workers are traced from their first instruction on.
        if not ptrace(SEIZE, keeper, _TRACE_VFORK | _TRACE_SYSTEM_GOOD) or not ptrace(
                SEIZE, worker, _TRACE_SYSTEM_GOOD) or not ptrace(_INTERRUPT, worker):
            raise SystemExit(f"this system does not allow to trace a process: {os.strerror(ctypes.get_errno())}")

    def pump(self) -> None:
        """Handles all that the processes have reported."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG | _WAIT_ALL)
            except ChildProcessError:
                return
            if process == 0:
                return
            if os.WIFSTOPPED(status):
                self._handle(process, status >> 8)
            else:
                self.ended[process] = status

    def _handle(self, process: int, stop: int) -> None:
        delivered = 0 if stop >> 8 or stop == _SYSTEM_CALL_STOP else stop
        if process == self.keeper:
            ptrace(_CONT, process, delivered)
            return
        if process != self.worker:
            self.worker, self.stops = process, 0
        if self.killed == len(self.kills):
            ptrace(DETACH, process, delivered)
            return
        if stop == _SYSTEM_CALL_STOP:
            self.stops += 1
            if self.stops == self.kills[self.killed].stop:
                self._kill(process)
                return
        ptrace(_SYSCALL, process, delivered)

    def _kill(self, process: int) -> None:
        for _ in range(self.kills[self.killed].instructions):
            if not ptrace(SINGLESTEP, process) or not self._has_stepped(process):
                break
            self.instructions += 1
        self.killed += 1
        if process not in self.ended:
            os.kill(process, signal.SIGKILL)

    def _has_stepped(self, process: int) -> bool:
        """Waits for one instruction; False if it is a system call that waits for something."""
        end = time.monotonic() + 0.02
        while True:
            found, status = os.waitpid(process, os.WNOHANG | _WAIT_ALL)
            if found and os.WIFSTOPPED(status):
                return True
            if found:
                self.ended[process] = status
            if found or time.monotonic() > end:
                return False

    def end(self) -> None:
        """Kills the keeper and its worker, and waits for the keeper, the only one that is a child of this process."""
        for process in (self.keeper, self.worker):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        while self.keeper not in self.ended:
            self.pump()
            time.sleep(0.0005)
