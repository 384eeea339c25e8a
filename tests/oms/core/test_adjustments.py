"""Adjustment entries: positions at an average price that is on no tick, and orders of another account's strategy."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as hs

from oms.core.positions import average_fits, average_px, cost_at_average
from oms.core.state import define_account
from oms.records import (
    CASH_SCALE,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TimeInForce,
    TradingState,
)
from tests.oms.core.builders import BID_PX, BUY, Rig, client_id, fill, ignored, new_order, only, report
from tests.oms.core.ledger import INSTRUMENTS, divided, instrument_of, new_position, rounded, row_of
from tests.oms.core.test_positions_kinds import KINDS
from tests.oms.journalled import JournalledRig, differing, rebuilt

pytestmark = pytest.mark.pure

WATCH: Final = Path(__file__).parents[2] / "strategies" / "samples" / "watch.py"
ID: Final = client_id(7)


def adopted(qty: int, px: int, fraction: int, **fields: int) -> Rig:
    rig = Rig()
    rig.open_market()
    rig.reports(report(ReportKind.POSITION, 0, qty=qty, px=px, px_fraction=fraction, **fields))
    return rig


@pytest.mark.parametrize("side", [1, -1])
def test_position_is_adopted_at_an_average_between_two_ticks(side: int) -> None:
    rig = adopted(side * 3, BID_PX, CASH_SCALE // 3)
    position = rig.position()
    assert (position["qty"], position["open_cost"]) == (side * 3, side * (3 * BID_PX + 1))
    event = only(rig.events, EventKind.POSITION_ADOPTED)
    assert (event["px"], event["filled_qty"]) == (BID_PX, CASH_SCALE // 3)
    assert average_px(position, rig.s["instruments"][0]) == BID_PX * CASH_SCALE + CASH_SCALE // 3


def test_payment_of_funding_is_booked_once_by_its_id() -> None:
    rig = adopted(3, BID_PX, 0)
    rig.commands(new_order(ID, qty=1))
    rig.reports(fill(ID, 1, trade_id=7))
    rig.reports(report(ReportKind.FUNDING, 0, fee=5, trade_id=7))
    assert only(rig.events, EventKind.FUNDING)["aux"] == 7
    assert ignored(rig.reports(report(ReportKind.FUNDING, 0, fee=5, trade_id=7))) == Reason.DUPLICATE_TRADE
    rig.reports(*[report(ReportKind.FUNDING, 0, fee=5)] * 2, report(ReportKind.FUNDING, 0, fee=5, trade_id=8))
    assert rig.position()["funding"] == -4 * 5


@pytest.mark.parametrize("fraction", [-1, CASH_SCALE])
def test_what_is_no_fraction_of_a_tick_is_malformed(fraction: int) -> None:
    rig = adopted(3, BID_PX, fraction)
    assert ignored(rig.events) == Reason.MALFORMED
    assert rig.position()["qty"] == 0


def test_a_replay_adopts_at_the_same_average(tmp_path: Path) -> None:
    live = JournalledRig(tmp_path)
    live.open_market()
    live.reports(report(ReportKind.POSITION, 0, qty=7, px=BID_PX, px_fraction=12_345_678))
    again, _ = rebuilt(live, tmp_path)
    assert differing(live.st, again.st) == []
    assert again.position()["open_cost"] == live.position()["open_cost"] != 7 * BID_PX


@KINDS
@example(lots=1, px=1, fraction=CASH_SCALE // 2)
@example(lots=5, px=2, fraction=CASH_SCALE // 2)
@given(lots=hs.integers(1, 10**7), px=hs.integers(1, 2_000_000), fraction=hs.integers(0, CASH_SCALE - 1))
def test_cost_is_what_decimal_arithmetic_gives(name: str, lots: int, px: int, fraction: int) -> None:
    instrument = INSTRUMENTS[name]
    row = row_of(instrument)
    assert average_fits(row, px)
    cost = cost_at_average(row, px, fraction, lots)
    average = px + Decimal(fraction) / CASH_SCALE
    if instrument.inverse:
        value = divided(lots * Decimal(int(row["inverse_numerator"])), average * int(row["inverse_denominator"]))
        assert cost == -int(rounded(value, Decimal(1)))
    else:
        assert cost == int(rounded(lots * average, Decimal(1)))
        position = new_position(qty=lots, open_cost=cost)
        assert abs(average_px(position, row) - (px * CASH_SCALE + fraction)) <= CASH_SCALE // (2 * lots) + 1


@pytest.mark.parametrize(
    ("text", "ticks", "fraction"),
    [
        ("60000.05", 600_000, 50_000_000),
        ("60000.1", 600_001, 0),
        ("60000.0333333333333", 600_000, 33_333_333),
        ("60000.0000000005", 600_000, 0),  # half of 1e-8 ticks, to even
        ("60000.0000000015", 600_000, 2),
        ("60000.09999999999", 600_001, 0),
    ],
)
def test_average_price_is_read_in_fixed_point(text: str, ticks: int, fraction: int) -> None:
    assert instrument_of("linear").average_to_ticks(text) == (ticks, fraction)


def test_an_order_of_another_accounts_strategy_is_not_adopted() -> None:
    rig = Rig()
    define_account(rig.st, 1, TradingState.ACTIVE)
    mine = rig.add(WATCH, 0)
    terms = {"side": BUY, "px": BID_PX, "qty": 10, "leaves_qty": 10, "order_type": OrderType.LIMIT}
    order = {**terms, "time_in_force": TimeInForce.GTC, "strategy": mine}
    assert ignored(rig.reports(report(ReportKind.ADOPTED, ID, account=1, **order))) == Reason.UNKNOWN_STRATEGY
    assert rig.s["open_orders"] == rig.s["scopes"]["open_orders"].sum() == 0
    assert ignored(rig.reports(report(ReportKind.ADOPTED, ID, account=0, **order))) == Reason.NONE
    assert rig.state(ID) == OrderState.LIVE
    assert rig.order(ID)["strategy"] == mine


def test_an_adopted_order_of_a_strategy_is_counted_in_both_scopes_and_given_back() -> None:
    rig = Rig()
    mine = rig.add(WATCH, 0)
    terms = {"side": BUY, "px": BID_PX, "qty": 10, "leaves_qty": 4, "order_type": OrderType.LIMIT}
    rig.reports(report(ReportKind.ADOPTED, ID, time_in_force=TimeInForce.GTC, strategy=mine, **terms))
    assert rig.s["positions"]["open_buy_qty"].sum() == 8
    rig.reports(report(ReportKind.CANCELLED, ID))
    assert rig.s["positions"]["open_buy_qty"].sum() == 0
    assert rig.s["scopes"]["open_orders"].sum() == 0
