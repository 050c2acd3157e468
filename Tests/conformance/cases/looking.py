"""What a client shows of locks."""

from __future__ import annotations

import os

from kit.case import Trial, case
from kit.failure import require, require_equal
from kit.raw import await_waiters


@case("STATUS", "status")
def status(trial: Trial) -> None:
    """Holders and waiting requests, with their processes, modes, tokens and notes, in the daemon's order."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    token = other.token(other.ask(f"WRITE {name} note=nightly", "GRANTED"))
    other.send(f"READ {name} owner=r note=one")
    other.send(f"WRITE {name} owner=w")
    await_waiters(trial.daemon.path, name, 2)
    shown = client.do("status", name=name)
    require_equal(shown["holders"], f"{os.getpid()}/write/{token}/nightly", "holders")
    require_equal(shown["waiters"], f"{os.getpid()}/write/- {os.getpid()}/read/one", "waiters")
    require_equal(client.do("status", name=trial.name("free")), {"id": 2, "holders": "", "waiters": ""}, "a free lock")


@case("LIST", "list")
def long_list(trial: Trial) -> None:
    """A list of thousands of locks is whole and in order, in pages or not."""
    client, other = trial.client(), trial.raw()
    names = [trial.name(f"long/{number:04}" + "x" * 100) for number in range(2_345)]
    for name in names:
        other.send(f"READ {name}")
    for name in names:
        other.expect(f"GRANTED {name}")
    other.ask(f"READ {trial.name('other')}", "GRANTED")
    listed = client.do("list", prefix=trial.name("long/"))["names"].split()
    require_equal(len(listed), len(names), "the number of locks")
    require_equal(listed, names, "the list")


@case("VALIDATE", "validate")
def validate(trial: Trial) -> None:
    """A token is valid while its grant is held, whichever session has it."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    token = str(other.token(other.ask(f"READ {name}", "GRANTED")))
    require_equal(client.do("validate", name=name, token=token)["valid"], "1", "valid, while it is held")
    require_equal(client.do("validate", name=trial.name("x"), token=token)["valid"], "0", "valid, of another lock")
    other.ask(f"RELEASE {name}", "RELEASED")
    require_equal(client.do("validate", name=name, token=token)["valid"], "0", "valid, after the release")


@case("WATCH", "watch")
def watch(trial: Trial) -> None:
    """Every change after the beginning of a watch is told, once and in order."""
    client, other = trial.client(), trial.raw()
    number = client.begin("watch", prefix=trial.name("watched/"))
    client.result(number)
    expected = []
    for count in range(40):
        name = trial.name(f"watched/{count}")
        token = other.token(other.ask(f"WRITE {name}", "GRANTED"))
        other.ask(f"WRITE {trial.name('else')} wait=0 owner=o{count}")
        other.ask(f"RELEASE {name}", "RELEASED")
        expected += [(name, "granted", str(token)), (name, "released", str(token))]
    seen = []
    for _ in expected:
        event = client.event(lambda event: event.get("of") == number, "the next change")
        seen.append((event["name"], event["what"], event["token"]))
    require_equal(seen, expected, "the changes")


@case("WATCH", "watch")
def missed(trial: Trial) -> None:
    """A client tells how many changes it was not sent."""
    fake = trial.fake()
    client = trial.client(fake.path)
    asked = client.begin("watch", prefix=trial.name("x"))
    line = fake.next("WATCH")
    line.reply("OK")
    client.result(asked)
    line.connection.send("! MISSED 7\n")
    event = client.event(lambda event: event["event"] == "missed", "the event")
    require_equal(event["count"], "7", "the count")


@case("LIST", "list", "owners")
def slow_list(trial: Trial) -> None:
    """A request is answered while a list comes; the list is whole."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", "one", name=name, mode="write")
    request = fake.next("WRITE")
    listing = client.begin("list", "two", prefix=trial.name(""))
    line = fake.next("LIST")
    row = "* lock {} mode=write holders=1 waiters=0 ownerdied=0\n"
    line.connection.send(row.format(trial.name("a")))
    request.grant(7)
    require_equal(client.result(asked)["token"], "7", "the token, which comes between two rows")
    line.connection.send("! RECALL x token=1\n" + row.format(trial.name("b")))
    line.reply("END 2")
    names = client.result(listing)["names"]
    require_equal(names, f"{trial.name('a')} {trial.name('b')}", "the list")
    require(not fake.waiting(), "nothing more is asked")
