"""Daemons of other releases, and servers that do what none should."""

from __future__ import annotations

import re

from kit.case import Trial, case
from kit.failure import require, require_equal

from .lines import use


def of_tomorrow(line: bytes) -> bytes:
    """A line as a later daemon may send it: with more fields, behind notices and rows that no client knows.

    `PONG` never has fields, because clients recognize a daemon by it.
    """
    before = b"! NEWS from=tomorrow weather=fine\n"
    if end := re.fullmatch(rb"(.*END )([0-9]+)\n", line):
        before += b"* moon phase=full\n"
        line = b"%s%d\n" % (end[1], int(end[2]) + 1)
    if b"ERROR " in line or line.endswith(b"PONG\n"):
        return before + line
    return before + line[:-1] + b" later=1 much-later=a%20b\n"


@case("Versions")
def later_daemon(trial: Trial) -> None:
    """A client ignores fields at a line's end, rows and notices that it does not know."""
    use(trial.client(trial.between(of_tomorrow)), trial)


@case("Versions", "watch")
def later_changes(trial: Trial) -> None:
    """A kind of change that a client does not know does not end the watch."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("watch", prefix=name)
    line = fake.next("WATCH")
    line.reply("OK later=1")
    client.result(asked)
    line.connection.send(
        f"! CHANGED {name} dreamt pid=1 mode=read token=- owner=- tag=- request=- upgrades=-\n"
        f"! CHANGED {name} granted pid=1 mode=read token=7 owner=- tag=- request=- upgrades=- later=1\n"
    )
    event = client.event(lambda event: event["event"] == "change" and event["what"] == "granted", "the change")
    require_equal(event["token"], "7", "the token of the change")


@case("Errors")
def unknown_error(trial: Trial) -> None:
    """An error with an unknown code is an error, and the session goes on."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write")
    fake.next("WRITE").reply(f"ERROR moon-is-full lock={name} mode=write wait for another night")
    require("error" in client.answer(asked), "the call fails")
    asked = client.begin("acquire", name=name, mode="write")
    fake.next("WRITE").grant(7)
    require_equal(client.result(asked)["token"], "7", "the token")


@case("Versions")
def earlier_daemon(trial: Trial) -> None:
    """A client goes on with a daemon that does not know all options of its greeting."""
    fake, name = trial.fake(), trial.name()
    fake.knows_cache = False
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write")
    line = fake.next("WRITE")
    require("cache" not in line.options, f"no option of the daemon is used that it does not know: {line.text}")
    line.grant(7)
    require_equal(client.result(asked)["token"], "7", "the token")


@case("Order of replies")
def junk(trial: Trial) -> None:
    """A server that does not speak the protocol causes an error, and no grant."""
    fake = trial.fake()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=trial.name(), mode="write", wait_ms=500)
    line = fake.next("WRITE")
    line.connection.send("HTTP/1.1 400 Bad Request\r\n\r\n")
    line.connection.close()
    fake.automatic = lambda line: line.connection.close()
    require("error" in client.answer(asked), "the call fails")


@case("Arguments")
def malformed_grants(trial: Trial) -> None:
    """A reply that only looks like a grant is none."""
    replies = ("GRANTED", "GRANTED {} write", "GRANTED {} write token=", "GRANTEDX {} write token=7")
    for number, words in enumerate(replies):
        fake, name = trial.fake(), trial.name(str(number))
        client = trial.client(fake.path)
        asked = client.begin("acquire", name=name, mode="write", wait_ms=100)
        line = fake.next("WRITE")
        line.reply(words.format(name))
        fake.automatic = lambda line: line.reply("ERROR unknown-verb no such request")
        answer = client.answer(asked)
        require("error" in answer, f"{words!r} is no grant, but the answer is {answer}")
        client.end()
        fake.end()
