"""The original package's own tests and examples, unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Callable

import pytest

RUNNER = """
import sys, unittest, warnings
warnings.simplefilter("ignore")
if not hasattr(unittest.TestCase, "assertEquals"):
    unittest.TestCase.assertEquals = unittest.TestCase.assertEqual
import prwlock
assert "original" not in prwlock.__file__
import test_prwlock
unittest.main(test_prwlock)
"""


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of the original's source distribution: a given one, or unpacked from PyPI."""
    chosen = os.environ.get("PRWLOCK_ORIGINAL")
    if chosen:
        return Path(chosen)
    folder = tmp_path_factory.mktemp("original")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    loaded = subprocess.run(
        [*command, "prwlock==0.4.1", "--dest", str(folder)], capture_output=True, text=True, check=False
    )
    if loaded.returncode != 0:
        pytest.skip(f"the original cannot be downloaded: {loaded.stderr.strip().splitlines()[-1:]}")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder / "prwlock-0.4.1"


def run_suite(original: Path, home: Path) -> None:
    script = home / "runner.py"
    script.write_text(RUNNER)
    (home / "test_prwlock.py").write_bytes((original / "prwlock" / "tests" / "test_prwlock.py").read_bytes())
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False, cwd=home
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 12 tests" in done.stderr


def test_its_own_test_file_passes_with_a_daemon(original: Path, home: Path, daemon: object) -> None:
    run_suite(original, home)


def test_its_own_test_file_passes_with_none_running_before(
    original: Path, home: Path, running: Callable[[], list[int]]
) -> None:
    run_suite(original, home)
    assert len(running()) == 1


EXAMPLE = """
{code}
import multiprocessing, sys

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    r = RWLock()
    children = 4
    pool = multiprocessing.Pool(processes=children)
    results = [pool.apply_async(f, [r]) for child in range(children)]
    for result in results:
        result.get(60)
    pool.close()
    pool.join()
    {managers}
    print("done")
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_examples_of_its_readme_run(
    method: str, original: Path, run: Callable[..., str], running: Callable[[], list[int]]
) -> None:
    text = (original / "README.rst").read_text()
    blocks = [block.split("\n\n\n")[0] for block in text.split(".. code-block:: python\n")[1:]]
    pool = next(block for block in blocks if "def f(rwlock)" in block)
    function = pool.split("r = RWLock()")[0].replace("time.sleep(1)", "time.sleep(0.01)")
    managers = next(block for block in blocks if "with rwlock.reader_lock()" in block).split("Contributors")[0]
    code = "\n".join(line[4:] for line in function.splitlines()).strip()
    lines = [line for line in managers.splitlines() if line.startswith("    ")]
    output = run(EXAMPLE.format(code=code, managers="\n".join(lines).strip()), method)
    assert output.count("Acquiring read lock") == 8
    assert output.splitlines()[-3:] == ["Reading data", "Writing data", "done"]
    assert len(running()) == 1
