"""What the daemon refuses to a client."""

from __future__ import annotations

from kit.case import Trial, case
from kit.failure import require_equal


@case("Limits")
def grants(trial: Trial) -> None:
    """A session that has too many grants gets an error, and can go on when it has released one."""
    daemon = trial.own_daemon("--max-session-grants", "2")
    client = trial.client(daemon.path)
    grant, _ = client.acquire(trial.name("0"))
    client.acquire(trial.name("1"))
    refused = client.refusal("acquire", name=trial.name("2"), mode="write")
    require_equal(refused["error"], "limit", "the error")
    client.do("release", grant=grant)
    client.acquire(trial.name("2"))


@case("Errors", "last-words")
def sessions(trial: Trial) -> None:
    """A daemon that has no place for a session is reported as a limit, also if the client cannot send."""
    daemon = trial.own_daemon("--max-sessions", "1")
    other = trial.raw(daemon.path)
    other.ask("PING", "PONG")
    refused = trial.client(daemon.path).refusal("acquire", name=trial.name(), mode="write", wait_ms=1_000)
    require_equal(refused["error"], "limit", "the error")


@case("Refusals")
def denied(trial: Trial) -> None:
    """What the rules do not permit is refused as that, and all else is granted."""
    rules = trial.folder / "rules"
    rules.write_text("deny everyone write secret/\n")
    client = trial.client(trial.own_daemon("--rules", str(rules)).path)
    refused = client.refusal("acquire", name="secret/x", mode="write")
    require_equal(refused["error"], "denied", "the error")
    client.acquire("secret/x", "read")
    client.acquire("open/x")
