"""The lines that a daemon sends again after `! RESUMED` (G14): lines in, lines out."""

from __future__ import annotations

import random

import pytest
from prwlock._received import Received


class Lines:
    """A client that has received nothing."""

    def __init__(self) -> None:
        self.received = Received()

    def take(self, *lines: bytes) -> list[bytes]:
        self.received, new = self.received.sift(list(lines))
        return new


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_lines_that_came_before_are_passed_over(lines: Lines) -> None:
    assert lines.take(b"#1 PONG", b"! MISSED 3", b"* a 1") == [b"#1 PONG", b"! MISSED 3", b"* a 1"]
    assert lines.take(b"! RESUMED from=8", b"! MISSED 3", b"* a 1", b"* a 1") == [b"* a 1"]


def test_lines_that_did_not_go_out_are_new_though_they_equal_the_last_ones(lines: Lines) -> None:
    assert lines.take(b"* a 1", b"* a 1") == [b"* a 1", b"* a 1"]
    assert lines.take(b"! RESUMED from=12", b"* a 1", b"* a 1") == [b"* a 1", b"* a 1"]


def test_a_notice_that_comes_while_lines_are_passed_over_goes_back_from_there(lines: Lines) -> None:
    lines.take(b"#1 PONG", b"#2 PONG", b"#3 PONG", b"! RESUMED from=0", b"#1 PONG")
    assert lines.take(b"! RESUMED from=8 later=word", b"#2 PONG") == []
    assert lines.take(b"#3 PONG", b"#4 PONG") == [b"#4 PONG"]


@pytest.mark.parametrize("notice", [b"! RESUMED", b"! RESUMED from=", b"! RESUMED from=x", b"! RESUMED from=-1"])
def test_a_line_that_says_no_position_is_taken_as_it_is(lines: Lines, notice: bytes) -> None:
    lines.take(b"#1 PONG")
    assert lines.take(notice, b"#1 PONG") == [notice, b"#1 PONG"]


@pytest.mark.parametrize("seed", range(20))
def test_each_line_is_taken_once_however_often_the_daemon_dies(seed: int) -> None:
    chance = random.Random(seed)
    # All lines have the same size, and many are equal.
    expected = [b"#%d PONG" % (number % 3) for number in range(40)]
    lines = Lines()
    taken: list[bytes] = []
    sent = 0
    while sent < len(expected):
        size = chance.randint(1, 5)
        if chance.random() < 0.6:
            taken += lines.take(*expected[sent : sent + size])
        taken += lines.take(b"! RESUMED from=%d" % (8 * sent))
        # The next daemon has time to send some of it again.
        rest = chance.randint(0, size)
        taken += lines.take(*expected[sent : sent + rest])
        sent += rest
    assert taken == expected
