#!/usr/bin/env python3
"""The Python package for asyncio behind the driver's commands: each owner is a task."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import words
from prwlock import aio

CAN = "owners update lease note bytes nul cancel events status list watch validate revoke"
CAN += " place start until trusts-path last-words grace"


class Adapter:
    def __init__(self) -> None:
        self.client = aio.Client()
        self.grants: dict[int, aio.Grant] = {}
        self.watches: list[asyncio.Task[None]] = []
        self.owners: dict[str, tuple[asyncio.Queue[dict[str, Any]], asyncio.Task[None]]] = {}
        self.running: dict[int, str] = {}

    async def carry_out(self, command: dict[str, Any]) -> dict[str, Any]:
        do, name = command["do"], words.name(command)
        if do == "acquire":
            number = command["id"]
            grant = await self.client.acquire(
                name, command["mode"], words.seconds(command, "wait_ms"), lease=words.seconds(command, "lease_ms"),
                note=command.get("note"), on_lost=lambda grant: words.say({"event": "lost", "of": number}),
            )
            self.grants[number] = grant
            return words.facts(grant)
        if do in ("status", "list", "watch", "validate", "revoke"):
            return await self.look(do, name, command)
        if command["grant"] not in self.grants:
            return {"error": "not-held"}
        grant = self.grants[command["grant"]]
        if do == "release":
            del self.grants[command["grant"]]
            await grant.release()
            return {}
        if do == "upgrade":
            await grant.upgrade(words.seconds(command, "wait_ms"))
        elif do == "downgrade":
            await grant.downgrade(command["mode"])
        elif do == "renew":
            await grant.renew(words.seconds(command, "lease_ms"))
        elif do == "check":
            return {} if await grant.is_valid() else {"error": "lost"}
        return words.facts(grant)

    async def look(self, do: str, name: bytes, command: dict[str, Any]) -> dict[str, Any]:
        if do == "status":
            return words.status(await self.client.status(name))
        if do == "list":
            return {"names": " ".join(lock.name for lock in await self.client.list(command["prefix"]))}
        if do == "validate":
            return {"valid": str(int(await self.client.validate(name, int(command["token"]))))}
        if do == "revoke":
            await self.client.revoke(name, int(command["token"]))
            return {}
        watch = await self.client.watch(command["prefix"]).__aenter__()
        self.watches.append(asyncio.ensure_future(self.tell(watch, command["id"])))
        return {}

    async def tell(self, watch: aio.Watch, number: int) -> None:
        async for change in watch:
            words.say(words.event(change, number))

    async def own(self, commands: asyncio.Queue[dict[str, Any]]) -> None:
        while True:
            command = await commands.get()
            try:
                fields = await self.carry_out(command)
            except asyncio.CancelledError:
                fields = {"error": "cancelled"}
            except Exception as fault:
                fields = words.error(fault)
            words.say({"id": command["id"], **fields})

    def begin(self, command: dict[str, Any]) -> None:
        self.running[command["id"]] = command["owner"]
        if command["do"] == "cancel":
            self.owners[self.running[command["request"]]][1].cancel()
            words.say({"id": command["id"]})
            return
        if command["owner"] not in self.owners:
            commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            self.owners[command["owner"]] = commands, asyncio.ensure_future(self.own(commands))
        self.owners[command["owner"]][0].put_nowait(command)

    async def run(self) -> None:
        words.say({"client": "Python, asyncio", "can": CAN, "pid": os.getpid()})
        reader = asyncio.StreamReader(limit=1 << 20)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            self.begin(json.loads(line))


if __name__ == "__main__":
    asyncio.run(Adapter().run())
