#!/usr/bin/env python3
"""The checker must report wrong histories, and accept correct ones that look wrong."""

from __future__ import annotations

import unittest

from operation import MILLISECOND
from story import READER, THIRD, WRITER, Story


class Exclusion(unittest.TestCase):
    def overlap(self, first: str, second: str) -> list[str]:
        story = Story()
        story.get(10, WRITER, first, 1)
        story.get(20, READER, second, 2)
        return story.violations()

    def test_modes(self) -> None:
        for first, second in [
            ("write", "write"), ("write", "read"), ("read", "write"), ("update", "update"), ("update", "write")
        ]:
            self.assertEqual(self.overlap(first, second), ["exclusion"], (first, second))
        for first, second in [("read", "read"), ("read", "update"), ("update", "read")]:
            self.assertEqual(self.overlap(first, second), [])

    def test_other_locks_do_not_matter(self) -> None:
        story = Story()
        story.get(10, WRITER, "write", 1)
        story.get(20, READER, "write", 2, lock="mail")
        self.assertEqual(story.violations(), [])

    def test_release_may_have_happened_as_soon_as_it_was_sent(self) -> None:
        story = Story()
        first = story.get(10, WRITER, "write", 1)
        story.note(20, WRITER, "releasing", op=first)
        story.get(15, READER, "write", 2, seen=21)
        story.note(30, WRITER, "released", op=first)
        self.assertEqual(story.violations(), [])

    def test_grant_that_was_seen_before_the_release_was_sent(self) -> None:
        story = Story()
        first = story.get(10, WRITER, "write", 1)
        story.get(15, READER, "write", 2, seen=19)
        story.give(20, WRITER, first)
        self.assertEqual(story.violations(), ["exclusion"])

    def test_who_is_stopped_holds(self) -> None:
        story = Story()
        story.get(10, WRITER, "write", 1)
        story.note(12, 1, "stopping", pid=WRITER)
        story.get(20, READER, "read", 2)
        self.assertEqual(story.violations(), ["exclusion"])

    def test_who_is_killed_holds_until_then(self) -> None:
        for killed, expected in [(15, []), (25, ["exclusion"])]:
            story = Story()
            story.get(10, WRITER, "write", 1)
            story.kill(killed, WRITER)
            story.get(16, READER, "read", 2, died=True)
            self.assertEqual(story.violations(), expected)

    def test_who_is_about_to_be_killed_still_sees(self) -> None:
        story = Story()
        story.note(10, 1, "killing", pid=READER)
        story.get(11, READER, "read", 1, seen=12)
        story.note(14, 1, "killed", pid=READER)
        story.get(15, WRITER, "write", 2)
        self.assertEqual(story.violations(), [])

    def test_who_closes_holds_until_then(self) -> None:
        story = Story()
        story.get(10, WRITER, "write", 1)
        story.get(15, READER, "read", 2, died=True)
        story.note(20, WRITER, "closing", s=1)
        self.assertEqual(story.violations(), ["exclusion"])

    def test_lease_holds_for_as_long_as_it_lasts(self) -> None:
        for seen, expected in [(100, ["exclusion"]), (115, [])]:
            story = Story()
            story.get(10, WRITER, "write", 1, lease=100)
            story.get(20, READER, "read", 2, seen=seen, died=True)
            self.assertEqual(story.violations(), expected)

    def test_downgrade_lets_readers_in_and_nobody_else(self) -> None:
        for to, mode, expected in [
            ("read", "read", []), ("update", "read", []), ("read", "update", []),
            ("update", "update", ["exclusion"]), ("read", "write", ["exclusion"]),
        ]:
            story = Story()
            first = story.get(10, WRITER, "write", 1)
            story.note(12, WRITER, "downgrading", op=first, to=to)
            story.note(13, WRITER, "downgraded", op=first)
            story.get(20, READER, mode, 2)
            self.assertEqual(story.violations(), expected, (to, mode))

    def test_reader_before_the_downgrade(self) -> None:
        story = Story()
        first = story.get(10, WRITER, "write", 1)
        story.get(11, READER, "read", 2, seen=12)
        story.note(13, WRITER, "downgrading", op=first, to="read")
        story.note(14, WRITER, "downgraded", op=first)
        self.assertEqual(story.violations(), ["exclusion"])

    def test_upgrade_takes_the_place_of_its_grant_and_not_of_others(self) -> None:
        for others, expected in [(False, []), (True, ["exclusion"])]:
            story = Story()
            if others:
                story.get(5, READER, "read", 1)
            first = story.get(10, WRITER, "update", 2)
            story.get(12, WRITER, "write", 3, of=first)
            self.assertEqual(story.violations(), expected)

    def test_upgrade_goes_on_with_the_lease_of_its_grant(self) -> None:
        for seen, expected in [(100, ["exclusion"]), (115, [])]:
            story = Story()
            first = story.get(10, WRITER, "update", 1, lease=100)
            story.get(50, WRITER, "write", 2, of=first, lease=100)
            story.get(60, READER, "read", 3, seen=seen, died=True)
            self.assertEqual(story.violations(), expected)

    def test_no_point_is_left_between_two(self) -> None:
        """Any two of the three have an order; all three have none."""
        story = Story()
        first = story.get(10, WRITER, "write", 1)
        story.give(30, WRITER, first)
        second = story.get(11, READER, "write", 2, seen=40)
        story.give(50, READER, second)
        story.get(12, THIRD, "write", 3, seen=45)
        self.assertEqual(story.violations(), ["exclusion"])


