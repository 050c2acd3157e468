"""The modules import each other as the table in ARCHITECTURE says."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import prwlock
import pytest

PACKAGE = Path(os.path.dirname(prwlock.__file__))
ARCHITECTURE = Path(__file__).parents[2] / "Sources/ARCHITECTURE.md"


def module_names() -> list[str]:
    # An extension is named by its `.pyi`.
    paths = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]
    names = [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in paths]
    return sorted(name.removesuffix(".__init__") for name in names)


MODULES = module_names()


def layers() -> dict[str, int]:
    """Returns the row of each module in the table; the outermost layer is 0."""
    text = ARCHITECTURE.read_text()
    table = text[text.index("The Python package in layers") :].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name: number for number, row in enumerate(rows) for name in re.findall("`([^`]+)`", row)}


def imports(module: str) -> set[str]:
    """Returns the modules that a module imports at any time, without those that only its annotations need."""
    parts = module.split(".")
    is_folder = (PACKAGE.joinpath(*parts)).is_dir()
    path = PACKAGE.joinpath(*parts, "__init__.py") if is_folder else PACKAGE.joinpath(*parts).with_suffix(".py")
    if not path.exists():
        path = path.with_suffix(".pyi")
    folder = parts if is_folder else parts[:-1]
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending += node.orelse
            continue
        pending += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and node.level > 0:
            start = folder[: len(folder) - node.level + 1] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                full = ".".join([*start, alias.name])
                found.add(full if full in MODULES else ".".join(start) or "__init__")
    return found - {module}


def test_the_table_names_every_module_once() -> None:
    text = ARCHITECTURE.read_text()
    table = text[text.index("The Python package in layers") :].partition("\n## ")[0]
    named = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall("`([^`]+)`", row)]
    assert sorted(named) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_layer_and_below(module: str) -> None:
    order = layers()
    upward = [other for other in imports(module) if order[other] < order[module]]
    assert not upward, f"{module} imports {upward}"
