"""Reports: the events that they become, the fees that they carry, and what is ignored aloud."""

from __future__ import annotations

import pytest

from oms.records import EventKind, Liquidity, OrderState, Reason, ReportKind
from tests.oms.core.builders import ASK_PX, BID_PX, BUY, SELL, Rig, fill, ignored, kinds, new_order, only, report

pytestmark = pytest.mark.pure


def one_order() -> Rig:
    rig = Rig()
    rig.open_market()
    rig.commands(new_order(1, request_id=4))
    return rig


def test_fill_gives_a_fill_event_and_then_the_position() -> None:
    rig = one_order()
    events = rig.reports(fill(1, 4, BID_PX - 7, trade_id=99, liquidity=Liquidity.TAKER))
    assert kinds(events) == [EventKind.ORDER_FILLED, EventKind.POSITION]
    filled, position = events
    assert (filled["last_px"], filled["last_qty"], filled["aux"]) == (BID_PX - 7, 4, 99)
    assert (filled["state"], filled["filled_qty"], filled["request_id"]) == (OrderState.LIVE, 4, 4)
    assert filled["liquidity"] == Liquidity.TAKER
    assert filled["position_qty"] == position["position_qty"] == 4
    assert (position["aux"], position["last_qty"], position["filled_qty"]) == (1, 1, 1)
    assert position["last_px"] == BID_PX + ASK_PX
    assert position["px"] == (BID_PX - 7) * 10**8


@pytest.mark.parametrize(
    ("liquidity", "rate"), [(Liquidity.MAKER, 20_000), (Liquidity.TAKER, 50_000), (Liquidity.NONE, 50_000)]
)
def test_fee_is_the_instruments_rate_of_the_notional(liquidity: Liquidity, rate: int) -> None:
    rig = one_order()
    filled = only(rig.reports(fill(1, 4, trade_id=1, liquidity=liquidity)), EventKind.ORDER_FILLED)
    notional = BID_PX * 4 * 10_000
    assert filled["fees"] == rig.position()["fees"] == notional * rate // 10**8


@pytest.mark.parametrize("fee", [123_456, 0, -77])
def test_fee_that_the_venue_states_is_booked_as_it_is(fee: int) -> None:
    rig = one_order()
    filled = only(rig.reports(fill(1, 4, trade_id=1, fee_known=1, fee=fee)), EventKind.ORDER_FILLED)
    assert filled["fees"] == rig.position()["fees"] == fee


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (ReportKind.ACCEPTED, EventKind.ORDER_ACCEPTED),
        (ReportKind.REJECTED, EventKind.ORDER_REJECTED),
        (ReportKind.CANCELLED, EventKind.ORDER_CANCELLED),
        (ReportKind.EXPIRED, EventKind.ORDER_EXPIRED),
    ],
)
def test_report_becomes_its_event_with_the_venues_reason(kind: ReportKind, event: EventKind) -> None:
    rig = one_order()
    told = only(rig.reports(report(kind, 1, reason=Reason.NO_LIQUIDITY)), event)
    assert (told["reason"], told["order_id"], told["request_id"]) == (Reason.NO_LIQUIDITY, 1, 4)


def test_ignored_report_is_counted_and_told() -> None:
    rig = one_order()
    events = rig.reports(fill(8, 4, BID_PX, trade_id=1))
    assert ignored(events) == Reason.UNKNOWN_ORDER
    event = only(events, EventKind.REPORT_IGNORED)
    assert (event["order_id"], event["aux"]) == (8, ReportKind.FILL)
    assert (event["last_px"], event["last_qty"], event["side"]) == (BID_PX, 4, BUY)
    assert rig.s["reports_ignored"] == 1


def test_bad_report_does_not_stop_the_ones_after_it() -> None:
    rig = one_order()
    events = rig.reports(report(77, 1), fill(1, 1, side=SELL, trade_id=1), fill(1, 2, trade_id=1))
    assert kinds(events)[:2] == [EventKind.REPORT_IGNORED] * 2
    assert rig.position()["qty"] == 2


def test_time_of_a_report_moves_the_clock_forward_only() -> None:
    rig = one_order()
    before = int(rig.s["now"])
    assert only(rig.reports(report(ReportKind.ACCEPTED, 1, ts=5)), EventKind.ORDER_ACCEPTED)["ts"] == before
    assert rig.reports(fill(1, 1, trade_id=1, ts=before + 5))["ts"].tolist() == [before + 5] * 2
