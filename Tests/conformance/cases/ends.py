"""The end of a session, of a daemon, of the process that serves, and of the client."""

from __future__ import annotations

import os
import signal

from kit.adapter import Adapter
from kit.case import Trial, case
from kit.daemon import Daemon
from kit.failure import require, require_equal
from kit.fake import Fake
from kit.raw import await_waiters

#: What a client reports if its session ends while a request waits, unless it requests again.
ENDED = ("unavailable", "silent", "lost")


@case("A lost connection")
def daemon_dies(trial: Trial) -> None:
    """When the daemon dies, every grant is lost; the next request goes to the next daemon."""
    daemon, name = trial.own_daemon(), trial.name()
    client = trial.client(daemon.path)
    grant, before = client.acquire(name)
    daemon.kill()
    daemon.start()
    refused = client.refusal("release", grant=grant)
    require_equal(refused["error"], "lost", "the error")
    grant, after = client.acquire(name)
    require(int(after["token"]) > int(before["token"]), "tokens rise over the death of a daemon (G7)")
    client.do("release", grant=grant)


@case("A lost connection", "events")
def death_is_told(trial: Trial) -> None:
    """The death of the daemon is reported without a call, for each grant."""
    daemon = trial.own_daemon()
    client = trial.client(daemon.path)
    grants = {client.acquire(trial.name(str(number)))[0] for number in range(3)}
    daemon.kill()
    told = {client.event(lambda event: event["event"] == "lost", "an event for each grant")["of"] for _ in grants}
    require_equal(told, grants, "the grants that are lost")


@case("A lost connection")
def no_silent_return(trial: Trial) -> None:
    """A client does not take a lock again that it lost with the connection."""
    daemon, held, other = trial.own_daemon(), trial.name("held"), trial.name("other")
    client = trial.client(daemon.path)
    grant, _ = client.acquire(held)
    daemon.kill()
    daemon.start()
    client.acquire(other)
    rows = daemon.raw().rows("LIST")
    require_equal([row.split()[2] for row in rows], [other], "the locks of the next daemon")
    require_equal(client.refusal("release", grant=grant)["error"], "lost", "the error")


@case("A lost connection")
def daemon_dies_meanwhile(trial: Trial) -> None:
    """A request that waits when the daemon dies fails, or is made again to the next daemon."""
    daemon, name = trial.own_daemon(), trial.name()
    client = trial.client(daemon.path)
    trial.raw(daemon.path).ask(f"WRITE {name}", "GRANTED")
    asked = client.begin("acquire", name=name, mode="write", wait_ms=60_000)
    await_waiters(daemon.path, name, 1)
    daemon.kill()
    daemon.start()
    answer = client.answer(asked)
    held = [row for row in daemon.raw().rows(f"STATUS {name}") if row.startswith("* holder ")]
    if "error" in answer:
        require(answer["error"] in ENDED, f"the error is one of {ENDED}, not {answer['error']}")
        require_equal(held, [], "the holders of the lock")
    else:
        require(f" token={answer['token']} " in held[0], "the grant is the next daemon's")


def answer_after_end(client: Adapter, fake: Fake, asked: int) -> None:
    """The session ends without a grant: the call fails, or a second request has its own answer."""
    fake.automatic = lambda line: line.grant(9)
    answer = client.answer(asked)
    require("error" in answer or answer["token"] == "9", f"the answer {answer} is that to a line which did not end")


@case("Lines")
def end_in_a_line(trial: Trial) -> None:
    """A line that is cut off by the end of the connection is no reply."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write", wait_ms=2_000)
    line = fake.next("WRITE")
    line.connection.send(f"{line.tag}GRANTED {name} write token=7")
    line.connection.close()
    answer_after_end(client, fake, asked)


@case("A client's loop")
def reply_before_the_end(trial: Trial) -> None:
    """A reply and a notice that came before the end count, so the loss is a revocation or the end."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write")
    line = fake.next("WRITE")
    line.connection.send(f"{line.tag}GRANTED {name} write token=7\n! REVOKED {name} token=7\n")
    line.connection.close()
    require_equal(client.result(asked)["token"], "7", "the token")
    require_equal(client.refusal("release", grant=asked)["error"], "lost", "the error")


