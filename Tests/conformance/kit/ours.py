"""The clients of this project, with their adapters. What has to be built is built into a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .case import Subject

ADAPTERS = Path(__file__).resolve().parents[1] / "adapters"
SOURCES = ADAPTERS.parents[2] / "Sources"


def our_subjects(programs: Path, folder: Path) -> list[Subject]:
    """Returns all that can be started here, and says which cannot."""
    subjects = []
    swift = programs / "conformance-client"
    if swift.exists():
        subjects += [Subject(f"Swift, {form}", [str(swift), form]) for form in ("async", "blocking")]
    else:
        print(f"left out: the clients in Swift, because {swift} is not built", file=sys.stderr)
    subjects += [Subject("C", [str(_build_c(folder))]), *_python(folder)]
    subjects.append(Subject("by hand, Python", [sys.executable, "-B", str(ADAPTERS / "raw.py")]))
    if node := shutil.which("node"):
        subjects.append(Subject("by hand, Node", [node, str(ADAPTERS / "raw.mjs")]))
    else:
        print("left out: the client by hand for Node, because node is not installed", file=sys.stderr)
    return subjects


def _build_c(folder: Path) -> Path:
    """Builds the adapter with the sources of libprwlock, which gives one program without a library to be found."""
    built = folder / "c"
    sources = sorted((SOURCES / "CPRWLock").glob("*.c"))
    include = [f"-I{SOURCES / 'CPRWLock' / 'include'}", f"-I{SOURCES / 'CSlot' / 'include'}"]
    compiler = os.environ.get("CC", "cc").split()
    flags = ["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]
    files = [str(ADAPTERS / "c.c"), *map(str, sources)]
    subprocess.run([*compiler, *flags, *include, *files, "-o", str(built)], check=True)
    return built


def _python(folder: Path) -> list[Subject]:
    """The package as it is in the sources, once with its extension beside it."""
    package = folder / "package" / "prwlock"
    shutil.copytree(SOURCES / "python" / "prwlock", package, ignore=shutil.ignore_patterns("__pycache__"))
    hatch = "import sys, hatch_build, pathlib; sys.exit(hatch_build.build_extension(pathlib.Path(sys.argv[1])) is None)"
    done = subprocess.run(
        [sys.executable, "-B", "-c", hatch, str(package)], cwd=SOURCES / "python", check=False, stdout=sys.stderr
    )
    place = {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    without = {**place, "PRWLOCK_NO_EXTENSION": "1"}
    threads, tasks = ([sys.executable, "-B", str(ADAPTERS / name)] for name in ("threads.py", "tasks.py"))
    subjects = [Subject("Python, no extension", threads, without), Subject("Python, asyncio", tasks, place)]
    if done.returncode == 0:
        return [Subject("Python", threads, place), *subjects]
    print("left out: Python with its extension, because that cannot be built here", file=sys.stderr)
    return subjects
