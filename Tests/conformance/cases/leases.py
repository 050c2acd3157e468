"""Grants that are lost: leases that end, and grants that are revoked."""

from __future__ import annotations

from kit.adapter import Adapter
from kit.case import Trial, case
from kit.failure import require, require_equal
from kit.raw import await_waiters


def require_lost(client: Adapter, grant: int, reason: str) -> None:
    """A client says that a grant is lost, and why, if it says that at all."""
    refused = client.refusal("release", grant=grant)
    require_equal(refused["error"], "lost", "the error")
    require_equal(refused.get("reason", reason), reason, "the reason")


@case("G9", "lease")
def lease_ends(trial: Trial) -> None:
    """A lease that is not renewed ends, the next request is granted, and the former holder is told."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    grant, _ = client.acquire(name, lease_ms=60)
    require("ownerdied=1" in other.ask(f"WRITE {name}", "GRANTED"), "the next writer is told")
    require_lost(client, grant, "expired")


@case("Notices", "lease", "events")
def end_of_lease_is_told(trial: Trial) -> None:
    """The end of a lease is reported without a call."""
    name, client = trial.name(), trial.client()
    grant, _ = client.acquire(name, lease_ms=60)
    client.event(lambda event: event["event"] == "lost" and event["of"] == grant, "the event of the loss")


@case("RENEW", "lease")
def renew(trial: Trial) -> None:
    """A lease is renewed with another length; the token stays."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    grant, facts = client.acquire(name, lease_ms=3_600_000)
    client.do("renew", grant=grant, lease_ms=7_200_000)
    row = other.rows(f"STATUS {name}")[0]
    left = float(row.partition(" lease=")[2].split()[0].rstrip("s"))
    require(left > 3_601, f"the lease that is left is more than an hour: {left} s")
    require(f" token={facts['token']} " in row, "the token is the same")
    client.do("release", grant=grant)


@case("RENEW", "lease")
def renew_comes_late(trial: Trial) -> None:
    """To renew a lease that has ended is a loss."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    grant, _ = client.acquire(name, lease_ms=60)
    other.ask(f"WRITE {name}", "GRANTED")
    require_equal(client.refusal("renew", grant=grant, lease_ms=60_000)["error"], "lost", "the error")
    other.ask(f"RELEASE {name}", "RELEASED")


@case("REVOKE")
def revoked(trial: Trial) -> None:
    """A grant that is revoked is lost, and the client's other grants are not."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    grant, facts = client.acquire(name)
    kept, _ = client.acquire(trial.name("kept"), "read")
    other.ask(f"REVOKE {name} token={facts['token']}", "REVOKED")
    require_lost(client, grant, "revoked")
    client.do("release", grant=kept)


@case("REVOKE")
def check(trial: Trial) -> None:
    """A client can be asked whether a grant is held, and says so before and after the loss."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    grant, facts = client.acquire(name)
    client.do("check", grant=grant)
    other.ask(f"REVOKE {name} token={facts['token']}", "REVOKED")
    # A client without a question to the daemon sees the notice. It is sent before the reply to a later line.
    other.ask("PING", "PONG")
    require_equal(client.refusal("check", grant=grant)["error"], "lost", "the error")


@case("Notices", "events")
def revocation_is_told(trial: Trial) -> None:
    """A revocation is reported without a call, once, for the right grant."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    client.acquire(trial.name("kept"), "read")
    grant, facts = client.acquire(name)
    other.ask(f"REVOKE {name} token={facts['token']}", "REVOKED")
    event = client.event(lambda event: event["event"] == "lost", "the event of the loss")
    require_equal(event["of"], grant, "the grant that is lost")


@case("Notices", "events")
def loss_behind_the_grant(trial: Trial) -> None:
    """A loss that comes in one piece with the grant is reported, too."""
    fake, name = trial.fake(), trial.name()
    client = trial.client(fake.path)
    asked = client.begin("acquire", name=name, mode="write")
    line = fake.next("WRITE")
    line.connection.send(f"{line.tag}GRANTED {name} write token=7\n! REVOKED {name} token=7\n")
    client.result(asked)
    client.event(lambda event: event["event"] == "lost" and event["of"] == asked, "the event of the loss")


@case("REVOKE", "update")
def lost_while_upgrading(trial: Trial) -> None:
    """An upgrade that waits ends if its grant is revoked, and the grant is lost."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    other.ask(f"READ {name}", "GRANTED")
    grant, facts = client.acquire(name, "update")
    asked = client.begin("upgrade", grant=grant)
    await_waiters(trial.daemon.path, name, 1)
    other.ask(f"REVOKE {name} token={facts['token']}", "REVOKED")
    require("error" in client.answer(asked), "the upgrade fails")
    require_lost(client, grant, "revoked")


@case("REVOKE", "revoke")
def revoke(trial: Trial) -> None:
    """A client revokes the grant of another session."""
    name, client, other = trial.name(), trial.client(), trial.raw()
    token = other.token(other.ask(f"WRITE {name}", "GRANTED"))
    client.do("revoke", name=name, token=str(token))
    require_equal(other.notice(), f"! REVOKED {name} token={token}", "the notice")
