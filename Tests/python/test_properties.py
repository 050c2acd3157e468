"""Properties of all names, numbers and lines, tested on random ones."""

from __future__ import annotations

import math
import os
import socket
import tempfile
import threading
from typing import Any, Union

import prwlock
import pytest
from prwlock import _wire
from prwlock._connection import Connection
from prwlock._once import Link

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed")
from hypothesis import configuration, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

# Not beside the sources, wherever this is run from.
configuration.set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "prwlock-hypothesis"))

names = st.text(min_size=1, max_size=80)
#: Lines as a daemon could say them, and as it never does.
words = st.one_of(
    st.sampled_from([
        "GRANTED", "BUSY", "TIMEOUT", "DEADLOCK", "DENIED", "CANCELLED", "RELEASED", "ERROR", "OK", "PONG", "VALID",
        "END", "EXPIRED", "REVOKED", "DRAIN", "MISSED", "CHANGED", "jobs", "read", "write", "token=7", "token=",
        "token=x", "held-by=?", "held-by=1/write,+3", "held-by=,", "cycle=1/t1:a>?:b>+2", "cycle=>", "waited=3ms",
        "draining",
        "limit-grants", "not-held", "1", "-1", "x", "", "ownerdied=1", "reason=no", "%41", "%", "%zz",
    ]).map(str.encode),
    st.binary(max_size=12).filter(lambda word: b"\n" not in word),
)  # fmt: skip
lines = st.lists(words, max_size=7).map(b" ".join)


@given(names)
def test_a_name_is_what_it_was_on_its_way_back(name: str) -> None:
    try:
        encoded = _wire.encode_name(name)
    except ValueError:
        return
    assert 1 <= len(encoded) <= 255
    assert not encoded.translate(None, _wire._BARE + b"%")
    assert _wire.decode_name(encoded) == name


@given(names, names)
def test_two_names_are_one_only_if_they_are_equal(one: str, two: str) -> None:
    try:
        assert (_wire.encode_name(one) == _wire.encode_name(two)) is (one == two)
    except ValueError:
        pass


@given(st.one_of(st.floats(), st.integers()))
def test_a_duration_is_rounded_up_to_milliseconds_or_refused(value: Union[int, float]) -> None:
    try:
        milliseconds = _wire.milliseconds(value)
    except (ValueError, OverflowError):
        assert (isinstance(value, float) and not 0 <= value <= 876_000 * 3_600) or not 0 <= value <= 876_000 * 3_600
        return
    assert milliseconds >= math.floor(value * 1_000)
    assert milliseconds <= math.ceil(value * 1_000)


@given(st.lists(words, min_size=1, max_size=8))
def test_any_reply_that_is_no_grant_is_an_error_of_this_package(reply: list[bytes]) -> None:
    error = _wire.refusal(reply)
    assert isinstance(error, prwlock.LockError)
    assert str(error)


def talk(text: list[bytes], cuts: list[int]) -> Any:
    """Requests a lock from a daemon that answers with these lines, in pieces; returns the grant."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        request = theirs.recv(4096)
        tag = request.split(b" ")[0]
        stream = b"".join(line.replace(b"TAG", tag) + b"\n" for line in text)
        for cut in cuts:
            piece, stream = stream[:cut], stream[cut:]
            if piece:
                theirs.sendall(piece)
        if stream:
            theirs.sendall(stream)
        theirs.shutdown(socket.SHUT_WR)
        while theirs.recv(4096):
            pass
        theirs.close()

    def serve_quietly() -> None:
        try:
            serve()
        except OSError:  # It has heard enough.
            theirs.close()

    server = threading.Thread(target=serve_quietly)
    server.start()
    client = prwlock.Client("/nowhere")
    client._place = Link(Connection(ours, b"", "/nowhere"))
    try:
        return client.acquire("jobs", timeout=1)
    finally:
        client.close()
        server.join()


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(lines, lines.map(lambda line: b"TAG " + line)), max_size=8), st.lists(st.integers(0, 40)))
def test_whatever_answers_is_a_grant_or_an_error_of_this_package(text: list[bytes], cuts: list[int]) -> None:
    try:
        grant = talk(text, cuts)
    except prwlock.LockError:
        return
    assert any(b" GRANTED " in line for line in text)
    assert isinstance(grant, prwlock.Grant)
