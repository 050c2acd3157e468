"""What the players of the busy hour do. `cast` says which process plays what; each scene is a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from player import Player

#: The lock that most requests wait for, and the note of its holder.
SLOW, REPORT = "shop/orders", "nightly report, 3.1 million rows"
#: How many requests wait for the slow holder without a time limit, and with one.
PATIENT, IMPATIENT = 12, 3
#: Each process of the chain holds `chain/N` and waits for `chain/N-1`; this many do.
LINKS = 9
#: A lock that is held for 20 seconds of each 30.
IMPORT = "stock/all"
TRANSFERS = ("account/1", "account/2")

PROCESSES, LOCKS = 200, 50

#: Some names are harder to show: spaces, accents, wide characters.
SHARED = ["mail/queue", "deploy/web", "café/menu of today", "報告/月次", "cache/index"]
SHARED += [f"stock/{number:02}" for number in range(LOCKS - LINKS - len(TRANSFERS) - len(SHARED) - 2)]


@dataclass
class Part:
    """The part of one process: its command line, and what it does once `ready` is called for the next to begin."""

    title: str
    play: Callable[[Player, Callable[[], None]], None]


def hold_for_ever(mode: str, name: str, note: str) -> Callable[[Player, Callable[[], None]], None]:
    def play(player: Player, ready: Callable[[], None]) -> None:
        player.acquire(mode, name, note)
        ready()
        player.sleep_for_ever()

    return play


def wait_for(mode: str, name: str, note: str, limit: float | None) -> Callable[[Player, Callable[[], None]], None]:
    def play(player: Player, ready: Callable[[], None]) -> None:
        ready()
        while player.acquire(mode, name, note, limit) == "TIMEOUT":
            player.pause_about(4)
        player.sleep_for_ever()

    return play


def link(number: int) -> Callable[[Player, Callable[[], None]], None]:
    def play(player: Player, ready: Callable[[], None]) -> None:
        player.acquire("write", f"chain/{number}", f"step {number} of {LINKS}")
        ready()
        if number > 1:
            player.acquire("write", f"chain/{number - 1}", f"step {number} needs step {number - 1}")
        player.sleep_for_ever()

    return play


def transfer(first: str, second: str) -> Callable[[Player, Callable[[], None]], None]:
    """Locks two accounts. Two players do it in opposite orders, so that one of them gets `DEADLOCK` in each round."""

    def play(player: Player, ready: Callable[[], None]) -> None:
        ready()
        while True:
            player.pause_until_next(5)
            player.acquire("write", first, f"transfer from {first}")
            player.pause(1)
            if player.acquire("write", second, f"transfer to {second}") == "GRANTED":
                player.pause(0.5)
                player.release(second)
            player.release(first)

    return play


def import_stock(player: Player, ready: Callable[[], None]) -> None:
    ready()
    while True:
        player.pause_until_next(30)
        player.acquire("write", IMPORT, "import from the supplier")
        player.pause(20)
        player.release(IMPORT)


def work(player: Player, ready: Callable[[], None]) -> None:
    """Reads and writes what all share: the first names much more often than the last."""
    ready()
    names = [*SHARED, IMPORT]
    weights = [1 / (rank + 1) for rank in range(len(names))]
    while True:
        name = player.random.choices(names, weights)[0]
        mode = player.random.choices(["read", "update", "write"], [7, 1, 2])[0]
        if player.acquire(mode, name, wait=4) == "GRANTED":
            player.pause_about(0.15)
            player.release(name)
        player.pause_about(2)


def cast() -> list[Part]:
    """All parts, in the order in which they begin."""
    parts = [Part("nightly-report", hold_for_ever("write", SLOW, REPORT))]
    for number in range(PATIENT):
        mode = "write" if number % 4 == 0 else "read"
        parts.append(Part(f"checkout-worker-{number}", wait_for(mode, SLOW, f"order {7100 + number}", None)))
    parts += [Part(f"price-page-{number}", wait_for("read", SLOW, "", 10)) for number in range(IMPATIENT)]
    parts += [Part(f"release-step-{number}", link(number)) for number in range(1, LINKS + 1)]
    first, second = TRANSFERS
    parts.append(Part("transfer-1-to-2", transfer(first, second)))
    parts.append(Part("transfer-2-to-1", transfer(second, first)))
    parts.append(Part("stock-import", import_stock))
    parts += [Part(f"web-worker-{number}", work) for number in range(PROCESSES - len(parts))]
    return parts
