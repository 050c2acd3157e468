"""Which server a client trusts. These cases need root, to serve as another user."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from kit.case import Trial, case, require_root
from kit.failure import Failure, Skipped, require, require_equal

#: A user that no client trusts: `nobody`.
STRANGER = 65534

#: Serves at a path until its input ends: grants everything, and prints each line that it reads.
SERVER = """
import os, socket, sys, threading
path = sys.argv[1]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
os.chmod(path, 0o666)
listener.listen(8)
def serve(connection):
    for line in connection.makefile("r"):
        print(line, end="", flush=True)
        tag, *words = line.split() if line[0] == "#" else ["", *line.split()]
        verb = words[0]
        reply = f"GRANTED {words[1]} {verb.lower()} token=7" if verb in ("READ", "WRITE") else "PONG"
        if verb == "HELLO":
            reply = "HELLO version=1 server=hand session=1 max-line=65536 max-session-grants=10 max-session-waiters=10"
        if verb == "RELEASE":
            reply = f"RELEASED {words[1]} token=7"
        connection.sendall(f"{tag} {reply}\\n".lstrip().encode())
def accept():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
print("serves", flush=True)
sys.stdin.read()
"""


def python() -> str:
    """A Python that another user may run."""
    found = shutil.which("python3", path="/usr/bin:/usr/local/bin:/bin")
    if found is None:
        raise Skipped("needs a Python that all users may run, in /usr/bin or /usr/local/bin")
    return found


class Stranger:
    """A server that runs as another user."""

    def __init__(self, trial: Trial, folder: Path, user: int = STRANGER) -> None:
        self.path = str(folder / "s")
        self._process = subprocess.Popen(
            [python(), "-c", SERVER, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            user=user, group=user,
        )
        trial.at_end(self.end)
        if self._process.stdout is None or self._process.stdout.readline() != "serves\n":
            raise Failure("the server of another user did not begin")

    def received(self) -> str:
        """Ends it, and returns all that it has read."""
        output, _ = self._process.communicate()
        return output

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def strangers_folder(trial: Trial) -> Path:
    os.chmod(trial.folder, 0o755)
    folder = trial.folder / "theirs"
    folder.mkdir()
    os.chown(folder, STRANGER, STRANGER)
    return folder


@case("Which server a client trusts")
def stranger(trial: Trial) -> None:
    """A server of another user, in a folder of that user, is refused, and is sent nothing."""
    require_root()
    server = Stranger(trial, strangers_folder(trial))
    client = trial.client(server.path)
    refused = client.refusal("acquire", name=trial.name(), mode="write", wait_ms=1_000)
    require_equal(refused["error"], "untrusted", "the error")
    require_equal(server.received(), "", "what the server has read")


@case("Which server a client trusts")
def named_user(trial: Trial) -> None:
    """A server of the user that `PRWLOCK_SERVER_UID` names is trusted."""
    require_root()
    server = Stranger(trial, strangers_folder(trial))
    client = trial.client(server.path, {"PRWLOCK_SERVER_UID": str(STRANGER)})
    _, facts = client.acquire(trial.name(), wait_ms=5_000)
    require_equal(facts["token"], "7", "the token")


@case("Which server a client trusts", "trusts-path")
def placed_by_root(trial: Trial) -> None:
    """A server of another user is trusted at a path that only root and the client's user could make."""
    require_root()
    folder = strangers_folder(trial)
    server = Stranger(trial, folder)
    os.chown(folder, 0, 0)
    os.chmod(folder, 0o755)
    client = trial.client(server.path)
    _, facts = client.acquire(trial.name(), wait_ms=5_000)
    require_equal(facts["token"], "7", "the token")


@case("Which server a client trusts", "trusts-path")
def open_folder(trial: Trial) -> None:
    """It is refused if another user may write to a folder on the path."""
    require_root()
    folder = strangers_folder(trial)
    server = Stranger(trial, folder)
    os.chown(folder, 0, 0)
    os.chmod(folder, 0o777)
    client = trial.client(server.path)
    refused = client.refusal("acquire", name=trial.name(), mode="write", wait_ms=1_000)
    require_equal(refused["error"], "untrusted", "the error")
    require_equal(server.received(), "", "what the server has read")


@case("Which server a client trusts", "place")
def own_folder_of_another_user(trial: Trial) -> None:
    """A folder of another user at the place of the user's own daemon is not used, and no daemon is started there."""
    require_root()
    os.chmod(trial.folder, 0o755)
    folder = trial.folder / "run" / "prwlock-0"
    folder.mkdir()
    os.chown(folder, STRANGER, STRANGER)
    client = trial.client("")
    refused = client.refusal("acquire", name=trial.name(), mode="write", wait_ms=5_000)
    require("error" in refused, "the call fails")
    require_equal(list(folder.iterdir()), [], "what is in the folder")
