"""Where a client finds the daemon. All but the first cases need a client that has the rules for places."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from kit.case import Trial, case, started_below
from kit.daemon import Daemon
from kit.failure import require, require_equal


@case("Where the daemon is")
def variable(trial: Trial) -> None:
    """`PRWLOCK_SOCKET` names the socket."""
    daemon, name = trial.own_daemon(), trial.name()
    trial.client(daemon.path).acquire(name)
    require_equal(len(trial.raw(daemon.path).rows(f"STATUS {name}")), 1, "the number of holders at that daemon")


@case("Where the daemon is")
def none_at_the_variable(trial: Trial) -> None:
    """If no daemon serves where `PRWLOCK_SOCKET` points, that is an error; no other is used, and none is started."""
    for path in (trial.folder / "missing", trial.folder / "no" / "folder"):
        client = trial.client(str(path))
        refused = client.refusal("acquire", name=trial.name(), mode="write", wait_ms=1_000)
        require_equal(refused["error"], "unavailable", "the error")
    require_equal(started_below(trial.folder), [], "the daemons that were started")


@case("Where the daemon is")
def socket_without_a_listener(trial: Trial) -> None:
    """A socket that a dead daemon has left is no daemon."""
    path = str(trial.folder / "left")
    left = socket.socket(socket.AF_UNIX)
    left.bind(path)
    left.close()
    refused = trial.client(path).refusal("acquire", name=trial.name(), mode="write", wait_ms=1_000)
    require_equal(refused["error"], "unavailable", "the error")


class Placed(Daemon):
    """A daemon at one of the places below the folder of a trial."""

    def __init__(self, trial: Trial, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(trial.programs, trial.folder, path=path)
        trial.at_end(self.end)


def own_place(trial: Trial) -> Path:
    """The place of the user's own daemon; root has another one than other users."""
    folder = trial.folder / ("run" if os.geteuid() == 0 else "tmp")
    return folder / f"prwlock-{os.geteuid()}" / "prwlock.sock"


def system_place(trial: Trial) -> Path:
    return trial.folder / "run" / "prwlock" / "prwlock.sock"


def holders(trial: Trial, path: Path, name: str) -> int:
    return len(trial.raw(str(path)).rows(f"STATUS {name}"))


@case("Where the daemon is", "place")
def own(trial: Trial) -> None:
    """Without the variable, also if it is empty, the user's own daemon is used."""
    name, path = trial.name(), own_place(trial)
    daemon = Placed(trial, path)
    trial.client("").acquire(name, "read")
    trial.client("", {"PRWLOCK_SOCKET": ""}).acquire(name, "read")
    require_equal(holders(trial, path, name), 2, "the number of holders there")
    require_equal(daemon.path, str(path), "the path")


@case("Where the daemon is", "place")
def system(trial: Trial) -> None:
    """If the system has a daemon, and no own one answers, the system's is used."""
    name, path = trial.name(), system_place(trial)
    Placed(trial, path)
    trial.client("").acquire(name)
    require_equal(holders(trial, path, name), 1, "the number of holders there")
    require_equal(started_below(trial.folder), [], "the daemons that were started")


@case("Where the daemon is", "place")
def own_before_the_systems(trial: Trial) -> None:
    """The user's own daemon that answers is used, also if the system has one."""
    name = trial.name()
    Placed(trial, own_place(trial))
    # A user's daemon without a session leaves when the system has one.
    trial.raw(str(own_place(trial))).ask("PING", "PONG")
    system_place(trial).parent.mkdir(parents=True)
    trial.client("").acquire(name)
    require_equal(holders(trial, own_place(trial), name), 1, "the number of holders at the own daemon")


@case("Where the daemon is", "place")
def systems_is_missing(trial: Trial) -> None:
    """If the system's daemon does not serve, that is an error, and the user's own is not started instead."""
    system_place(trial).parent.mkdir(parents=True)
    refused = trial.client("").refusal("acquire", name=trial.name(), mode="write", wait_ms=1_000)
    require_equal(refused["error"], "unavailable", "the error")
    require_equal(started_below(trial.folder), [], "the daemons that were started")


@case("Starting a daemon", "place", "start")
def started(trial: Trial) -> None:
    """If no daemon runs, the first request starts one; clients that begin at the same time use the same one."""
    name, clients = trial.name(), [trial.client("") for _ in range(3)]
    asked = [client.begin("acquire", name=name, mode="read") for client in clients]
    for client, number in zip(clients, asked):
        client.result(number)
    require_equal(len(started_below(trial.folder)), 1, "the number of daemons")
    require_equal(holders(trial, own_place(trial), name), 3, "the number of holders there")


@case("Starting a daemon", "place", "start")
def start_is_forbidden(trial: Trial) -> None:
    """With `PRWLOCK_AUTOSTART=0` no daemon is started."""
    client = trial.client("", {"PRWLOCK_AUTOSTART": "0"})
    refused = client.refusal("acquire", name=trial.name(), mode="write", wait_ms=1_000)
    require_equal(refused["error"], "unavailable", "the error")
    require(not started_below(trial.folder), "no daemon is started")
