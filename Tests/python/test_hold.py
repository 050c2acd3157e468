"""``hold``, ``release``, and the subcommands for fencing tokens: as prwlock(1) has them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prwlock
import pytest
from prwlock import _caller, _daemon_unit, _hold_mark

from processes import wait_until

SHELLS = [shell for shell in ("sh", "bash", "zsh", "fish") if shutil.which(shell)]


class Script:
    """A shell that runs lines, with `prwlock` on its path. `line` waits for a line of its output."""

    def __init__(self, text: str, shell: str = "sh") -> None:
        self.process = subprocess.Popen(
            [shell, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def enter(self) -> None:
        """Completes a `read` of the shell."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def rest(self) -> tuple[str, str]:
        """Returns the rest of the output, and the errors."""
        return self.process.communicate(timeout=60)

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def script(home: Path, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Script]]:
    """Returns a function that starts scripts."""
    folder = home / "bin"
    folder.mkdir()
    program = folder / "prwlock"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -m prwlock \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    scripts: list[Script] = []

    def start(text: str, shell: str = "sh") -> Script:
        scripts.append(Script(text, shell))
        return scripts[-1]

    yield start
    for started in scripts:
        started.end()


def modes(client: prwlock.Client) -> list[tuple[str, int]]:
    """Returns the modes and tokens of the holders of `jobs`."""
    return [(holder.mode, holder.token) for holder in client.status("jobs").holders]