class Tokens(unittest.TestCase):
    def test_twice(self) -> None:
        story = Story()
        story.give(12, WRITER, story.get(10, WRITER, "write", 7))
        story.get(20, READER, "write", 7)
        self.assertEqual(story.violations(), ["token"])

    def test_lower_than_one_before(self) -> None:
        story = Story()
        story.give(12, WRITER, story.get(10, WRITER, "write", 7))
        story.get(20, READER, "write", 6, lock="mail")
        self.assertIn("token", story.violations())

    def test_at_the_same_time_any_order_will_do(self) -> None:
        story = Story()
        story.get(10, WRITER, "write", 7, seen=30)
        story.get(11, READER, "write", 6, seen=29, lock="mail")
        self.assertEqual(story.violations(), [])

    def test_over_a_restart(self) -> None:
        story = Story()
        story.get(10, WRITER, "write", 7)
        story.note(20, 1, "daemon-stopping").note(21, 1, "daemon-ended").note(22, 1, "daemon-starting", grace=0)
        story.note(23, READER, "connected", s=1)
        story.get(24, READER, "write", 3)
        self.assertIn("token", story.violations())


class Cached(unittest.TestCase):
    """A grant that is held again under its token."""

    def again(self, mode: str) -> Story:
        story = Story()
        story.give(20, WRITER, story.get(10, WRITER, mode, 1))
        story.give(120, WRITER, story.get(110, WRITER, mode, 1))
        return story

    def test_held_again(self) -> None:
        for mode, expected in [("read", []), ("write", []), ("update", ["token"])]:
            self.assertEqual(self.again(mode).violations(), expected)

    def test_grants_of_other_locks_come_between(self) -> None:
        story = self.again("write")
        story.give(60, READER, story.get(50, READER, "write", 2, lock="mail"))
        story.give(140, READER, story.get(130, READER, "write", 3, lock="mail"))
        self.assertEqual(story.violations(), [])

    def test_held_again_beside_a_conflicting_grant(self) -> None:
        for mode, expected in [("write", ["exclusion"]), ("read", [])]:
            story = self.again("read")
            story.get(50, READER, mode, 2)
            self.assertEqual(story.violations(), expected)

    def test_held_again_after_a_conflicting_request(self) -> None:
        story = self.again("read")
        number = story.ask(15, READER, "write")
        story.note(16, READER, "queued", op=number)
        story.note(125, READER, "granted", op=number, token=2, died=False)
        self.assertEqual(story.violations(), ["order"])

    def test_only_its_owner_holds_it_again_and_in_its_mode(self) -> None:
        for process, mode, owner in [(READER, "read", "-"), (WRITER, "write", "-"), (WRITER, "read", "t1")]:
            story = Story()
            story.give(20, WRITER, story.get(10, WRITER, "read", 1))
            story.give(120, process, story.get(110, process, mode, 1, owner=owner))
            self.assertEqual(story.violations(), ["token"])

    def test_only_what_was_released_is_held_again(self) -> None:
        story = Story()
        story.get(10, WRITER, "read", 1)
        story.get(110, WRITER, "read", 1)
        self.assertEqual(story.violations(), ["token"])

    def test_a_death_while_it_is_held_again(self) -> None:
        for died, expected in [(True, []), (False, ["owner-died"])]:
            story = Story()
            story.give(20, WRITER, story.get(10, WRITER, "write", 1))
            story.get(110, WRITER, "write", 1)
            story.kill(120, WRITER)
            story.get(130, READER, "write", 2, died=died)
            self.assertEqual(story.violations(), expected)


