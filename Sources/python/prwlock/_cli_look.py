"""The subcommands that look, and those for fencing tokens."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from ._cli_lock import duration, exit_code, location_of, plain_name
from ._client import Client
from ._described import lookup, user_name
from ._exit_status import NO, NOT_PERMITTED
from ._report import Report, milliseconds, name_members
from ._shown import Shown, as_json, in_words
from ._standard import Complaint, complain, say, write
from ._status import LockSummary, SessionStatus
from ._table import Column, Listing, Style, Table
from ._wire import check, check_encoded, decode_name

TEXTS = {
    "status": "Show who holds a lock and who waits for it",
    "list": "List locks, in the order of their names",
    "hot": "Show which locks have cost most, the worst first",
    "sessions": "List the clients that are connected",
    "stats": "Show the daemon's counters",
    "watch": "Show what happens on locks, until it is interrupted",
    "wait": "Wait until a lock is free, without taking it",
    "ping": "Ask the daemon for a sign of life",
    "validate": "Tell whether a fencing token still holds",
    "revoke": "Take a grant from its holder; for root and the daemon's own user",
    "bench": "Measure an acquire and a release, beside what else is installed",
}
_LOCKS = (
    Column("MODE"), Column("HOLDERS", is_number=True), Column("WAITING", is_number=True), Column("LAST WRITER", rank=1),
    Column("NAME", may_be_cut=True),
)  # fmt: skip
_LOCKS_OF_HOSTS = (*_LOCKS[:-1], Column("CLAIMED BY", rank=2), _LOCKS[-1])
_SESSIONS = (
    Column("SESSION", is_number=True), Column("PID", is_number=True), Column("USER"), Column("GRANTS", is_number=True),
    Column("WAITING", is_number=True), Column("FOR"), Column("CLIENT", may_be_cut=True, rank=2),
    Column("UNIT", may_be_cut=True, rank=1), Column("COMMAND", may_be_cut=True),
)  # fmt: skip


def add_options(command: argparse.ArgumentParser, name: str) -> None:
    """Adds the options of a subcommand to its parser, and its action."""
    command.set_defaults(action=globals()[f"_{name}"])
    command.add_argument("--socket", metavar="PATH", help="the lock daemon's socket")
    if name != "revoke":
        command.add_argument("--json", action="store_true", help="print JSON, for programs")
    if name in ("status", "validate", "revoke"):
        command.add_argument("name", help="the lock's name", nargs="?" if name == "status" else None)
    if name == "wait":
        _add_wait_options(command)
    if name in ("list", "watch", "hot"):
        command.add_argument("name", nargs="?", metavar="prefix", help="only the locks whose names begin so")
    if name in ("status", "validate", "revoke", "list", "watch", "hot", "wait"):
        command.add_argument("--encoded", action="store_true", help="the name is encoded already: %%20 is a space")
    if name in ("validate", "revoke"):
        command.add_argument("token", type=_token, help="the fencing token, as `status` shows it")
    if name == "hot":
        from ._cli_hot import COSTS

        command.add_argument("--by", choices=COSTS, default="waited", help="what to order them by (waited)")
        command.add_argument("--limit", type=_limit, default=20, metavar="N", help="show at most so many locks (20)")
    if name == "stats":
        for option in ("--openmetrics", "--prometheus"):
            command.add_argument(option, action=_NativeOnly, nargs=0, help=argparse.SUPPRESS)
    if name == "bench":
        command.add_argument("--runs", type=int, default=5, metavar="N", help="how often to measure all of them (5)")
        command.add_argument("--seconds", type=float, default=2, metavar="S", help="how long each is measured in a run")
        command.add_argument("--pin", action="store_true", help="have all processes on one processor")
        command.add_argument("--echo", metavar="PROGRAM", help="prwlock-bench, for its echo server in C")
        command.add_argument("--original", metavar="DIR", help="a folder with prwlock 0.4.1 in it")


def _add_wait_options(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Waits until a lock is free, without taking it. It promises nothing about the next moment: for work that must "
        "not run beside a holder, use `prwlock run`."
    )
    command.add_argument(
        "-s", "--shared", "--read", dest="reads", action="store_true", help="wait until the lock may be read"
    )
    nonblock = ("-n", "--nb", "--nonblock", "--nonblocking")
    command.add_argument(*nonblock, dest="nonblock", action="store_true", help="look once rather than wait")
    command.add_argument(
        "-w", "--wait", "--timeout", type=duration, metavar="SECONDS", help="give up after so long; also 250ms, 2m, 1h"
    )
    command.add_argument(
        "-E", "--conflict-exit-code", dest="conflict", type=exit_code, default=1, metavar="NUMBER",
        help="the status if a lock is not free, with -n or -w (1)",
    )  # fmt: skip
    command.add_argument("names", nargs="+", metavar="name", help="the lock's name; several are to be free at once")


class _NativeOnly(argparse.Action):
    """An option that only the native command has."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error(
            "only the native command prints metrics, which is usually /usr/bin/prwlock, of the package prwlock; "
            "this one has `stats --json`"
        )


