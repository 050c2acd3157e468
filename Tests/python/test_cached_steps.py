"""The steps of cached grants in C, on slots that the test has itself: what runs or fails in the middle of a step."""

from __future__ import annotations

import gc
import os
import struct
import sys
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from prwlock import _cached

if not _cached.is_possible():
    pytest.skip("there is no extension", allow_module_level=True)

from prwlock import _slots

GENERATION = 7
IDLE = GENERATION << 16


class Owner:
    """A thread between two calls."""

    request = None


class Files:
    """The memory of a session, with the rights of the daemon."""

    def __init__(self) -> None:
        self._files = [os.memfd_create(name) for name in ("slots", "serving")]
        for file in self._files:
            os.ftruncate(file, 4_096)
        os.pwrite(self._files[1], struct.pack("=I", os.getpid()), 0)
        self.memory: Any = _slots.map_slots(*self._files)

    def give(self, index: int) -> Any:
        """Returns a slot that is idle."""
        os.pwrite(self._files[0], struct.pack("=Q", IDLE), 8 * index)
        return self.memory.slot(index, GENERATION)

    def word(self, index: int) -> int:
        (word,) = struct.unpack("=Q", os.pread(self._files[0], 8, 8 * index))
        return int(word)

    def close(self) -> None:
        for file in self._files:
            os.close(file)


@pytest.fixture
def files() -> Iterator[Files]:
    files = Files()
    yield files
    files.close()


class Finalized:
    """A grant with a finalizer."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action

    def __del__(self) -> None:
        self._action()


@pytest.mark.parametrize("step", ["add", "forget", "leave", "enter", "clear"])
def test_a_finalizer_adds_to_the_cell_that_drops_its_grant(step: str, files: Files) -> None:
    cell: Any = _cached.new_cell()
    owner: Any = Owner()
    first, second, third = (files.give(index) for index in range(3))
    cell.add(first, owner, True)
    first.keep(Finalized(lambda: cell.add(third, owner, True)), [])
    if step == "add":
        cell.add(second, owner, True)
    elif step == "forget":
        first.forget()
    elif step == "leave":
        assert first.leave([]) is False
    elif step == "enter":
        assert cell.enter_read({}) is False
    else:
        cell.clear()
    # The last one that was added has the place.
    assert third.needs_grant
    assert not first.needs_grant
    assert not second.needs_grant
    cell.clear()
    assert (sys.getrefcount(first), sys.getrefcount(second), sys.getrefcount(third)) == (2, 2, 2)


def test_a_cell_that_goes_leaves_no_slot_that_refers_to_it(files: Files) -> None:
    cell: Any = _cached.new_cell()
    slot = files.give(0)
    seen: list[bool] = []
    cell.add(slot, Owner(), True)
    slot.keep(Finalized(lambda: seen.append(slot.needs_grant)), [])
    del cell
    gc.collect()
    slot.forget()
    assert seen == [False]


def test_an_error_in_the_middle_of_an_acquire_leaves_the_slot_idle(files: Files) -> None:
    class Refused:
        def __hash__(self) -> int:
            raise MemoryError

    cell: Any = _cached.new_cell()
    slot = files.give(0)
    live: list[bool] = []
    grants: dict[Any, int] = {}
    cell.add(slot, Owner(), True)
    slot.keep(Refused(), live)
    with pytest.raises(MemoryError):
        cell.enter_write(grants)
    assert files.word(0) == IDLE
    assert not live
    assert not grants


def test_an_acquire_without_memory_leaves_the_slot_idle(files: Files) -> None:
    """Without the first piece of memory, without the second one, and so on until it succeeds."""
    testing = pytest.importorskip("_testcapi")
    failed = 0
    while True:
        cell: Any = _cached.new_cell()
        slot, grant = files.give(0), Owner()
        live: list[bool] = []
        grants: dict[Any, int] = {}
        cell.add(slot, Owner(), True)
        slot.keep(grant, live)
        enter, set_memory, give_memory = cell.enter_write, testing.set_nomemory, testing.remove_mem_hooks
        error: Any = None
        set_memory(failed, failed + 1)
        try:
            is_held = enter(grants)
            give_memory()
        except MemoryError as caught:
            give_memory()
            error, is_held = caught, None
        assert (is_held is None) == (error is not None)
        assert (files.word(0), live, list(grants)) == ((IDLE + 1, [True], [grant]) if is_held else (IDLE, [], []))
        if is_held:
            break
        failed += 1
    assert failed > 0


def test_a_slot_that_is_wanted_is_not_entered(files: Files) -> None:
    cell: Any = _cached.new_cell()
    slot = files.give(0)
    live: list[bool] = []
    grants: dict[Any, int] = {}
    cell.add(slot, Owner(), True)
    slot.keep(Owner(), live)
    files.memory.end()
    assert cell.enter_write(grants) is False
    assert (live, grants) == ([], {})
    assert not slot.needs_grant