class Lives(unittest.TestCase):
    def story(self, granted: float) -> list[str]:
        story = Story()
        story.get(10, WRITER, "write", 7)
        story.note(20, 1, "daemon-stopping").note(21, 1, "daemon-ended").note(22, 1, "daemon-starting", grace=500)
        story.note(23, READER, "connected", s=1)
        story.get(24, READER, "write", 8, seen=granted)
        return story.violations()

    def test_grace(self) -> None:
        self.assertEqual(self.story(500), ["grace"])
        self.assertEqual(self.story(523), [])


class Order(unittest.TestCase):
    def test_writers_as_they_came(self) -> None:
        for mode in ("write", "update"):
            story = Story()
            first = story.get(10, THIRD, "write", 1)
            story.give(60, THIRD, first)
            earlier = story.ask(20, WRITER, mode)
            story.note(22, WRITER, "queued", op=earlier)
            later = story.get(30, READER, mode, 2, seen=62)
            story.give(63, READER, later)
            story.note(70, WRITER, "granted", op=earlier, token=3, died=False)
            self.assertEqual(story.violations(), ["order"], mode)

    def test_who_was_not_known_to_wait_may_come_later(self) -> None:
        story = Story()
        first = story.get(10, THIRD, "write", 1)
        story.give(60, THIRD, first)
        earlier = story.ask(20, WRITER, "write")
        later = story.get(30, READER, "write", 2, seen=62)
        story.give(63, READER, later)
        story.note(70, WRITER, "granted", op=earlier, token=3, died=False)
        self.assertEqual(story.violations(), [])

    def barge(self, held_before: bool) -> list[str]:
        story = Story()
        first = story.get(10, THIRD, "read", 1)
        own = story.get(12, READER, "read", 2) if held_before else None
        writer = story.ask(20, WRITER, "write")
        story.note(22, WRITER, "queued", op=writer)
        more = story.get(30, READER, "read", 3)
        story.give(60, THIRD, first)
        story.give(60, READER, more)
        if own:
            story.give(60, READER, own)
        story.note(70, WRITER, "granted", op=writer, token=4, died=False)
        return story.violations()

    def test_no_new_reader_before_a_writer(self) -> None:
        self.assertEqual(self.barge(held_before=False), ["order"])
        self.assertEqual(self.barge(held_before=True), [])


class Patience(unittest.TestCase):
    def passed(self, patience: int, released: int = 200, end: str = "granted", came: int = 30) -> list[str]:
        """A reader waits from 20 ms on; a writer that came later is granted when the lock is released."""
        story = Story()
        first = story.get(10, THIRD, "write", 1)
        reader = story.ask(20, READER, "read", wait=230 if end == "timeout" else 10_000)
        story.note(22, READER, "queued", op=reader)
        later = story.get(came, WRITER, "write", 2, seen=released + 2)
        story.give(released, THIRD, first)
        story.give(released + 5, WRITER, later)
        if end == "granted":
            story.note(released + 20, READER, "granted", op=reader, token=3, died=False)
        elif end == "killed":
            story.kill(released - 20, READER)
        else:
            story.note(251, READER, "refused", op=reader, how="TIMEOUT")
        return story.violations(patience)

    def test_no_later_writer_before_a_reader_without_patience(self) -> None:
        self.assertEqual(self.passed(patience=100), ["patience"])
        self.assertEqual(self.passed(patience=100, end="timeout"), ["patience"])

    def test_a_patient_reader_lets_writers_pass(self) -> None:
        self.assertEqual(self.passed(patience=500), [])
        self.assertEqual(self.passed(patience=100, released=110), [])

    def test_an_earlier_writer_passes(self) -> None:
        self.assertEqual(self.passed(patience=100, came=15), [])

    def test_a_reader_that_is_gone_is_not_passed(self) -> None:
        self.assertEqual(self.passed(patience=100, end="killed"), [])
        self.assertEqual(self.passed(patience=100, end="timeout", released=249), [])


