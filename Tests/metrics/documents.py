"""The alerts and the dashboard: whether each alert has a test, and whether the manual has each metric that they use."""

from __future__ import annotations

import json
import re
from typing import Any

from place import ROOT, expect, has, run, say

MONITORING = ROOT / "systemd/monitoring"


def check_files() -> None:
    alerts, tests = MONITORING / "alerts.yml", ROOT / "Tests/metrics/alerts.yml"
    named = [set(re.findall(rf"\b{word}: (Prwlock\w+)", path.read_text())) for word, path in
             (("alert", alerts), ("alertname", tests))]  # fmt: skip
    expect(named[0] == named[1], f"alerts without a test: {named[0] ^ named[1]}")
    manual = (ROOT / "Sources/manual/prwlock-metrics.7").read_text()
    documented = set(re.findall(r"prwlock_\w+", manual))
    for path in (alerts, MONITORING / "dashboard.json"):
        for metric in set(re.findall(r"prwlock_\w+", path.read_text())):
            base = re.sub(r"_(bucket|sum|count)$", "", metric)
            expect({metric, base} & documented != set(), f"{path.name} has {metric}, which the manual does not have")
    check_dashboard(json.loads((MONITORING / "dashboard.json").read_text()))
    if has("promtool"):
        run("promtool", "check", "rules", alerts)
        run("promtool", "test", "rules", tests)
    say("alerts and dashboard are consistent")


def check_dashboard(dashboard: dict[str, Any]) -> None:
    """Checks that panels have one id and one place each, and that none lacks what Grafana needs to draw it."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        expect(columns.stop <= 24, f"panel {panel['title']} is out of the grid")
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        expect(not cells & taken, f"panel {panel['title']} covers another one")
        taken |= cells
        if panel["type"] != "row":
            is_whole = all(panel[key] for key in ("title", "description", "targets"))
            expect(is_whole, f"panel {panel['id']} lacks something")
            references = [target["refId"] for target in panel["targets"]]
            expect(len(set(references)) == len(references), f"panel {panel['title']} names two queries alike")
    ids = [panel["id"] for panel in dashboard["panels"]]
    expect(len(set(ids)) == len(ids), "two panels have one id")


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """All queries of the dashboard, with its variables set."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [text.replace("$instance", ".*").replace("$__rate_interval", "1m") for text in found]
