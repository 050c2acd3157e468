"""The names of locks, and notes."""

from __future__ import annotations

from pathlib import Path

from kit.adapter import Adapter
from kit.case import Trial, case
from kit.failure import require_equal

#: Plain bytes in hexadecimal digits, and how they are encoded: one table for all clients.
TABLE = Path(__file__).resolve().parents[2] / "names.tsv"


def check(trial: Trial, names: dict[bytes, str]) -> None:
    """Holds all the names at once, and compares with what the daemon lists."""
    daemon = trial.own_daemon()
    client: Adapter = trial.client(daemon.path)
    for plain in names:
        client.acquire(plain, "read", wait_ms=0)
    listed = {row.split()[2] for row in daemon.raw().rows("LIST")}
    require_equal(sorted(set(names.values()) - listed), [], "the list of encoded names that the daemon does not have")
    require_equal(sorted(listed - set(names.values())), [], "the list of names that the daemon should not have")


def table(accepts: str) -> dict[bytes, str]:
    names = {}
    for line in TABLE.read_text().splitlines():
        plain, encoded = bytes.fromhex(line.split("\t")[0]), line.split("\t")[1]
        if kind(plain) == accepts:
            names[plain] = encoded
    return names


def kind(plain: bytes) -> str:
    if b"\0" in plain:
        return "nul"
    try:
        plain.decode()
    except UnicodeDecodeError:
        return "bytes"
    return "text"


@case("Arguments")
def text(trial: Trial) -> None:
    """A name is any text; each byte outside of the alphabet is encoded, as `Tests/names.tsv` has it."""
    check(trial, table("text"))


@case("Arguments", "bytes")
def any_bytes(trial: Trial) -> None:
    """A name is any bytes, also those that are no text in UTF-8."""
    check(trial, table("bytes"))


@case("Arguments", "nul")
def zero(trial: Trial) -> None:
    """A name may contain a zero byte."""
    check(trial, {**table("nul"), b"a\0b": "a%00b"})


@case("Arguments")
def longest(trial: Trial) -> None:
    """A name has at most 255 bytes when it is encoded; a longer one, and an empty one, is refused by the client."""
    prefix = trial.name("")
    client = trial.client()
    client.acquire(prefix + "x" * (255 - len(prefix)), wait_ms=0)
    client.acquire(prefix + "\u00e9" * ((255 - len(prefix)) // 6), wait_ms=0)
    for name in ("", "x" * 256, "\u00e9" * 43):
        require_equal(client.refusal("acquire", name=name, mode="read", wait_ms=0)["error"], "invalid", "the error")


@case("Arguments", "note")
def notes(trial: Trial) -> None:
    """A note is any text; others see it encoded."""
    name = trial.name()
    trial.client().acquire(name, "read", note="nightly: 50% of caf\u00e9")
    row = trial.raw().rows(f"STATUS {name}")[0]
    require_equal(row.partition(" note=")[2], "nightly:%2050%25%20of%20caf%C3%A9", "the note")
