#!/usr/bin/env python3
"""The Python package behind the driver's commands: each owner is a thread."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any, Optional

import prwlock
import words

CAN = "owners update lease note bytes nul events status list watch validate revoke fork"
CAN += " place start until trusts-path last-words grace"
if not os.environ.get("PRWLOCK_NO_EXTENSION"):
    CAN += " cache"

client = prwlock.Client()
grants: dict[int, prwlock.Grant] = {}


def carry_out(command: dict[str, Any]) -> Optional[dict[str, Any]]:
    """Returns the answer; None if a forked child gives it."""
    do, name = command["do"], words.name(command)
    if do == "acquire":
        number = command["id"]
        grant = client.acquire(
            name, command["mode"], words.seconds(command, "wait_ms"), lease=words.seconds(command, "lease_ms"),
            note=command.get("note"), on_lost=lambda grant: words.say({"event": "lost", "of": number}),
        )
        grants[number] = grant
        return words.facts(grant)
    if do == "cycle":
        lock = client.lock(name)
        for _ in range(command["times"]):
            with lock.reader_lock() if command["mode"] == "read" else lock.writer_lock():
                pass
        return {}
    if do == "fork":
        return fork(command)
    if do in ("status", "list", "watch", "validate", "revoke"):
        return look(do, name, command)
    if command["grant"] not in grants:
        return {"error": "not-held"}
    grant = grants[command["grant"]]
    if do == "release":
        del grants[command["grant"]]
        grant.release()
        return {}
    if do == "upgrade":
        grant.upgrade(words.seconds(command, "wait_ms"))
    elif do == "downgrade":
        grant.downgrade(command["mode"])
    elif do == "renew":
        grant.renew(words.seconds(command, "lease_ms"))
    elif do == "check":
        return {} if grant.is_valid() else {"error": "lost"}
    return words.facts(grant)


def look(do: str, name: bytes, command: dict[str, Any]) -> dict[str, Any]:
    if do == "status":
        return words.status(client.status(name))
    if do == "list":
        return {"names": " ".join(lock.name for lock in client.list(command["prefix"]))}
    if do == "validate":
        return {"valid": str(int(client.validate(name, int(command["token"]))))}
    if do == "revoke":
        client.revoke(name, int(command["token"]))
        return {}
    watch = client.watch(command["prefix"]).__enter__()
    threading.Thread(target=tell, args=(watch, command["id"]), daemon=True).start()
    return {}


def tell(watch: prwlock.Watch, number: int) -> None:
    for change in watch:
        words.say(words.event(change, number))


def fork(command: dict[str, Any]) -> Optional[dict[str, Any]]:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return None
    fields = {"id": command["id"]}
    inner = {"id": 0, "name": command["name"], "mode": "write", "wait_ms": 0, "grant": command["grant"]}
    for do, key in (("acquire", "acquired"), ("release", "released")):
        fields[key] = (answer({**inner, "do": do}) or {}).get("error", "ok")
    words.say(fields)
    os._exit(0)


def answer(command: dict[str, Any]) -> Optional[dict[str, Any]]:
    try:
        return carry_out(command)
    except Exception as fault:
        return words.error(fault)


def own(commands: queue.Queue[dict[str, Any]]) -> None:
    while True:
        command = commands.get()
        fields = answer(command)
        if fields is not None:
            words.say({"id": command["id"], **fields})


def main() -> None:
    words.say({"client": "Python, threads", "can": CAN, "pid": os.getpid()})
    owners: dict[str, queue.Queue[dict[str, Any]]] = {}
    for line in sys.stdin:
        command = json.loads(line)
        if command["owner"] not in owners:
            owners[command["owner"]] = queue.Queue()
            threading.Thread(target=own, args=(owners[command["owner"]],), daemon=True).start()
        owners[command["owner"]].put(command)


if __name__ == "__main__":
    main()
