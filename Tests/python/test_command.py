"""The command line: ``python -m prwlock``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any, Optional

import prwlock
import pytest
from prwlock import _cached

from processes import wait_until

COMMAND = [sys.executable, "-m", "prwlock"]


def command(*words: str, status: int = 0, environment: Optional[dict[str, str]] = None) -> str:
    """Runs the command, and returns its output."""
    done = subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def test_a_command_runs_under_the_lock_and_ends_as_itself(client: prwlock.Client) -> None:
    program = f"{sys.executable} -m prwlock status jobs; echo $PRWLOCK_TOKEN $PRWLOCK_OWNERDIED; exit 7"
    words = [*COMMAND, "run", "jobs", "--", "sh", "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert "held (write)" in done.stdout
    assert done.stdout.splitlines()[-1] == "1"
    assert not client.status("jobs").holders


@pytest.mark.parametrize(("option", "mode"), [("--read", "read"), ("--update", "update"), ("-x", "write")])
def test_a_command_runs_in_the_mode_that_is_asked_for(option: str, mode: str, client: prwlock.Client) -> None:
    output = command("run", option, "--note", "tïme", "jobs", *COMMAND, "status", "--json", "jobs")
    (holder,) = json.loads(output)["holders"]
    assert (holder["mode"], holder["note"]) == (mode, "tïme")


def test_a_lock_that_others_hold(daemon: Any, peer: Any) -> None:
    other = peer()
    assert other.ask("write", "jobs") == "True"
    assert command("run", "-n", "jobs", "true", status=1) == ""
    assert command("run", "-w", "0.01", "-E", "75", "jobs", "true", status=75) == ""
    waiting = subprocess.Popen([*COMMAND, "run", "-w", "60", "jobs", "--", "true"])
    wait_until(lambda: prwlock.status("jobs").waiters)
    other.ask("release", "jobs")
    assert waiting.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_lives_exactly_as_long_as_the_command(number: int, client: prwlock.Client) -> None:
    running = subprocess.Popen(
        [*COMMAND, "run", "jobs", "--", "sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    left_behind = int(running.stdout.readline())
    (holder,) = client.status("jobs").holders
    assert holder.pid is not None
    assert holder.pid != running.pid
    os.kill(holder.pid, number)
    # The parent ends as the command ended.
    assert running.wait(60) == -number
    with prwlock.RWLock("jobs").write(timeout=60) as grant:
        # A kill is no release, and the descendants of the command hold nothing.
        assert grant.owner_died
    os.kill(left_behind, signal.SIGKILL)
    running.stdout.close()


def test_a_command_that_loses_its_lock_is_ended(client: prwlock.Client) -> None:
    running = subprocess.Popen(
        [*COMMAND, "run", "jobs", "--", "sh", "-c", "echo; exec sleep 1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    running.stdout.readline()
    (holder,) = client.status("jobs").holders
    client.revoke("jobs", holder.token)
    _, errors = running.communicate(timeout=60)
    # Such a status would look like a success of the command, or like the end that another process requested.
    assert running.returncode == 79
    assert "was lost" in errors


def test_a_command_that_is_none(daemon: Any) -> None:
    assert "No such file" in command("run", "jobs", "/nowhere/program", status=127)
    assert "Permission" in command("run", "jobs", "/etc/passwd", status=126)
    assert "missing" in command("run", status=64)
    assert "missing" in command("run", "jobs", "--", status=64)
    assert "empty" in command("run", "", "true", status=64)
    assert "prwlock release NAME" in command("run", "-u", "jobs", "true", status=64)


@pytest.mark.parametrize("time", ["5", "5.", ".5", "1e-1", "250ms", "2m", "1.5h", "0"])
def test_times_as_the_native_command_takes_them(time: str, daemon: Any) -> None:
    assert command("run", "-w", time, "jobs", "true") == ""


@pytest.mark.parametrize("time", ["", " 5", "-1", "inf", "nan", "1_0", "5x", "0x5", "1e9h", "1e400", "٣"])
def test_times_that_are_none(time: str, daemon: Any) -> None:
    for words in (["run", "-w", time, "jobs", "true"], ["hold", f"--wait={time}", "jobs"]):
        assert "is not a time" in command(*words, status=64)


def test_tables_are_for_people_and_json_for_programs(client: prwlock.Client, peer: Any) -> None:
    holder, waiter = peer(), peer()
    assert holder.ask("write", "a\x1b[2J") == "True"
    waiter.tell("read", "a\x1b[2J", "100")
    wait_until(lambda: client.status("a\x1b[2J").waiters)
    table = command("status", "a\x1b[2J")
    # Control characters are escaped.
    assert table.startswith("a\\x1B[2J: held (write), 1 holder, 1 waiting\n")
    assert "\x1b" not in table
    assert f"{holder.pid}  write" in table
    assert f"{waiter.pid}  read" in table
    status = json.loads(command("status", "--json", "a\x1b[2J"))
    assert status["holders"][0]["pid"] == holder.pid
    assert status["holders"][0]["lease_left_ms"] is None
    # The time that is left when the line is sent.
    assert 0 < status["waiters"][0]["timeout_ms"] <= 100_000
    assert json.loads(command("list", "--json", "a")) == [
        {"name": "a\x1b[2J", "encoded": "a%1B%5B2J", "mode": "write", "holders": 1, "waiters": 1, "owner_died": False}
    ]
    assert command("list").splitlines()[0].split() == ["MODE", "HOLDERS", "WAITING", "LAST", "WRITER", "NAME"]
    assert command("list", "z") == "no locks\n"
    bare = json.loads(command("status", "--json"))
    assert [lock["name"] for lock in bare] == ["a\x1b[2J"]
    assert bare[0]["waiters"][0]["waits_for"] == [holder.pid]
    assert "python" in bare[0]["holders"][0]["command"]
    assert command("status").splitlines()[0] == table.splitlines()[0]
    assert {row["pid"] for row in json.loads(command("sessions", "--json"))} >= {holder.pid, waiter.pid}
    assert str(holder.pid) in command("sessions")


def test_changes_are_printed_as_they_happen(daemon: Any) -> None:
    watching = subprocess.Popen([*COMMAND, "watch", "jobs", "--json"], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: len(daemon.client.sessions()) >= 2)
    lines: list[Any] = []

    # The command may have a session before it watches, so repeat the change until there is output.
    def turn() -> bool:
        with prwlock.RWLock("jobs").write():
            pass
        return len(lines) >= 2

    assert watching.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(json.loads(line) for line in watching.stdout or ()))
    reader.start()
    wait_until(turn)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(60) == 130
    reader.join()
    watching.stdout.close()
    assert {line["change"] for line in lines} == {"granted", "released"}
    assert {line["pid"] for line in lines} == {os.getpid()}


def test_a_daemon_that_is_not_there_is_one_line(home: Any) -> None:
    for words in (("status", "jobs"), ("list",), ("ping",), ("run", "jobs", "true")):
        error = command(*words, status=69, environment={"PRWLOCK_AUTOSTART": "0"})
        assert error.count("\n") == 1
        assert error.startswith("prwlock: no lock daemon listens at ")
    assert "PRWLOCK_SOCKET" in command("ping", status=69, environment={"PRWLOCK_SOCKET": str(home / "no")})


def test_help_and_version_are_there(daemon: Any) -> None:
    assert "run" in command("--help")
    for word in (
        "run", "hold", "release", "status", "list", "hot", "sessions", "stats", "watch", "wait", "ping", "validate",
        "revoke", "bench",
    ):  # fmt: skip
        assert f"usage: python -m prwlock {word}" in command(word, "--help")
    python = ".".join(map(str, sys.version_info[:3]))
    for words in (["--version"], ["-V"], ["run", "-V"], ["hold", "--version"]):
        assert command(*words) == f"prwlock {prwlock.__version__} (Python {python})\n"
    assert command() == command("--help") == command("help")
    assert command("help", "hold") == command("hold", "--help")
    assert "there is no subcommand 'nonsense': `python -m prwlock --help` lists them" in command("nonsense", status=64)
    for wrong, right in (("stauts", "status"), ("lst", "list"), ("relase", "release"), ("vaildate", "validate")):
        assert f"did you mean '{right}'?" in command(wrong, status=64)
    first, second = command("ping").splitlines()
    assert first.startswith(f"prwlockd/{prwlock.__version__} answers at {daemon.socket} in ")
    assert second.startswith(f"process {daemon.pid}, in ")
    members = json.loads(command("ping", "--json"))
    assert (members["socket"], members["space"], members["pid"]) == (daemon.socket, "socket", daemon.pid)


def test_a_listing_of_one_users_locks_says_so(own_socket: Any) -> None:
    for words in (["ping"], ["list"], ["status", "jobs"], ["sessions"]):
        done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0
        assert "are the locks of user" in done.stderr
        assert "alone" not in done.stdout
    members = json.loads(command("ping", "--json"))
    assert (members["socket"], members["space"]) == (str(own_socket), "user")
    quiet = subprocess.run([*COMMAND, "list", "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert quiet.stderr == ""


def test_a_reader_that_has_enough_is_no_error(daemon: Any) -> None:
    grants = [daemon.client.acquire(f"lock/{number}") for number in range(2_000)]
    done = subprocess.run(
        f"{sys.executable} -m prwlock list | head -n 1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert len(grants) == 2_000


def test_the_benchmark_prints_a_table_and_json(home: Any) -> None:
    words = ("bench", "--runs", "1", "--seconds", "0.1", "--pin")
    table = command(*words).splitlines()
    assert table[0].startswith("an acquire and a release")
    assert any(line.startswith("prwlock, not cached ") for line in table)
    is_cached = any(line.startswith("prwlock, cached, write ") for line in table)
    assert is_cached is _cached.is_possible()
    values = json.loads(command(*words, "--json"))
    assert values["pairs"][0]["ratio"] == 1
    assert values["import"]["ratio"] > 0
