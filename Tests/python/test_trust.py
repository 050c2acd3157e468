"""Which users a client trusts as servers, and to replace a program. Each test has real processes of a second user."""

from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import prwlock
import prwlock.aio
import pytest
from prwlock import _bench, _launch, _location, _rendezvous

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of another user")

OTHER = 4242


def give(path: Path, mode: int = 0o755) -> Path:
    """Makes a folder of the other user."""
    path.mkdir(parents=True)
    path.chmod(mode)
    os.chown(path, OTHER, OTHER)
    return path


def said(command: list[str], user: int = OTHER) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user, with the groups of that user alone."""
    return subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def python() -> str:
    """An interpreter that the other user may execute; that of the tests may be in a home."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if said(["unshare", "--user", candidate, "-c", "import prwlock"]).returncode == 0:
            return candidate
    pytest.skip("no user namespaces, or no interpreter for other users")


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., str]]:
    """Returns a function that starts a daemon of a user, with a listener that root has bound; returns the path."""
    home.chmod(0o755)
    started: list[subprocess.Popen[bytes]] = []

    def start(path: Path, user: int = OTHER, *, owner: int = OTHER) -> str:
        state = give(home / f"state{len(started)}", 0o700)
        os.chown(state, user, user)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            path.chmod(0o666)
            os.chown(path, owner, owner)
            listener.listen()
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", _launch.daemon_program()]
            command += ["--listen-fd", str(listener.fileno()), "--socket", str(path), "--grace", "0"]
            command += ["--state-directory", str(state)]
            log = home / "log"
            with log.open("ab") as output:
                process = subprocess.Popen(command, stdout=output, stderr=output, pass_fds=[listener.fileno()])
            started.append(process)
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            # The kernel reports the user that called `listen` last.
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(str(path))
                if probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8] == user.to_bytes(4, sys.byteorder):
                    return str(path)
        raise AssertionError(log.read_text())

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_another_users_server_is_refused_before_anything_is_sent(
    serve: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = serve(give(home / "theirs") / "s")
    with pytest.raises(
        prwlock.AccessRefused, match=f"user {OTHER} serves at {path}, neither root nor you, and .*theirs"
    ):
        prwlock.Client(path).lock("jobs").acquire_write()

    async def ask() -> None:
        await prwlock.aio.Client(path).lock("jobs").acquire_write()

    with pytest.raises(prwlock.AccessRefused, match=f"PRWLOCK_SERVER_UID={OTHER}"):
        asyncio.run(ask())
    monkeypatch.setenv("PRWLOCK_SERVER_UID", str(OTHER + 1))
    with pytest.raises(prwlock.AccessRefused):
        prwlock.Client(path).lock("jobs").acquire_write()
    monkeypatch.setenv("PRWLOCK_SERVER_UID", str(OTHER))
    with prwlock.Client(path).lock("jobs").write() as grant:
        assert grant.token
    asyncio.run(ask())


def test_the_command_runs_nothing_under_another_users_server(serve: Callable[..., str], home: Path) -> None:
    path = serve(give(home / "theirs") / "s")
    command = [sys.executable, "-m", "prwlock", "run", "jobs", "--", "touch", str(home / "ran")]
    environment = {**os.environ, "PRWLOCK_SOCKET": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 77
    assert f"user {OTHER} serves at {path}" in done.stderr
    assert not (home / "ran").exists()


@pytest.mark.parametrize("owner", [0, OTHER])
def test_a_server_is_trusted_where_root_has_put_its_socket(serve: Callable[..., str], home: Path, owner: int) -> None:
    (home / "ours").mkdir(mode=0o755)
    path = serve(home / "ours" / "s", owner=owner)
    with prwlock.Client(path).lock("jobs").write():
        pass


def test_a_socket_of_a_third_user_is_not_trusted(serve: Callable[..., str], home: Path) -> None:
    (home / "ours").mkdir(mode=0o755)
    path = serve(home / "ours" / "s", owner=OTHER + 1)
    with pytest.raises(prwlock.AccessRefused, match=f"the socket's file belongs to user {OTHER + 1}"):
        prwlock.Client(path).lock("jobs").acquire_write()


@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o1775])
def test_a_server_is_not_trusted_in_a_folder_where_others_may_make_sockets(
    serve: Callable[..., str], home: Path, mode: int
) -> None:
    folder = home / "open"
    folder.mkdir()
    folder.chmod(mode)
    path = serve(folder / "s", owner=0)
    with pytest.raises(prwlock.AccessRefused, match=r"open to other users|others may write"):
        prwlock.Client(path).lock("jobs").acquire_write()


