"""``prwlock hot``: the locks that have cost most."""

from __future__ import annotations

import json
from typing import Any, Optional

import prwlock
import pytest
from prwlock._cli_hot import percentile

from processes import wait_until
from test_command import command


@pytest.mark.parametrize(
    ("counts", "percent", "longest", "seconds"),
    [
        ([0] * 15, 50, 1.0, None),
        ([100] + [0] * 14, 50, 1.0, 8e-6),
        ([100, 100] + [0] * 13, 50, 1.0, 16e-6),
        ([100, 100] + [0] * 13, 75, 1.0, 40e-6),
        ([100, 100] + [0] * 13, 75, 30e-6, 30e-6),
        ([100, 100] + [0] * 12 + [1_000], 95, 5_000.0, 5_000.0),
    ],
)
def test_a_percentile_is_that_of_the_native_command(
    counts: list[int], percent: int, longest: float, seconds: Optional[float]
) -> None:
    found = percentile(counts, percent, longest)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_the_lock_that_was_waited_for_is_shown_with_its_holder(client: prwlock.Client, peer: Any) -> None:
    assert command("hot") == "no lock has cost anything yet; a time counts when it ends\n"
    assert command("hot", "--json") == "[]\n"
    holder, waiter = peer(), peer()
    assert holder.ask("write", "hot\x1b") == "True"
    waiter.tell("write", "hot\x1b", "100")
    wait_until(lambda: client.status("hot\x1b").waiters)
    holder.end()
    assert waiter.answer() == "True"
    table = command("hot").splitlines()
    assert table[0].split()[:5] == ["WAITED", "WAITS", "P50", "P95", "LONGEST"]
    assert table[1].endswith("  hot\\x1B")
    assert f"{holder.pid} (write)" in table[1]
    for cost in ("waited", "waits", "grants", "held", "longest"):
        row = json.loads(command("hot", "hot", "--by", cost, "--limit", "1", "--json"))[0]
        assert row["encoded"] == "hot%1B"
        assert row["waits"] == 1
        assert row["longest_wait_behind"]["pid"] == holder.pid
        assert len(row["wait_buckets"]) == 15
    assert command("hot", "other") == "no lock has cost anything yet; a time counts when it ends\n"


def test_wrong_options_get_one_line(daemon: Any) -> None:
    assert "--by" in command("hot", "--by", "colour", status=64)
    assert "from 1 on" in command("hot", "--limit", "0", status=64)
    assert "only the native command prints metrics" in command("stats", "--openmetrics", status=64)
