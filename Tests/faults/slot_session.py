"""A daemon, and sessions with cached grants, for `slots` (protocol.md, "Cached grants")."""

from __future__ import annotations

import argparse
import array
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from resumed import Received

HERE = Path(__file__).resolve().parent
HEADERS = HERE.parent.parent / "Sources/CSlot/include"
SLOTS_SIZE = 4096
# How long an answer may take at most. Only a fault takes as long, also on a slow machine.
PATIENCE = 20


class Violation(Exception):
    pass


class Ended(Exception):
    """The daemon has closed a session."""


def compile_c(folder: Path, source: str, *options: str) -> Path:
    """Compiles a file beside this one, and returns the result in the folder."""
    compiler = next((found for found in (os.environ.get("CC"), "cc", "clang") if found and shutil.which(found)), None)
    if compiler is None:
        raise SystemExit("this needs a C compiler: cc, clang, or the one that CC names")
    result = folder / Path(source).stem
    command = [compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-I", str(HEADERS), *options]
    if subprocess.run([*command, "-o", str(result), str(HERE / source)]).returncode != 0:
        raise SystemExit(f"{source} does not compile")
    return result


def load_shim(folder: Path) -> ctypes.CDLL:
    shim = ctypes.CDLL(str(compile_c(folder, "slot_shim.c", "-shared", "-fPIC")))
    pointer, word, number, flag = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_bool
    for name, result, *arguments in (
            ("slots_map", pointer, ctypes.c_int, ctypes.c_size_t, flag),
            ("slots_can_unlock", flag, pointer, ctypes.c_size_t),
            ("slots_remove", flag, pointer, ctypes.c_size_t),
            ("slots_word", word, pointer, number),
            ("slots_put", None, pointer, number, word),
            ("slots_hammer", None, pointer, number, word, word, number),
            ("slots_enter", flag, pointer, number, word, flag),
            ("slots_leave", flag, pointer, number, word),
            ("slots_is_served", flag, pointer),
            ("witness_size", ctypes.c_size_t),
            ("witness_condemn", None, pointer, number),
            ("witness_begin_epoch", None, pointer),
            ("witness_entry", number, pointer, number),
            ("witness_begin", number, pointer, number, number, number, flag, flag),
            ("witness_end", number, pointer, number, number, number, flag, flag),
            ("witness_bury", None, pointer, number),
            ("witness_pass", None, pointer, number)):
        function = getattr(shim, name)
        function.restype, function.argtypes = result, arguments
    return shim


class Daemon:
    """A daemon in a folder of its own."""

    def __init__(self, options: argparse.Namespace, folder: Path, keeps: bool) -> None:
        self.path = str(folder / "socket")
        self.log = folder / "log"
        command = [options.daemon, "--socket", self.path, "--state-directory", str(folder / "state"),
                   # So that no stream of writers keeps a reader waiting for longer than the patience of its client.
                   "--reader-patience", "5s", *(["--keep"] if keeps else [])]
        with open(self.log, "ab") as log:
            # A debug build checks its invariants after each batch.
            environment = os.environ | {"PRWLOCK_TEST_INVARIANTS": "1", "SWIFT_BACKTRACE": "enable=no"}
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                Session(self.path).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise SystemExit(f"the daemon does not start: {self.log.read_text()[-500:]}") from None
                time.sleep(0.01)

    def worker(self) -> int | None:
        """The process that serves, if the daemon has a keeper."""
        try:
            text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        except OSError:
            return None
        return int(text[0]) if text else None

    def check(self) -> None:
        if (status := self.process.poll()) is not None:
            raise Violation(f"the daemon ended with {status}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        if (status := self.process.wait(timeout=60)) != 0:
            raise Violation(f"the daemon ended with {status}")
        self.check_log()

    def check_log(self) -> None:
        """A worker that crashes is replaced, so only the log tells."""
        if "Fatal error" in (log := self.log.read_text()):
            raise Violation(f"a process crashed: {log[log.index('Fatal error'):][:300]}")

    def kill(self) -> None:
        if self.process.poll() is None:
            worker = self.worker()
            self.process.kill()
            if worker:
                try:
                    os.kill(worker, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()


class Session:
    """A connection without tags: one answer after each request."""

    def __init__(self, path: str, shim: ctypes.CDLL | None = None) -> None:
        self.shim = shim
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE + 10)
        self.socket.connect(path)
        self.inbox = b""
        self.files: list[int] = []
        self.received = Received()
        self.slots = self.serving = 0

    def close(self) -> None:
        self.socket.close()

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, *requests: str) -> None:
        try:
            self.socket.sendall("".join(f"{request}\n" for request in requests).encode())
        except (BrokenPipeError, ConnectionResetError):
            raise Ended from None

    def line(self) -> str:
        while True:
            while b"\n" not in self.inbox:
                self._receive()
            line, _, self.inbox = self.inbox.partition(b"\n")
            if self.received.is_new(line):
                return line.decode()

    def _receive(self) -> None:
        try:
            data, extras, _, _ = self.socket.recvmsg(1 << 16, 256, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            raise Ended from None
        except TimeoutError:
            raise Violation("no answer") from None
        for _, _, content in extras:
            files = array.array("i")
            files.frombytes(content[: len(content) // files.itemsize * files.itemsize])
            # After a kill they may come again.
            while self.files and files:
                os.close(files.pop())
            self.files += files
        if not data:
            raise Ended
        self.inbox += data

    def ask(self, request: str) -> str:
        self.send(request)
        return self.line()

    def rows(self, request: str) -> list[str]:
        self.send(request)
        rows = []
        while (line := self.line()).startswith("* "):
            rows.append(line)
        return rows

    def ask_for_slots(self) -> None:
        reply = self.ask("HELLO cache=1")
        if not reply.endswith(" slots=64") or len(self.files) != 2:
            raise Violation(f"no slots, {len(self.files)} files: {reply}")
        self.slots = self.shim.slots_map(self.files[0], SLOTS_SIZE, True)
        self.serving = self.shim.slots_map(self.files[1], SLOTS_SIZE, False)
        if not self.slots or not self.serving:
            raise Violation("the files cannot be mapped")

    # MARK: the fast path

    def is_served(self) -> bool:
        return self.shim.slots_is_served(self.serving)

    def enter(self, grant: Grant) -> bool:
        return self.shim.slots_enter(self.slots, grant.slot, grant.generation, grant.mode == "read")

    def leave(self, grant: Grant) -> bool:
        return self.shim.slots_leave(self.slots, grant.slot, grant.generation)


class Grant:
    """A reply `GRANTED`, which may have a slot."""

    def __init__(self, reply: str, lock: int, owner: str) -> None:
        words = reply.split()
        if len(words) < 4 or words[0] != "GRANTED":
            raise Violation(f"expected a grant: {reply}")
        fields = dict(word.split("=", 1) for word in words[3:])
        self.lock, self.owner = lock, owner
        self.name, self.mode, self.token = words[1], words[2], fields["token"]
        self.has_mark = fields.get("ownerdied") == "1"
        self.slot = int(fields["slot"]) if "slot" in fields else None
        self.generation = int(fields.get("gen", 0))
        if self.slot is not None and self.has_mark:
            raise Violation(f"a grant with a mark has a slot: {reply}")
        if self.slot is not None and self.generation != int(self.token) & (1 << 48) - 1:
            raise Violation(f"a generation is not that of the token: {reply}")