@case("The daemon's end")
def drain(trial: Trial) -> None:
    """While a daemon leaves, grants stay; new requests go to the next daemon."""
    daemon, kept, wanted = trial.own_daemon(), trial.name("kept"), trial.name("wanted")
    client, other = trial.client(daemon.path), trial.raw(daemon.path)
    grant, _ = client.acquire(kept)
    other.ask(f"READ {trial.name('busy')}", "GRANTED")
    daemon.drain()
    require_equal(other.notice(), "! DRAIN", "the notice")
    answer = client.answer(client.begin("acquire", name=wanted, mode="write", wait_ms=20))
    require("error" in answer, "no daemon grants anything")
    client.do("release", grant=grant)
    other.ask(f"RELEASE {trial.name('busy')}", "RELEASED")
    daemon.await_end()
    daemon.start()
    client.acquire(wanted)


@case("Fork", "fork")
def fork(trial: Trial) -> None:
    """A forked child has a session of its own, and none of its parent's grants; the parent keeps them."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    grant, facts = client.acquire(name)
    child = client.do("fork", grant=grant, name=name)
    require_equal(child["acquired"], "busy", "what the child's request got")
    require(child["released"] in ("not-held", "lost"), f"the child releases nothing, but: {child['released']}")
    other.ask(f"VALIDATE {name} token={facts['token']}", "VALID")
    other.ask(f"WRITE {name} wait=0", f"BUSY {name} write held-by={client.pid}/write")
    client.do("release", grant=grant)


@case("Fork", "fork")
def fork_with_nothing_held(trial: Trial) -> None:
    """A child of a process that is connected gets a lock by its own session, and its end frees it."""
    name, client = trial.name(), trial.client()
    grant, _ = client.acquire(trial.name("first"), "read")
    child = client.do("fork", grant=grant, name=name)
    require_equal(child["acquired"], "ok", "what the child's request got")
    client.do("release", grant=grant)
    client.acquire(name)


def rounds(trial: Trial, daemon: Daemon, client: Adapter) -> None:
    """In each round the process that serves is killed while a request of the client waits."""
    held, wanted = trial.name("held"), trial.name("wanted")
    grant, facts = client.acquire(held)
    other = trial.raw(daemon.path)
    for _ in range(4):
        other.ask(f"WRITE {wanted}", "GRANTED")
        asked = client.begin("acquire", name=wanted, mode="write")
        await_waiters(daemon.path, wanted, 1)
        os.kill(daemon.worker(), signal.SIGKILL)
        other.ask(f"RELEASE {wanted}", "RELEASED")
        client.result(asked)
        other.ask(f"VALIDATE {held} token={facts['token']}", "VALID")
        client.do("release", grant=asked)
    client.do("release", grant=grant)


@case("G14")
def serving_process_dies(trial: Trial) -> None:
    """With `--keep`, a client notices nothing when the process that serves is killed, again and again."""
    daemon = trial.own_daemon("--keep")
    rounds(trial, daemon, trial.client(daemon.path))


@case("G14", "cache")
def serving_process_dies_with_cache(trial: Trial) -> None:
    """A client with cached grants notices nothing either."""
    daemon, name = trial.own_daemon("--keep"), trial.name("cached")
    client = trial.client(daemon.path)
    for _ in range(4):
        client.do("cycle", name=name, mode="write", times=5)
        os.kill(daemon.worker(), signal.SIGKILL)
        client.do("cycle", name=name, mode="write", times=5)
        daemon.raw().ask(f"WRITE {name}", f"GRANTED {name} write token=")
