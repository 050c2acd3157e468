#!/usr/bin/env python3
"""A client on one host that takes shared locks at random and writes its history (history.py) until TERM.

It obeys `until=`: at that time it counts its shared grants as lost by itself, whatever the daemon does or says.
The arguments: the folder for the history, the daemon's socket, a seed, the host's name, the board of progress, its place on it.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "faults")]

import history  # noqa: E402
from worker import MODES, Raw  # noqa: E402

SHARED = ["f/a", "f/b", "f/c", "f/d", "f/e", "f/f"]
#: Not below the prefix of the fleet.
LOCAL = "local"
LOCKS = [*SHARED, LOCAL]
WAITS = [0, 50, 300, 1500, 5000, 20_000]
#: What a session that holds a lock waits for the next one.
SHORT_WAITS = [0, 50, 300, 1500]
MILLISECOND = 1_000_000
#: The mean time between two steps of a client.
PAUSE = 0.05


class Board:
    """When each client last asked for a request that was granted, by lock, and the token of the grant.

    The driver sees progress here at once. It is a file that all of them map. A time and a token are aligned words with one
    writer.
    """

    def __init__(self, path: str, clients: int) -> None:
        self.clients = clients
        size = clients * len(LOCKS) * 16
        with open(path, "ab") as file:
            file.truncate(size)
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)

    def note(self, client: int, lock: str, asked: int, token: int) -> None:
        place = self._place(client, lock)
        struct.pack_into("=q", self._map, place, asked)
        struct.pack_into("=q", self._map, place + 8, token)

    def asked(self, client: int, lock: str) -> int:
        return int(struct.unpack_from("=q", self._map, self._place(client, lock))[0])

    def token(self, client: int, lock: str) -> int:
        """The token of the client's last grant; 0 if it had none."""
        return int(struct.unpack_from("=q", self._map, self._place(client, lock) + 8)[0])

    def _place(self, client: int, lock: str) -> int:
        return (client * len(LOCKS) + LOCKS.index(lock)) * 16


