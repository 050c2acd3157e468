"""Hostile clients of `slots`: they write what they like into the memory that they share with the daemon."""

from __future__ import annotations

import fcntl
import os
import time

from slot_clients import LOCKS, OWNERS, Client, World
from slot_session import SLOTS_SIZE, Grant, Violation

_F_ADD_SEALS, _F_SEAL_WRITE = 1033, 8
_SLOT_COUNT = 64
_WORD = (1 << 64) - 1


class HostileClient(Client):
    """Takes shared locks and its own, and attacks. It releases each lock after a moment, so that others need not wait."""

    def __init__(self, world: World, client: int, life: int) -> None:
        super().__init__(world, client, life)
        self.old_words: list[int] = []
        self.check_protection()

    def turn(self) -> None:
        # It waits only while it has nothing, so that a cycle of waiting owners is never its work.
        grants = [self.take(milliseconds=20)] + [self.take(0) for _ in range(self.rng.randrange(5))]
        given = [grant for grant in grants if grant is not None and grant.slot is not None]
        for _ in range(self.rng.choice([1, 10, 100])):
            self.attack(given)
            self.count("attacks")
        # It cannot know what it holds, so any answer is right.
        for grant in grants:
            if grant is not None and self.rng.random() < 0.8:
                self.ask(f"RELEASE {grant.name} token={grant.token}")
        for owner in OWNERS:
            self.ask(f"RELEASE *{owner or ' owner=-'}")
        if self.rng.random() < 0.05:
            self.session.close()
            self.session = self.connect()

    def finish(self) -> None:
        """It ends without a word."""

    def ask(self, request: str) -> str:
        """The answer; a notice may come first, as a lease has ended."""
        reply = self.session.ask(request)
        while reply.startswith("! "):
            reply = self.session.line()
        return reply

    def check_protection(self) -> None:
        """What the daemon relies on: no client can change the size of the file, or write to the other one."""
        slots, serving = self.session.files
        for size in (0, SLOTS_SIZE // 2, 1 << 20):
            if self.can(os.ftruncate, slots, size):
                raise Violation(f"the file of the slots can get {size} bytes")
        if self.can(fcntl.fcntl, slots, _F_ADD_SEALS, _F_SEAL_WRITE):
            raise Violation("the file of the slots can be sealed")
        shim = self.world.shim
        if shim.slots_map(serving, SLOTS_SIZE, True) or shim.slots_can_unlock(self.session.serving, SLOTS_SIZE):
            raise Violation("the page `serving` can be mapped for writing")
        for change in ((os.pwrite, serving, b"x", 0), (os.ftruncate, serving, 0), (os.posix_fallocate, serving, 0, 1 << 20)):
            if self.can(*change):
                raise Violation(f"the page `serving` can be changed by {change[0].__name__}")

    @staticmethod
    def can(function, *arguments) -> bool:
        try:
            function(*arguments)
        except OSError:
            return False
        return True

    def take(self, milliseconds: int) -> Grant | None:
        """A grant of a lock that others use, or of one of its own; with a slot at the second time."""
        lock = self.rng.randrange(len(LOCKS))
        name = LOCKS[lock] if self.rng.random() < 0.7 else f"own/{self.client}/{self.rng.randrange(100)}"
        owner, mode = self.rng.choice(OWNERS), self.rng.choice(["READ", "WRITE"])
        grant = None
        for _ in range(2):
            if grant is not None:
                self.ask(f"RELEASE {grant.name} token={grant.token}")
            reply = self.ask(f"{mode} {name} wait={milliseconds}ms{owner}")
            if not reply.startswith("GRANTED "):
                return None
            grant = Grant(reply, lock, owner)
            if grant.mode == "write" and grant.name == LOCKS[lock]:
                self.world.shim.witness_pass(self.world.witness, lock)
        return grant

    def attack(self, given: list[Grant]) -> None:
        shim, slots, rng = self.world.shim, self.session.slots, self.rng
        index = rng.choice(given).slot if given and rng.random() < 0.8 else rng.randrange(_SLOT_COUNT)
        word = shim.slots_word(slots, index)
        self.old_words = [*self.old_words[-100:], word]
        kind = rng.randrange(10)
        if kind == 0:
            shim.slots_put(slots, index, rng.getrandbits(64))
        elif kind == 1:
            shim.slots_put(slots, index, word ^ 1 << rng.randrange(64))
        elif kind == 2:
            shim.slots_put(slots, index, rng.choice(self.old_words))
        elif kind == 3:
            shim.slots_put(slots, index, rng.choice([0, _WORD, word & ~0xFFFF & _WORD, word | 0x7FFF, word | 0x8000]))
        elif kind == 4:
            shim.slots_remove(slots, SLOTS_SIZE)
        elif kind == 5:
            os.pwrite(self.session.files[0], rng.randbytes(rng.choice([1, 8, 4096])), 8 * rng.randrange(512) % 4096)
        elif kind == 6:
            shim.slots_hammer(slots, index, word >> 16, rng.getrandbits(63) | 1, rng.choice([10, 1000, 100_000]))
        elif kind == 7:
            time.sleep(rng.uniform(0, 0.002))
        else:
            self.fumble(given)

    def fumble(self, given: list[Grant]) -> None:
        """Steps that a correct client makes, at the wrong time; and requests about grants that it does not have."""
        rng = self.rng
        if not given:
            return
        grant = rng.choice(given)
        step = rng.randrange(4)
        if step == 0:
            self.session.enter(grant)
        elif step == 1:
            self.session.leave(grant)
        elif step == 2:
            self.ask(rng.choice([
                f"VALIDATE {grant.name} token={grant.token}", f"RENEW {grant.name} token={grant.token} lease=50ms",
                f"DOWNGRADE {grant.name} token={grant.token}", f"UPGRADE {grant.name} token={grant.token} wait=0",
                f"RELEASE {grant.name} token={grant.token} at=end"]))
        else:
            self.ask(f"RELEASE {grant.name} token={grant.token}")
