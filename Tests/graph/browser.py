"""A page in a headless Chromium, by its DevTools protocol over two pipes (`--remote-debugging-pipe`)."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from typing import Any, Callable

PATIENCE = 60.0


def installed() -> str | None:
    """Returns the path of a Chromium; None if there is none."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return next((path for path in found if path), None)


class Page:
    """An open page. Everything that its console says is in `said`."""

    def __init__(self, program: str, address: str) -> None:
        self.said: list[str] = []
        self._number = 0
        self._session: str | None = None
        self._rest = b""
        self._events: list[str] = []
        self._home = tempfile.mkdtemp(prefix="page.")
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()

        def place() -> None:
            # The browser reads from 3 and writes to 4. First out of the way of each other.
            one, other = os.dup(to_browser), os.dup(from_browser)
            high, higher = os.dup2(one, 20), os.dup2(other, 21)
            os.dup2(high, 3)
            os.dup2(higher, 4)

        self._process = subprocess.Popen(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                f"--user-data-dir={self._home}", "--window-size=1280,900", "about:blank",
            ],
            preexec_fn=place, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")
        self.go(address)

    def go(self, address: str) -> None:
        """Opens an address, and returns when the page is loaded."""
        self._events.clear()
        self.ask("Page.navigate", url=address)
        self._read_until(lambda _: "Page.loadEventFired" in self._events)

    def ask(self, method: str, **parameters: Any) -> Any:
        """Sends a command, and returns its result."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._read_until(lambda message: message.get("id") == number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def value(self, expression: str) -> Any:
        """Returns the value of an expression in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def await_value(self, expression: str, wanted: Any) -> None:
        """Returns when an expression in the page has a value."""
        end = time.monotonic() + PATIENCE
        while (value := self.value(expression)) != wanted:
            assert time.monotonic() < end, f"{expression} is {value!r} and not {wanted!r}"

    def click(self, selector: str) -> None:
        """Clicks on the middle of an element."""
        x, y = self.value(
            f"(r => [r.x + r.width / 2, r.y + r.height / 2])"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def press(self, key: str, code: int) -> None:
        """Presses a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def close(self) -> None:
        """Ends the browser."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def _read_until(self, is_wanted: Callable[[Any], bool]) -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            while b"\0" not in self._rest:
                ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
                chunk = os.read(self._from, 65_536) if ready else b""
                if not chunk:
                    raise AssertionError("the browser does not answer")
                self._rest += chunk
            line, self._rest = self._rest.split(b"\0", 1)
            message = json.loads(line)
            self._note(message)
            if is_wanted(message):
                return message

    def _note(self, message: Any) -> None:
        method = message.get("method", "")
        self._events.append(method)
        if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.said.append(json.dumps(message["params"]))
