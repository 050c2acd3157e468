"""``prwlock wait`` of the Python package, and the subcommands that only the native command has."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import prwlock
import pytest

from processes import wait_until

COMMAND = [sys.executable, "-m", "prwlock"]


def wait(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run([*COMMAND, "wait", *words], capture_output=True, text=True, timeout=60, check=False)


def start(client: prwlock.Client, *words: str) -> subprocess.Popen[str]:
    """Starts the command, and returns when it watches."""
    waiting = subprocess.Popen(
        [*COMMAND, "wait", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: client.stats()["watchers"])
    return waiting


def test_it_ends_when_the_lock_is_free(client: prwlock.Client, peer: Any) -> None:
    other = peer()
    assert other.ask("write", "jobs") == "True"
    waiting = start(client, "--json", "jobs")
    other.kill()
    output, complaints = waiting.communicate(timeout=60)
    members = json.loads(output)
    (lock,) = members["locks"]
    assert (waiting.returncode, members["free"], complaints) == (0, True, "")
    assert {key: lock[key] for key in ("name", "encoded", "holders", "waiters", "owner_died")} == {
        "name": "jobs", "encoded": "jobs", "holders": 0, "waiters": 0, "owner_died": True,
    }  # fmt: skip
    assert "jobs: its last writer died" in wait("jobs").stderr


def test_the_statuses_are_those_of_run(client: prwlock.Client, peer: Any) -> None:
    assert peer().ask("read", "jobs") == "True"
    for words, status in (
        (["-n", "jobs"], 1),
        (["-nE7", "jobs"], 7),
        (["-w", "10ms", "other", "jobs"], 1),
        (["-ns", "jobs"], 0),
        (["-n", "other"], 0),
        ([], 64),
    ):
        done = wait(*words)
        assert done.returncode == status, done.stderr
    own = subprocess.run(
        [*COMMAND, "run", "own", *COMMAND, "wait", "own"], capture_output=True, text=True, timeout=60, check=False
    )
    assert own.returncode == 1
    assert "would wait for itself" in own.stderr


@pytest.mark.parametrize("word", ["top", "graph", "log", "doctor", "upgrade"])
def test_a_subcommand_of_the_native_command_says_so(word: str) -> None:
    done = subprocess.run([*COMMAND, word, "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 64
    assert done.stderr.startswith(f"prwlock: only the native command has `{word}`")
    assert done.stderr.count("\n") == 1
