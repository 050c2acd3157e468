"""Two threads do the same thing, and one of them stops before one of its steps."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from steps import AtSteps

#: How long a thread stops while the other one runs, if the other one has to wait for it.
STILL = 0.004


class Race:
    """What two threads do with a new object, and what must be true afterwards.

    Both call `first`. Its results are in `results`, and its exceptions in `errors`.
    """

    results: list[Any]
    errors: list[BaseException]

    def __init__(self, daemon: Any, home: Path) -> None:
        self.daemon = daemon
        self.home = home

    def make(self) -> None:
        raise NotImplementedError

    def first(self) -> Any:
        raise NotImplementedError

    def check(self) -> None:
        """By default, both must have the same result."""
        one, other = self.results
        assert one is other

    def run(self, step: int) -> bool:
        """Runs both threads; the first one stops at that step. Returns whether there was such a step."""
        self.make()
        self.results = []
        self.errors = []
        stopped = threading.Event()
        done = threading.Event()

        def do() -> None:
            try:
                self.results.append(self.first())
            except Exception as error:
                self.errors.append(error)

        def second() -> None:
            self.prepare()
            stopped.wait()
            do()
            done.set()

        def stop() -> None:
            stopped.set()
            done.wait(STILL)

        steps = AtSteps(stop, step)

        def one() -> None:
            self.prepare()
            with steps:
                do()
            stopped.set()

        threads = [threading.Thread(target=one), threading.Thread(target=second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), f"step {step}"
        self.check()
        return bool(steps.called)

    def prepare(self) -> None:
        """What each thread does first."""
