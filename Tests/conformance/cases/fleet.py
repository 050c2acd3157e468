"""Locks that hosts share. A server by hand says what a daemon of a fleet says."""

from __future__ import annotations

import time

from kit.adapter import Adapter
from kit.case import Trial, case
from kit.failure import require, require_equal
from kit.fake import Fake, Line

HOUR = 3_600_000


def until(milliseconds: int, ago: int = 0) -> str:
    """The fields for a grant that counts for so long from a moment that is `ago` milliseconds past."""
    clock = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 - ago
    return f"until={milliseconds}ms clock={clock}ms"


def acquired(trial: Trial, milliseconds: int, ago: int = 0) -> tuple[Fake, Adapter, int, Line]:
    """A client that has a grant on a shared lock; what it asks later is answered as a daemon would."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write")
    line = fake.next("WRITE")
    fake.automatic = lambda later: later.reply(
        f"VALID {name} token=7" if later.verb == "VALIDATE" else f"RELEASED {name} token=7")
    line.grant(7, " " + until(milliseconds, ago))
    return fake, client, asked, line


@case("A fleet", "until")
def counts(trial: Trial) -> None:
    """A grant on a shared lock is held until its moment."""
    _, client, asked, _ = acquired(trial, HOUR)
    client.result(asked)
    client.do("check", grant=asked)
    client.do("release", grant=asked)


@case("A fleet", "until")
def is_over(trial: Trial) -> None:
    """When the moment has passed the grant is lost, whatever the daemon says."""
    _, client, asked, _ = acquired(trial, 10, ago=5_000)
    answer = client.answer(asked)
    if "error" not in answer:
        require_equal(client.refusal("check", grant=asked)["error"], "lost", "the error of check")
        require_equal(client.refusal("release", grant=asked)["error"], "lost", "the error of release")
    else:
        require_equal(answer["error"], "lost", "the error of acquire")


@case("A fleet", "until", "events")
def end_is_told(trial: Trial) -> None:
    """The end is told without a call and without a line of the daemon."""
    _, client, asked, _ = acquired(trial, 150)
    client.result(asked)
    client.event(lambda event: event["event"] == "lost" and event["of"] == asked, "the event of the loss")


@case("A fleet", "until")
def moves_on(trial: Trial) -> None:
    """`! UNTIL` states a later end; one that is earlier changes nothing."""
    _, client, asked, line = acquired(trial, 2_000)
    client.result(asked)
    line.connection.send(f"! UNTIL {until(HOUR)}\n! UNTIL {until(10, ago=5_000)}\n")
    end = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 2_050 * 1_000_000
    # The first end has to pass, by the clock.
    while (left := end - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) > 0:
        time.sleep(left / 1e9)
    client.do("check", grant=asked)
    client.do("release", grant=asked)


@case("A fleet")
def refusals(trial: Trial) -> None:
    """Holders and marks of other hosts, and a cluster that is away, are understood."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)

    def answer(reply: str) -> dict[str, str]:
        asked = client.begin("acquire", name=name, mode="write", wait_ms=0)
        fake.next("WRITE").reply(reply.format(name))
        return client.answer(asked)

    busy = answer("BUSY {} write held-by=host:web2/write")
    require_equal((busy.get("error"), busy.get("held_by")), ("busy", "host:web2/write"), "error and held_by")
    circle = answer("DEADLOCK {0} write cycle=1/t:{0}>host:web2:{0}")
    require_equal(circle.get("error"), "deadlock", "the error")
    require_equal(circle.get("cycle"), f"1/t:{name}>host:web2:{name}", "the cycle")
    away = answer("ERROR cluster-unavailable lock={} mode=write the cluster does not answer")
    require_equal(away.get("error"), "cluster", "the error")
    marked = answer("GRANTED {} write token=4611686018427387905 ownerdied=maybe")
    require_equal(marked.get("ownerdied"), "maybe", "ownerdied")
    require(marked["token"] == "4611686018427387905", "the token is exact")
