"""What a process is told that may not connect to the system's daemon."""

from __future__ import annotations

import pytest
from prwlock import _way_in


def test_the_advice_for_a_service_names_the_setting_of_its_unit() -> None:
    words = _way_in.way_in("web.service")
    assert "SupplementaryGroups=prwlock in web.service" in words
    assert "log in" not in words


def test_the_advice_for_a_user_names_the_group() -> None:
    assert "adduser USER prwlock" in _way_in.way_in(None)


@pytest.mark.parametrize(
    ("lines", "service"),
    [
        ("0::/system.slice/web.service\n", "web.service"),
        ("1:name=systemd:/system.slice/web.service/sub\n", "web.service"),
        ("4:memory:/system.slice/web.service\n0::/\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n", None),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("0::/\n", None),
        ("nonsense\n", None),
    ],
)
def test_the_unit_is_the_first_below_its_slices(lines: str, service: str | None) -> None:
    assert _way_in.service_in(lines) == service
