"""Funding in a backtest: what is held pays, or receives, when the data say that it is due."""

from __future__ import annotations

import pytest

from oms.records import CASH_SCALE, EventKind, TickKind
from tests.backtest.venue import SIDES, Venue

pytestmark = pytest.mark.pure


@SIDES
@pytest.mark.parametrize("rate", [10_000, -10_000])
def test_a_funding_tick_is_booked_on_what_is_held(side: int, rate: int) -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    venue.market(side, 5)
    balance = int(venue.st[0]["wallets"][0, 0]["balance"])
    venue._message(TickKind.FUNDING, [(0, 0, rate)], 0, 0)
    paid = side * 5 * 1000 * CASH_SCALE * rate // CASH_SCALE
    assert venue.st[0]["positions"][0, 0, 0]["funding"] == -paid
    assert venue.st[0]["wallets"][0, 0]["balance"] == balance - paid
    assert venue.all_events["kind"].tolist().count(EventKind.FUNDING) == 1


def test_a_funding_tick_of_what_is_not_held_changes_nothing() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    venue._message(TickKind.FUNDING, [(0, 0, 10_000)], 0, 0)
    assert venue.st[0]["positions"][0, 0, 0]["funding"] == 0
