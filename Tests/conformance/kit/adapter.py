"""A client behind its adapter: a process that takes commands and gives answers, one JSON object a line.

`README.md` beside `run` describes the commands.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Any, Optional, Union

from . import failure
from .failure import Failure

Fields = dict[str, Any]


class Refused(Failure):
    """The client's call failed; `fields` is its answer."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(f"the call failed: {json.dumps(fields)}")
        self.fields = fields

    @property
    def error(self) -> str:
        return str(self.fields["error"])


def both_forms(name: Union[str, bytes]) -> Fields:
    """A name as text, if it is text, and as the hexadecimal digits of its bytes."""
    plain = name.encode() if isinstance(name, str) else name
    try:
        return {"name": plain.decode(), "name_hex": plain.hex()}
    except UnicodeDecodeError:
        return {"name_hex": plain.hex()}


class Adapter:
    """One process of a client."""

    def __init__(self, command: list[str], environment: Mapping[str, str], uid: Optional[int] = None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
            env=dict(environment), user=uid, start_new_session=True,
        )
        self._news = threading.Condition()
        self._answers: dict[int, Fields] = {}
        self._events: list[Fields] = []
        self._is_over = False
        self._hello: Optional[Fields] = None
        self._last = 0
        self._complaints: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_complaints, daemon=True).start()
        self._await(lambda: self._hello is not None, "the adapter's first line")

    @property
    def pid(self) -> int:
        """The process that connects: the adapter's own, unless its first line names another."""
        return int((self._hello or {}).get("pid", self._process.pid))

    @property
    def can(self) -> set[str]:
        """What the client can, by its adapter's first line."""
        return set(str((self._hello or {}).get("can", "")).split())

    @property
    def client(self) -> str:
        return str((self._hello or {}).get("client", "?"))

    # Commands

    def begin(self, do: str, owner: str = "main", **fields: Any) -> int:
        """Gives a command, and returns its number without waiting for the answer."""
        self._last += 1
        command: Fields = {"id": self._last, "do": do, "owner": owner}
        for key, value in fields.items():
            if key == "name":
                command.update(both_forms(value))
            elif value is not None:
                command[key] = value
        if self._process.stdin is None:
            raise Failure("the adapter has no input")
        try:
            self._process.stdin.write(json.dumps(command, ensure_ascii=False, separators=(",", ":")) + "\n")
        except (OSError, ValueError) as error:
            raise Failure(f"the adapter has ended: {''.join(self._complaints)}") from error
        return self._last

    def answer(self, number: int) -> Fields:
        """Waits for the answer to a command, and returns it, also if it is an error."""
        self._await(lambda: number in self._answers, f"the answer to command {number}")
        return self._answers.pop(number)

    def has_answered(self, number: int) -> bool:
        with self._news:
            return number in self._answers

    def result(self, number: int) -> Fields:
        """Waits for the answer to a command.

        Raises:
            Refused: it is an error.
        """
        fields = self.answer(number)
        if "error" in fields:
            raise Refused(fields)
        return fields

    def do(self, do: str, owner: str = "main", **fields: Any) -> Fields:
        """Gives a command, and waits for its result.

        Raises:
            Refused: it is an error.
        """
        return self.result(self.begin(do, owner, **fields))

    def acquire(
        self, name: Union[str, bytes], mode: str = "write", owner: str = "main", **fields: Any
    ) -> tuple[int, Fields]:
        """Acquires a lock. Returns the number of the command, by which later commands name the grant, and its facts."""
        number = self.begin("acquire", owner, name=name, mode=mode, **fields)
        return number, self.result(number)

    def refusal(self, do: str, owner: str = "main", **fields: Any) -> Fields:
        """Gives a command that must fail, and returns the answer."""
        fields = self.answer(self.begin(do, owner, **fields))
        if "error" not in fields:
            raise Failure(f"{do} should have failed, and its answer is {json.dumps(fields)}")
        return fields

    def event(self, matches: Callable[[Fields], bool], what: str) -> Fields:
        """Waits for an event, and removes it from those that have come."""
        self._await(lambda: any(map(matches, self._events)), what)
        with self._news:
            found = next(event for event in self._events if matches(event))
            self._events.remove(found)
            return found

    # Its end

    def kill(self) -> None:
        """Kills the process as `kill -9` does."""
        self._process.kill()
        self._process.wait()

    def finish(self) -> int:
        """Ends the input, and returns the exit status. The adapter ends its session by itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            return self._process.wait(failure.patience)
        except subprocess.TimeoutExpired:
            raise Failure("the adapter did not end after the end of its input") from None

    def end(self) -> None:
        """Ends the process, and what it has forked, in any state."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()

    # Reading

    def _await(self, holds: Callable[[], bool], what: str) -> None:
        with self._news:
            self._news.wait_for(lambda: holds() or self._is_over, failure.patience)
            if not holds():
                why = "the adapter ended" if self._is_over else f"nothing came within {failure.patience:.0f} s"
                raise Failure(f"{what}: {why}. {''.join(self._complaints)[-500:]}")

    def _read(self) -> None:
        for line in self._process.stdout or ():
            try:
                fields = json.loads(line)
            except ValueError:
                fields = {"error": "no-json", "text": line}
            with self._news:
                if "id" in fields:
                    self._answers[int(fields["id"])] = fields
                elif "client" in fields and self._hello is None:
                    self._hello = fields
                else:
                    self._events.append(fields)
                self._news.notify_all()
        with self._news:
            self._is_over = True
            self._news.notify_all()

    def _read_complaints(self) -> None:
        for line in self._process.stderr or ():
            self._complaints.append(line)
