"""The results, for people and for programs."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass
from typing import Any

from .case import Case

_SIGNS = {"passed": "ok", "failed": "FAIL", "skipped": "-"}


@dataclass
class Result:
    """The outcome of a case with a client: `passed`, `failed` or `skipped`, and why."""

    client: str
    case: str
    outcome: str
    text: str = ""
    seconds: float = 0

    @property
    def fields(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def place_of(fault: BaseException) -> str:
    """The line of the case at which a fault arose."""
    frames = [frame for frame in traceback.extract_tb(fault.__traceback__) if "/cases/" in frame.filename]
    return f"{'/'.join(frames[-1].filename.split('/')[-2:])}:{frames[-1].lineno}: " if frames else ""


def print_cases(cases: list[Case]) -> None:
    for case in cases:
        needs = f" [{', '.join(sorted(case.needs))}]" if case.needs else ""
        print(f"{case.name}{needs}\n    {case.text} ({case.rule})")


def print_table(results: list[Result], cases: list[Case], clients: list[str]) -> None:
    outcomes = {(result.client, result.case): result.outcome for result in results}
    width = max(len(case.name) for case in cases)
    for number, client in enumerate(clients, 1):
        print(f"{'':{width}}  {number} {client}")
    print(f"{'':{width}}  " + "  ".join(f"{number:<4}" for number in range(1, len(clients) + 1)))
    for case in cases:
        signs = [_SIGNS[outcomes[client, case.name]] for client in clients]
        print(f"{case.name:{width}}  " + "  ".join(f"{sign:<4}" for sign in signs).rstrip())
    for heading, outcome in (("skipped", "skipped"), ("failed", "failed")):
        chosen = [result for result in results if result.outcome == outcome]
        if chosen:
            print(f"\n{heading}:")
        if outcome == "skipped":
            _print_reasons(chosen)
        else:
            for result in chosen:
                print(f"  {result.case}, {result.client}: {result.text}")
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in _SIGNS}
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


def _print_reasons(skipped: list[Result]) -> None:
    """Each client's skipped cases, by their reasons."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in skipped:
        reasons.setdefault((result.client, result.text), []).append(result.case)
    for (client, text), names in reasons.items():
        print(f"  {client}: {text}: {', '.join(names)}")
