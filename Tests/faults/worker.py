#!/usr/bin/env python3
"""A client that takes locks at random and writes its history (history.py) until TERM.

`raw` speaks the protocol over its own socket, with two owners, tags, leases, upgrades and downgrades. It reconnects, and
forks children that keep its socket. `package` uses the Python package.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import sys
import time
from typing import Any

import history
from resumed import Received

LOCKS = ["a", "b", "c", "d", "e", "f"]
MODES = ["read", "read", "read", "update", "write", "write"]
WAITS = [0, 50, 300, 1500, 3000]


class Raw:
    def __init__(self, folder: str, path: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.path = path
        self.recorder = history.Recorder(folder)
        self.ending = False
        self.connection: socket.socket | None = None
        self.session = 0
        self.number = 0
        self.partial = b""
        self.received = Received()
        self.pending: dict[int, dict[str, Any]] = {}
        self.held: dict[int, dict[str, Any]] = {}
        # By tag: the request that a reply other than a grant belongs to.
        self.commands: dict[str, tuple[str, int]] = {}

    def run(self) -> None:
        parent = os.getppid()
        while os.getppid() == parent:
            if self.connection is None:
                if self.ending:
                    return
                self.connect()
                continue
            if self.ending and not self.pending and not self.held and not self.commands:
                self.close()
                return
            self.hear(self.random.uniform(0, 0.004))
            if self.connection is not None:
                self.act()

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            time.sleep(0.01)
            return
        self.connection = connection
        self.session += 1
        self.partial = b""
        self.received = Received()
        self.recorder.note("connected", s=self.session)

    def close(self) -> None:
        self.recorder.note("closing", s=self.session)
        self.forget()

    def forget(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        self.pending, self.held, self.commands = {}, {}, {}

    def say(self, line: str) -> None:
        assert self.connection is not None
        try:
            self.connection.sendall(line.encode() + b"\n")
        except OSError:
            pass  # The reader will see the end.

    # Requests

    def act(self) -> None:
        choice = self.random.random()
        free = [op for op, one in self.held.items() if not one["busy"]]
        if free and (choice < 0.5 or self.ending):
            self.release(self.random.choice(free))
        elif self.ending:
            return
        elif choice < 0.85 and len(self.pending) < 2 and len(self.held) < 3:
            self.ask()
        elif free and choice < 0.93:
            self.change(self.random.choice(free))
        elif choice > 0.999:
            self.fork()
        elif choice > 0.995:
            self.close()

    def ask(self) -> None:
        self.number += 1
        lock, mode, owner = self.random.choice(LOCKS), self.random.choice(MODES), self.random.choice(["-", "t1"])
        wait = self.random.choice(WAITS)
        lease = 400 if self.random.random() < 0.1 else None
        self.begin({"lock": lock, "mode": mode, "owner": owner, "wait": wait, "lease": lease})
        options = (f" owner={owner}" if owner != "-" else "") + (f" lease={lease}ms" if lease else "")
        self.say(f"#{self.number} {mode.upper()} {lock} wait={wait}ms{options}\n#q{self.number} PING")

    def begin(self, one: dict[str, Any]) -> None:
        self.pending[self.number] = one | {"busy": False}
        self.recorder.note("ask", op=self.number, s=self.session, **one)

    def release(self, op: int) -> None:
        self.held[op]["busy"] = True
        self.commands[f"r{op}"] = ("release", op)
        self.recorder.note("releasing", op=op)
        self.say(f"#r{op} RELEASE {self.held[op]['lock']} token={self.held[op]['token']}")

    def change(self, op: int) -> None:
        one = self.held[op]
        one["busy"] = True
        # A history has at most one downgrade of a grant.
        if one["mode"] != "read" and "to" not in one and self.random.random() < 0.6:
            to = "read" if one["mode"] == "update" else self.random.choice(["read", "update"])
            self.commands[f"d{op}"] = ("downgrade", op)
            self.recorder.note("downgrading", op=op, to=to)
            self.say(f"#d{op} DOWNGRADE {one['lock']} to={to} token={one['token']}")
            one["to"] = to
        elif one["mode"] != "write":
            self.number += 1
            wait = self.random.choice([0, 100])
            upgrade = {key: one[key] for key in ("lock", "owner", "lease")} | {"mode": "write", "wait": wait, "of": op}
            self.begin(upgrade)
            self.say(f"#{self.number} UPGRADE {one['lock']} wait={wait}ms token={one['token']}\n#q{self.number} PING")
        else:
            one["busy"] = False

    def fork(self) -> None:
        """Fork a child that keeps the socket and outlives its parent for a while."""
        parent = os.getpid()
        if os.fork() == 0:
            end = time.monotonic() + 5
            while os.getppid() == parent and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.2)
            os._exit(0)

    # Replies

    def hear(self, patience: float) -> None:
        assert self.connection is not None
        if not select.select([self.connection], [], [], patience)[0]:
            return
        try:
            part = self.connection.recv(65536)
        except OSError:
            part = b""
        if not part:
            self.recorder.note("lost", s=self.session)
            self.forget()
            return
        *lines, self.partial = (self.partial + part).split(b"\n")
        for line in lines:
            if self.received.is_new(line):
                self.understand(line.decode().split())

    def understand(self, words: list[str]) -> None:
        if words[0] == "!":
            return
        if not words[0].startswith("#"):
            return  # A greeting such as ERROR limit-sessions; the end follows.
        tag, words = words[0][1:], words[1:]
        if tag.startswith("q"):
            # The request before this PING may have its answer.
            if int(tag[1:]) in self.pending:
                self.recorder.note("queued", op=int(tag[1:]))
        elif tag in self.commands:
            kind, op = self.commands.pop(tag)
            self.told(kind, op, words)
        elif tag.isdigit() and int(tag) in self.pending:
            self.decided(int(tag), words)
        else:
            self.recorder.note("not-asked", line=" ".join([words[0], tag]))

    def decided(self, op: int, words: list[str]) -> None:
        one = self.pending.pop(op)
        old = one.pop("of", None)
        if words[0] == "GRANTED":
            token = next(int(word[6:]) for word in words if word.startswith("token="))
            self.recorder.note("granted", op=op, token=token, died="ownerdied=1" in words)
            self.held[op] = one | {"token": token, "busy": False}
            self.held.pop(old, None)
        else:
            self.recorder.note("refused", op=op, how=words[1] if words[0] == "ERROR" else words[0])
            if old in self.held:
                self.held[old]["busy"] = False
                if words[0] == "CANCELLED" or words[:2] == ["ERROR", "not-held"]:
                    self.recorder.note("not-held", op=old)
                    del self.held[old]

    def told(self, kind: str, op: int, words: list[str]) -> None:
        if words[0] == "ERROR":
            self.recorder.note("not-held", op=op)
            del self.held[op]
        elif kind == "release":
            self.recorder.note("released", op=op)
            del self.held[op]
        else:
            self.recorder.note("downgraded", op=op)
            self.held[op] |= {"mode": self.held[op]["to"], "busy": False}


class Package:
    def __init__(self, folder: str, path: str, seed: int) -> None:
        import prwlock

        self.module = prwlock
        self.random = random.Random(seed)
        self.recorder = history.Recorder(folder)
        self.client = prwlock.Client(path)
        self.ending = False
        self.number = 0
        self.session = 0
        # The lock and mode of the last turn: in most turns it is the same, so that grants are cached.
        self.last = (LOCKS[0], MODES[0])

    def run(self) -> None:
        parent = os.getppid()
        while not self.ending and os.getppid() == parent:
            self.turn()

    def turn(self) -> None:
        self.number += 1
        op, wait = self.number, self.random.choice(WAITS)
        if self.random.random() < 0.25:
            self.last = (self.random.choice(LOCKS), self.random.choice(MODES))
        lock, mode = self.last
        handle = self.client.lock(lock)
        self.recorder.note(
            "ask", op=op, s=self.session, lock=lock, mode=mode, owner="-", wait=wait, lease=None)
        try:
            grant = getattr(handle, mode)(timeout=wait / 1000)
        except self.module.AcquireTimeout as error:
            how = "BUSY" if isinstance(error, self.module.WouldBlock) else "TIMEOUT"
            self.recorder.note("refused", op=op, how=how)
            return
        except self.module.DaemonUnavailable:
            self.lose()
            return
        except self.module.LockError as error:
            self.recorder.note("refused", op=op, how=type(error).__name__)
            return
        self.recorder.note("granted", op=op, token=grant.token, died=grant.owner_died)
        time.sleep(self.random.uniform(0, 0.004))
        self.recorder.note("releasing", op=op)
        try:
            grant.release()
            self.recorder.note("released", op=op)
        except self.module.LockError:
            self.lose()

    def lose(self) -> None:
        self.recorder.note("lost", s=self.session)
        self.session += 1
        time.sleep(0.01)


def main() -> None:
    kind, folder, path, seed = sys.argv[1:]
    worker = (Raw if kind == "raw" else Package)(folder, path, int(seed))

    def end(*_: object) -> None:
        worker.ending = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    worker.run()


if __name__ == "__main__":
    main()
