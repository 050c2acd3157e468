#!/usr/bin/env python3
"""An example: a client that is written from protocol.md alone, and its adapter. Each owner is a thread."""

from __future__ import annotations

import json
import os
import queue
import re
import socket
import struct
import sys
import threading
from typing import Any, Optional

CAN = "owners update lease note bytes nul events status list watch validate revoke cancel last-words"
#: How much longer than the daemon the client waits for a reply, in seconds.
PATIENCE = 0.75


class Refusal(Exception):
    pass


class Session:
    """One connection. A thread reads: it hands each reply to the request with that tag."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.settimeout(10)
            self.socket.connect(path)
        except OSError as error:
            raise Refusal("silent" if isinstance(error, BlockingIOError) else "unavailable") from None
        _, server, _ = struct.unpack("3i", self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if server not in (0, os.geteuid(), int(os.environ.get("PRWLOCK_SERVER_UID", -1))):
            raise Refusal("untrusted")
        self.socket.settimeout(None)
        self.pid, self.mutex, self.last, self.is_usable, self.is_over = os.getpid(), threading.Lock(), 0, True, False
        self.open: dict[str, queue.Queue[list[str]]] = {}
        self.late: set[str] = set()
        self.lost: dict[str, str] = {}
        self.rows: list[str] = []
        #: What answers all requests when the session ends. An error without a tag says why.
        self.farewell = ["ENDED"]
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, text: str) -> str:
        with self.mutex:
            self.last += 1
            tag = f"#{self.last}"
            self.open[tag] = queue.Queue()
            if self.is_over:
                self.open[tag].put(self.farewell)
            try:
                self.socket.sendall(f"{tag} {text}\n".encode())
            except OSError:
                pass  # What came before the end is still read.
            return tag

    def wait(self, tag: str, patience: Optional[float] = 10) -> list[str]:
        try:
            words = self.open[tag].get(timeout=patience)
        except queue.Empty:
            raise Refusal("silent") from None
        del self.open[tag]
        return words

    def ask(self, text: str) -> list[str]:
        return self.wait(self.send(text))

    def give_up(self, tag: str) -> None:
        """Withdraws a request. If it is granted before the daemon knows, `take` releases the grant."""
        self.late.add(tag)
        self.send(f"CANCEL {tag}")

    def read(self) -> None:
        try:
            self.read_lines()
        except OSError:
            pass
        with self.mutex:
            self.is_usable, self.is_over = False, True
            for waiting in self.open.values():
                waiting.put(self.farewell)
        hear("ENDED", "")

    def read_lines(self) -> None:
        received = position = 0
        for line in self.socket.makefile("r", encoding="ascii", newline="\n"):
            words = line.split()
            if words[:2] == ["!", "RESUMED"]:
                position = int(words[2][5:])
                continue
            position += len(line)
            if position > received and line.endswith("\n"):
                received = position
                self.take(line.rstrip("\n"), words)

    def take(self, line: str, words: list[str]) -> None:
        if words[0] == "*":
            self.rows.append(line)
        elif words[0] == "!":
            if words[1] == "DRAIN":
                self.is_usable = False
            if words[1] in ("EXPIRED", "REVOKED"):
                self.lost[words[3]] = words[1].lower()
            hear(words[1], line)
        elif words[0] in self.late and words[1] == "GRANTED":
            self.send(f"RELEASE {words[2]} {words[4]}")
        elif words[0] in self.open:
            rows, self.rows = (self.rows, []) if words[1] == "END" else ([], self.rows)
            self.open[words[0]].put([*words[1:], *rows])
        elif words[0] == "ERROR":
            self.farewell = words


grants: dict[int, tuple[Session, str, str]] = {}
waiting: dict[int, tuple[Session, str]] = {}
watches: list[int] = []
current: Optional[Session] = None
connecting = threading.Lock()


def connected() -> Session:
    global current
    with connecting:
        if current is None or not current.is_usable or current.pid != os.getpid():
            current = Session(os.environ["PRWLOCK_SOCKET"])
        return current


def hear(kind: str, line: str) -> None:
    """Tells the driver what a notice says."""
    fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
    if kind in ("EXPIRED", "REVOKED", "ENDED"):
        for number, (session, _, token) in list(grants.items()):
            if token in session.lost or session.is_over:
                say({"event": "lost", "of": number})
    if kind == "CHANGED" and watches:
        _, _, name, what, *_ = line.split()
        token, mode = fields["token"], fields["mode"]
        say({"event": "change", "of": watches[-1], "name": name, "what": what, "token": token, "mode": mode})
    if kind == "MISSED" and watches:
        say({"event": "missed", "of": watches[-1], "count": line.split()[-1]})


def check(words: list[str], *good: str) -> list[str]:
    """Returns the words of a reply that is good; raises what any other one means."""
    if words[0] in good:
        if words[0] == "GRANTED" and not (len(words) > 3 and re.fullmatch("token=[1-9][0-9]*", words[3])):
            raise Refusal("protocol")
        return words
    code = words[1] if words[0] == "ERROR" else words[0].lower()
    known = {"ended": "unavailable", "not-held": "lost", "stale": "lost", "cluster-unavailable": "cluster"}
    raise Refusal("limit" if code.startswith("limit-") else known.get(code, code), *words[1:])


def encode(plain: bytes) -> str:
    if not 0 < len(text := re.sub(rb"[^-A-Za-z0-9._~/:@+]", lambda byte: b"%%%02X" % byte[0][0], plain)) < 256:
        raise Refusal("invalid")
    return text.decode()


def facts(words: list[str]) -> dict[str, Any]:
    fields = dict(word.split("=", 1) for word in words[3:] if "=" in word)
    return {"mode": words[2], **{key: fields[key] for key in ("token", "ownerdied") if key in fields}}


def acquire(command: dict[str, Any], verb: str, words: str) -> tuple[Session, list[str]]:
    """Requests what may wait, and undoes it if no reply comes in time."""
    wait = command.get("wait_ms")
    session = connected()
    tag = session.send(verb + " " + words + ("" if wait is None else f" wait={wait}ms" if wait else " wait=0"))
    waiting[command["id"]] = session, tag
    try:
        return session, check(session.wait(tag, None if wait is None else wait / 1000 + PATIENCE), "GRANTED")
    except Refusal as refusal:
        if refusal.args[0] == "silent":
            session.give_up(tag)
        raise


def carry_out(command: dict[str, Any]) -> dict[str, Any]:
    do = command["do"]
    if do == "acquire":
        name, mode = encode(bytes.fromhex(command["name_hex"])), command["mode"]
        words = f"{name} owner={command['owner']}"
        words += f" lease={command['lease_ms']}ms" if "lease_ms" in command else ""
        words += f" note={encode(command['note'].encode())}" if "note" in command else ""
        session, reply = acquire(command, mode.upper(), words)
        grants[command["id"]] = session, name, reply[3]
        if reply[3] in session.lost:  # The notice came with the grant.
            hear("REVOKED", "")
        return facts(reply)
    if do == "cancel":
        session, tag = waiting[command["request"]]
        # The daemon's answer may come first, and ends the request.
        answer = session.open.get(tag)
        session.give_up(tag)
        if answer is not None:
            answer.put(["CANCELLED"])
        return {}
    if do in ("list", "watch"):
        prefix = encode(command["prefix"].encode())
        if do == "watch":
            watches.append(command["id"])
        reply = check(connected().ask(f"{do.upper()} {prefix}"), "END", "OK")
        return {"names": " ".join(row.split()[2] for row in reply[2:] if row.startswith("* lock "))}
    if do in ("status", "validate", "revoke"):
        token = f" token={command['token']}" if "token" in command else ""
        name = encode(bytes.fromhex(command["name_hex"]))
        reply = check(connected().ask(do.upper() + f" {name}" + token), "END", "VALID", "STALE", "REVOKED")
        return status(reply[2:]) if do == "status" else {"valid": str(int(reply[0] == "VALID"))}
    if command["grant"] not in grants:
        return {"error": "not-held"}
    session, name, token = grants[command["grant"]]
    if token in session.lost or session.is_over:
        return {"error": "lost", "reason": session.lost.get(token, "disconnected")}
    if do == "release":
        del grants[command["grant"]]
        check(session.ask(f"RELEASE {name} {token}"), "RELEASED")
        return {}
    if do == "renew":
        check(session.ask(f"RENEW {name} {token} lease={command['lease_ms']}ms"), "RENEWED")
        return {}
    if do in ("upgrade", "downgrade"):
        to = f" to={command['mode']}" if do == "downgrade" else ""
        reply = acquire(command, "UPGRADE", f"{name} {token}")[1] if do == "upgrade" else check(
            session.ask(f"DOWNGRADE {name} {token}{to}"), "GRANTED")
        grants[command["grant"]] = session, name, reply[3]
        return facts(reply)
    check(session.ask(f"VALIDATE {name} {token}"), "VALID")
    return {}


def status(rows: list[str]) -> dict[str, Any]:
    shown: dict[str, list[str]] = {"* holder": [], "* waiter": []}
    for row in rows:
        fields = dict(word.split("=", 1) for word in row.split() if "=" in word)
        keys = ("pid", "mode", "token", "note") if row.startswith("* holder ") else ("pid", "mode", "note")
        shown.get(row[:8], []).append("/".join(fields.get(key, "") for key in keys))
    return {"holders": " ".join(shown["* holder"]), "waiters": " ".join(shown["* waiter"])}


def say(fields: dict[str, Any]) -> None:
    os.write(1, json.dumps(fields).encode() + b"\n")


def own(commands: queue.Queue[dict[str, Any]]) -> None:
    while True:
        command = commands.get()
        try:
            fields = carry_out(command)
        except Refusal as refusal:
            word, *rest = refusal.args
            fields = {"error": word}
            for key, _, value in (text.partition("=") for text in rest):
                fields.setdefault(key.replace("-", "_"), value)
        say({"id": command["id"], **fields})


if __name__ == "__main__":
    say({"client": "by hand, Python", "can": CAN})
    owners: dict[str, queue.Queue[dict[str, Any]]] = {}
    for line in sys.stdin:
        command = json.loads(line)
        owner = "cancel" if command["do"] == "cancel" else command["owner"]
        if owner not in owners:
            owners[owner] = queue.Queue()
            threading.Thread(target=own, args=(owners[owner],), daemon=True).start()
        owners[owner].put(command)