def test_a_script_holds_a_lock_until_it_releases_it(client: prwlock.Client, script: Any) -> None:
    text = "prwlock hold --print-token --note 'a b' jobs && read a; prwlock release jobs; echo $?; read b"
    running = script(text)
    assert running.line() == "1"
    (holder,) = client.status("jobs").holders
    assert (holder.mode, holder.token, holder.note) == ("write", 1, "a b")
    assert holder.owner == _hold_mark.owner_for(running.process.pid).decode()
    assert Path(f"/proc/{holder.pid}/comm").read_text() == "prwlock-holder\n"
    # It keeps none of the script's descriptors, and is in no folder that an administrator may want to unmount.
    assert os.readlink(f"/proc/{holder.pid}/cwd") == "/"
    assert {os.readlink(f"/proc/{holder.pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    assert "for " + str(running.process.pid) in subprocess.run(
        ["prwlock", "status", "jobs"], capture_output=True, text=True, check=True
    ).stdout
    running.enter()
    assert running.line() == "0"
    with prwlock.RWLock("jobs").write(timeout=0) as grant:
        assert not grant.owner_died


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_lock_ends_with_the_script(number: int, script: Any, client: prwlock.Client) -> None:
    running = script("prwlock hold jobs; echo $?; read a")
    assert running.line() == "0"
    running.process.send_signal(number)
    with prwlock.RWLock("jobs").write(timeout=60) as grant:
        assert not grant.owner_died


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("options", ["-n", "-n -s", "-w 9"])
def test_a_second_hold_in_the_same_mode_is_granted_at_once(
    shell: str, options: str, script: Any, client: prwlock.Client
) -> None:
    status = "$status" if shell == "fish" else "$?"
    calls = [f"prwlock hold --print-token {options} jobs; echo {status}"] * 3
    output, _ = script("; ".join([*calls, f"prwlock release jobs; echo {status}"]), shell).rest()
    assert output.split() == ["1", "0"] * 3 + ["0"]
    assert not modes(client)


@pytest.mark.parametrize("before", ["read", "update", "write"])
@pytest.mark.parametrize("after", ["read", "update", "write"])
def test_a_hold_in_another_mode_changes_the_mode(
    before: str, after: str, script: Any, client: prwlock.Client
) -> None:
    """G10."""
    calls = f"prwlock hold --{before} jobs; prwlock hold -n --{after} jobs; echo $?"
    running = script(f"{calls}; read a; prwlock release jobs; echo $?")
    assert running.line() == "0"
    assert modes(client) == [(after, 2 if after > before else 1)]
    running.enter()
    assert running.line() == "0"
    assert client.list() == []


def test_a_change_that_others_prevent(script: Any, client: prwlock.Client) -> None:
    with client.acquire("jobs", "read"):
        running = script(
            "prwlock hold -s jobs; prwlock hold -n jobs; echo $?\n"
            "prwlock hold -w .05 -E 9 --verbose jobs; echo $?; read a"
        )
        assert [running.line(), running.line()] == ["1", "9"]
        assert modes(client) == [("read", 1), ("read", 2)]
        running.enter()
        assert f"held by {os.getpid()} (read)" in running.rest()[1]


def test_a_change_waits_and_no_other_writer_comes_first(
    script: Any, client: prwlock.Client, peer: Any
) -> None:
    grant = client.acquire("jobs", "read")
    text = "prwlock hold -s jobs; prwlock hold --print-token jobs; read a; prwlock release jobs; echo $?"
    running = script(text)
    wait_until(lambda: client.status("jobs").waiters)
    writer = peer()
    writer.tell("write", "jobs")
    wait_until(lambda: len(client.status("jobs").waiters) == 2)
    grant.release()
    assert running.line() == "3"
    running.enter()
    assert running.line() == "0"
    assert writer.answer() == "True"


def test_a_caller_that_ends_while_it_waits_leaves_the_grant_as_it_was(script: Any, client: prwlock.Client) -> None:
    grant = client.acquire("jobs", "read")
    running = script("prwlock hold -s jobs; echo up; read a; prwlock hold -n -s jobs; echo $?; read a")
    assert running.line() == "up"
    asking = subprocess.Popen(["prwlock", "hold", "--pid", str(running.process.pid), "jobs"])
    wait_until(lambda: client.status("jobs").waiters)
    asking.kill()
    asking.wait()
    wait_until(lambda: not client.status("jobs").waiters)
    grant.release()
    running.enter()
    assert running.line() == "0"
    assert modes(client) == [("read", 2)]


def test_two_that_change_from_read_to_write(script: Any, client: prwlock.Client) -> None:
    """G8."""
    first, second = (script("prwlock hold -s jobs; echo up; read a; prwlock hold jobs; echo $?; read a") for _ in "ab")
    assert (first.line(), second.line()) == ("up", "up")
    first.enter()
    wait_until(lambda: client.status("jobs").waiters)
    second.enter()
    assert second.line() == "75"
    assert [mode for mode, _ in modes(client)] == ["read", "read"]
    second.enter()
    assert first.line() == "0"


@pytest.mark.parametrize(("option", "status"), [("", -signal.SIGTERM), ("--no-signal", 3)])
def test_a_loss_ends_the_script(option: str, status: int, script: Any, client: prwlock.Client) -> None:
    """G13, also after a change, and with a lease that is renewed until then (G9)."""
    running = script(f"prwlock hold -s --lease 1s {option} jobs; prwlock hold --print-token jobs; read a; exit 3")
    assert running.line() == "2"
    with pytest.raises(prwlock.AcquireTimeout):
        client.acquire("jobs", "read", 1.5)
    (holder,) = client.status("jobs").holders
    with subprocess.Popen(["prwlock", "revoke", "jobs", "2"]) as revoking:
        assert revoking.wait(60) == 0
    wait_until(lambda: not Path(f"/proc/{holder.pid}").exists())
    if option:
        running.enter()
    assert running.process.wait(60) == status


def test_an_owner_of_another_program_is_not_taken_for_the_holder(script: Any, client: prwlock.Client) -> None:
    running = script("echo up; read a; prwlock hold -n jobs; echo $?; prwlock release jobs; echo $?")
    assert running.line() == "up"
    owner = _hold_mark.owner_for(running.process.pid)
    assert client._ask(b"WRITE jobs owner=" + owner)[0] == b"GRANTED"
    running.enter()
    output, errors = running.rest()
    assert output == "1\n77\n"
    assert "cannot be reached from here" in errors


@pytest.mark.parametrize("option", ["-n", "-w .1"])
def test_a_holder_that_is_stopped_is_an_error_in_time(option: str, script: Any, client: prwlock.Client) -> None:
    running = script(f"prwlock hold -s jobs; echo up; read a; prwlock hold {option} jobs; echo $?; read a; exit")
    assert running.line() == "up"
    (holder,) = client.status("jobs").holders
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGSTOP)
    running.enter()
    assert running.line() == "75"
    os.kill(holder.pid, signal.SIGCONT)
    running.enter()
    assert "is one of them stopped?" in running.rest()[1]
    wait_until(lambda: not modes(client))


