"""The session without I/O: lines in, lines out, in virtual time, and an exception between any two steps."""

from __future__ import annotations

import random
from typing import Any, Callable, Optional

import pytest
from prwlock import _session, _status
from prwlock._session import Request, Session

from steps import AtSteps


class Interrupt(KeyboardInterrupt):
    pass


def interrupt() -> None:
    raise Interrupt


class Wire:
    """A session, and the lines that it has sent."""

    def __init__(self) -> None:
        self.session = Session(b"", "/nowhere")
        self.sent: list[bytes] = []

    def ask(self, tag: bytes, text: bytes, **options: Any) -> Request:
        request = Request(tag + b" ", text, **options)
        self.sent.append(self.session.open(request))
        return request

    def hear(self, *lines: bytes) -> None:
        """Receives the lines, and sends the queued lines."""
        self.session.inbox.append(b"".join(line + b"\n" for line in lines))
        self.session.receive()
        self.session.flush(self.sent.append)

    def flush(self) -> list[bytes]:
        """Sends the queued lines; returns all lines that were sent since the last call."""
        self.session.flush(self.sent.append)
        lines = b"".join(self.sent).split(b"\n")[:-1]
        self.sent.clear()
        return lines


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_replies_find_their_requests_in_any_order(wire: Wire) -> None:
    one, two = wire.ask(b"#1", b"WRITE jobs"), wire.ask(b"#2", b"PING")
    assert wire.flush() == [b"#1 WRITE jobs", b"#2 PING"]
    wire.hear(b"#2 PONG", b"#3 PONG", b"#1 GRANTED jobs write token=7")
    assert (one.words, two.words) == ([b"GRANTED", b"jobs", b"write", b"token=7"], [b"PONG"])


def test_a_listing_gets_the_rows_before_its_end(wire: Wire) -> None:
    one, two = wire.ask(b"#1", b"LIST"), wire.ask(b"#2", b"STATUS jobs")
    wire.hear(b"* lock a", b"* lock b", b"#1 END 2", b"#2 END 0")
    assert list(one.rows) == [b"* lock a", b"* lock b"]
    assert list(two.rows) == []


def test_fields_of_later_daemons_at_the_end_of_a_line_are_ignored(wire: Wire) -> None:
    request = wire.ask(b"#1", b"LIST")
    wire.hear(b"* lock a later=1", b"#1 END 1 later=1 2")
    assert list(request.rows) == [b"* lock a later=1"]
    assert wire.session.fault is None


def test_rows_of_later_daemons_are_ignored() -> None:
    moon = b"* moon phase=full later=1"
    lock = b"* lock a mode=read holders=1 waiters=0 ownerdied=0 later=1"
    assert [lock.name for lock in _status.lock_summaries([moon, lock, moon])] == ["a"]
    assert _status.next_page([lock] * _status.PAGE + [moon]) == b"a"
    session = b"* session id=1 pid=2 uid=3 client=- grants=0 waiters=0 age=3s later=1"
    assert [session.id for session in _status.sessions([moon, session])] == [1]
    assert _status.stats([moon, b"* sessions 4 later=1"]) == {"sessions": 4}


@pytest.mark.parametrize("line", [b"#1 END 2", b"#1 END x", b"!", b"! EXPIRED"])
def test_a_line_that_cannot_be_ends_the_session(line: bytes, wire: Wire) -> None:
    request = wire.ask(b"#1", b"LIST")
    wire.hear(b"* lock a", line)
    assert wire.session.fault is not None
    assert request.reply == b""


def test_the_end_of_the_connection_wakes_all(wire: Wire) -> None:
    request = wire.ask(b"#1", b"WRITE jobs")
    wire.hear(b"#2 PONG")
    wire.session.inbox.append(b"")
    wire.session.receive()
    assert wire.session.fault == "the daemon closed it"
    assert request.reply == b""
    assert request.words == []


def test_notices_say_what_ended_and_are_kept_for_a_listener_only(wire: Wire) -> None:
    wire.hear(b"! EXPIRED jobs token=7", b"! DRAIN")
    assert wire.session.ended == {b"token=7": "expired"}
    assert wire.session.is_draining
    assert not wire.session.notices
    wire.session.listener = Request(b"", b"")
    wire.hear(b"! REVOKED jobs token=8", b"! MISSED 3")
    assert wire.session.ended[b"token=8"] == "revoked"
    assert wire.session.notices == [b"! REVOKED jobs token=8", b"! MISSED 3"]
    assert wire.session.listener.reply is not None


# Lines that come again


def test_a_listing_gets_no_row_twice(wire: Wire) -> None:
    one, two = wire.ask(b"#1", b"LIST"), wire.ask(b"#2", b"LIST b")
    wire.hear(b"* lock a", b"* lock b", b"! RESUMED from=0", b"* lock a")
    wire.hear(b"* lock b", b"* lock c", b"#1 END 3")
    assert list(one.rows) == [b"* lock a", b"* lock b", b"* lock c"]
    # The rows that come again belong to a listing that is complete, and not to the next one.
    wire.hear(b"! RESUMED from=18", b"* lock c", b"#1 END 3", b"* lock b", b"#2 END 1")
    assert list(two.rows) == [b"* lock b"]
    assert wire.session.fault is None


