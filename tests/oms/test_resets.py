"""Daily resets: the same time of day, every day, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.checks import ConfigError
from oms.core.state import MAX_RESETS, NEVER, new_state
from oms.resets import define_resets, reset_instants

DAY_NS = 86_400 * 10**9


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def utc(instants: object) -> list[str]:
    return [datetime.fromtimestamp(int(each) // 10**9, UTC).strftime("%m-%d %H:%M") for each in instants]  # type: ignore[attr-defined]


def test_resets_are_later_than_the_start_and_a_day_apart() -> None:
    start = ns("2026-01-05T00:00:00+00:00")
    assert utc(reset_instants("00:00 UTC", start, 3)) == ["01-06 00:00", "01-07 00:00", "01-08 00:00"]
    assert utc(reset_instants("00:00 UTC", start - 1, 1)) == ["01-05 00:00"]


def test_time_of_day_stays_when_summer_time_begins_and_ends() -> None:
    spring = reset_instants("17:00 America/New_York", ns("2026-03-06T12:00:00+00:00"), 4)
    assert utc(spring) == ["03-06 22:00", "03-07 22:00", "03-08 21:00", "03-09 21:00"]
    autumn = reset_instants("17:00 America/New_York", ns("2026-10-30T12:00:00+00:00"), 4)
    assert utc(autumn) == ["10-30 21:00", "10-31 21:00", "11-01 22:00", "11-02 22:00"]


def test_hour_that_is_left_out_and_hour_that_comes_twice_have_one_reset_each() -> None:
    spring = reset_instants("02:30 America/New_York", ns("2026-03-07T12:00:00+00:00"), 2)
    assert utc(spring) == ["03-08 07:30", "03-09 06:30"]
    autumn = reset_instants("01:30 America/New_York", ns("2026-10-31T12:00:00+00:00"), 2)
    assert utc(autumn) == ["11-01 05:30", "11-02 06:30"]


@given(
    hs.sampled_from(("America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Tokyo", "UTC")),
    hs.integers(0, 23),
    hs.integers(0, 59),
    hs.integers(ns("2024-01-01T00:00:00+00:00"), ns("2030-01-01T00:00:00+00:00")),
)
def test_every_day_has_one_reset(zone: str, hour: int, minute: int, start: int) -> None:
    instants = reset_instants(f"{hour:02}:{minute:02} {zone}", start, 400)
    gaps = instants[1:] - instants[:-1]
    assert instants[0] > start
    assert instants[0] - start <= 25 * 3_600 * 10**9
    assert gaps.min() >= DAY_NS - 3_600 * 10**9
    assert gaps.max() <= DAY_NS + 3_600 * 10**9
    dates = {datetime.fromtimestamp(int(each) // 10**9, ZoneInfo(zone)).date() for each in instants}
    assert len(dates) == 400


@pytest.mark.parametrize("text", ["", "17:00", "25:00 UTC", "17 UTC", "17:00 Mars/Olympus", "17:00 ../etc/passwd"])
def test_reset_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ConfigError, match="day_reset"):
        reset_instants(text, 0)


def test_account_is_given_its_resets() -> None:
    st = new_state()
    define_resets(st, 1, "17:00 Europe/London")
    resets = st[0]["accounts"][1]["resets"]
    assert len(resets) == MAX_RESETS
    assert resets[0] < ns("2015-01-03T00:00:00+00:00")
    assert resets[-1] > ns("2036-01-01T00:00:00+00:00")
    assert (resets[1:] > resets[:-1]).all()
    assert st[0]["scopes"][1]["next_reset"] == NEVER  # the core finds it when it first looks
