"""What a false server, or another user's process, chose does not reach a terminal or a log as it is."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import prwlock
import pytest
from prwlock._harmless import harmless
from prwlock._log import log
from prwlock._shown import as_json

CATEGORIES = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
#: By number, so that the test does not depend on the tables of this Python.
NAMED = [
    "\x1b", "\x07", "\n", "\x7f", "\x9b", "\xad", "\u034f", "\u061c", "\u115f", "\u180e", "\u200b", "\u200d", "\u2028",
    "\u2029", "\u202e", "\u2066", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\ufff9", "\ufffa", "\ufffb", "\uffff",
    "\U000e0001", "\U000e0041", "\U000e007f", "\U000e0100", "\ue000", "\udcff",
]  # fmt: skip
#: What a line of the protocol can carry of all this.
EVIL = "".join(
    character
    for character in map(chr, range(0x110000))
    if unicodedata.category(character) in CATEGORIES - {"Cn", "Co", "Cs"} and character not in "\n "
)
HOLDER = f"* holder pid=1 mode=x{EVIL} owner=x{EVIL} token=1 age=1s lease=- note=x"
CHANGED = f"! CHANGED jobs x{EVIL} pid=1 mode=x{EVIL} token=1 owner=x{EVIL} tag=- request=- upgrades=-"
#: The verbs that are answered so, or none for all; the other verbs get what a daemon answers.
REPLIES = {
    "an error": ((), f"ERROR limit-grants x{EVIL}x"),
    "an error of the lock": (("READ", "WRITE"), f"ERROR limit-grants x{EVIL}x"),
    "an error with an unknown code": ((), f"ERROR x{EVIL}x x{EVIL}"),
    "a refusal": ((), f"DENIED jobs x{EVIL}x reason=x{EVIL}x"),
    "a greeting": (("HELLO",), f"HELLO version=1 server=x{EVIL}x session=1"),
    "a counter": (("STATS",), f"* x{EVIL}x 5\nEND 1"),
    "a text": ((), f"* x{EVIL}x\nEND 1"),
    "a holder": (("STATUS",), f"{HOLDER}{EVIL}\nEND 1"),
    "a lock": (("LIST",), f"* lock x{EVIL[:60]} mode=x{EVIL} holders=1 waiters=0 ownerdied=0\nEND 1"),
    "a session": (("SESSIONS",), f"* session id=1 pid=1 uid=1 client=x{EVIL} grants=0 waiters=0 age=1s\nEND 1"),
    "a change": (("WATCH",), f"OK\n{CHANGED}"),
    "a circle": (("READ", "WRITE"), f"DEADLOCK jobs write cycle=1/x{EVIL}:x{EVIL}"),
    "nothing that is known": ((), f"x{EVIL}"),
}
HONEST = {
    "HELLO": "HELLO version=1 server=x session=1", "PING": "PONG", "STATS": "END 0", "STATUS": "END 0", "LIST": "END 0",
    "SESSIONS": "END 0", "WATCH": "OK", "VALIDATE": "STALE jobs token=1", "REVOKE": "REVOKED jobs token=1",
    "WRITE": "BUSY jobs write held-by=1/write", "READ": "BUSY jobs read held-by=1/write",
}  # fmt: skip
COMMANDS = [
    ["run", "--verbose", "-w", "0.2", "jobs", "true"], ["hold", "--verbose", "--pid", "1", "jobs"],
    ["status", "jobs"], ["status", "--json", "jobs"], ["list"], ["sessions"], ["stats"], ["stats", "--json"],
    ["watch"], ["watch", "--json"], ["ping"], ["ping", "--json"], ["validate", "jobs", "1"], ["revoke", "jobs", "1"],
]  # fmt: skip


class FalseServer:
    """Answers as a daemon does until the first `PING`, and then some verbs with something else; ends the connection."""

    def __init__(self, path: Path, verbs: tuple[str, ...], reply: str) -> None:
        self._verbs = verbs
        self._reply = reply
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        is_trusted = is_done = False
        with connection, connection.makefile("r") as lines:
            try:
                for line in lines:
                    words = line.split()
                    tag = words.pop(0) + " " if words[0].startswith("#") else ""
                    reply = HONEST.get(words[0], "OK")
                    if is_trusted and (not self._verbs or words[0] in self._verbs):
                        reply = self._reply
                        is_done = words[0] != "HELLO"
                    is_trusted |= words[0] == "PING"
                    tagged = [part if part[0] in "*!" else tag + part for part in reply.split("\n")]
                    connection.sendall("".join(f"{part}\n" for part in tagged).encode())
                    if is_done:
                        break
            except OSError:
                pass


@pytest.fixture
def false_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    servers = []

    def start(what: str) -> None:
        monkeypatch.setenv("PRWLOCK_SOCKET", str(home / "false.sock"))
        servers.append(FalseServer(home / "false.sock", *REPLIES[what]))

    yield start
    for server in servers:
        server.close()


def assert_harmless(text: str) -> None:
    for line in text.split("\n"):
        found = {f"U+{ord(character):04X}" for character in line if harmless(character) != character}
        assert not found, found


def test_every_harmful_character_is_escaped() -> None:
    for character in map(chr, range(0x110000)):
        is_harmful = unicodedata.category(character) in CATEGORIES or character in NAMED
        shown = harmless(character)
        if is_harmful:
            assert shown.isascii(), ascii(character)
            assert shown.isprintable(), ascii(character)
            assert shown.startswith("\\"), ascii(character)
        elif shown != character:
            # An invisible letter or mark.
            assert unicodedata.category(character) in ("Lo", "Mn"), ascii(character)
    text = "naïve 日本語　עברית हिन्दी e\u0301 a\xa0b ~"
    assert harmless(text) == text
    assert harmless(harmless(EVIL)) == harmless(EVIL)


def test_json_escapes_them_by_units_and_loses_nothing() -> None:
    text = as_json({"name": EVIL + "é"})
    assert_harmless(text)
    assert json.loads(text) == {"name": EVIL + "é"}
    assert as_json("\U000e0041") == '"\\udb40\\udc41"'


@pytest.mark.parametrize("what", REPLIES)
def test_a_false_server_reaches_no_terminal(what: str, false_server: Callable[[str], None]) -> None:
    false_server(what)
    running = [
        (
            words,
            subprocess.Popen(
                [sys.executable, "-m", "prwlock", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ),
        )
        for words in COMMANDS
    ]
    for words, process in running:
        if words[0] == "watch" and "WATCH" not in REPLIES[what][0] and REPLIES[what][0]:
            # The server says nothing more.
            process.terminate()
        output, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors, (words, errors)
        assert_harmless(output)
        assert_harmless(errors)


@pytest.mark.parametrize("what", REPLIES)
def test_a_false_server_reaches_no_text_of_an_exception(
    what: str, false_server: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    false_server(what)
    client = prwlock.Client()
    for call in (lambda: client.acquire("jobs", timeout=0.2), client.stats, lambda: client.status("jobs")):
        try:
            call()
        except (OSError, ValueError) as error:
            assert_harmless(str(error))
    client.close()
    with caplog.at_level(logging.WARNING, "prwlock"):
        log("WARNING", f"it said: {EVIL}")
    assert len(caplog.messages) > 0
    for message in caplog.messages:
        assert "\n" not in message
        assert_harmless(message)