@pytest.mark.parametrize("owner", [0, OTHER])
def test_the_systems_folder_may_belong_to_the_daemons_user(serve: Callable[..., str], home: Path, owner: int) -> None:
    folder = give(home / "run" / "prwlock")
    os.chown(folder, owner, owner)
    serve(folder / "prwlock.sock")
    with prwlock.RWLock("jobs").write():
        pass
    folder.chmod(0o775)
    with pytest.raises(prwlock.AccessRefused, match=f"user {OTHER} serves"):
        prwlock.Client().lock("jobs").acquire_write()


def test_a_client_of_another_user_trusts_root(serve: Callable[..., str], home: Path, python: str) -> None:
    path = serve(home / "s", 0, owner=0)
    assert (
        said([python, "-c", f"import prwlock; prwlock.Client({path!r}).lock('jobs').acquire_write()"]).returncode == 0
    )


def test_a_pickled_lock_of_another_user_does_not_use_that_users_server(
    serve: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = serve(give(home / "theirs") / "s")
    monkeypatch.setenv("PRWLOCK_SOCKET", path)
    pickled = pickle.dumps(prwlock.RWLock("jobs"))
    monkeypatch.delenv("PRWLOCK_SOCKET")
    with pytest.raises(prwlock.AccessRefused, match=f"user {OTHER} serves"):
        pickle.loads(pickled).acquire_write()


def test_in_a_user_namespace_a_server_without_a_number_there_is_refused(
    serve: Callable[..., str], home: Path, python: str
) -> None:
    """Root of such a namespace sees the host's root, and every other user but its own, as the overflow user."""
    program = [python, "-c", "import prwlock, sys; prwlock.Client(sys.argv[1]).lock('jobs').acquire_write()"]
    inside = ["unshare", "--user", "--map-root-user"]
    strangers = serve(home / "s", 0, owner=0)
    done = said([*inside, *program, strangers])
    assert "a user without a number in this user namespace (65534) serves" in done.stderr
    assert said([*inside, "env", "PRWLOCK_SERVER_UID=65534", *program, strangers]).returncode == 0
    own = serve(give(home / "theirs") / "s")
    done = said([*inside, *program, own])
    assert done.returncode == 0, done.stderr


def test_a_namespace_without_numbers_tells_its_user_by_the_kernels_treatment(home: Path, python: str) -> None:
    """Without a map all users have the number 65534 there, also the one who asks."""
    home.chmod(0o755)
    for user, answer in ((OTHER, "True"), (OTHER + 1, "AccessRefused")):
        folder = home / "tmp" / "prwlock-65534"
        folder.mkdir(mode=0o700)
        os.chown(folder, user, user)
        text = f"""
import prwlock
from prwlock import _location
try:
    print(_location.has_folder({str(folder / "prwlock.sock")!r}))
except prwlock.AccessRefused:
    print("AccessRefused")
"""
        # The other user may not search a folder of mode 0700, so open it as a liar would.
        folder.chmod(0o700 if user == OTHER else 0o755)
        assert said(["unshare", "--user", python, "-c", text]).stdout.strip() == answer
        folder.rmdir()


@pytest.mark.parametrize("variable", ["PRWLOCK_DAEMON", "PATH"])
def test_root_starts_no_program_that_another_user_could_replace(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Such a variable comes through ``sudo -E`` or ``env_keep``."""
    program = give(home / "bin") / "prwlockd"
    program.write_text("#!/bin/sh\ntouch ran\n")
    program.chmod(0o755)
    monkeypatch.delenv("PRWLOCK_DAEMON", raising=False)
    monkeypatch.setattr(_launch, "_PACKAGE_FOLDERS", ())
    monkeypatch.setattr(os.path, "abspath", lambda _: str(home / "package" / "_launch.py"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv(variable, str(program if variable == "PRWLOCK_DAEMON" else program.parent))
    with pytest.raises(prwlock.AccessRefused, match=f"bin/prwlockd is not started.*bin belongs to user {OTHER}"):
        prwlock.RWLock("jobs").acquire_write()


@pytest.fixture
def shared_package(home: Path) -> Path:
    """A copy of the package, in a folder in which every user may make files, and with a daemon that one has made."""
    package = home / "site" / "prwlock"
    shutil.copytree(Path(prwlock.__file__).parent, package, ignore=shutil.ignore_patterns("_bin", "__pycache__"))
    package.chmod(0o1777)
    program = give(package / "_bin") / "prwlockd"
    program.write_text(f"#!/bin/sh\n: >{home}/ran\n")
    program.chmod(0o755)
    os.chown(program, OTHER, OTHER)
    return package


def ask_with(package: Path, path: str = "/nowhere") -> str:
    """What a client that uses this package says."""
    program = f"import prwlock._launch as l; l._PACKAGE_FOLDERS = (); assert l.__file__.startswith({str(package)!r})"
    program += "; import prwlock; prwlock.RWLock('jobs').acquire_write(); print('granted')"
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        env={name: os.environ[name] for name in ("HOME", "PRWLOCK_TEST_ROOT")}
        | {"PYTHONPATH": str(package.parent), "PATH": path},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_daemon_of_another_user_in_the_package_is_not_started(home: Path, shared_package: Path) -> None:
    said = ask_with(shared_package)
    assert f"prwlockd is not started, because another user could replace it: {shared_package}/_bin belongs" in said
    assert f"belongs to user {OTHER}" in said
    # The next one is.
    assert "granted" in ask_with(shared_package, os.path.dirname(_launch.daemon_program()))
    assert not (home / "ran").exists()


def test_a_user_who_owns_the_package_decides_what_it_starts(home: Path, shared_package: Path) -> None:
    for path in (shared_package, *shared_package.rglob("*")):
        os.chown(path, OTHER, OTHER)
    ask_with(shared_package)
    assert (home / "ran").exists()


def test_the_benchmark_takes_no_module_and_no_program_from_where_others_put_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = home / "ran"
    shared = home / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    for name in ("socket.py", "time.py"):
        (shared / name).write_text(f"open({str(ran)!r}, 'w')\n")
    program = shared / "prwlock-bench"
    program.write_text(f"#!/bin/sh\n: >{ran}\n")
    program.chmod(0o755)
    os.chown(program, OTHER, OTHER)
    monkeypatch.chdir(shared)
    monkeypatch.setattr(_bench, "daemon_program", lambda: str(shared / "prwlockd"))
    with _bench._echo_server(None, str(home)) as (_, kind):
        assert kind.startswith("echo in Python")
    assert _bench._imports(1)["ratio"] > 0
    assert not ran.exists()


def test_a_program_is_trusted_behind_links_of_root_and_not_behind_links_of_others(home: Path) -> None:
    from prwlock._trust import program_fault

    home.chmod(0o755)
    shared = home / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (home / "link").symlink_to("shared/../bin")
    (home / "bin").mkdir()
    (home / "bin" / "prwlockd").write_text("")
    assert program_fault(f"{home}/link/prwlockd") is None
    (shared / "link").symlink_to(home / "bin")
    assert program_fault(f"{shared}/link/prwlockd") is None
    os.chown(shared / "link", OTHER, OTHER, follow_symlinks=False)
    assert program_fault(f"{shared}/link/prwlockd") == f"{shared}/link belongs to user {OTHER}"
    os.chown(home / "link", OTHER, OTHER, follow_symlinks=False)
    assert program_fault(f"{home}/link/prwlockd") == f"{home}/link belongs to user {OTHER}"
    (home / "bin" / "prwlockd").chmod(0o777)
    assert program_fault(f"{home}/bin/prwlockd") == f"{home}/bin/prwlockd is open to other users"


def test_what_has_no_server_is_no_question_of_trust(home: Path) -> None:
    folder = give(home / "theirs")
    for path in (folder / "missing", folder / "nowhere" / "s"):
        assert _rendezvous.attempt(_location.Location(str(path))) is None
