"""The rules of page.py, on small pages."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from page import COMMANDS, FILE, HIDDEN, Fault, Page, agree, check_links, read


def page(text: str) -> Page:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.md"
        path.write_text(text)
        return read(path)


class Pages(unittest.TestCase):
    def test_each_block_is_a_step_in_its_place(self) -> None:
        steps = page(
            "`/etc/x`, a file:\n\n```ini\n[a]\n```\n\n```sh\necho a\n```\n\nThis prints\n\n```text\na\n```\n"
            "<!-- check: true -->\n").steps
        self.assertEqual([step.kind for step in steps], [FILE, COMMANDS, HIDDEN])
        self.assertEqual((steps[0].path, steps[0].text), ("/etc/x", "[a]\n"))
        self.assertEqual((steps[1].line, steps[1].expected), (7, "a\n"))

    def test_a_block_without_a_name_or_a_reason_is_a_fault(self) -> None:
        for block in ("```yaml\na: 1\n```\n", "```\na\n```\n", "```text\na\n```\n"):
            with self.assertRaises(Fault):
                page(f"Text.\n\n{block}")
            self.assertEqual(page(f"<!-- not run: no cluster -->\n\n{block}").left_out, [(3, "no cluster")])

    def test_a_link_leads_to_a_file_and_a_heading(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.md"
            for link in ("page.md", "#a-b", "page.md#a-b"):
                path.write_text(f"# A `b`\n\n[x]({link})\n")
                check_links(path)
            for link in ("#c", "no.md"):
                path.write_text(f"# A `b`\n\n[x]({link})\n")
                with self.assertRaises(Fault):
                    check_links(path)


class Outputs(unittest.TestCase):
    def test_numbers_of_processes_durations_and_spaces_may_differ(self) -> None:
        shown = "held by 4711 (write) for 2 s\nA  B\nstatus 1"
        self.assertTrue(agree(shown, "held by 97 (write) for 310 ms\nA      B\nstatus 1\n"))

    def test_all_else_must_be_equal(self) -> None:
        for shown, printed in [
            ("status 1", "status 75"), ("status 137", "status 143"), ("10", "12"), ("a", "a b"), ("a\nb", "a"),
            ("held by 4711", "held by x"),
        ]:
            self.assertFalse(agree(shown, printed))

    def test_an_ellipsis_stands_for_any_text_of_a_line(self) -> None:
        self.assertTrue(agree("a … d", "a b c d"))
        self.assertFalse(agree("a … d", "a b\nc d"))


if __name__ == "__main__":
    unittest.main()
