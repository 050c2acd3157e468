"""Puts the daemon into the wheel: built from the sources around this package, stripped, and tagged by what it needs.

A source distribution is given those sources, below `swift`, so that it can do the same.

With the daemon comes the extension for cached grants, if there is a C compiler. It uses the stable ABI from Python 3.9
on. An interpreter that cannot load it uses the package without it. So one wheel is for all of them, with the tag
`py3-none`. `python3 hatch_build.py` builds the extension beside its source, for work on the package.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Optional

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # This file is run as a program.
    BuildHookInterface = object  # type: ignore[assignment,misc]

HERE = Path(__file__).resolve().parent
#: Where SwiftPM's manifest is: in a clone of the project, or in a source distribution.
SOURCES = (HERE.parent.parent, HERE / "swift")
#: One daemon without libsystemd, which does not have to be there.
BUILD = ["-c", "release", "--static-swift-stdlib", "--disable-default-traits", "--product", "prwlockd"]
#: It loads no library from its own folder, in which another user may have put one.
NOT_BESIDE = ["--disable-local-rpath"]
#: Nothing of the machine that built it gets into the program.
NAMELESS = ["-Xlinker", "--build-id=none", "-Xlinker", "-s"]
EXTENSION = "_slots.abi3.so"
C_FILES = ("_slots", "_cells", "_exchange")
C_FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-fPIC", "-fvisibility=hidden"]
C_FLAGS += ["-shared", "-Wl,--build-id=none", "-s"]


def release() -> str:
    """The version, from the one file that states it."""
    files = (place / "Sources" / "LockVocabulary" / "Release.swift" for place in SOURCES)
    text = next(file for file in files if file.is_file()).read_text(encoding="utf-8")
    versions: list[str] = re.findall(r'version = "([^"]+)"', text)
    return versions[0]


class DaemonHook(BuildHookInterface):  # type: ignore[type-arg]
    """Called by hatchling before it builds a wheel or a source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "sdist":
            self._add_sources(build_data["force_include"])
        elif version != "editable":
            self._add_daemon(build_data)

    def _add_sources(self, files: dict[str, str]) -> None:
        root = SOURCES[0]
        # All that the manifest names has to be there.
        folders = [*(root / "Sources").iterdir(), *(root / "Tests").iterdir()]
        for path in [root / "Package.swift", *(folder for folder in folders if folder.name != "python")]:
            files[str(path)] = f"swift/{path.relative_to(root)}"

    def _add_daemon(self, build_data: dict[str, Any]) -> None:
        if platform.libc_ver()[0] != "glibc":
            sys.exit("prwlock: there is no lock daemon for systems without glibc (musl is not supported)")
        self._folder = tempfile.TemporaryDirectory()
        daemon = Path(self._folder.name) / "prwlockd"
        shutil.copyfile(os.environ.get("PRWLOCK_WHEEL_DAEMON") or build(Path(self._folder.name)), daemon)
        strip(daemon)
        daemon.chmod(0o755)
        build_data["force_include"][str(daemon)] = "prwlock/_bin/prwlockd"
        build_data["pure_python"] = False
        programs = [daemon]
        extension = build_extension(Path(self._folder.name))
        if extension is not None:
            build_data["force_include"][str(extension)] = f"prwlock/{EXTENSION}"
            programs.append(extension)
        build_data["tag"] = f"py3-none-manylinux_2_{max(map(glibc_minor, programs))}_{platform.machine()}"


def build(folder: Path) -> Path:
    """Builds the daemon, and returns its path."""
    if shutil.which("swift") is None:
        sys.exit("prwlock: to build the lock daemon needs Swift 6.2 or later (swift.org/install); or install a wheel")
    sources = next((place for place in SOURCES if (place / "Package.swift").is_file()), None)
    if sources is None:
        sys.exit("prwlock: the sources of the lock daemon are missing: build from a clone or a source distribution")
    scratch = folder / "build"
    command = ["swift", "build", "--package-path", str(sources), "--scratch-path", str(scratch), *BUILD, *NOT_BESIDE]
    prefix_map = ["-Xswiftc", "-file-prefix-map", "-Xswiftc", f"{sources}=."]
    subprocess.run([*command, *NAMELESS, *prefix_map], check=True, stdout=sys.stderr)
    return scratch / "release" / "prwlockd"


def strip(program: Path) -> None:
    """Removes symbols, and the compiler's hashes of its input, which has the paths of this machine."""
    swift = shutil.which("swift")
    of_swift = Path(swift).resolve().with_name("llvm-objcopy") if swift else None
    # The tool of binutils makes a program without the segment GNU_RELRO.
    tool = of_swift if of_swift is not None and of_swift.is_file() else "strip"
    subprocess.run([tool, "--strip-all", "--remove-section=.swift_modhash", str(program)], check=True)


def build_extension(folder: Path) -> Optional[Path]:
    """Builds the extension for cached grants, and returns its path; None if it is not wanted or cannot be built."""
    if os.environ.get("PRWLOCK_NO_EXTENSION"):
        return None
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    headers = next((place / "Sources" / "CSlot" / "include" for place in SOURCES if (place / "Sources").is_dir()), None)
    python = Path(sysconfig.get_paths()["include"])
    reason = None
    if not compiler:
        reason = "there is no C compiler"
    elif headers is None or not (python / "Python.h").is_file():
        reason = "there are no header files of Python or of the slots"
    elif sysconfig.get_config_var("Py_GIL_DISABLED"):
        reason = "this Python has no global lock"
    else:
        built = folder / EXTENSION
        # Named as it stands here, so that no path of this machine gets into the program.
        source = [f"-I{headers}", f"-I{python}", *(f"prwlock/{name}.c" for name in C_FILES), "-o", str(built)]
        done = subprocess.run([*compiler.split(), *C_FLAGS, *source], cwd=HERE, check=False, stdout=sys.stderr)
        if done.returncode == 0:
            return built
        reason = "the compiler failed"
    print(f"prwlock: no extension for cached grants, as {reason}; each request goes to the daemon", file=sys.stderr)
    return None


def glibc_minor(program: Path) -> int:
    """Returns the x of the newest glibc 2.x that a program's symbols need."""
    versions = subprocess.run(["readelf", "--version-info", str(program)], check=True, capture_output=True, text=True)
    return max(int(minor) for minor in re.findall(r"Name: GLIBC_2\.(\d+)", versions.stdout))


if __name__ == "__main__":
    # Beside the other one first: a process may be running it.
    with tempfile.TemporaryDirectory(dir=HERE) as beside:
        made = build_extension(Path(beside))
        if made is None:
            sys.exit(1)
        made.replace(HERE / "prwlock" / EXTENSION)