def test_a_holder_that_was_killed_holds_nothing(script: Any, client: prwlock.Client) -> None:
    running = script("prwlock hold jobs; echo up; read a; prwlock hold -n --print-token jobs; read a")
    assert running.line() == "up"
    (holder,) = client.status("jobs").holders
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    wait_until(lambda: not modes(client))
    running.enter()
    assert running.line() == "2"


def test_a_daemon_that_ends(script: Any, daemon: Any) -> None:
    """The script gets SIGTERM, and a request that waits goes to the next daemon."""
    running = script("prwlock hold jobs; echo up; read a")
    assert running.line() == "up"
    waiting = script("prwlock hold --print-token jobs; read a")
    wait_until(lambda: daemon.client.status("jobs").waiters)
    daemon.restart()
    assert running.process.wait(60) == -signal.SIGTERM
    assert int(waiting.line()) > 1


def test_conflicts_and_misuse_have_the_statuses_of_flock(script: Any, client: prwlock.Client) -> None:
    with client.acquire("jobs"):
        lines = [
            "prwlock hold -n jobs", "prwlock hold -w .05 -E 9 jobs", "prwlock hold", "prwlock hold -u jobs",
            "prwlock hold --pid x jobs", "prwlock release jobs", "sh -c : & wait; prwlock hold --pid $! jobs",
            "timeout 20 prwlock hold jobs", "prwlock hold -x -n -s jobs",
        ]  # fmt: skip
        output, errors = script("; ".join(f"{line}; echo $?" for line in lines)).rest()
    assert output.split() == ["1", "9", "64", "64", "64", "1", "66", "64", "1"]
    assert "there is no process" in errors
    assert "`prwlock hold --pid $$ jobs`" in errors
    assert "does not hold it; `prwlock status jobs` says which does" in errors


def test_a_lock_that_a_shell_holds_is_refused_to_its_descendants(script: Any, client: prwlock.Client) -> None:
    """G4."""
    lines = [
        "prwlock hold a", "prwlock run a true; echo $?", "sh -c 'prwlock hold a; echo $?'",
        "prwlock run --inherit a sh -c 'echo in $PRWLOCK_TOKEN'",
        "prwlock run b sh -c 'prwlock hold b; echo $?'", "prwlock hold -s c",
        "sh -c 'prwlock hold -s c; echo $?; prwlock hold c; echo $?'",
    ]  # fmt: skip
    output, errors = script("; ".join(lines)).rest()
    assert output.split("\n") == ["1", "1", "in 1", "1", "0", "1", ""]
    assert errors.count("so this request would wait for itself") == 4


@pytest.mark.parametrize("options", ["-s", "-x", "-w 20"])
def test_holds_at_the_same_time(options: str, script: Any, client: prwlock.Client) -> None:
    grant = client.acquire("jobs")
    calls = f"for i in 1 2 3 4; do (prwlock hold --pid $$ {options} jobs; echo $?) & done; wait"
    running = script(f"{calls}; prwlock release jobs; echo $?; prwlock release jobs; echo $?")
    wait_until(lambda: len(client.status("jobs").waiters) == 4)
    grant.release()
    assert running.rest()[0] == "0\n" * 5 + "1\n"
    assert not modes(client)


