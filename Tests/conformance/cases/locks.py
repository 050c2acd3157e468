"""A lock is granted, refused and released."""

from __future__ import annotations

import os

from kit.case import Trial, case
from kit.failure import require, require_equal
from kit.raw import await_waiters

HIGHEST = 18446744073709551615


@case("G1")
def one_writer(trial: Trial) -> None:
    """A writer excludes other processes; one that waits gets the lock after it."""
    name, one, two = trial.name(), trial.client(), trial.client()
    grant, first = one.acquire(name)
    refused = two.refusal("acquire", name=name, mode="write", wait_ms=0)
    require_equal(refused["error"], "busy", "the error")
    require_equal(refused.get("held_by"), f"{one.pid}/write", "held_by")
    waiting = two.begin("acquire", name=name, mode="write")
    await_waiters(trial.daemon.path, name, 1)
    require(not two.has_answered(waiting), "the second client waits")
    one.do("release", grant=grant)
    second = two.result(waiting)
    require(int(second["token"]) > int(first["token"]), "the later grant has the higher token (G7)")


@case("G1")
def readers_together(trial: Trial) -> None:
    """Readers hold a lock together, and no writer beside them."""
    name, one, two = trial.name(), trial.client(), trial.raw()
    two.ask(f"READ {name}", "GRANTED")
    grant, _ = one.acquire(name, "read", wait_ms=0)
    two.ask(f"WRITE {name} wait=0 owner=w", f"BUSY {name} write held-by={os.getpid()}/read,{one.pid}/read")
    one.do("release", grant=grant)
    two.ask(f"RELEASE {name}", "RELEASED")
    two.ask(f"WRITE {name} wait=0 owner=w", "GRANTED")


@case("G1")
def all_holders(trial: Trial) -> None:
    """A refusal names up to three holders, and how many more there are."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    for owner in range(5):
        other.ask(f"READ {name} owner=o{owner}", "GRANTED")
    refused = client.refusal("acquire", name=name, mode="write", wait_ms=0)
    require_equal(refused.get("held_by"), ",".join([f"{os.getpid()}/read"] * 3) + ",+2", "held_by")


@case("G2")
def writers_first(trial: Trial) -> None:
    """A new reader gets nothing while a writer waits."""
    name, client, holder, writer = trial.name(), trial.client(), trial.raw(), trial.raw()
    holder.ask(f"READ {name}", "GRANTED")
    writer.send(f"WRITE {name}")
    await_waiters(trial.daemon.path, name, 1)
    require_equal(client.refusal("acquire", name=name, mode="read", wait_ms=0)["error"], "busy", "the error")


@case("Words", "owners")
def two_owners(trial: Trial) -> None:
    """Two threads or tasks of one process exclude each other."""
    name, client = trial.name(), trial.client()
    grant, _ = client.acquire(name, owner="one")
    require_equal(client.refusal("acquire", "two", name=name, mode="read", wait_ms=0)["error"], "busy", "the error")
    waiting = client.begin("acquire", "two", name=name, mode="write")
    await_waiters(trial.daemon.path, name, 1)
    client.do("release", "one", grant=grant)
    client.do("release", "two", grant=waiting if client.result(waiting) else 0)


@case("G4")
def read_again(trial: Trial) -> None:
    """An owner that reads gets another read at once, also while a writer waits, and releases both."""
    name, client, writer = trial.name(), trial.client(), trial.raw()
    outer, first = client.acquire(name, "read")
    writer.send(f"WRITE {name}")
    await_waiters(trial.daemon.path, name, 1)
    inner, second = client.acquire(name, "read", wait_ms=0)
    require(first["token"] != second["token"], "each grant has a token of its own")
    client.do("release", grant=inner)
    rows = trial.raw().rows(f"STATUS {name}")
    require_equal(sum(row.startswith("* holder ") for row in rows), 1, "the number of grants after one release")
    client.do("release", grant=outer)
    writer.expect(f"GRANTED {name} write")


@case("G4")
def own_circle(trial: Trial) -> None:
    """A request that would wait for its own owner is refused at once, and the grant stays."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    grant, _ = client.acquire(name)
    require_equal(client.refusal("acquire", name=name, mode="read")["error"], "deadlock", "the error")
    other.ask(f"READ {name} wait=0", f"BUSY {name} read held-by={client.pid}/write")
    client.do("release", grant=grant)


