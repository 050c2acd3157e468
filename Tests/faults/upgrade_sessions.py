"""The sessions of `upgrade`: what they have before a daemon is upgraded, and what they must have after it."""

from __future__ import annotations

import re
import selectors
import socket
import time
from typing import Any

#: What a watcher of a group hears, by the ends of the locks' names.
CHANGES = [("/half", "granted"), ("/half", "released"), *[("", "released"), ("", "granted")] * 4, ("/shared", "released"),
           ("/shared", "upgraded"), ("/shared", "granted"), ("/dead", "granted")]


class Violation(Exception):
    pass


class Session:
    """One connection. It keeps what it has sent and heard."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(world.path)
        self.socket.setblocking(False)
        self.outbox, self.inbox = b"", b""
        self.next = 0
        # By tag: what was asked, and when. The tags of requests that never wait, in their order.
        self.open: dict[str, tuple[str, float]] = {}
        self.order: list[str] = []
        # By tag: the rows before the answer, the answer, and when it came.
        self.answers: dict[str, tuple[list[str], str, float]] = {}
        self.rows: list[str] = []
        self.notices: list[tuple[str, float]] = []
        # Bytes that were received, and how many there were before the last RESUMED.
        self.received = self.known = 0
        self.reads = True
        self.has_ended = False
        world.selector.register(self.socket, selectors.EVENT_READ, self)
        world.sessions.append(self)

    def send(self, text: str) -> None:
        self.outbox += text.encode()
        self.flush()

    def say(self, words: str, waits: bool = False) -> str:
        self.next += 1
        tag = f"t{self.next}"
        self.open[tag] = (words, time.monotonic())
        if not waits:
            self.order.append(tag)
        self.send(f"#{tag} {words}\n")
        return tag

    def flush(self) -> None:
        try:
            while self.outbox:
                self.outbox = self.outbox[self.socket.send(self.outbox):]
        except BlockingIOError:
            pass
        except OSError:
            self.has_ended = True

    def hear(self) -> None:
        try:
            while data := self.socket.recv(1 << 16):
                *lines, self.inbox = (self.inbox + data).split(b"\n")
                for line in lines:
                    self.take(line.decode())
        except BlockingIOError:
            return
        except OSError:
            pass
        self.has_ended = True
        self.world.selector.unregister(self.socket)

    def take(self, line: str) -> None:
        if line.startswith("! RESUMED from="):
            self.world.resumed += 1
            self.known = max(self.known, self.received)
            self.received = int(line.partition("=")[2])
            return
        is_new = self.received >= self.known
        self.received += len(line) + 1
        if not is_new:
            return
        if line.startswith("* "):
            self.rows.append(line[2:])
        elif line.startswith("! "):
            self.notices.append((line[2:], time.monotonic()))
        else:
            tag, _, answer = line.removeprefix("#").partition(" ")
            if tag not in self.open:
                raise Violation(f"answers nothing, or for the second time: {line}")
            words, _ = self.open.pop(tag)
            if tag in self.order and self.order.pop(0) != tag:
                raise Violation(f"out of order: {line}, for {words}")
            self.answers[tag] = (self.rows, answer, time.monotonic())
            self.rows = []
            self.world.answered += 1

    def close(self) -> None:
        if not self.has_ended:
            self.world.selector.unregister(self.socket)
        self.socket.close()
        self.world.sessions.remove(self)


class Group:
    """Ten sessions around some locks, in states that an upgrade has to keep, and a lock of which a writer has died."""

    def __init__(self, world: Any, number: int) -> None:
        self.world = world
        world.number += 1
        self.owner = f"o{number}"
        # No name begins with another one, which a watcher of that would hear of.
        self.name = name = f"group/{world.number:06}"
        ask = world.ask
        dead = world.join()
        ask(dead, f"WRITE {name}/dead", "GRANTED")
        dead.close()
        self.holder, *self.waiters = (world.join() for _ in range(5))
        ask(self.holder, f"HELLO client=holder{number} recall=1", "HELLO")
        ask(self.holder, f"WRITE {name} owner={self.owner} lease=2h note=of%20{number}", "GRANTED")
        # The reader comes last: no reader is granted while a writer waits.
        self.modes = ["write", "update", "write", "read"]
        self.tags = []
        for session, mode, wait in zip(self.waiters, self.modes, ("wait=1h", "", "wait=90m lease=1h note=waits", "wait=2h")):
            self.tags.append(session.say(f"{mode} {name} owner=w {wait}", waits=True))
            # In this order.
            ask(session, "PING")
        self.updater, self.reader = world.join(), world.join()
        ask(self.updater, f"UPDATE {name}/shared", "GRANTED")
        ask(self.reader, f"READ {name}/shared lease=3h", "GRANTED")
        self.upgrade = self.updater.say(f"UPGRADE {name}/shared wait=5h", waits=True)
        ask(self.updater, "PING")
        self.watcher, self.half, self.slow = world.join(), world.join(), world.join()
        ask(self.watcher, f"WATCH {name}", "OK")
        ask(self.half, f"WRITE {name}/half", "GRANTED")
        self.slow_tags: list[str] = []
        if number % 100 == 0:
            self.fill(world)
        # The rest of this line follows after the upgrade. Until then the session says nothing else.
        self.half.open["half"], self.half.reads = (f"RELEASE {name}/half", time.monotonic()), False
        self.half.send(f"#half RELEASE {name}/ha")

    def fill(self, world: Any) -> None:
        """Makes a session send until its own socket is full, and the daemon has output of it."""
        base = world.unread()
        self.slow.reads = False
        # The daemon stops reading a session that does not read.
        while world.unread() < base + world.options.unread and not self.slow.outbox:
            for _ in range(20):
                self.slow_tags.append(self.slow.say(f"STATUS {self.name}"))

    def finish(self) -> None:
        """Releases all, and checks that each request is granted in its place."""
        world, name = self.world, self.name
        self.half.reads = self.slow.reads = True
        self.half.send("lf\n")
        world.settle([self.half], "half")
        if not self.half.answers["half"][1].startswith(f"RELEASED {name}/half "):
            raise Violation(f"half a line: {self.half.answers['half'][1]}")
        world.settle([self.slow])
        for tag in self.slow_tags:
            if not self.slow.answers[tag][1].startswith("END "):
                raise Violation(f"output that was not read: {self.slow.answers[tag]}")
        token = 0
        holder = self.holder
        for waiter, mode, tag in zip(self.waiters, self.modes, self.tags):
            if tag in waiter.answers:
                raise Violation(f"granted before its turn: {waiter.answers[tag][1]}")
            world.ask(holder, f"RELEASE {name} owner={self.owner if holder is self.holder else 'w'}", "RELEASED")
            world.settle([waiter], tag)
            found = re.fullmatch(rf"GRANTED {re.escape(name)} {mode} token=(\d+)", waiter.answers[tag][1])
            if found is None or int(found[1]) <= token:
                raise Violation(f"not in its place: {waiter.answers[tag][1]}, after token {token}")
            token, holder = int(found[1]), waiter
        if not any(line.startswith(f"RECALL {name} token=") for line, _ in self.holder.notices):
            raise Violation("the holder got no RECALL")
        world.ask(self.reader, f"RELEASE {name}/shared", "RELEASED")
        world.settle([self.updater], self.upgrade)
        if not self.updater.answers[self.upgrade][1].startswith(f"GRANTED {name}/shared write "):
            raise Violation(f"upgrade: {self.updater.answers[self.upgrade][1]}")
        if not world.ask(self.half, f"READ {name}/dead", "GRANTED")[1].endswith(" ownerdied=1"):
            raise Violation("a mark is lost")
        world.ask(self.watcher, "PING")
        heard = [line.split()[1:3] for line, _ in self.watcher.notices]
        if heard != [[name + end, change] for end, change in CHANGES]:
            raise Violation(f"the watcher heard {heard}")
        for session in [self.holder, *self.waiters, self.updater, self.reader, self.watcher, self.half, self.slow]:
            if session.open:
                raise Violation(f"not answered: {session.open}")
            session.close()
