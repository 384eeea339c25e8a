"""A log in which what repeats is told seldom."""

from __future__ import annotations

import pytest

from gateways.seldom_log import SeldomLog

pytestmark = pytest.mark.pure


def test_the_first_of_a_kind_is_told_at_once_and_those_behind_it_once_in_a_while() -> None:
    told: list[str] = []
    now_s = 0.0
    log = SeldomLog(told.append, 10.0, lambda: now_s)
    for number in range(5):
        log.add("would cross", f"refused {number}")
        log.add("no margin", f"no margin {number}")
        now_s += 1.0
    assert told == ["refused 0", "no margin 0"]
    now_s = 10.0
    log.look()
    assert told[2:] == [
        "4 more in 10 s, the last: refused 4",
        "4 more in 10 s, the last: no margin 4",
    ]
    now_s = 30.0
    log.add("would cross", "refused 5")
    log.add("would cross", "refused 6")
    assert told[4:] == ["refused 5"]
    log.close()
    assert told[5:] == ["1 more in 0 s, the last: refused 6"]
