"""Grants at a prompt: what a newcomer types, and what stays held after it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

import prwlock
import pytest

from processes import wait_until

CONSOLE = """
import code, prwlock
console = code.InteractiveConsole({"lock": prwlock.RWLock("jobs"), "prwlock": prwlock})
console.interact(banner="", exitmsg="")
"""
#: Says after each line whether the lock is held, and by how many grants.
HELD = "print('holders', len(prwlock.status('jobs').holders))"


class Prompt:
    """An interactive interpreter on a pseudo terminal."""

    def __init__(self, *words: str) -> None:
        main, end = pty.openpty()
        environment = {**os.environ, "PYTHON_BASIC_REPL": "1", "TERM": "dumb", "PYTHON_COLORS": "0"}
        self.process = subprocess.Popen(
            [sys.executable, *words], stdin=end, stdout=end, stderr=end, env=environment, close_fds=True
        )
        os.close(end)
        self._terminal = main
        self._read = b""
        self.until(">>> ")

    def until(self, mark: str) -> str:
        """Returns the output up to a text."""
        while mark.encode() not in self._read:
            self._read += os.read(self._terminal, 4096)
        before, _, self._read = self._read.partition(mark.encode())
        return before.decode().replace("\r", "")

    def type(self, line: str) -> str:
        """Types a line, and returns what it prints."""
        os.write(self._terminal, line.encode() + b"\n")
        return self.until(">>> ").partition("\n")[2]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)


@pytest.fixture(params=["interpreter", "console"])
def prompt(request: pytest.FixtureRequest, daemon: Any) -> Any:
    words = ["-i", "-c", "import prwlock; lock = prwlock.RWLock('jobs')"]
    prompt = Prompt(*words) if request.param == "interpreter" else Prompt("-c", CONSOLE)
    yield prompt
    prompt.end()


def test_a_bare_call_holds_nothing_after_its_line(prompt: Prompt) -> None:
    for mode in ("write", "read", "update"):
        shown = prompt.type(f"lock.{mode}()")
        assert f"'jobs' {mode} token=" in shown
        assert "prwlock: 'jobs' is released, because no variable keeps this grant: hold it by" in shown
        assert f"`with lock.{mode}():`" in shown
        assert prompt.type(HELD) == "holders 0\n"


def test_what_a_variable_or_a_block_keeps_is_held(prompt: Prompt) -> None:
    assert prompt.type("grant = lock.write()") == ""
    assert "held>" in prompt.type("grant")
    assert "released, because" not in prompt.type("grant")
    assert prompt.type(HELD) == "holders 1\n"
    assert prompt.type("grant.release()") == ""
    assert prompt.type(HELD) == "holders 0\n"
    assert prompt.type("del grant") == ""
    block = "exec('with lock.write(): print(len(lock.status().holders))')"
    assert prompt.type(block) == "1\n"
    assert prompt.type(HELD) == "holders 0\n"


def test_other_values_are_kept_as_ever(prompt: Prompt) -> None:
    assert prompt.type("6 * 7") == "42\n"
    prompt.type("lock.write()")
    assert prompt.type("_ + 1") == "43\n"
    assert prompt.type("None") == ""
    assert prompt.type("'\\ue000'") == "'\\ue000'\n"


def test_a_program_keeps_its_display_hook(run: Any, daemon: Any) -> None:
    program = "import sys, prwlock\nprwlock.RWLock('jobs').write()\nprint(sys.displayhook is sys.__displayhook__)"
    assert run(program) == "True\n"


def test_a_grant_of_the_asynchronous_client(daemon: Any, client: prwlock.Client) -> None:
    prompt = Prompt("-m", "asyncio")
    try:
        # Its banner shows a prompt too.
        prompt.until(">>> ")
        prompt.type("from prwlock import aio; lock = aio.RWLock('jobs')")
        assert "is released, because" in prompt.type("await lock.write()")
        wait_until(lambda: not client.status("jobs").holders)
        assert prompt.type("lock.write()") == "<prwlock.aio.Acquiring 'jobs' write>\n"
        assert prompt.type("grant = await lock.write()") == ""
        assert len(client.status("jobs").holders) == 1
    finally:
        prompt.end()
