"""Changes of a grant's mode."""

from __future__ import annotations

from kit.case import Trial, case
from kit.failure import require, require_equal
from kit.raw import await_waiters

from .waits import TOO_LATE


@case("G1", "update")
def update_beside_readers(trial: Trial) -> None:
    """One update grant is held beside readers, and excludes other updates."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    other.ask(f"READ {name}", "GRANTED")
    _, facts = client.acquire(name, "update", wait_ms=0)
    require_equal(facts["mode"], "update", "the mode")
    other.ask(f"READ {name} owner=two wait=0", "GRANTED")
    require_equal(
        trial.client().refusal("acquire", name=name, mode="update", wait_ms=0)["error"], "busy", "the error")


@case("UPGRADE", "update")
def upgrade(trial: Trial) -> None:
    """An upgrade waits for the readers; then the grant is a write grant with a higher token."""
    name, client, reader = trial.name(), trial.client(), trial.raw()
    reader.ask(f"READ {name}", "GRANTED")
    grant, before = client.acquire(name, "update")
    asked = client.begin("upgrade", grant=grant)
    await_waiters(trial.daemon.path, name, 1)
    reader.ask(f"RELEASE {name}", "RELEASED")
    after = client.result(asked)
    require_equal(after["mode"], "write", "the mode")
    require(int(after["token"]) > int(before["token"]), "the token of the write grant is higher")
    require(f" token={after['token']} " in reader.rows(f"STATUS {name}")[0], "it is the daemon's")
    client.do("release", grant=grant)
    reader.ask(f"WRITE {name} wait=0", "GRANTED")


@case("UPGRADE", "update")
def upgrade_is_refused(trial: Trial) -> None:
    """A refused upgrade leaves the grant as it was."""
    name, client, reader = trial.name(), trial.client(), trial.raw()
    reader.ask(f"READ {name}", "GRANTED")
    grant, before = client.acquire(name, "update")
    for milliseconds, errors in ((0, ["busy"]), (20, TOO_LATE)):
        refused = client.refusal("upgrade", grant=grant, wait_ms=milliseconds)
        require(refused["error"] in errors, f"the error is one of {errors}, not {refused['error']}")
    row = reader.rows(f"STATUS {name}")[1]
    require(" mode=update owner=" in row and f" token={before['token']} " in row, f"the grant is unchanged: {row}")
    client.do("release", grant=grant)
    require_equal(len(reader.rows(f"STATUS {name}")), 1, "the number of grants")


@case("UPGRADE", "update")
def two_upgrades(trial: Trial) -> None:
    """Of two readers that upgrade, the second is refused, and keeps what it has."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    grant, _ = client.acquire(name, "read")
    other.ask(f"READ {name}", "GRANTED")
    other.send(f"UPGRADE {name}")
    await_waiters(trial.daemon.path, name, 1)
    require_equal(client.refusal("upgrade", grant=grant)["error"], "deadlock", "the error")
    client.do("release", grant=grant)
    other.expect(f"GRANTED {name} write")


@case("DOWNGRADE", "update")
def downgrade(trial: Trial) -> None:
    """A writer becomes a reader with the same token, and waiting readers come in."""
    name, client, reader = trial.name(), trial.client(), trial.raw()
    grant, before = client.acquire(name)
    reader.send(f"READ {name}")
    await_waiters(trial.daemon.path, name, 1)
    after = client.do("downgrade", grant=grant, mode="read")
    reader.expect(f"GRANTED {name} read")
    require_equal((after["mode"], after["token"]), ("read", before["token"]), "mode and token")
    client.do("release", grant=grant)


@case("DOWNGRADE", "update")
def not_weaker(trial: Trial) -> None:
    """A change to a mode that is not weaker is an error, and the grant stays."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    grant, _ = client.acquire(name, "read")
    require_equal(client.refusal("downgrade", grant=grant, mode="update")["error"], "wrong-mode", "the error")
    require_equal(len(other.rows(f"STATUS {name}")), 1, "the number of grants")
    client.do("release", grant=grant)
