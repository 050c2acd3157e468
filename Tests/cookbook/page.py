"""A page of the cookbook: its blocks of code in their order, and what the check does with each.

| in the page | the check |
|---|---|
| a block of `sh` | runs it with bash, in one shell for the whole page |
| a block of `text` | compares it with what the block of `sh` before it has printed |
| a block of another language, after a line that ends in "`PATH`:" | writes it to that file |
| `<!-- check: COMMANDS -->` | runs these commands, which a reader does not see, at that place |
| `<!-- not run: REASON -->` right before a block | prints the reason, and does nothing with the block |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

#: What a step is: commands of the page, commands of the check, or a file.
COMMANDS, HIDDEN, FILE = "commands", "hidden", "file"


class Fault(Exception):
    """A page that does not follow the rules, or does something else than it says."""


@dataclass
class Step:
    line: int
    kind: str
    text: str
    #: Of a file.
    path: str = ""
    #: What the commands print, as the page shows it.
    expected: str | None = None


@dataclass
class Page:
    name: str
    steps: list[Step]
    #: The blocks that are not run: line and reason.
    left_out: list[tuple[int, str]]


_PART = re.compile(
    r"^```(?P<language>\w*)\n(?P<code>.*?)^```$|^<!-- check:(?P<hidden>.*?)-->$|^<!-- not run: (?P<reason>.*?) -->$",
    re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`([^`\n]+)`[^`\n]*:\n\s*\Z")


def read(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    page = Page(path.stem, [], [])
    reason: str | None = None
    for part in _PART.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        if part["reason"]:
            reason = " ".join(part["reason"].split())
        elif part["hidden"] is not None:
            page.steps.append(Step(line, HIDDEN, part["hidden"].strip() + "\n"))
        elif reason is not None:
            page.left_out.append((line, reason))
            reason = None
        elif part["language"] == "sh":
            page.steps.append(Step(line, COMMANDS, part["code"]))
        elif part["language"] == "text":
            _expect(page, part["code"], line)
        else:
            named = _NAMED.search(text, 0, part.start())
            if not part["language"] or named is None:
                raise Fault(f"{page.name}:{line}: a block that is not run, has no name of a file, and no reason")
            page.steps.append(Step(line, FILE, part["code"], path=named[1]))
    return page


def _expect(page: Page, text: str, line: int) -> None:
    last = page.steps[-1] if page.steps else None
    if last is None or last.kind != COMMANDS or last.expected is not None:
        raise Fault(f"{page.name}:{line}: an output that stands behind no commands")
    last.expected = text


def agree(expected: str, printed: str) -> bool:
    """Whether commands have printed what a page shows.

    All must be equal but for: spaces between words; `…`, which stands for any text in a line; a duration, and a number
    of three digits or more (a process, a token, a year), unless the word before it is "status".
    """
    return re.fullmatch(_pattern(expected), printed.strip()) is not None


_WILD = re.compile(
    r"(?P<rest>…)|(?P<status>status \d+)|(?P<clock>\d\d:\d\d:\d\d)"
    r"|(?P<duration>\d+(\.\d+)? ?(µs|ms|seconds?|minutes?|s|min|h)\b)|(?P<number>\b\d{3,}\b)|(?P<space>[ \t]+)")


def _pattern(expected: str) -> str:
    pattern, end = "", 0
    text = expected.strip()
    for found in _WILD.finditer(text):
        pattern += re.escape(text[end:found.start()])
        end = found.end()
        if found["status"]:
            pattern += re.escape(found[0])
        else:
            pattern += {
                "rest": r".*", "clock": r"\d\d:\d\d:\d\d", "number": r"\d+", "space": r"[ \t]+",
                "duration": r"\d+(\.\d+)? ?(µs|ms|seconds?|minutes?|s|min|h)",
            }[str(found.lastgroup)]
    return pattern + re.escape(text[end:])


_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")


def check_links(path: Path) -> None:
    """Each link within the tree leads to a file, and to a heading of it."""
    for target, heading in _LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists():
            raise Fault(f"{path.name}: no file {target}")
        if heading and heading[1:] not in _anchors(file):
            raise Fault(f"{path.name}: {target} has no heading {heading}")


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