def _limit(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 63:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")


def _token(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 64:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a token")


def _client(options: argparse.Namespace) -> Client:
    return Client(options.socket)


def _name(options: argparse.Namespace) -> str:
    return decode_name(plain_name(options.name, options.encoded))


def _prefix(options: argparse.Namespace) -> str:
    raw = os.fsencode(options.name or "")
    if options.encoded and raw:
        return decode_name(check_encoded(raw))
    return raw.decode("utf-8", "surrogateescape")


def _say_space(options: argparse.Namespace, client: Client) -> None:
    """Writes which user's locks were shown, if other users have other daemons: root would not see those."""
    if not options.json and options.socket is None and client._location.space == "user":
        user = user_name(os.geteuid())
        complain(f"these are the locks of user {user} only; the locks of other users are not shown")


def _status(options: argparse.Namespace) -> int:
    client = _client(options)
    if options.name is not None:
        report = Report(client.status(_name(options)), lookup(client))
        write(Shown(as_json(report.json) + "\n") if options.json else report.text(Style()))
    else:
        # One lock at a time, so a thousand locks take the memory of one.
        listing = Listing((), options.json)
        facts = lookup(client)
        for lock in client.list():
            if lock.holders or lock.waiters:
                report = Report(client.status(lock.name), facts)
                # It may have been released after the daemon listed it.
                if not report.is_free:
                    listing.add_text(report.text(listing.style), report.json)
        listing.finish("no lock is held or waited for")
    _say_space(options, client)
    return 0


def _list(options: argparse.Namespace) -> int:
    client = _client(options)
    is_in_fleet = not options.json and "cluster-claims" in client.stats()
    listing = Listing(_LOCKS_OF_HOSTS if is_in_fleet else _LOCKS, options.json)
    for row in client.list(_prefix(options)):
        died = "may have died" if row.owner_died_is_unsure else "died" if row.owner_died else ""
        cells = [row.mode or "", str(row.holders), str(row.waiters), died, row.name]
        if is_in_fleet:
            mode, host = row.claim or (None, None)
            cells.insert(-1, f"{host} ({mode or 'none'})" if host else "")
        listing.add(cells, _lock_members(row))
    listing.finish("no locks")
    _say_space(options, client)
    return 0


def _lock_members(row: LockSummary) -> dict[str, Any]:
    members = {**name_members(row.name), **row._asdict()}
    unsure, claim = members.pop("owner_died_is_unsure"), members.pop("claim")
    if claim is not None:
        members.update(owner_died_is_unsure=unsure, claim=claim[0], claim_host=claim[1])
    return members


def _hot(options: argparse.Namespace) -> int:
    from ._cli_hot import Asked, show

    client = _client(options)
    status = show(client, Asked(_prefix(options), options.by, options.limit, options.json))
    _say_space(options, client)
    return status


def _sessions(options: argparse.Namespace) -> int:
    client = _client(options)
    listing = Listing(_SESSIONS, options.json)
    facts = lookup(client)
    for row in sorted(client.sessions()):
        process = facts(row.pid)
        pid = "?" if row.pid is None else str(row.pid)
        user, age = user_name(row.uid), in_words(row.age)
        cells = (
            str(row.id), pid, user, str(row.grants), str(row.waiters), age, row.client or "", process.unit or "",
            process.command or "",
        )  # fmt: skip
        listing.add(cells, {**_session_members(row), **process.members, "user": user})
    listing.finish("no sessions")
    _say_space(options, client)
    return 0


def _session_members(row: SessionStatus) -> dict[str, Any]:
    members = row._asdict()
    members["age_ms"] = milliseconds(members.pop("age"))
    return members


def _stats(options: argparse.Namespace) -> int:
    counters = _client(options).stats()
    if options.json:
        say(as_json({name.replace("-", "_"): value for name, value in counters.items()}))
    else:
        columns = (Column("COUNTER"), Column("VALUE", is_number=True))
        write(Table(columns, Style()).render([(name, str(value)) for name, value in counters.items()]))
    return 0


def _watch(options: argparse.Namespace) -> int:
    from ._cli_watch import show

    return show(_client(options), _prefix(options), options.json)


def _wait(options: argparse.Namespace) -> int:
    from ._cli_wait import Asked, wait

    timeout = 0.0 if options.nonblock else options.wait
    names = [plain_name(word, options.encoded) for word in options.names]
    mode = "read" if options.reads else "write"
    return wait(Asked(location_of(options), names, mode, timeout, options.conflict, options.json))


def _ping(options: argparse.Namespace) -> int:
    from ._daemon_unit import listening_at

    client = _client(options)
    words = client._ask(b"HELLO")
    server = next((word[7:].decode("utf-8", "replace") for word in words if word.startswith(b"server=")), "?")
    start = time.monotonic()
    client.ping()
    microseconds = int((time.monotonic() - start) * 1_000_000)
    daemon = listening_at(client.path)
    if options.json:
        members = {"server": server, "socket": client.path, "space": client._location.space}
        facts = {"pid": daemon and daemon.process, "unit": daemon and daemon.unit}
        say(as_json({**members, "round_trip_us": microseconds, **facts}))
    else:
        say(f"{server} answers at {client.path} in {microseconds} µs")
        if daemon is not None:
            say(daemon.line)
        _say_space(options, client)
    return 0


def _validate(options: argparse.Namespace) -> int:
    is_valid = _client(options).validate(_name(options), options.token)
    say(as_json({"valid": is_valid}) if options.json else "valid" if is_valid else "stale")
    return 0 if is_valid else NO


def _revoke(options: argparse.Namespace) -> int:
    line = b"REVOKE %s token=%d" % (plain_name(options.name, options.encoded), options.token)
    words = _client(options)._ask(line)
    if words[0] == b"DENIED":
        raise Complaint(
            "you may not revoke it: only root, the lock daemon's user, and users that a rule allows may", NOT_PERMITTED
        )
    if words[:2] == [b"ERROR", b"not-held"]:
        raise Complaint("there is no such grant", NO)
    check(words, b"REVOKED")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from ._bench import bench

    return bench(options)
