"""``python -m prwlock run``: which process, which bytes, which signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import prwlock
import pytest

from processes import wait_until

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed")
from hypothesis import HealthCheck, configuration, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

configuration.set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "prwlock-hypothesis"))

COMMAND = [sys.executable, "-m", "prwlock"]
#: Says the bytes of its arguments.
TELL = "import os, sys; print([os.fsencode(word).hex() for word in sys.argv[1:]])"

words = st.binary(max_size=40).map(lambda word: word.replace(b"\0", b""))
names = words.filter(lambda word: 0 < len(word) <= 80)
options = st.sampled_from([b"--", b"-", b"-c", b"-n", b"--note", b"-w5", b"%s", b""])
commands = st.lists(st.one_of(words, options), max_size=5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names, words, commands, st.booleans())
def test_all_bytes_are_handed_on(
    client: prwlock.Client, name: bytes, note: bytes, command: list[bytes], has_dashes: bool
) -> None:
    dashes = ["--"] if has_dashes else []
    line = [*COMMAND, "run", "--note", note, "--", name, *dashes, sys.executable, "-c", TELL, *command]
    told = subprocess.check_output(line)
    assert told.decode().strip() == str([word.hex() for word in command])
    shell = [*COMMAND, "run", "--note", note, "-c", b"cat <<'END'\n" + name + b"\nEND", "--", name]
    if b"END" not in name and b"\n" not in name:
        assert subprocess.check_output(shell, env={**os.environ, "SHELL": "/bin/bash"}) == name + b"\n"


def test_a_command_gets_all_of_its_environment(daemon: Any) -> None:
    environment = {**os.environb, b"CAF\xe9": b"\xff", b"LANG": b"C", b"PATH": os.environb[b"PATH"]}
    for name in (b"LC_ALL", b"LC_CTYPE"):
        environment.pop(name, None)
    seen = subprocess.check_output([*COMMAND, "run", "jobs", "env", "-0"], env=environment)
    got = dict(entry.split(b"=", 1) for entry in seen.split(b"\0") if entry)
    own = {name: got.pop(name) for name in (b"PRWLOCK_TOKEN", b"PRWLOCK_HELD")}
    assert got == environment
    assert own[b"PRWLOCK_HELD"] == b"jobs=write=" + own[b"PRWLOCK_TOKEN"]


@pytest.mark.parametrize("extra", [[], ["-F"], ["-o"]])
def test_signals_act_in_the_command_as_in_any_other(extra: list[str], daemon: Any) -> None:
    words = [*COMMAND, "run", *extra, "jobs", "grep", "Sig[BI]", "/proc/self/status"]
    shown = subprocess.check_output(words, text=True)
    # Two signals are internal to libc, and `posix_spawn` ignores them in its children.
    values = {line.split(":")[0]: int(line.split()[1], 16) & ~(3 << 31) for line in shown.splitlines()}
    # Signals that were ignored before the tests, as by `nohup`, stay ignored. Those that Python ignores do not.
    with open("/proc/self/status", encoding="ascii") as status:
        own = next(int(line.split()[1], 16) for line in status if line.startswith("SigIgn:"))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        own &= ~(1 << (number - 1))
    assert values == {"SigBlk": 0, "SigIgn": own & ~(3 << 31)}
    # A program that writes to a pipe without a reader ends.
    pipe = f"{' '.join(COMMAND)} run {' '.join(extra)} jobs -- yes | head -n 1"
    assert subprocess.check_output(pipe, shell=True, stderr=subprocess.STDOUT, timeout=60) == b"y\n"


def test_signals_that_the_caller_ignores_stay_ignored(daemon: Any) -> None:
    line = f"trap '' HUP USR1; {' '.join(COMMAND)} run jobs grep SigIgn /proc/self/status"
    (value,) = subprocess.check_output(["sh", "-c", line], text=True).split()[1:]
    assert int(value, 16) & ~(3 << 31) == 1 << (signal.SIGHUP - 1) | 1 << (signal.SIGUSR1 - 1)


def test_a_script_without_an_interpreter_runs_in_the_shell(daemon: Any, home: Path) -> None:
    script = home / "script"
    script.write_bytes(b"printf '%s:' \"$@\"\n")
    script.chmod(0o755)
    for name, path in ((str(script), os.environ["PATH"]), ("script", f"/nowhere:{home}:{os.environ['PATH']}")):
        words = [*COMMAND, "run", "jobs", name, "a b", b"\xff"]
        assert subprocess.check_output(words, env={**os.environ, "PATH": path}) == b"a b:\xff:"


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_descriptor_is_never_the_connection(closed: str, daemon: Any, home: Path) -> None:
    def run(*words: str) -> int:
        line = ["sh", "-c", f'exec "$@" {closed}', "-", *COMMAND, *words]
        return subprocess.run(line, capture_output=True, timeout=60, check=False).returncode

    seen = home / "seen"
    assert run("run", "--verbose", "jobs", "bash", "-c", f"exec 9>{seen}; ls -l /proc/$$/fd >&9") == 0
    sockets = [int(line.split()[-3]) for line in seen.read_text().splitlines() if "socket:" in line]
    assert sockets
    assert min(sockets) > 2
    assert run("list") == 0
    assert run("run", "jobs", "nonsense") == 127
    assert run("nonsense") == 64


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["list", "--json"], ["status", "jobs"], ["status", "--json", "jobs"], ["sessions"], ["ping"],
     ["--help"], ["run", "--help"], ["--version"], ["watch"], ["watch", "--json"]],
)  # fmt: skip
def test_output_that_cannot_be_written_is_an_error(arguments: list[str], daemon: Any) -> None:
    with open("/dev/full", "w") as full:
        process = subprocess.Popen([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        # Make a change that the watch reports.
        with prwlock.RWLock("jobs").write():
            time.sleep(0.01)
    assert process.stderr is not None
    assert process.stderr.read() == "prwlock: the output cannot be written: No space left on device\n"
    process.stderr.close()
    assert process.returncode == 74


def test_a_command_ends_as_itself(daemon: Any) -> None:
    for code in (0, 7, 255):
        assert subprocess.call([*COMMAND, "run", "jobs", "sh", "-c", f"exit {code}"]) == code
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1):
        assert subprocess.call([*COMMAND, "run", "jobs", "sh", "-c", f"kill -{number} $$"]) == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGRTMIN + 3])
def test_a_signal_for_the_parent_reaches_the_command(number: int, daemon: Any) -> None:
    text = (
        "import signal, sys\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}])\n"
        "print('ready', flush=True)\n"
        f"print(signal.sigwait([{int(number)}]) + 0, flush=True)\n"
        "sys.exit(9)\n"
    )
    words = [*COMMAND, "run", "jobs", sys.executable, "-c", text]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == f"{int(number)}\n"
        assert process.wait(60) == 9


def test_a_command_goes_on_where_its_parent_is_killed(client: prwlock.Client) -> None:
    words = [*COMMAND, "run", "jobs", "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        run.stdout.readline()
        (holder,) = client.status("jobs").holders
        run.kill()
        run.wait()
        assert client.status("jobs").holders[0].token == holder.token
        assert holder.pid is not None
        os.kill(holder.pid, signal.SIGKILL)
        wait_until(lambda: not client.status("jobs").holders)


def test_a_parent_that_is_killed_before_the_grant_leaves_no_request(client: prwlock.Client) -> None:
    held = client.acquire("jobs")
    with subprocess.Popen([*COMMAND, "run", "jobs", "true"]) as run:
        wait_until(lambda: client.status("jobs").waiters)
        run.kill()
        run.wait()
    wait_until(lambda: not client.status("jobs").waiters)
    held.release()


def test_a_command_that_ignores_the_loss_is_killed(client: prwlock.Client) -> None:
    text = "trap '' TERM; echo; while :; do sleep 0.1; done"
    words = [*COMMAND, "run", "-k", "0.1", "jobs", "sh", "-c", text]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        run.stdout.readline()
        client.revoke("jobs", client.status("jobs").holders[0].token)
        assert run.wait(60) == 79
        assert run.stderr is not None
        assert b"the lock jobs was lost (it was revoked)" in run.stderr.read()


def test_a_lease_is_renewed_while_the_command_runs(client: prwlock.Client) -> None:
    assert subprocess.call([*COMMAND, "run", "--lease", "2", "jobs", "sleep", "3"]) == 0
    assert subprocess.call([*COMMAND, "run", "-F", "--lease", "2", "jobs", "true"]) == 64


def nested(*inner: str, outer: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    words = [*COMMAND, "run", *outer, "a", *COMMAND, "run", *inner]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_command_does_not_wait_for_what_it_runs_under(client: prwlock.Client) -> None:
    done = nested("a", "true")
    assert done.returncode == 1
    assert "would wait for itself" in done.stderr
    assert nested("-E", "9", "a", "true").returncode == 9
    assert nested("b", "true").returncode == 0
    assert nested("--inherit", "a", "sh", "-c", "echo $PRWLOCK_HELD").stdout.startswith("a=write=")
    assert nested("-s", "a", "true", outer=("-s",)).returncode == 0
    assert nested("--inherit", "a", "true", outer=("-s",)).returncode == 1
    # If a writer waits, another reader would wait for it.
    reader = client.acquire("a", "read")
    with subprocess.Popen([*COMMAND, "run", "-w", "60", "a", "true"]) as writer:
        held = f"a=read={reader.token}"
        wait_until(lambda: client.status("a").waiters)
        environment = {**os.environ, "PRWLOCK_HELD": held}
        words = [*COMMAND, "run", "-s", "a", "true"]
        assert subprocess.run(words, env=environment, capture_output=True, timeout=60, check=False).returncode == 1
        reader.release()
        assert writer.wait(60) == 0
    # The variable names another grant, so it does not count.
    assert subprocess.call([*COMMAND, "run", "a", "true"], env={**os.environ, "PRWLOCK_HELD": held}) == 0


def test_as_process_1_it_reaps_orphans_and_ends_as_the_command(daemon: Any, home: Path) -> None:
    inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("namespaces cannot be made here")
    # The inner shell ends at once, and its child is an orphan.
    text = "sh -c 'sleep 0.2 & :'; while pgrep -x sleep >/dev/null; do :; done; echo $PPID; exit 5"
    words = [*inside, *COMMAND, "run", "jobs", "sh", "-c", text]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("1\n", 5)


def test_sockets_that_may_not_be_made_are_said_so(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    import errno

    from prwlock import _sockets

    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(_sockets, "_Socket", refuse)
    with pytest.raises(prwlock.DaemonUnavailable, match="RestrictAddressFamilies"):
        prwlock.Client("/nowhere").ping()


def test_json_has_the_command_lines_shape(client: prwlock.Client) -> None:
    output = subprocess.check_output([*COMMAND, "run", "--note", "n", "a b", *COMMAND, "status", "--json", "a b"])
    status = json.loads(output)
    assert (status["name"], status["encoded"], status["holders"][0]["note"]) == ("a b", "a%20b", "n")
