"""The clients of `slots`: processes that take and give back a few locks, by the fast path whenever they have one."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import signal
import time
import traceback
from collections.abc import Callable

from slot_session import PATIENCE, Ended, Grant, Session, Violation

LOCKS = [f"lock/{number}" for number in range(4)]
OWNERS = ["", " owner=t"]
# What a client counts, in memory that its parent has too.
COUNTERS = ["fast acquires", "fast releases", "acquires by the socket", "taken", "wanted", "not served", "fast recursions",
            "marks", "new sessions", "attacks"]
_CONFLICT, _LIFE = 1 << 30, (1 << 18) - 1
_PR_SET_PDEATHSIG = 1


class World:
    """What the parent and all clients share."""

    def __init__(self, path: str, shim: ctypes.CDLL, seed: int, clients: int) -> None:
        self.path, self.shim, self.seed = path, shim, seed
        self._witness_memory = mmap.mmap(-1, shim.witness_size())
        self.witness = ctypes.addressof(ctypes.c_char.from_buffer(self._witness_memory))
        # Whether the daemon is killed now and then, and all sessions with it.
        self.ends_sessions = False
        self._memory = mmap.mmap(-1, 8 * (1 + clients * len(COUNTERS)))
        self._words = memoryview(self._memory).cast("Q")
        self._longest = memoryview(mmap.mmap(-1, 8 * clients)).cast("d")
        # The parent closes it to the clients' reports when it reads, and the clients write one line each.
        self.reports, self._reporting = os.pipe()

    @property
    def is_ending(self) -> bool:
        return self._words[0] != 0

    def end(self) -> None:
        self._words[0] = 1

    def count(self, client: int, counter: str) -> None:
        self._words[1 + client * len(COUNTERS) + COUNTERS.index(counter)] += 1

    def total(self, counter: str) -> int:
        return sum(self._words[1 + COUNTERS.index(counter)::len(COUNTERS)])

    def note_wait(self, client: int, seconds: float) -> None:
        self._longest[client] = max(self._longest[client], seconds)

    @property
    def longest_wait(self) -> float:
        return max(self._longest)

    def report(self, text: str) -> None:
        os.write(self._reporting, f"{text}\n".encode()[:4000])


def start(world: World, client: int, life: int, kind: Callable[[World, int, int], Client]) -> int:
    """Starts a client in a process of its own, which ends with status 0 when the world ends. Returns its process id."""
    parent = os.getpid()
    if process := os.fork():
        return process
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            kind(world, client, life).run()
            status = 0
    except Ended:
        world.report(f"client {client}, life {life}: the session ended, and its process lives")
    except Violation as violation:
        world.report(f"client {client}, life {life}: {violation}")
    except BaseException:
        world.report(f"client {client}, life {life}: {traceback.format_exc()}")
    finally:
        os._exit(status)


def connect(world: World) -> Session:
    """A session with slots."""
    while True:
        try:
            session = Session(world.path, world.shim)
        except (ConnectionRefusedError, FileNotFoundError):
            if not world.ends_sessions:
                raise
            time.sleep(0.01)
            continue
        try:
            session.ask("PING")
            session.ask_for_slots()
            return session
        except Ended:
            # Only a connection that was accepted when the serving process was killed ends without an answer (G14).
            if session.received.has_some and not world.ends_sessions:
                raise
            session.close()


class Client:
    """One process, one session, two owners. Holds one lock at a time, or two in the order of their numbers."""

    def __init__(self, world: World, client: int, life: int) -> None:
        self.world, self.client, self.life = world, client, life
        self.rng = random.Random(f"{world.seed} {client} {life}")
        self.session = self.connect()
        # By owner and lock: what is cached and not held.
        self.cached: dict[tuple[str, int], Grant] = {}

    def run(self) -> None:
        while not self.world.is_ending:
            try:
                self.turn()
            except Ended:
                self.begin_again()
        self.finish()

    def begin_again(self) -> None:
        """Connects anew, as the daemon has died. What the client held or had cached is lost."""
        epoch, end = self.epoch, time.monotonic() + PATIENCE
        while self.world.shim.witness_entry(self.world.witness, 0) == epoch:
            if not self.world.ends_sessions or time.monotonic() > end:
                raise Ended
            time.sleep(0.001)
        self.cached.clear()
        self.session.close()
        self.session = self.connect()
        self.count("new sessions")

    def connect(self) -> Session:
        session = connect(self.world)
        self.epoch = self.world.shim.witness_entry(self.world.witness, 0)
        return session

    def turn(self) -> None:
        """Uses a lock some times."""
        lock, owner = self.rng.randrange(len(LOCKS)), self.rng.choice(OWNERS)
        mode = "read" if self.rng.random() < 0.6 else "write"
        for _ in range(self.rng.choice([1, 2, 3, 10, 300])):
            self.use(lock, mode, owner)
            if self.world.is_ending:
                return
        if self.rng.random() < 0.1:
            self.stay(lock, mode, owner)
        if self.cached and self.rng.random() < 0.1:
            self.give_back(self.rng.choice(list(self.cached)))
        # Idle, with what is cached, so that others take it.
        if self.rng.random() < 0.5:
            time.sleep(self.rng.expovariate(1 / 0.01))

    def stay(self, lock: int, mode: str, owner: str) -> None:
        """Uses a cached grant until it is taken, for longer than the grace of a daemon that comes after a dead one."""
        end = time.monotonic() + 3
        while (owner, lock) in self.cached and time.monotonic() < end and not self.world.is_ending:
            self.use(lock, mode, owner, only=True)
            time.sleep(0.001)

    def finish(self) -> None:
        for key in list(self.cached):
            self.give_back(key)
        self.expect("QUIT", "BYE")

    def count(self, counter: str) -> None:
        self.world.count(self.client, counter)

    def expect(self, request: str, *answers: str) -> None:
        reply = self.session.ask(request)
        if not reply.startswith(answers):
            raise Violation(f"{request}: {reply}")

    def use(self, lock: int, mode: str, owner: str, only: bool = False) -> None:
        """Takes a lock, does something under it, unless told to do only this, and releases it."""
        entry = self.world.shim.witness_entry(self.world.witness, self.life)
        grant, is_fast = self.acquire(lock, mode, owner)
        has_mark = grant.has_mark and not is_fast
        self.judge("witness_begin", grant, entry, has_mark)
        chance = 1 if only else self.rng.random()
        if chance < 0.02:
            time.sleep(self.rng.uniform(0, 0.003))
        elif chance < 0.04 and mode == "read":
            self.recur(grant)
        elif chance < 0.05 and lock + 1 < len(LOCKS):
            self.use(self.rng.randrange(lock + 1, len(LOCKS)), self.rng.choice(["read", "write"]), owner)
        elif chance < 0.06:
            self.expect(f"VALIDATE {grant.name} token={grant.token}", "VALID ")
        self.judge("witness_end", grant, entry, has_mark)
        self.release(grant)

    def judge(self, function: str, grant: Grant, entry: int, has_mark: bool) -> None:
        writes = grant.mode == "write"
        verdict = getattr(self.world.shim, function)(
            self.world.witness, grant.lock, self.client, entry, writes, has_mark)
        if verdict:
            who = f"{grant.name} {grant.mode} token={grant.token} slot={grant.slot}, life {verdict & _LIFE}"
            raise Violation(f"{who} holds it too" if verdict & _CONFLICT else f"{who} died as its writer, and no mark")

    def acquire(self, lock: int, mode: str, owner: str) -> tuple[Grant, bool]:
        if grant := self.cached.pop((owner, lock), None):
            if grant.mode == mode and self.enter(grant):
                return grant, True
        caching = " cache=0" if self.rng.random() < 0.02 else ""
        began = time.monotonic()
        reply = self.session.ask(f"{mode.upper()} {LOCKS[lock]} wait={PATIENCE}s{owner}{caching}")
        self.world.note_wait(self.client, time.monotonic() - began)
        self.count("acquires by the socket")
        grant = Grant(reply, lock, owner)
        if grant.slot is not None and caching:
            raise Violation(f"a slot despite cache=0: {reply}")
        if grant.has_mark:
            self.count("marks")
        return grant, False

    def enter(self, grant: Grant) -> bool:
        if not self.session.enter(grant):
            self.count("taken")
            return False
        if self.session.is_served():
            self.count("fast acquires")
            return True
        self.count("not served")
        if not self.session.leave(grant):
            self.expect(f"RELEASE {grant.name} token={grant.token}", "RELEASED ")
        return False

    def release(self, grant: Grant) -> None:
        if grant.slot is not None and self.session.is_served():
            if self.session.leave(grant):
                self.count("fast releases")
                self.cached[grant.owner, grant.lock] = grant
                return
            self.count("wanted")
        self.expect(f"RELEASE {grant.name} token={grant.token}", "RELEASED ")

    def recur(self, grant: Grant) -> None:
        """Takes a lock that is held for reading again, which never waits (G4)."""
        if grant.slot is not None and self.rng.random() < 0.7:
            if not self.session.enter(grant):
                raise Violation(f"{grant.name} token={grant.token} is held, and cannot be entered again")
            self.count("fast recursions")
            if self.rng.random() < 0.3:
                time.sleep(self.rng.uniform(0, 0.003))
            if not self.session.leave(grant):
                raise Violation(f"{grant.name} token={grant.token} is held twice, and cannot be left")
        else:
            again = Grant(self.session.ask(f"READ {grant.name} wait=0{grant.owner}"), grant.lock, grant.owner)
            self.expect(f"RELEASE {again.name} token={again.token}", "RELEASED ")

    def give_back(self, key: tuple[str, int]) -> None:
        grant = self.cached.pop(key)
        self.expect(f"RELEASE {grant.name} token={grant.token}", "RELEASED ", "ERROR not-held")