def test_a_listing_gets_rows_that_did_not_go_out_though_they_equal_the_last_ones(wire: Wire) -> None:
    request = wire.ask(b"#1", b"STATUS jobs")
    wire.hear(b"* waiter a", b"! RESUMED from=11", b"* waiter a", b"* waiter a", b"#1 END 3")
    assert list(request.rows) == [b"* waiter a"] * 3


def test_replies_to_the_caller_that_reads_are_counted(wire: Wire) -> None:
    for number in range(100, 600):
        request = Request(b"#%d " % number, b"PING")
        wire.session.open(request)
        wire.session.inbox.append(b"#%d PONG\n" % number)
        wire.session.receive(request)
        assert request.reply == b"#%d PONG" % number
    wire.session.listener = Request(b"", b"")
    wire.hear(b"! MISSED 2", b"! RESUMED from=5000", b"! MISSED 2", b"! MISSED 3")
    assert wire.session.notices == [b"! MISSED 2", b"! MISSED 3"]


def test_a_caller_that_reads_passes_over_what_comes_again(wire: Wire) -> None:
    wire.hear(b"#7 PONG", b"! RESUMED from=0")
    request = wire.ask(b"#7", b"PING")
    wire.session.inbox.append(b"#7 PONG\n")
    wire.session.receive(request)
    assert request.reply is None
    wire.session.inbox.append(b"#7 PONG\n")
    wire.session.receive(request)
    assert request.reply == b"#7 PONG"


def test_a_grant_that_comes_again_is_given_back_once(wire: Wire) -> None:
    request = wire.ask(b"#1", b"WRITE jobs owner=t1")
    wire.session.give_up(request)
    wire.flush()
    lines = [b"#1 GRANTED jobs write token=7", b"#1.c ERROR not-waiting text"]
    wire.hear(*lines, b"! RESUMED from=0", *lines)
    assert wire.flush() == [b"#1.r RELEASE jobs token=7"]
    wire.hear(b"#1.r RELEASED jobs token=7")
    assert request.is_settled


# Requests that are given up


def test_a_request_that_is_given_up_is_cancelled(wire: Wire) -> None:
    request = wire.ask(b"#1", b"WRITE jobs owner=t1")
    wire.flush()
    wire.session.give_up(request)
    assert wire.flush() == [b"#1.c CANCEL #1"]
    wire.hear(b"#1 CANCELLED jobs write")
    assert not request.is_settled
    wire.hear(b"#1.c CANCELLED jobs write")
    assert request.is_settled
    assert wire.session.is_settled


def test_a_grant_that_crosses_the_cancellation_goes_back(wire: Wire) -> None:
    request = wire.ask(b"#1", b"WRITE jobs owner=t1")
    wire.session.give_up(request)
    wire.flush()
    wire.hear(b"#1 GRANTED jobs write token=7", b"#1.c ERROR not-waiting text")
    assert wire.flush() == [b"#1.r RELEASE jobs token=7"]
    assert not request.is_settled
    wire.hear(b"#1.r RELEASED jobs token=7")
    assert request.is_settled
    assert wire.session.is_settled


def test_a_grant_that_was_not_taken_goes_back(wire: Wire) -> None:
    request = wire.ask(b"#1", b"WRITE jobs owner=t1")
    wire.flush()
    wire.hear(b"#1 GRANTED jobs write token=7")
    wire.session.give_up(request)
    assert wire.flush() == [b"#1.r RELEASE jobs token=7"]


def test_a_refusal_leaves_nothing(wire: Wire) -> None:
    request = wire.ask(b"#1", b"WRITE jobs wait=0")
    wire.flush()
    wire.hear(b"#1 BUSY jobs write held-by=7/write")
    wire.session.give_up(request)
    assert request.is_settled
    assert not wire.flush()


def test_a_request_that_was_never_sent_is_settled_by_the_answer_to_its_cancellation(wire: Wire) -> None:
    request = Request(b"#1 ", b"WRITE jobs")
    wire.session.open(request)
    wire.session.give_up(request)
    wire.flush()
    wire.hear(b"#1.c ERROR not-waiting text")
    assert request.is_settled


def test_a_release_that_is_given_up_is_sent_again(wire: Wire) -> None:
    request = wire.ask(b"#1", b"RELEASE jobs token=7")
    wire.flush()
    wire.session.give_up(request)
    assert wire.flush() == [b"#1.r RELEASE jobs token=7"]
    wire.hear(b"#1.r ERROR not-held text")
    assert request.is_settled


def test_a_reply_that_comes_late_is_accepted(wire: Wire) -> None:
    accepted: list[bytes] = []
    request = wire.ask(b"#1", b"UPGRADE jobs token=7", accept=accepted.append)
    wire.session.give_up(request)
    wire.flush()
    wire.hear(b"#1 GRANTED jobs write token=8", b"#1.c ERROR not-waiting text")
    assert accepted == [b"#1 GRANTED jobs write token=8"]
    assert not wire.flush()
    assert request.is_settled


