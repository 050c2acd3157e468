#!/usr/bin/env python3
"""The judge must report wrong histories of a fleet, and accept correct ones that look wrong."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "faults")]

from judge import SECOND, Judge  # noqa: E402
from operation import MILLISECOND  # noqa: E402
from story import READER, THIRD, WRITER, Story  # noqa: E402

HOSTS = {WRITER: "host1", READER: "host2", THIRD: "host3"}


class FleetStory(Story):
    """A history with times in milliseconds; each client is on a host of its own. `until=` is far away unless it is said."""

    def __init__(self) -> None:
        super().__init__()
        for process, host in HOSTS.items():
            self.note(0, process, "of-host", s=1, host=host)

    def get(self, time: float, process: int, mode: str, token: int, seen: float = 0, **more: Any) -> int:
        until = more.pop("until", 60_000)
        died = more.pop("died", "")
        number = self.ask(time, process, mode, **{"lock": "f/jobs"} | more)
        self.note(
            seen or time + 1, process, "granted", op=number, token=token, died=died, until=until and until * MILLISECOND)
        return number

    def fault(self, begin: float, end: float, loses: bool = True) -> FleetStory:
        self.note(begin, 1, "fault-begins", fault="test", loses=loses)
        self.note(end, 1, "fault-ends", fault="test")
        return self

    def found(self) -> list[str]:
        judge = Judge(sorted(self.events, key=lambda event: event["t"]), settled=8 * SECOND, grace=500)
        return [text.split(":")[0] for text in judge.judge()]


class Exclusion(unittest.TestCase):
    def test_modes(self) -> None:
        for first, second, expected in [
            ("write", "write", ["exclusion"]), ("write", "read", ["exclusion"]), ("read", "write", ["exclusion"]),
            ("update", "update", ["exclusion"]), ("read", "read", []), ("read", "update", []), ("update", "read", []),
        ]:
            story = FleetStory()
            story.get(10, WRITER, first, 1)
            story.get(20, READER, second, 2)
            self.assertEqual(story.found(), expected, (first, second))

    def test_a_hold_ends_when_its_release_is_sent(self) -> None:
        for seen, expected in [(19, ["exclusion"]), (21, [])]:
            story = FleetStory()
            story.give(20, WRITER, story.get(10, WRITER, "write", 1))
            story.get(15, READER, "write", 2, seen=seen)
            self.assertEqual(story.found(), expected)

    def test_a_hold_ends_at_its_until(self) -> None:
        for seen, expected in [(99, ["exclusion"]), (101, [])]:
            story = FleetStory().fault(5, 50)
            story.get(10, WRITER, "write", 1, until=100)
            story.get(20, READER, "write", 2, seen=seen, died="maybe")
            self.assertEqual(story.found(), expected)

    def test_until_moves_and_never_comes_back(self) -> None:
        for extended, expected in [(90, ["exclusion"]), (110, [])]:
            story = FleetStory().fault(5, 50)
            story.get(10, WRITER, "write", 1, until=100)
            story.note(extended, WRITER, "extended", s=1, until=300 * MILLISECOND)
            story.get(20, READER, "write", 2, seen=200, died="maybe")
            self.assertEqual(story.found(), expected)

    def test_who_is_stopped_holds_until_its_until(self) -> None:
        for seen, expected in [(99, ["exclusion"]), (101, [])]:
            story = FleetStory().fault(5, 50)
            story.get(10, WRITER, "write", 1, until=100)
            story.note(12, 1, "stopping", pid=WRITER)
            story.get(20, READER, "read", 2, seen=seen, died="maybe")
            self.assertEqual(story.found(), expected)

    def test_a_hold_ends_when_its_loss_is_read(self) -> None:
        for seen, expected in [(29, ["exclusion"]), (31, [])]:
            story = FleetStory().fault(5, 50)
            first = story.get(10, WRITER, "write", 1)
            story.note(30, WRITER, "revoked", op=first, how="REVOKED")
            story.get(20, READER, "write", 2, seen=seen, died="maybe")
            self.assertEqual(story.found(), expected)

    def test_a_revoked_lease_ends_what_its_host_then_takes_back(self) -> None:
        for host, at, is_taken_back, expected in [
            ("host1", 24, True, []), ("host1", 26, True, ["exclusion"]), ("host2", 24, True, ["exclusion"]),
            ("host1", 24, False, ["exclusion"]),
        ]:
            story = FleetStory().fault(5, 50)
            first = story.get(10, WRITER, "write", 1)
            story.note(at, 1, "lease-revoking", host=host)
            story.get(20, READER, "write", 2, seen=25, died="maybe")
            if is_taken_back:
                story.note(30, WRITER, "revoked", op=first, how="REVOKED")
            self.assertEqual(story.found(), expected, (host, at, is_taken_back))

    def test_a_revoked_lease_ends_only_what_is_taken_back_soon_after(self) -> None:
        for moments, taken_back, expected in [
            ([24], 4_020, []), ([24], 4_030, ["exclusion"]), ([4_000], 30, ["exclusion"]), ([24, 26], 30, ["exclusion"]),
            ([24, 5_000], 30, []), ([9], 30, ["exclusion"]),
        ]:
            story = FleetStory().fault(5, 50)
            first = story.get(10, WRITER, "write", 1)
            for moment in moments:
                story.note(moment, 1, "lease-revoking", host="host1")
            story.get(20, READER, "write", 2, seen=25, died="maybe")
            story.note(taken_back, WRITER, "revoked", op=first, how="REVOKED")
            self.assertEqual(story.found(), expected, (moments, taken_back))

    def test_the_daemon_of_a_holder_is_killed(self) -> None:
        """A shared name stays held, as other hosts do not see the kill; a local one is free after the grace."""
        for lock, process, seen, expected in [
            ("f/jobs", READER, 200, ["exclusion"]), ("local", WRITER, 200, ["exclusion"]), ("local", WRITER, 700, []),
        ]:
            story = FleetStory().fault(5, 50)
            story.get(10, WRITER, "write", 1, lock=lock, until=None if lock == "local" else 60_000)
            story.note(100, 1, "host-killing", host="host1")
            story.get(
                150, process, "write", 2, lock=lock, until=None if lock == "local" else 60_000, seen=seen, died="maybe")
            story.note(900, WRITER, "lost", s=1)
            self.assertEqual(story.found(), expected, (lock, seen))

    def test_a_local_name_is_another_lock_on_each_host(self) -> None:
        story = FleetStory()
        story.get(10, WRITER, "write", 1, lock="local", until=None)
        story.get(20, READER, "write", 2, lock="local", until=None)
        self.assertEqual(story.found(), [])

    def test_downgrade_lets_readers_in_when_it_is_sent(self) -> None:
        for seen, expected in [(11, ["exclusion"]), (13, [])]:
            story = FleetStory()
            first = story.get(5, WRITER, "write", 1)
            story.note(12, WRITER, "downgrading", op=first, to="read")
            story.note(14, WRITER, "downgraded", op=first)
            story.get(8, READER, "read", 2, seen=seen)
            self.assertEqual(story.found(), expected)

    def test_upgrade_takes_the_place_of_its_grant(self) -> None:
        for others, expected in [(False, []), (True, ["exclusion"])]:
            story = FleetStory()
            if others:
                story.get(5, READER, "read", 1)
            first = story.get(10, WRITER, "update", 2)
            story.get(12, WRITER, "write", 3, of=first)
            self.assertEqual(story.found(), expected)


class Tokens(unittest.TestCase):
    def one_after_the_other(self, first: str, second: str) -> list[str]:
        story = FleetStory()
        story.give(12, WRITER, story.get(10, WRITER, first, 7))
        story.get(20, READER, second, 6)
        return story.found()

    def test_a_writer_has_a_higher_one_than_all_before(self) -> None:
        for first, second in [("write", "write"), ("read", "write"), ("write", "read"), ("update", "read")]:
            self.assertEqual(self.one_after_the_other(first, second), ["token"], (first, second))

    def test_readers_of_two_hosts_have_no_order(self) -> None:
        self.assertEqual(self.one_after_the_other("read", "read"), [])

    def test_a_writer_is_compared_with_all_before_and_not_only_the_last(self) -> None:
        story = FleetStory()
        story.give(12, WRITER, story.get(10, WRITER, "read", 9))
        story.give(22, THIRD, story.get(20, THIRD, "read", 3))
        story.get(30, READER, "write", 5)
        self.assertEqual(story.found(), ["token"])

    def test_requests_at_the_same_time_have_no_order(self) -> None:
        story = FleetStory()
        story.give(31, WRITER, story.get(10, WRITER, "write", 7, seen=30))
        story.get(11, READER, "write", 6, seen=40)
        self.assertEqual(story.found(), [])

    def test_only_readers_of_different_hosts_have_the_same(self) -> None:
        for process, mode, expected in [(READER, "read", []), (WRITER, "read", ["token"]), (READER, "update", ["token"])]:
            story = FleetStory()
            story.get(10, WRITER, "read", 7)
            story.get(10, process, mode, 7)
            self.assertEqual(story.found(), expected, (process, mode))


class Marks(unittest.TestCase):
    def after(self, end: str, told: str) -> list[str]:
        story = FleetStory().fault(5, 10)
        first = story.get(10, WRITER, "write", 1)
        if end == "killed":
            story.kill(20, WRITER)
        elif end == "closed":
            story.note(20, WRITER, "closing", s=1)
        elif end == "revoked":
            story.note(20, WRITER, "revoked", op=first, how="REVOKED")
        elif end == "released":
            story.give(20, WRITER, first)
        elif end == "killed in the release":
            story.note(20, WRITER, "releasing", op=first)
            story.kill(21, WRITER)
        story.get(30, READER, "read", 2, died=told)
        return story.found()

    def test_told_or_not(self) -> None:
        for end in ("killed", "closed", "revoked"):
            for told in ("1", "maybe"):
                self.assertEqual(self.after(end, told), [], end)
            self.assertEqual(self.after(end, ""), ["owner-died"], end)
        self.assertEqual(self.after("released", ""), [])
        self.assertEqual(self.after("released", "1"), ["owner-died"])
        self.assertEqual(self.after("killed in the release", "1"), [])
        self.assertEqual(self.after("killed in the release", ""), [])

    def test_a_host_that_dies_may_leave_a_mark_without_a_writer(self) -> None:
        self.assertEqual(self.after("released", "maybe"), [])

    def test_no_host_has_lost_a_claim(self) -> None:
        for loses, expected in [(True, []), (False, ["owner-died"])]:
            story = FleetStory().fault(5, 10, loses=loses)
            story.get(30, READER, "read", 2, died="maybe")
            self.assertEqual(story.found(), expected)


class Answers(unittest.TestCase):
    def refused(self, at: float, how: str, wait: int, story: FleetStory | None = None) -> list[str]:
        story = story or FleetStory()
        number = story.ask(10, READER, "read", lock="f/jobs", wait=wait)
        story.note(at, READER, "refused", op=number, how=how)
        return story.found()

    def test_early(self) -> None:
        self.assertEqual(self.refused(100, "TIMEOUT", 300), ["early"])
        self.assertEqual(self.refused(310, "TIMEOUT", 300), [])

    def test_late(self) -> None:
        self.assertEqual(self.refused(2_500, "BUSY", 0), ["late"])
        self.assertEqual(self.refused(1_500, "BUSY", 0), [])
        story = FleetStory()
        story.get(10, READER, "read", 1, seen=5_000, wait=300)
        self.assertEqual(story.found(), ["late"])

    def test_a_stopped_host_or_client_is_late(self) -> None:
        story = FleetStory().note(5, 1, "host-stopping", host="host2").note(2_000, 1, "host-continued", host="host2")
        self.assertEqual(self.refused(2_500, "BUSY", 0, story), [])
        story = FleetStory().note(5, 1, "stopping", pid=READER).note(2_000, 1, "continuing", pid=READER)
        self.assertEqual(self.refused(2_500, "BUSY", 0, story), [])

    def test_starved(self) -> None:
        self.assertEqual(self.refused(20_010, "TIMEOUT", 20_000), ["starved"])
        self.assertEqual(self.refused(20_010, "TIMEOUT", 20_000, FleetStory().fault(100, 200)), [])

    def test_unavailable_without_a_reason(self) -> None:
        self.assertEqual(self.refused(20, "cluster-unavailable", 300), ["unavailable"])
        self.assertEqual(self.refused(20, "cluster-unavailable", 300, FleetStory().fault(1, 5)), [])
        self.assertEqual(self.refused(9_020, "cluster-unavailable", 10_000, FleetStory().fault(1, 5)), [])

    def test_a_probe_that_ends_with_its_workers(self) -> None:
        def found(answer: float, *killed: float, host: str = "host2", wait: int = 0) -> list[str]:
            story = FleetStory()
            for time in killed:
                story.note(time, 1, "worker-killing", host=host)
            return self.refused(answer, "cluster-unavailable", wait, story)

        self.assertEqual(found(515, 200, 300), [])
        self.assertEqual(found(515, 200), ["unavailable"])
        self.assertEqual(found(300, 200, 250), ["unavailable"])
        self.assertEqual(found(507, 200, 300), ["unavailable"])
        self.assertEqual(found(508, 200, 300), [])
        self.assertEqual(found(515, 5, 200), ["unavailable"])
        self.assertEqual(found(515, 200, 520), ["unavailable"])
        self.assertEqual(found(515, 5, 200, 300, 900), [])
        self.assertEqual(found(515, 200, 300, host="host1"), ["unavailable"])
        self.assertEqual(found(515, 200, 300, wait=600), ["unavailable"])

    def test_never_answered(self) -> None:
        story = FleetStory()
        story.ask(10, WRITER, "write", lock="f/jobs")
        story.note(5_000, 1, "finished")
        self.assertEqual(story.found(), ["unanswered"])

    def test_asked_between_the_note_of_a_kill_and_the_kill(self) -> None:
        story = FleetStory()
        story.kill(9, WRITER)
        story.ask(9.1, WRITER, "write", lock="f/jobs")
        story.note(5_000, 1, "finished")
        self.assertEqual(story.found(), [])


class Validations(unittest.TestCase):
    def asked(self, how: str, begin: float, end: float, until: int = 60_000) -> list[str]:
        story = FleetStory()
        story.give(50, WRITER, story.get(10, WRITER, "write", 7, until=until))
        story.note(
            end, READER, "validated", lock="f/jobs", token=7, asked=int(begin * MILLISECOND), how=how)
        return story.found()

    def test_true_at_some_time_between_question_and_answer(self) -> None:
        for how, begin, end, expected in [
            ("VALID", 20, 30, []), ("VALID", 50.5, 60, []), ("VALID", 52, 60, ["validate"]),
            ("STALE", 20, 30, ["validate"]), ("STALE", 20, 60, []), ("STALE", 5, 30, []), ("STALE", 52, 60, []),
            ("ERROR", 20, 30, []), ("ERROR", 52, 60, []),
        ]:
            self.assertEqual(self.asked(how, begin, end), expected, (how, begin, end))

    def test_a_grant_that_has_reached_its_until_may_be_stale(self) -> None:
        self.assertEqual(self.asked("STALE", 20, 45, until=40), [])


class Losses(unittest.TestCase):
    def revoked(self, story: FleetStory, at: float = 30) -> list[str]:
        first = story.get(10, WRITER, "read", 1)
        story.note(at, WRITER, "revoked", op=first, how="REVOKED")
        return story.found()

    def test_revoked_without_a_fault_of_the_lease(self) -> None:
        self.assertEqual(self.revoked(FleetStory()), ["revoked"])
        self.assertEqual(self.revoked(FleetStory().fault(5, 50, loses=False)), ["revoked"])
        self.assertEqual(self.revoked(FleetStory().fault(5, 50)), [])
        self.assertEqual(self.revoked(FleetStory().fault(5, 50), at=8_100), ["revoked"])

    def test_session_that_ends_long_after_a_kill_or_with_the_worker_of_another_host(self) -> None:
        for host, lost, expected in [("host1", 2_015, []), ("host1", 2_016, ["session"]), ("host2", 20, ["session"])]:
            story = FleetStory().note(15, 1, "worker-killing", host=host).note(lost, WRITER, "lost", s=1)
            self.assertEqual(story.found(), expected, (host, lost))

    def test_session_that_ends_while_its_daemon_lives(self) -> None:
        for killed, expected in [(False, ["session"]), (True, [])]:
            story = FleetStory()
            if killed:
                story.note(15, 1, "host-killing", host="host1").note(30, 1, "host-serving", host="host1")
            story.note(20, WRITER, "lost", s=1)
            self.assertEqual(story.found(), expected)

    def test_session_that_ends_with_the_worker_before_its_first_answer(self) -> None:
        for answered, expected in [(False, []), (True, ["session"])]:
            story = FleetStory()
            number = story.ask(10, WRITER, "read", lock="f/jobs")
            if answered:
                story.note(12, WRITER, "queued", op=number)
            story.note(15, 1, "worker-killing", host="host1").note(20, WRITER, "lost", s=1)
            self.assertEqual(story.found(), expected)


if __name__ == "__main__":
    unittest.main()