@case("G8")
def circle(trial: Trial) -> None:
    """A request that closes a cycle is refused, and the error names the cycle."""
    mine, theirs, client, other = trial.name("mine"), trial.name("theirs"), trial.client(), trial.raw()
    grant, _ = client.acquire(mine)
    other.ask(f"WRITE {theirs}", "GRANTED")
    other.send(f"WRITE {mine}")
    await_waiters(trial.daemon.path, mine, 1)
    refused = client.refusal("acquire", name=theirs, mode="write")
    require_equal(refused["error"], "deadlock", "the error")
    first, _, second = str(refused.get("cycle")).partition(">")
    require(first.startswith(str(client.pid)) and first.endswith(f":{theirs}"), f"the cycle begins here, not {first}")
    require_equal(second, f"{os.getpid()}:{mine}", "the second step of the cycle")
    client.do("release", grant=grant)
    other.expect(f"GRANTED {mine}")


@case("G7")
def tokens(trial: Trial) -> None:
    """Tokens rise over all locks and clients, and are the daemon's."""
    one, two, last = trial.client(), trial.client(), 0
    for number in range(6):
        name, client = trial.name(str(number % 2)), (one, two)[number // 2 % 2]
        grant, facts = client.acquire(name)
        row = trial.raw().rows(f"STATUS {name}")[0]
        require(f" token={facts['token']} " in row, f"the token {facts['token']} is that of {row}")
        require(int(facts["token"]) > last, "tokens rise")
        last = int(facts["token"])
        client.do("release", grant=grant)


@case("Arguments")
def high_tokens(trial: Trial) -> None:
    """A token is a number of 64 bits, which no floating point number can hold."""
    fake = trial.fake()
    client = trial.client(fake.path)
    for token in (HIGHEST, 2**62 + 1, 2**53 + 1):
        name = trial.name(str(token))
        asked = client.begin("acquire", name=name, mode="write")
        fake.next("WRITE").grant(token)
        require_equal(client.result(asked)["token"], str(token), "the token")
        ending = client.begin("release", grant=asked)
        line = fake.next("RELEASE")
        require_equal(line.options.get("token", str(token)), str(token), "the token that is released")
        line.reply(f"RELEASED {name} token={token}")
        client.result(ending)


@case("G6")
def death(trial: Trial) -> None:
    """When a process is killed, its locks are free, and the next holder is told that a writer died."""
    name, one, two, other = trial.name(), trial.client(), trial.client(), trial.raw()
    one.acquire(name)
    other.send(f"READ {name}")
    await_waiters(trial.daemon.path, name, 1)
    one.kill()
    require("ownerdied=1" in other.expect(f"GRANTED {name} read"), "a session by hand sees the mark")
    other.ask(f"RELEASE {name}", "RELEASED")
    grant, facts = two.acquire(name)
    require_equal(facts.get("ownerdied"), "1", "ownerdied (G11)")
    two.do("release", grant=grant)
    _, facts = two.acquire(name)
    require("ownerdied" not in facts, "the release of a writer removes the mark (G11)")


@case("How a session ends")
def end(trial: Trial) -> None:
    """A program that ends in order leaves nothing that is held or waits."""
    held, wanted, client, other = trial.name("held"), trial.name("wanted"), trial.client(), trial.raw()
    client.acquire(held, "read")
    other.ask(f"WRITE {wanted}", "GRANTED")
    other.send(f"WRITE {held}")
    await_waiters(trial.daemon.path, held, 1)
    client.finish()
    other.expect(f"GRANTED {held}")


@case("RELEASE")
def twice(trial: Trial) -> None:
    """What is released is not released again: the second call fails, or the adapter knows no such grant."""
    name, client = trial.name(), trial.client()
    grant, _ = client.acquire(name, "read")
    client.do("release", grant=grant)
    client.acquire(name, "read")
    require_equal(client.refusal("release", grant=grant)["error"], "not-held", "the error")
    require_equal(len(trial.raw().rows(f"STATUS {name}")), 1, "the number of grants that are left")