def test_a_terminal_is_told_for_which_process_it_holds(script: Any, client: prwlock.Client) -> None:
    main, end = pty.openpty()
    shell = subprocess.Popen(
        ["sh", "-c", "prwlock hold 'a b'; prwlock release 'a b'"],
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(end)
    assert shell.wait(60) == 0
    said = os.read(main, 4096).decode()
    os.close(main)
    assert f"prwlock: a b is held for process {shell.pid} (" in said
    assert "until that ends; `prwlock release --encoded a%20b` ends it before" in said


def test_tokens_are_validated_and_grants_revoked(script: Any, client: prwlock.Client) -> None:
    with client.acquire("a b") as grant:
        token = grant.token
        lines = [
            f"prwlock validate 'a b' {token}", f"prwlock validate --encoded a%20b {token + 1}",
            f"prwlock validate --json 'a b' {token}", "prwlock validate 'a b' x", "prwlock revoke 'a b' 99",
            f"prwlock revoke 'a b' {token}", f"prwlock validate --json 'a b' {token}",
        ]  # fmt: skip
        output, errors = script("; ".join(f"{line}; echo $?" for line in lines)).rest()
        assert not grant.is_held
        with pytest.raises(prwlock.LockLost):
            grant.release()
    expected = ["valid", "0", "stale", "1", '{"valid":true}', "0", "64", "1", "0", '{"valid":false}', "1", ""]
    assert output.split("\n") == expected
    assert "prwlock: there is no such grant\n" in errors


def test_counters_are_a_table_or_json(script: Any, client: prwlock.Client) -> None:
    table = script("prwlock stats").rest()[0].splitlines()
    assert table[0].split() == ["COUNTER", "VALUE"]
    members = json.loads(script("prwlock stats --json").rest()[0])
    assert {line.split()[0].replace("-", "_") for line in table[1:]} == set(members)
    assert members["sessions"] >= 1


def test_the_wheel_has_the_command() -> None:
    """The program that the wheel installs runs this function; where a wheel is installed, it is beside its Python."""
    program = Path(sys.executable).with_name("prwlock")
    words = [str(program)]
    if not program.exists():
        text = "import sys; sys.argv[0] = '/x/prwlock'; from prwlock._cli import command; command()"
        words = [sys.executable, "-c", text]
    done = subprocess.run([*words, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(f"prwlock {prwlock.__version__} (Python ")
    done = subprocess.run([*words, "hold", "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("usage: prwlock hold ")


def test_which_programs_are_shells() -> None:
    for program in ("bash", "bash-5.2", "zsh5", "ksh93", "dash", "sh"):
        assert _caller.is_shell(program)
    for program in ("systemd", "make", "ssh", "python3.11", "su", "flush"):
        assert not _caller.is_shell(program)
    assert _caller.Caller(1).is_manager != _caller.Caller(1).is_shell


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/system.slice/nginx.service", ("nginx.service", None, None)),
        ("/user.slice/user-7.slice/session-3.scope", ("session-3.scope", None, "3")),
        ("/user.slice/user-7.slice/user@7.service/app.slice/x.service", ("x.service", "7", None)),
        ("/user.slice/user-7.slice/user@7.service/init.scope", (None, "7", None)),
        ("/init.scope", (None, None, None)),
        ("/", (None, None, None)),
        ("/../../system.slice/docker-1.scope/inner", ("docker-1.scope", None, None)),
    ],
)
def test_the_unit_of_a_control_group(path: str, owner: tuple[Any, ...]) -> None:
    assert _daemon_unit.owner_in(path) == owner
    line = _daemon_unit.DaemonUnit(5, *owner).line
    assert line.startswith("process 5, in ")
