"""Tables and lists for people and programs, on a terminal or not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from ._harmless import harmless
from ._shown import Shown, as_json
from ._standard import say, write

_GAP = 2
#: The least width of a cell that is cut.
_LEAST_CUT = 12
#: How many rows are printed at a time, so that a million locks take the memory of a thousand.
_BLOCK = 1_000


class Column(NamedTuple):
    """A column of a table."""

    heading: str
    #: Aligns the cells to the right, so that numbers are easy to compare.
    is_number: bool = False
    #: Whether a cell may lose its middle if the line is too long.
    may_be_cut: bool = False
    #: Whether the column may be left out if the line is too long; the lowest number first.
    rank: Optional[int] = None


class Style:
    """The appearance of text: bold headings, and the width of the terminal."""

    def __init__(self) -> None:
        #: None where standard output is no terminal.
        self.columns: Optional[int] = None
        self._is_bold = False
        try:
            if os.isatty(1):
                self.columns = os.get_terminal_size(1).columns or None
                # See no-color.org.
                self._is_bold = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        except OSError:
            pass

    def strong(self, text: str) -> Shown:
        """Returns the text as a heading."""
        return Shown(f"\x1b[1m{harmless(text)}\x1b[0m" if self._is_bold else harmless(text))

    def fit(self, line: str) -> str:
        """Returns the line, cut to the width of the terminal."""
        if self.columns is None or self.columns <= 1 or len(line) <= self.columns:
            return line
        return line[: self.columns - 1] + "…"


class Table:
    """Aligned columns under headings. A later part keeps the columns of the first part, and at least their widths."""

    def __init__(self, columns: Sequence[Column], style: Style) -> None:
        self._columns = columns
        self._style = style
        self._widths = [len(column.heading) for column in columns]
        self._shown: Optional[list[int]] = None

    def render(self, rows: Sequence[Sequence[str]]) -> Shown:
        """Returns lines; the first call puts the headings before them. An empty cell is shown as a dash."""
        cells = [[harmless(cell) or "-" for cell in row] for row in rows]
        self._widths = [max([width, *map(len, column)]) for width, *column in zip(self._widths, *cells)]
        is_first = self._shown is None
        if self._shown is None:
            self._shown = self._choose(cells)
        widths = self._fit(self._shown)
        lines = [self._line([column.heading for column in self._columns], widths, strong=True)] if is_first else []
        lines += [self._line(row, widths) for row in cells]
        return Shown("".join(lines))

    def _line(self, cells: Sequence[str], widths: Sequence[int], strong: bool = False) -> str:
        parts = []
        for index in self._shown or ():
            cell = _cut(cells[index], widths[index])
            parts.append(cell.rjust(widths[index]) if self._columns[index].is_number else cell.ljust(widths[index]))
        line = self._style.fit((" " * _GAP).join(parts).rstrip(" "))
        return (self._style.strong(line) if strong else harmless(line)) + "\n"

    def _choose(self, rows: Sequence[Sequence[str]]) -> list[int]:
        """Returns the columns to show. Empty ones go first, then those of the lowest rank, until the cut rest fits."""
        columns, most = self._columns, self._style.columns
        shown = list(range(len(columns)))
        if most is None or self._total(shown, self._widths) <= most:
            return shown
        shown = [i for i in shown if columns[i].rank is None or any(row[i] != "-" for row in rows)]
        while self._total(shown, self._smallest) > most:
            ranks = [(rank, i) for i in shown if (rank := columns[i].rank) is not None]
            if not ranks:
                break
            shown.remove(min(ranks)[1])
        return shown

    def _fit(self, shown: Sequence[int]) -> list[int]:
        """Returns the widths at which the columns fit the line, if possible: the widest cells are cut first."""
        widths = list(self._widths)
        most, least = self._style.columns, self._smallest
        while most is not None and self._total(shown, widths) > most:
            wide = [index for index in shown if widths[index] > least[index]]
            if not wide:
                break
            widths[max(wide, key=lambda index: widths[index])] -= 1
        return widths

    @property
    def _smallest(self) -> list[int]:
        return [
            min(width, max(_LEAST_CUT, len(column.heading))) if column.may_be_cut else width
            for column, width in zip(self._columns, self._widths)
        ]

    @staticmethod
    def _total(shown: Sequence[int], widths: Sequence[int]) -> int:
        return sum(widths[index] + _GAP for index in shown) - _GAP


def _cut(text: str, width: int) -> str:
    """Replaces the middle of the text: the program and the last argument of a command line say the most."""
    if len(text) <= width or width <= 1:
        return text
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + "…" + (text[-tail:] if tail else "")


class Listing:
    """Prints rows in blocks while they arrive, or their JSON as one array."""

    def __init__(self, columns: Sequence[Column], is_json: bool) -> None:
        self.style = Style()
        self._table = Table(columns, self.style)
        self._is_json = is_json
        self._pending: list[Sequence[str]] = []
        self._is_empty = True

    def add(self, cells: Sequence[str], row: Any) -> None:
        """Adds a row of the table, or its JSON."""
        if self._is_json:
            write(Shown(("[" if self._is_empty else ",\n ") + as_json(row)))
        else:
            self._pending.append(cells)
            if len(self._pending) == _BLOCK:
                self._flush()
        self._is_empty = False

    def add_text(self, text: Shown, row: Any) -> None:
        """Adds a paragraph instead of a row, or its JSON."""
        if self._is_json:
            self.add((), row)
        else:
            write(Shown(("" if self._is_empty else "\n") + text))
            self._is_empty = False

    def finish(self, words: str) -> None:
        """Prints the remaining rows, or `words` if there were none."""
        if self._is_json:
            say("[]" if self._is_empty else "]")
        elif self._is_empty:
            say(words)
        else:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            write(self._table.render(self._pending))
        self._pending = []
