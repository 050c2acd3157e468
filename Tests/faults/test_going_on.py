#!/usr/bin/env python3
"""Histories that a daemon with a keeper must not have, and one that it may have (going_on.py)."""

from __future__ import annotations

import unittest

import going_on

ASK = {"p": 1, "e": "ask", "op": 7, "s": 0}
GRANTED = {"p": 1, "e": "granted", "op": 7}


class GoingOn(unittest.TestCase):
    def test_a_session_that_got_an_answer_and_was_closed(self) -> None:
        self.assertEqual(len(going_on.check([ASK, GRANTED, {"p": 1, "e": "lost", "s": 0}])), 1)

    def test_a_connection_that_was_closed_without_an_answer(self) -> None:
        self.assertEqual(going_on.check([ASK, {"p": 1, "e": "lost", "s": 0}]), [])

    def test_a_request_that_was_answered_twice(self) -> None:
        self.assertEqual(len(going_on.check([ASK, GRANTED, GRANTED])), 1)

    def test_a_line_that_answers_nothing(self) -> None:
        self.assertEqual(len(going_on.check([{"p": 1, "e": "not-asked", "line": "#3 GRANTED"}])), 1)


if __name__ == "__main__":
    unittest.main()
