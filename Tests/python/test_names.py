"""Names are plain bytes, and every client encodes them in one way: `Tests/names.tsv` is the table of all clients."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import prwlock
import pytest
from prwlock import _wire, aio

COMMAND = [sys.executable, "-m", "prwlock"]
TABLE = Path(__file__).parent.parent / "names.tsv"


def table() -> list[tuple[bytes, bytes]]:
    rows = (line.split("\t") for line in TABLE.read_text("ascii").splitlines())
    return [(bytes.fromhex(plain), encoded.encode()) for plain, encoded in rows]


def test_a_name_of_bytes_or_text_is_encoded_as_the_table_says() -> None:
    for plain, encoded in table():
        assert _wire.encode_name(plain) == encoded
        assert _wire.encode_name(plain.decode("utf-8", "surrogateescape")) == encoded
        assert _wire.plain_bytes(encoded) == plain
        assert _wire.encode_name(_wire.decode_name(encoded)) == encoded
        assert _wire.check_encoded(encoded) == encoded


def test_what_is_no_encoded_name_is_refused() -> None:
    for text in (b"", b"%", b"%4", b"%41", b"%c3", b"a b", b"%%", b"a%2", b"\xff", b"x" * 256, b"%20" * 86):
        with pytest.raises(ValueError, match=r"is not an encoded name|as encoded"):
            _wire.check_encoded(text)


def test_the_daemon_has_the_name_that_the_table_says(client: prwlock.Client) -> None:
    for plain, encoded in table():
        with client.acquire(plain.decode("utf-8", "surrogateescape")) as grant:
            assert _wire.encode_name(grant.name) == encoded
            assert [_wire.encode_name(lock.name) for lock in client.list()] == [encoded]


def test_a_name_on_the_command_line_is_plain_text(client: prwlock.Client) -> None:
    # A command line cannot contain NUL, and a name that begins with a dash needs `--`.
    rows = [(plain, encoded) for plain, encoded in table() if b"\0" not in plain]
    for plain, encoded in [*rows[::25], (b"a%20b", b"a%2520b"), (b"-x", b"-x"), (b"caf\xe9", b"caf%E9")]:
        words = [*COMMAND, "run", "--", plain, *COMMAND, "list", "--json"]
        (lock,) = json.loads(subprocess.check_output(words))
        assert lock["encoded"] == encoded.decode()
        assert lock["name"] == plain.decode("utf-8", "replace")


def test_a_name_that_is_encoded_already_needs_an_option(client: prwlock.Client) -> None:
    with client.acquire("a b"):
        for words in (["a b"], ["--encoded", "a%20b"]):
            status = json.loads(subprocess.check_output([*COMMAND, "status", "--json", *words]))
            assert (status["name"], status["encoded"], len(status["holders"])) == ("a b", "a%20b", 1)
        assert not json.loads(subprocess.check_output([*COMMAND, "status", "--json", "a%20b"]))["holders"]
        assert len(json.loads(subprocess.check_output([*COMMAND, "list", "--json", "--encoded", "a%20"]))) == 1
        assert len(json.loads(subprocess.check_output([*COMMAND, "list", "--json", "a "]))) == 1
        assert subprocess.call([*COMMAND, "run", "-n", "--encoded", "a%20b", "true"]) == 1
    assert subprocess.call([*COMMAND, "run", "--encoded", "a b", "true"]) == 64


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_a_name_is_the_same_in_every_locale(locale: str, client: prwlock.Client) -> None:
    words = [*COMMAND, "run", "--note", b"t\xefme", b"caf\xe9 \xc3\xa9", *COMMAND, "list"]
    output = subprocess.check_output(words, env={**os.environ, "LC_ALL": locale})
    assert output.splitlines()[-1].split(maxsplit=4)[-1] in (rb"caf\xE9 " + "é".encode(), rb"caf\xE9 \xe9")


def test_what_would_steer_a_terminal_is_spelled_out(client: prwlock.Client) -> None:
    with client.acquire("a\x1b[2J\u202e\udcff", note="\x9b"):
        assert subprocess.check_output([*COMMAND, "list"]).splitlines()[-1].endswith(rb"a\x1B[2J\u{202E}\xFF")
        shown = subprocess.check_output([*COMMAND, "status", "--json", "a\x1b[2J\u202e\udcff"])
        assert rb"\u001b[2J\u202e" in shown
        assert rb"\u009b" in shown


def test_bytes_are_a_name_wherever_text_is(client: prwlock.Client) -> None:
    name, text = b"caf\xe9 %41", "caf\udce9 %41"
    lock = prwlock.RWLock(name)
    assert lock.name == text
    with lock.write(note=b"\xff") as grant:
        assert grant.name == text
        assert client.status(name).name == client.status(text).name == text
        assert client.status(name).holders[0].note == "\udcff"
        assert [row.name for row in client.list(b"caf\xe9")] == [text]
        assert client.validate(name, grant.token)
    with pytest.raises(prwlock.LockLost):
        client.revoke(name, 1)


def test_bytes_are_a_name_for_asyncio_too(client: prwlock.Client) -> None:
    async def use() -> None:
        async with aio.Client() as own, own.acquire(b"caf\xe9", note=b"\xff") as grant:
            assert grant.name == "caf\udce9"
            assert (await own.status(b"caf\xe9")).holders[0].note == "\udcff"

    asyncio.run(use())