def test_a_session_that_ends_releases_what_open_requests_may_get(wire: Wire) -> None:
    wire.ask(b"#1", b"WRITE jobs owner=t1")
    given_up = wire.ask(b"#2", b"READ mail owner=t2")
    wire.ask(b"#3", b"STATUS jobs")
    wire.session.give_up(given_up)
    wire.flush()
    wire.session.queue_last_words(is_all=False)
    assert wire.flush() == [b"#2.e RELEASE mail owner=t2"]
    wire.session.queue_last_words(is_all=True)
    assert wire.flush() == [b"#1.e RELEASE jobs owner=t1", b"#2.e RELEASE mail owner=t2"]


def test_what_is_queued_waits_for_room_and_for_answers(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: bytes) -> None:
        raise BlockingIOError

    monkeypatch.setattr(_session, "MOST_UNANSWERED", 40)
    for number in range(100):
        wire.session.release_later(b"jobs", b"token=%d" % number)
    wire.session.flush(full)
    lines = wire.flush()
    assert lines[0] == b"#token-0 RELEASE jobs token=0"
    assert len(lines) == 60
    assert not wire.flush()
    wire.hear(*(b"#token-%d RELEASED jobs token=%d" % (number, number) for number in range(60)))
    assert len(wire.flush()) == 40


# Time


def test_a_request_waits_once_more_when_it_reaches_its_timeout() -> None:
    request = Request(b"#1 ", b"WRITE jobs", end=10.0)
    assert not request.is_over(9.9)
    # The process was stopped for an hour. The reply may have come meanwhile.
    assert not request.is_over(3600.0)
    assert not request.is_over(3600.0)
    assert request.is_over(3600.1)
    assert not Request(b"#2 ", b"WRITE jobs").is_over(1e9)


# Exceptions between any two steps


def until_done(action: Callable[[], None], step: int) -> bool:
    """Interrupts an action before one of its steps, and then repeats it. Returns whether there was such a step."""
    steps = AtSteps(interrupt, step)
    try:
        with steps:
            action()
    except Interrupt:
        action()
    return bool(steps.called)


def test_an_interrupted_reader_neither_loses_nor_doubles_a_line() -> None:
    step = 1
    while True:
        wire = Wire()
        wire.session.listener = Request(b"", b"")
        one, two = wire.ask(b"#1", b"WRITE jobs"), wire.ask(b"#2", b"LIST")
        given_up = wire.ask(b"#3", b"WRITE mail owner=t1")
        wire.session.give_up(given_up)
        wire.flush()
        wire.session.inbox.extend([
            b"* lock a\n* lo", b"ck b\n! RESUMED from=0\n* lock a\n* lock b\n! REVOKED jobs token=5\n#2 END 2\n",
            b"! RESUMED from=18\n! REVOKED jobs token=5\n#2 END 2\n#1 GRANTED jobs write token=7\n",
            b"#3 GRANTED mail write token=8\n#3.c ERROR not-waiting text\n! MISSED 1\n#9",
        ])  # fmt: skip
        is_interrupted = until_done(wire.session.receive, step)
        assert one.reply == b"#1 GRANTED jobs write token=7"
        assert list(two.rows) == [b"* lock a", b"* lock b"]
        assert wire.session.ended == {b"token=5": "revoked"}
        assert wire.session.notices == [b"! REVOKED jobs token=5", b"! MISSED 1"]
        assert wire.session.inbox == [b"#9"]
        assert wire.flush() == [b"#3.r RELEASE mail token=8"]
        assert wire.session.fault is None
        if not is_interrupted:
            return
        step += 1


@pytest.mark.parametrize("text", [b"WRITE jobs owner=t1", b"RELEASE jobs token=7"])
@pytest.mark.parametrize("reply", [None, b"GRANTED jobs write token=7", b"BUSY jobs write held-by=1/write"])
def test_a_request_that_is_given_up_is_settled_though_each_step_is_interrupted(
    text: bytes, reply: Optional[bytes]
) -> None:
    step = 1
    while True:
        wire = Wire()
        request = wire.ask(b"#1", text)
        wire.flush()
        if reply is not None:
            wire.hear(b"#1 " + reply)

        def give_up(wire: Wire = wire, request: Request = request) -> None:
            wire.session.give_up(request)
            wire.session.flush(wire.sent.append)

        is_interrupted = until_done(give_up, step)
        daemon = random.Random(step)
        for line in wire.flush():
            tag, verb, *_ = line.split(b" ")
            if verb == b"CANCEL" and daemon.random() < 0.5:
                wire.hear(b"#1 CANCELLED jobs write", tag + b" CANCELLED jobs write")
            else:
                wire.hear(tag + b" ERROR not-waiting text")
        wire.hear(*(line.split(b" ")[0] + b" RELEASED jobs token=7" for line in wire.flush()))
        assert request.is_settled
        assert wire.session.is_settled
        if not is_interrupted:
            return
        step += 1
