"""Lines, however they arrive."""

from __future__ import annotations

from kit.adapter import Adapter
from kit.case import Trial, case
from kit.failure import require, require_equal

from .waits import TOO_LATE


def use(client: Adapter, trial: Trial) -> None:
    """A little of everything that the client can, with a daemon behind a relay."""
    name, other = trial.name(), trial.raw()
    grant, facts = client.acquire(name)
    require_equal(facts["mode"], "write", "the mode")
    other.ask(f"WRITE {name} wait=0", "BUSY")
    client.do("check", grant=grant)
    client.do("release", grant=grant)
    if "cache" in client.can:
        client.do("cycle", name=name, mode="write", times=5)
    token = other.token(other.ask(f"WRITE {name} note=n", "GRANTED"))
    for milliseconds, errors in ((0, ["busy"]), (20, TOO_LATE)):
        refused = client.refusal("acquire", name=name, mode="read", wait_ms=milliseconds)
        require(refused["error"] in errors, f"the error is one of {errors}, not {refused['error']}")
        require(str(refused.get("held_by")).endswith("/write"), f"held_by names the writer: {refused.get('held_by')}")
    if "status" in client.can:
        holders = str(client.do("status", name=name)["holders"])
        require(holders.endswith(f"/write/{token}/n"), f"the holder is shown: {holders}")
    if "list" in client.can:
        require_equal(client.do("list", prefix=name)["names"], name, "the list")
    other.ask(f"RELEASE {name}", "RELEASED")
    if "update" in client.can:
        grant, _ = client.acquire(name, "update")
        require_equal(client.do("upgrade", grant=grant)["mode"], "write", "the mode")
        require_equal(client.do("downgrade", grant=grant, mode="read")["mode"], "read", "the mode")
        client.do("release", grant=grant)
    if "lease" in client.can:
        grant, _ = client.acquire(name, lease_ms=60_000)
        client.do("renew", grant=grant, lease_ms=60_000)
        client.do("release", grant=grant)


@case("Lines")
def byte_by_byte(trial: Trial) -> None:
    """The daemon's lines arrive byte by byte."""
    use(trial.client(trial.between(is_slow=True)), trial)


@case("Order of replies", "owners")
def many_at_once(trial: Trial) -> None:
    """Replies come in another order than the requests, in one piece, with notices between them."""
    fake = trial.fake()
    client = trial.client(fake.path)
    asked = {}
    for number in range(5):
        name = trial.name(str(number))
        asked[name] = client.begin("acquire", f"o{number}", name=name, mode="write")
    lines = [fake.next("WRITE") for _ in asked]
    text = {id(line.connection): "" for line in lines}
    for token, line in reversed(list(enumerate(lines, 1))):
        text[id(line.connection)] += f"! RECALL other token=3\n{line.tag}GRANTED {line.name} write token={token}\n"
    for line in lines:
        line.connection.send(text.pop(id(line.connection), ""))
    for token, line in enumerate(lines, 1):
        require_equal(client.result(asked[line.name])["token"], str(token), f"the token of {line.name}")


@case("Order of replies", "owners")
def waits_delay_nothing(trial: Trial) -> None:
    """A request that waits delays no other request of the process."""
    client, other = trial.client(), trial.raw()
    other.ask(f"WRITE {trial.name('busy')}", "GRANTED")
    asked = client.begin("acquire", "one", name=trial.name("busy"), mode="write")
    for _ in range(3):
        grant, _ = client.acquire(trial.name("free"), owner="two")
        client.do("release", "two", grant=grant)
    require(not client.has_answered(asked), "the first request waits")


@case("Lines that come again")
def again(trial: Trial) -> None:
    """Behind `! RESUMED`, a client passes over what it has received already."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write")
    line = fake.next("WRITE")
    connection, start = line.connection, line.connection.sent
    first = f"{line.tag}GRANTED {name} write token=7\n"
    connection.send(first)
    connection.resume(start)
    connection.send(first)
    require_equal(client.result(asked)["token"], "7", "the token")
    ending = client.begin("release", grant=asked)
    line = fake.next("RELEASE")
    # Twice in a row, the second time from earlier on.
    connection.resume(start + len(first))
    connection.resume(start)
    connection.send(first + f"{line.tag}RELEASED {name} token=7\n")
    client.result(ending)
    asked = client.begin("acquire", name=name, mode="write")
    fake.next("WRITE").grant(8)
    require_equal(client.result(asked)["token"], "8", "the token")


@case("Lines that come again", "status")
def rows_again(trial: Trial) -> None:
    """Rows that come again are rows once."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("status", name=name)
    line = fake.next("STATUS")
    start = line.connection.sent
    row = "* holder pid={0} mode=read owner=- token={0} age=3s lease=- note=-\n"
    line.connection.send(row.format(1) + row.format(2))
    line.connection.resume(start)
    line.connection.send(row.format(1) + row.format(2) + row.format(3) + f"{line.tag}END 3\n")
    require_equal(client.result(asked)["holders"], "1/read/1/- 2/read/2/- 3/read/3/-", "holders")


@case("Lines that come again", "watch")
def changes_again(trial: Trial) -> None:
    """A change that comes again is told once."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("watch", prefix=name)
    line = fake.next("WATCH")
    line.reply("OK")
    client.result(asked)
    start = line.connection.sent
    change = f"! CHANGED {name} granted pid=1 mode=read token={{}} owner=- tag=- request=- upgrades=-\n"
    line.connection.send(change.format(1))
    line.connection.resume(start)
    line.connection.send(change.format(1) + change.format(2))
    seen = [client.event(lambda event: event["event"] == "change", "a change")["token"] for _ in range(2)]
    require_equal(seen, ["1", "2"], "the tokens of the changes")


@case("Order of replies")
def second_reply(trial: Trial) -> None:
    """A reply to a tag that is not open is ignored."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write")
    line = fake.next("WRITE")
    line.grant(7)
    line.grant(8)
    client.result(asked)
    ending = client.begin("release", grant=asked)
    release = fake.next("RELEASE")
    require_equal(release.options.get("token", "7"), "7", "the token that is released")
    release.reply(f"RELEASED {name} token=7")
    client.result(ending)
