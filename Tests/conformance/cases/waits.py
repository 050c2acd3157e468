"""How long a request waits, and what becomes of it when it is given up."""

from __future__ import annotations

import os
import time

from kit.case import Trial, case
from kit.failure import require, require_equal
from kit.raw import Raw, await_waiters

#: What a client reports if a daemon is there and does not answer.
NO_ANSWER = ("silent", "unavailable")
#: What it reports if the time is over. If that is so before the request is sent, the request is a try.
TOO_LATE = ("timeout", "busy")
DELAY = 0.2


@case("READ, UPDATE, WRITE")
def timeout(trial: Trial) -> None:
    """A request that is not granted in time fails, and names the holder. Nothing of it is left."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    other.ask(f"WRITE {name}", "GRANTED")
    refused = client.refusal("acquire", name=name, mode="write", wait_ms=30)
    require(refused["error"] in TOO_LATE, f"the error is one of {TOO_LATE}, not {refused['error']}")
    require_equal(refused.get("held_by"), f"{os.getpid()}/write", "held_by")
    require_equal(len(other.rows(f"STATUS {name}")), 1, "the number of rows: only the holder is left")


@case("READ, UPDATE, WRITE")
def timeout_is_stated(trial: Trial) -> None:
    """The request states how long it may wait; without a limit it waits for ever."""
    other = trial.raw()
    for milliseconds in (None, 3_600_000):
        name, client = trial.name(str(milliseconds)), trial.client()
        other.ask(f"WRITE {name}", "GRANTED")
        asked = client.begin("acquire", name=name, mode="write", wait_ms=milliseconds)
        await_waiters(trial.daemon.path, name, 1)
        stated = other.rows(f"STATUS {name}")[1].partition(" timeout=")[2].split()[0]
        if milliseconds is None:
            require_equal(stated, "forever", "the timeout")
        else:
            require(in_milliseconds(stated) <= milliseconds, f"the timeout {stated} is at most that of the call")
            require(in_milliseconds(stated) > milliseconds / 2, f"the timeout {stated} is most of that of the call")
        other.ask(f"RELEASE {name}", "RELEASED")
        client.result(asked)


@case("A client's clock")
def connecting_takes_time(trial: Trial) -> None:
    """The time in which a daemon is silent at first is part of the timeout: the line states what is left."""
    fake = trial.fake()
    slow = iter([DELAY])
    fake.before = lambda _: time.sleep(next(slow, 0))
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=trial.name(), mode="write", wait_ms=5_000)
    line = fake.next("WRITE")
    # A client that sends the request as its first line cannot know of the delay.
    if fake.lines_before > 0:
        require(in_milliseconds(line.options["wait"]) <= 5_000 - DELAY * 1_000, f"{line.text}: some time is over")
    line.grant(1)
    client.result(asked)


@case("CANCEL", "cancel")
def cancel(trial: Trial) -> None:
    """A request that is cancelled ends, and leaves the queue."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    other.ask(f"WRITE {name}", "GRANTED")
    asked = client.begin("acquire", name=name, mode="write")
    await_waiters(trial.daemon.path, name, 1)
    client.do("cancel", request=asked)
    require_equal(client.answer(asked).get("error"), "cancelled", "the error")
    await_waiters(trial.daemon.path, name, 0)
    client.begin("acquire", name=name, mode="write")
    await_waiters(trial.daemon.path, name, 1)


@case("CANCEL", "cancel")
def cancel_comes_late(trial: Trial) -> None:
    """If the lock is granted before the daemon reads the cancellation, the client releases it."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write")
    line = fake.next("WRITE")
    client.do("cancel", request=asked)
    require_equal(fake.next("CANCEL", "RELEASE").verb, "CANCEL", "the line that follows")
    line.grant(7)
    fake.await_line("RELEASE", lambda release: release.options.get("token", "7") == "7")


@case("A client's clock")
def stopped_daemon(trial: Trial) -> None:
    """A daemon that stops costs a call its time and a little more, and grants nothing afterwards."""
    daemon, name = trial.own_daemon(), trial.name()
    client = trial.client(daemon.path)
    grant, _ = client.acquire(name)
    client.do("release", grant=grant)
    daemon.stop()
    refused = client.refusal("acquire", name=name, mode="write", wait_ms=50)
    daemon.go_on()
    require(refused["error"] in NO_ANSWER, f"the error is one of {NO_ANSWER}, not {refused['error']}")
    # The request may be granted now, but the client undoes it.
    trial.raw(daemon.path).ask(f"WRITE {name}", "GRANTED")


@case("A client's clock")
def stopped_daemon_at_first(trial: Trial) -> None:
    """A daemon that was stopped before the client connects costs a call no more."""
    daemon = trial.own_daemon()
    client = trial.client(daemon.path)
    daemon.stop()
    refused = client.refusal("acquire", name=trial.name(), mode="write", wait_ms=50)
    daemon.go_on()
    require(refused["error"] in NO_ANSWER, f"the error is one of {NO_ANSWER}, not {refused['error']}")


@case("A client's clock")
def held_meanwhile(trial: Trial) -> None:
    """A request that is given up does not release what its owner holds."""
    daemon, name = trial.own_daemon(), trial.name()
    client = trial.client(daemon.path)
    grant, facts = client.acquire(name, "read")
    daemon.stop()
    refused = client.refusal("acquire", name=name, mode="read", wait_ms=50)
    daemon.go_on()
    require(refused["error"] in NO_ANSWER, f"the error is one of {NO_ANSWER}, not {refused['error']}")
    require(f" token={facts['token']} " in trial.raw(daemon.path).rows(f"STATUS {name}")[0], "the first grant is held")
    # A client without a thread of its own reads, and returns, a late grant only now.
    client.do("release", grant=grant)
    await_grants(daemon.path, name, 0)


@case("A client's clock", "grace")
def grace(trial: Trial) -> None:
    """While a daemon grants nothing to any client, a try is repeated."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write", wait_ms=0)
    for _ in range(3):
        line = fake.next("WRITE")
        require_equal(line.options.get("wait"), "0", "the wait of a try")
        line.reply(f"BUSY {name} write held-by=?")
    fake.next("WRITE").grant(7)
    require_equal(client.result(asked)["token"], "7", "the token")


def in_milliseconds(duration: str) -> int:
    for unit, factor in (("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)):
        if duration.endswith(unit) and duration[: -len(unit)].isdigit():
            return int(duration[: -len(unit)]) * factor
    return int(duration)


def await_grants(path: str, name: str, count: int) -> None:
    """Waits until a lock has so many grants."""
    watch = Raw(path)
    watch.ask(f"WATCH {name}", "OK")
    while sum(row.startswith("* holder ") for row in watch.rows(f"STATUS {name}")) != count:
        watch.notice()
        watch.notices.clear()
    watch.close()
