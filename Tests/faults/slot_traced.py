"""The parts of `slots` with clients that are traced or stopped."""

from __future__ import annotations

import argparse
import os
import re
import select
import signal
import statistics
import subprocess
import time
from pathlib import Path

from slot_session import PATIENCE, Daemon, Session, Violation, compile_c
from tracer import DETACH, SEIZE, SINGLESTEP, ptrace

_PROCESSES, _OWNERS = 100, 10
# So few ask at a time, as the daemon forgets some of many owners between their first and their second request.
_GROUP = 10
_HOLDS, _WANTED = 0x7FFF, 0x8000
# So many instructions are not between the markers.
_MOST_INSTRUCTIONS = 2_000


class TestedClient:
    """A process of `slot_client`."""

    def __init__(self, program: Path, path: str, mode: str, name: str, owners: int = 1) -> None:
        self.process = subprocess.Popen([program, path, mode, name, str(owners)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        self.id = self.process.pid

    def wait_until_ready(self) -> None:
        words = self.line().split()
        if len(words) != 4 or words[0] != "ready":
            raise Violation(f"a client does not start: {words}")
        self._address, self.token = int(words[1]), words[3]

    def say(self, letter: str) -> None:
        self.process.stdin.write(letter.encode())

    def line(self) -> str:
        if not select.select([self.process.stdout], [], [], 2 * PATIENCE)[0]:
            raise Violation("a client does not answer")
        return self.process.stdout.readline().decode().strip()

    def word(self) -> int:
        memory = os.open(f"/proc/{self.id}/mem", os.O_RDONLY)
        try:
            return int.from_bytes(os.pread(memory, 8, self._address), "little")
        finally:
            os.close(memory)

    def trace(self) -> None:
        """Lets it go to the first marker."""
        if not ptrace(SEIZE, self.id):
            raise SystemExit("this system does not allow to trace a process")
        self.say("s")
        if (stop := self._wait_for_stop()) != signal.SIGSTOP:
            raise Violation(f"no first marker, but {stop}")

    def step(self) -> bool:
        """Carries out one instruction. False at the second marker."""
        if not ptrace(SINGLESTEP, self.id):
            raise Violation("no step")
        return self._wait_for_stop() == signal.SIGTRAP

    def _wait_for_stop(self) -> int:
        _, status = os.waitpid(self.id, 0)
        if not os.WIFSTOPPED(status):
            raise Violation(f"a client ended with {status}")
        return os.WSTOPSIG(status)

    def go_on(self) -> None:
        ptrace(DETACH, self.id)

    def stop(self) -> None:
        """Stops it, and waits until it has left the processor."""
        os.kill(self.id, signal.SIGSTOP)
        self._wait_for_stop_of_child()
        # The kernel knows the registers of a process when it runs no more.
        while Path(f"/proc/{self.id}/syscall").read_text().startswith("running"):
            os.sched_yield()

    def _wait_for_stop_of_child(self) -> None:
        _, status = os.waitpid(self.id, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            raise Violation(f"a client ended with {status}")

    def proceed(self) -> None:
        os.kill(self.id, signal.SIGCONT)

    def switches(self) -> list[str]:
        return re.findall(r"ctxt_switches:\s+(\d+)", Path(f"/proc/{self.id}/status").read_text())

    def kill(self) -> float:
        """Returns when."""
        now = time.monotonic()
        os.kill(self.id, signal.SIGKILL)
        return now

    def bury(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def _is_granted(reply: str, what: str, has_mark: bool | None = None) -> None:
    if not reply.startswith("GRANTED ") or has_mark not in (None, reply.endswith(" ownerdied=1")):
        raise Violation(f"{what}: {reply}")


# MARK: a kill at each instruction


class Steps:
    """Kills a client after so many instructions of the fast path."""

    def __init__(self, program: Path, daemon: Daemon) -> None:
        self.program, self.path = program, daemon.path
        self.next = Session(daemon.path)
        self.kills = self.held = 0
        self.longest = 0.0

    def run(self, mode: str, round_: str, count: int) -> bool:
        """One client. Returns whether it came to the instruction: the second marker was not before it."""
        name = f"steps/{mode}"
        client = TestedClient(self.program, self.path, mode, name)
        what = f"{mode}, {round_}, after {count} instructions"
        try:
            client.wait_until_ready()
            client.trace()
            for _ in range(count):
                if not client.step():
                    return False
            is_held = client.word() & _HOLDS != 0
            getattr(self, round_)(client, name, is_held, mode == "WRITE" and is_held, what)
            self.release(name)
            return True
        finally:
            client.bury()

    def asked_before(self, client: TestedClient, name: str, is_held: bool, has_mark: bool, what: str) -> None:
        # The answer to PING shows that the daemon has carried out what came before it.
        self.next.send(f"WRITE {name} wait=5s", "PING")
        first = self.next.line()
        if is_held != (first == "PONG"):
            raise Violation(f"{what}: the word says held={is_held}, and the answer is {first}")
        if is_held and client.word() & _WANTED == 0:
            raise Violation(f"{what}: a request waits, and the word is {client.word():x}")
        killed_at = client.kill()
        second = self.next.line()
        self.took(killed_at if is_held else None)
        _is_granted(second if is_held else first, what, has_mark)
        self.held += is_held

    def asked_after(self, client: TestedClient, name: str, is_held: bool, has_mark: bool, what: str) -> None:
        killed_at = client.kill()
        reply = self.next.ask(f"WRITE {name} wait=5s")
        self.took(killed_at)
        _is_granted(reply, what, has_mark)
        self.held += is_held

    def goes_on(self, client: TestedClient, name: str, is_held: bool, has_mark: bool, what: str) -> None:
        """No kill: the lock is asked for at this instruction, and then the client goes on."""
        self.next.send(f"WRITE {name} wait={PATIENCE}s", "PING")
        answers = [self.next.line()]
        client.go_on()
        outcome = client.line()
        answers.append(self.next.line())
        # What it held it releases by the socket, as it is wanted; what it did not hold is taken from it.
        allowed = ["released"] if is_held else ["refused", "left"]
        if outcome not in allowed:
            raise Violation(f"{what}: held={is_held}, and the client {outcome}")
        if is_held != (answers[0] == "PONG"):
            raise Violation(f"{what}: the word says held={is_held}, and the answers are {answers}")
        _is_granted(answers[1] if is_held else answers[0], what, has_mark=False)

    def took(self, killed_at: float | None) -> None:
        self.kills += 1
        if killed_at is not None:
            self.longest = max(self.longest, time.monotonic() - killed_at)

    def release(self, name: str) -> None:
        reply = self.next.ask(f"RELEASE {name}")
        if not reply.startswith("RELEASED "):
            raise Violation(reply)


def kill_at_each_instruction(options: argparse.Namespace, folder: Path) -> str:
    program = compile_c(folder, "slot_client.c")
    daemon = Daemon(options, folder, keeps=False)
    try:
        steps = Steps(program, daemon)
        counts = {}
        for mode in ("WRITE", "READ"):
            for round_ in ("asked_before", "asked_after", "goes_on"):
                count = 0
                while steps.run(mode, round_, count):
                    count += 1
                    if count > _MOST_INSTRUCTIONS:
                        raise Violation("the second marker does not come")
                counts[mode] = count
        daemon.stop()
        if not steps.held:
            raise Violation("no client was killed while it held")
        return (f"{counts['WRITE']} instructions to write and {counts['READ']} to read, {steps.kills} kills, "
                f"{steps.held} of them while it held; from a kill to the grant {steps.longest * 1e3:.1f} ms at most "
                "(goal: 10 ms); 0 violations")
    finally:
        daemon.kill()


# MARK: stopped processes


class Stopped:
    """Readers in stopped processes, and a writer."""

    NAME = "stopped"

    def __init__(self, program: Path, daemon: Daemon) -> None:
        self.clients: list[TestedClient] = []
        self.program, self.path = program, daemon.path
        self.writer, self.witness = Session(daemon.path), Session(daemon.path)

    def start(self) -> None:
        while len(self.clients) < _PROCESSES:
            for _ in range(_GROUP):
                self.clients.append(TestedClient(self.program, self.path, "READ", self.NAME, _OWNERS))
            for client in self.clients[-_GROUP:]:
                client.wait_until_ready()

    def prepare(self) -> None:
        for first in range(0, _PROCESSES, _GROUP):
            group = self.clients[first:first + _GROUP]
            for client in group:
                client.say("p")
            self.expect(group, "prepared")
        rows = self.witness.rows(f"STATUS {self.NAME}")
        if len(rows) != _PROCESSES * _OWNERS or not all(row.startswith("* cached ") for row in rows):
            raise Violation(f"not all are cached: {len(rows)} rows, {rows[:3]}")

    def expect(self, clients: list[TestedClient], answer: str) -> None:
        for client in clients:
            if (line := client.line()) != answer:
                raise Violation(f"{client.id}: expected {answer}: {line}")

    def stop(self) -> list[list[str]]:
        for client in self.clients:
            client.stop()
        return [client.switches() for client in self.clients]

    def proceed(self) -> None:
        for client in self.clients:
            client.proceed()

    def take(self) -> float:
        """All are idle. Returns how long the writer waited."""
        self.prepare()
        before = self.stop()
        began = time.monotonic()
        reply = self.writer.ask(f"WRITE {self.NAME} wait={PATIENCE}s")
        took = time.monotonic() - began
        _is_granted(reply, "a writer among idle readers", has_mark=False)
        if (after := [client.switches() for client in self.clients]) != before:
            differ = [pair for pair in zip(before, after) if pair[0] != pair[1]]
            raise Violation(f"context switches of stopped processes, before and after: {differ}")
        self.release_and_proceed()
        return took

    def take_from(self, holder: TestedClient) -> None:
        """One holds, all others are idle. The writer must wait for this one, and for no other."""
        self.prepare()
        holder.say("e")
        self.expect([holder], "entered")
        self.stop()
        self.writer.send(f"WRITE {self.NAME} wait={PATIENCE}s")
        self.writer_waits_for(holder)
        for client in self.clients:
            if client is not holder:
                client.proceed()
                # It has run, and changes nothing: what it had was taken.
                client.say("e")
                self.expect([client], "refused")
        self.writer_waits_for(holder)
        holder.proceed()
        holder.say("l")
        self.expect([holder], "released")
        _is_granted(self.writer.line(), "a writer behind one reader", has_mark=False)
        self.release_and_proceed()

    def writer_waits_for(self, holder: TestedClient) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            rows = self.witness.rows(f"STATUS {self.NAME}")
            kinds = [(row.split()[1], row.split()[2]) for row in rows]
            if kinds == [("holder", f"pid={holder.id}"), ("waiter", f"pid={os.getpid()}")]:
                return
            # The request may be on its way.
            holders = [process for kind, process in kinds if kind != "cached"]
            is_on_its_way = holders == [f"pid={holder.id}"]
            if not is_on_its_way or time.monotonic() > deadline:
                raise Violation(f"the writer does not wait for {holder.id}: {rows[:4]}")

    def release_and_proceed(self) -> None:
        reply = self.writer.ask(f"RELEASE {self.NAME}")
        if not reply.startswith("RELEASED "):
            raise Violation(reply)
        self.proceed()

    def end(self) -> None:
        for client in self.clients:
            client.bury()


def take_from_stopped(options: argparse.Namespace, folder: Path) -> str:
    program = compile_c(folder, "slot_client.c")
    daemon = Daemon(options, folder, keeps=False)
    stopped = None
    try:
        stopped = Stopped(program, daemon)
        stopped.start()
        times = [stopped.take() for _ in range(options.rounds)]
        for holder in (stopped.clients[0], stopped.clients[_PROCESSES // 2], stopped.clients[-1]):
            stopped.take_from(holder)
        stopped.end()
        daemon.stop()
        lowest, median, most = min(times), statistics.median(times), max(times)
        return (f"{_PROCESSES} stopped processes with {_OWNERS} idle read grants each: a writer was granted after "
                f"{lowest * 1e3:.2f} ms (min), {median * 1e3:.2f} ms (median), {most * 1e3:.2f} ms (max) of {len(times)} "
                "rounds (goal: 5 ms), without a context switch in them; and behind one that holds when that one "
                "released; 0 violations")
    finally:
        if stopped:
            stopped.end()
        daemon.kill()
