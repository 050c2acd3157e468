"""Cached grants: for clients that ask for slots."""

from __future__ import annotations

from kit.case import Trial, case
from kit.failure import require, require_equal
from kit.raw import await_waiters


@case("Cached grants", "cache")
def taken_back(trial: Trial) -> None:
    """A lock that is taken again and again stays with its owner, and goes to another request at once."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    for mode in ("write", "read"):
        client.do("cycle", name=name, mode=mode, times=10)
        rows = other.rows(f"STATUS {name}")
        require(len(rows) == 1 and rows[0].startswith("* cached "), f"the grant is cached: {rows}")
        require("ownerdied" not in other.ask(f"WRITE {name} wait=0", "GRANTED"), "there is no mark")
        other.ask(f"RELEASE {name}", "RELEASED")
    grant, _ = client.acquire(name, wait_ms=0)
    client.do("release", grant=grant)


@case("Cached grants", "cache")
def held(trial: Trial) -> None:
    """What is held after all this excludes others, and the release wakes them."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    client.do("cycle", name=name, mode="write", times=10)
    grant, _ = client.acquire(name)
    other.send(f"WRITE {name}")
    await_waiters(trial.daemon.path, name, 1)
    client.do("release", grant=grant)
    require("ownerdied" not in other.expect(f"GRANTED {name} write"), "there is no mark")


@case("Cached grants", "cache")
def death_while_idle(trial: Trial) -> None:
    """A process that dies with a cached grant that it does not hold leaves no mark."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    client.do("cycle", name=name, mode="write", times=10)
    client.kill()
    require("ownerdied" not in other.ask(f"WRITE {name}", "GRANTED"), "there is no mark")


@case("Cached grants", "cache")
def death_while_held(trial: Trial) -> None:
    """A writer that dies while it holds leaves a mark, cached or not."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    client.do("cycle", name=name, mode="write", times=10)
    client.acquire(name)
    other.send(f"WRITE {name}")
    await_waiters(trial.daemon.path, name, 1)
    client.kill()
    require("ownerdied=1" in other.expect(f"GRANTED {name} write"), "there is a mark")


@case("Cached grants", "cache", "owners")
def between_owners(trial: Trial) -> None:
    """Owners of one process take turns with a lock that both have had in their caches."""
    name, client = trial.name(), trial.client()
    for _ in range(10):
        for owner in ("one", "two"):
            client.do("cycle", owner, name=name, mode="write", times=4)
    grant, _ = client.acquire(name, owner="one", wait_ms=0)
    require_equal(client.refusal("acquire", "two", name=name, mode="write", wait_ms=0)["error"], "busy", "the error")
    client.do("release", "one", grant=grant)


@case("Cached grants", "cache")
def without_slots(trial: Trial) -> None:
    """A daemon that gives no slots is used without them."""
    daemon, name = trial.own_daemon("--no-cache"), trial.name()
    client = trial.client(daemon.path)
    client.do("cycle", name=name, mode="write", times=10)
    trial.raw(daemon.path).ask(f"WRITE {name} wait=0", "GRANTED")


@case("Cached grants", "cache")
def descriptors_are_lost(trial: Trial) -> None:
    """If the slots' descriptors do not arrive, the slots of grants are ignored."""
    name = trial.name()
    client = trial.client(trial.between())
    client.do("cycle", name=name, mode="write", times=10)
    grant, facts = client.acquire(name)
    other = trial.raw()
    other.send(f"WRITE {name}")
    await_waiters(trial.daemon.path, name, 1)
    client.do("release", grant=grant)
    require(other.token(other.expect(f"GRANTED {name}")) > int(facts["token"]), "the other session has it")


@case("REVOKE", "cache")
def revoked(trial: Trial) -> None:
    """A grant that is revoked is lost, also if the lock was cached."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    client.do("cycle", name=name, mode="write", times=10)
    grant, _ = client.acquire(name)
    row = other.rows(f"STATUS {name}")[0]
    other.ask(f"REVOKE {name} token={other.token(row)}", "REVOKED")
    require_equal(client.refusal("release", grant=grant)["error"], "lost", "the error")


@case("Cached grants", "cache")
def daemon_dies(trial: Trial) -> None:
    """What is cached is gone with the daemon: the next request goes to the next daemon."""
    daemon, name = trial.own_daemon(), trial.name()
    client = trial.client(daemon.path)
    client.do("cycle", name=name, mode="write", times=10)
    daemon.kill()
    daemon.start()
    client.do("cycle", name=name, mode="write", times=1)
    grant, facts = client.acquire(name)
    trial.raw(daemon.path).ask(f"VALIDATE {name} token={facts['token']}", "VALID")
    client.do("release", grant=grant)