class Client(Raw):
    def __init__(self, folder: str, path: str, seed: int, host: str, board: Board, place: int) -> None:
        super().__init__(folder, path, seed)
        self.host, self.board, self.place = host, board, place
        #: Until when the shared grants of the session count, on CLOCK_BOOTTIME; 0 for none.
        self.until = 0
        self.asked: dict[int, int] = {}
        self.validations: dict[int, tuple[str, int, int]] = {}
        self.next_step = 0.0

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
            now = time.monotonic()
            self.hear(max(0.0, min(self.next_step - now, self.time_left())))
            if self.connection is None:
                continue
            self.lose_at_until()
            if time.monotonic() >= self.next_step:
                self.next_step = time.monotonic() + (0.001 if self.ending else self.random.expovariate(1 / PAUSE))
                self.act()

    def connect(self) -> None:
        super().connect()
        self.until, self.validations = 0, {}
        if self.connection is not None:
            self.recorder.note("of-host", s=self.session, host=self.host)

    def act(self) -> None:
        if not self.ending and self.random.random() < 0.1:
            self.validate()
        else:
            super().act()

    def validate(self) -> None:
        """Asks whether a client, of any host, has still what it got last."""
        lock = self.random.choice(SHARED)
        if not (token := self.board.token(self.random.randrange(self.board.clients), lock)):
            return
        self.number += 1
        self.validations[self.number] = (lock, token, history.now())
        self.commands[f"v{self.number}"] = ("validate", self.number)
        self.say(f"#v{self.number} VALIDATE {lock} token={token}")

    def told(self, kind: str, op: int, words: list[str]) -> None:
        if kind != "validate":
            return super().told(kind, op, words)
        lock, token, asked = self.validations.pop(op)
        self.recorder.note("validated", lock=lock, token=token, asked=asked, how=words[0])

    def ask(self) -> None:
        if self.held and self.random.random() < 0.7:
            return
        self.number += 1
        lock, mode, owner = self.random.choice(LOCKS), self.random.choice(MODES), self.random.choice(["-", "t1"])
        wait = self.random.choice(SHORT_WAITS if self.held else WAITS)
        lease = 400 if self.random.random() < 0.03 else None
        self.begin({"lock": lock, "mode": mode, "owner": owner, "wait": wait, "lease": lease})
        options = (f" owner={owner}" if owner != "-" else "") + (f" lease={lease}ms" if lease else "")
        self.say(f"#{self.number} {mode.upper()} {lock} wait={wait}ms{options}\n#q{self.number} PING")

    def begin(self, one: dict[str, Any]) -> None:
        self.asked[self.number] = history.now()
        super().begin(one)

    def fork(self) -> None:
        """Children that keep the socket are for faults on one host."""

    # Until

    def time_left(self) -> float:
        """The seconds until the shared grants end; a long time without one."""
        shared = self.until and any(one["lock"] != LOCAL for one in self.held.values())
        return max(0.0, (self.until - history.now()) / 1e9) if shared else 1.0

    def lose_at_until(self) -> None:
        now = history.now()
        if not self.until or now < self.until:
            return
        for op in [op for op, one in self.held.items() if one["lock"] != LOCAL and not one.get("lost")]:
            self.recorder.note("ended", op=op)
            self.held[op]["lost"] = True
            # The daemon may count it as held still.
            if not self.held[op]["busy"]:
                self.release(op)

    def extend(self, words: list[str], now: int) -> int:
        """The time that a line's `until=` and `clock=` say; 0 for a line without."""
        fields = dict(word.split("=", 1) for word in words if "=" in word)
        if "until" not in fields:
            return 0
        milliseconds = {name: int(fields[name].removesuffix("ms")) for name in ("until", "clock")}
        # It is now, to a millisecond, when the line is written and not yet read, or else the line is older.
        said = min(milliseconds["clock"] * MILLISECOND, now) + milliseconds["until"] * MILLISECOND
        # What has ended does not begin again.
        if self.until and now >= self.until and any(one.get("lost") for one in self.held.values()):
            return said
        self.until = max(self.until, said)
        return said

    # Replies

    def understand(self, words: list[str]) -> None:
        now = history.now()
        if words[0] != "!":
            super().understand(words)
        elif words[1] == "UNTIL":
            # Before the line counts: what its own grants missed is lost.
            self.lose_at_until()
            self.recorder.note("extended", s=self.session, until=self.extend(words, now))
        elif words[1] in ("REVOKED", "EXPIRED"):
            token = int(words[3].removeprefix("token="))
            for op in [op for op, one in self.held.items() if one["token"] == token]:
                self.recorder.note("revoked", op=op, how=words[1])
                self.held[op]["lost"] = True
                if not self.held[op]["busy"]:
                    del self.held[op]

    def decided(self, op: int, words: list[str]) -> None:
        one, asked = self.pending[op], self.asked.pop(op)
        if words[0] == "GRANTED":
            self.lose_at_until()
            until = self.extend(words, history.now())
            if (until != 0) != (one["lock"] != LOCAL):
                self.recorder.note("not-asked", line=" ".join(words))
            token = next(int(word[6:]) for word in words if word.startswith("token="))
            died = next((word[10:] for word in words if word.startswith("ownerdied=")), "")
            self.pending.pop(op)
            self.recorder.note("granted", op=op, token=token, died=died, until=until or None)
            self.board.note(self.place, one["lock"], asked, token)
            old = one.pop("of", None)
            self.held[op] = one | {"token": token, "busy": False}
            self.held.pop(old, None)
            return
        super().decided(op, words)


def main() -> None:
    folder, path, seed, host, board, clients, place = sys.argv[1:]
    client = Client(folder, path, int(seed), host, Board(board, int(clients)), int(place))

    def end(*_: object) -> None:
        client.ending = True

    signal.signal(signal.SIGTERM, end)
    client.run()


if __name__ == "__main__":
    main()