class Marks(unittest.TestCase):
    def after(self, end: str, told: bool) -> list[str]:
        story = Story()
        first = story.get(10, WRITER, "write", 1)
        if end == "killed":
            story.kill(20, WRITER)
        elif end == "closed":
            story.note(20, WRITER, "closing", s=1)
        elif end == "released":
            story.give(20, WRITER, first)
        elif end == "expired":
            story.note(20, WRITER, "releasing", op=first)
            story.note(21, WRITER, "not-held", op=first)
        elif end == "killed in the release":
            story.note(20, WRITER, "releasing", op=first)
            story.kill(21, WRITER)
        story.get(30, READER, "read", 2, died=told)
        return story.violations()

    def test_told_or_not(self) -> None:
        for end in ("killed", "closed", "expired"):
            self.assertEqual(self.after(end, told=True), [], end)
            self.assertEqual(self.after(end, told=False), ["owner-died"], end)
        self.assertEqual(self.after("released", told=False), [])
        self.assertEqual(self.after("released", told=True), ["owner-died"])
        self.assertEqual(self.after("killed in the release", told=True), [])
        self.assertEqual(self.after("killed in the release", told=False), [])

    def test_grant_that_its_process_did_not_live_to_see(self) -> None:
        story = Story()
        story.ask(10, WRITER, "write")
        story.kill(20, WRITER)
        story.get(30, READER, "read", 2, died=True)
        self.assertEqual(story.violations(), [])

    def test_death_in_the_backlog_may_be_seen_late(self) -> None:
        for answered, expected in [(False, []), (True, ["owner-died"])]:
            story = Story()
            if answered:
                story.note(6, WRITER, "refused", op=story.ask(5, WRITER, "write", lock="mail"), how="BUSY")
            story.ask(10, WRITER, "write")
            story.kill(20, WRITER)
            story.give(32, THIRD, story.get(30, THIRD, "write", 1))
            story.get(40, READER, "read", 2, died=True)
            self.assertEqual(story.violations(), expected)

    def test_mark_lasts_until_a_writer_releases(self) -> None:
        story = Story()
        story.get(10, WRITER, "write", 1)
        story.kill(20, WRITER)
        story.give(32, READER, story.get(30, READER, "read", 2, died=True))
        story.give(42, READER, story.get(40, READER, "write", 3, died=True))
        story.get(50, READER, "read", 4, died=True)
        self.assertEqual(story.violations(), ["owner-died"])


class Time(unittest.TestCase):
    def test_granted_after_its_time(self) -> None:
        for wait, expected in [(100, []), (50, ["deadline"])]:
            story = Story()
            story.give(70, WRITER, story.get(10, WRITER, "write", 1))
            number = story.ask(15, READER, "read", wait=wait)
            story.note(16, READER, "queued", op=number)
            story.note(80, READER, "granted", op=number, token=2, died=False)
            self.assertEqual(story.violations(), expected)

    def test_refused_before_its_time(self) -> None:
        story = Story()
        story.get(10, WRITER, "write", 1)
        number = story.ask(20, READER, "read", wait=100)
        story.note(90, READER, "refused", op=number, how="TIMEOUT")
        self.assertEqual(story.violations(), ["early"])

    def forgotten(self, released: float) -> list[str]:
        story = Story()
        story.give(released, WRITER, story.get(10, WRITER, "write", 1))
        number = story.ask(20, READER, "read", wait=2_000)
        story.note(2_030, READER, "refused", op=number, how="TIMEOUT")
        return story.violations()

    def test_forgotten(self) -> None:
        self.assertEqual(self.forgotten(released=1_000), ["forgotten"])
        self.assertEqual(self.forgotten(released=1_990), [])

    def test_never_answered(self) -> None:
        story = Story()
        story.ask(10, WRITER, "write")
        story.note(5_000, 1, "finished")
        self.assertEqual(story.violations(), ["unanswered"])


if __name__ == "__main__":
    unittest.main()
