"""An exchange that takes no new orders: the core sends none, lets cancels through, and goes on when it takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.durable import begin_session
from oms.records import EventKind, OrderState, Reason, ReportKind
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SELL,
    Records,
    Rig,
    amend,
    cancel,
    client_id,
    ignored,
    kinds,
    new_order,
    only,
    reason_of,
    report,
    trade,
)
from tests.oms.core.test_triggers import stop

ORDER = client_id(1)
OTHER = client_id(2)
pytestmark = pytest.mark.pure


def entry(reason: Reason, instrument: int = 0) -> Records:
    return report(ReportKind.ORDER_ENTRY, 0, instrument=instrument, reason=reason)


def opened() -> Rig:
    rig = Rig()
    rig.open_market()
    rig.ticks(trade(BUY, BID_PX, 1))
    return rig


def live_order(rig: Rig) -> None:
    rig.commands(new_order(ORDER, qty=10))
    rig.reports(report(ReportKind.ACCEPTED, ORDER))


def test_new_orders_are_refused_with_the_reason_until_it_is_open() -> None:
    rig = opened()
    event = only(rig.reports(entry(Reason.NOT_RECONCILED)), EventKind.ORDER_ENTRY)
    assert (event["instrument"], event["reason"]) == (0, Reason.NOT_RECONCILED)
    assert reason_of(rig.commands(new_order(ORDER))) is Reason.NOT_RECONCILED
    assert reason_of(rig.commands(new_order(OTHER, instrument=1))) is Reason.NONE
    assert only(rig.reports(entry(Reason.NONE)), EventKind.ORDER_ENTRY)["reason"] == Reason.NONE
    assert reason_of(rig.commands(new_order(client_id(3)))) is Reason.NONE


def test_cancels_and_smaller_amends_pass_and_larger_ones_do_not() -> None:
    rig = opened()
    live_order(rig)
    rig.reports(entry(Reason.EXCHANGE_UNAVAILABLE))
    assert reason_of(rig.commands(amend(ORDER, BID_PX, 20))) is Reason.EXCHANGE_UNAVAILABLE
    assert reason_of(rig.commands(amend(ORDER, BID_PX, 5))) is Reason.NONE
    rig.reports(report(ReportKind.AMENDED, ORDER, px=BID_PX, qty=5))
    rig.commands(cancel(ORDER))
    assert rig.state(ORDER) is OrderState.PENDING_CANCEL


@pytest.mark.parametrize("side", [BUY, SELL])
def test_stop_whose_price_comes_meanwhile_leaves_when_it_opens(side: int) -> None:
    rig = opened()
    px = ASK_PX + 5 if side > 0 else BID_PX - 5
    rig.commands(stop(side, px))
    rig.reports(entry(Reason.NOT_RECONCILED))
    assert EventKind.ORDER_SUBMITTED not in kinds(rig.ticks(trade(side, px, 1)))
    assert EventKind.HELD_ENDED not in kinds(rig.events)
    rig.reports(entry(Reason.NONE))
    assert EventKind.ORDER_SUBMITTED in kinds(rig.ticks(trade(side, px, 1)))


def test_strategies_are_not_called(tmp_path: Path) -> None:
    rig = opened()
    live = rig.s["strategies"]
    number = rig.add(Path("strategies/market_maker.py").resolve())
    rig.ticks(trade(BUY, BID_PX, 1))
    asked = int(live[number]["orders"])
    assert asked > 0
    rig.reports(entry(Reason.NOT_RECONCILED))
    rig.open_market(0, bid=BID_PX - 50, ask=ASK_PX - 50)
    assert (int(live[number]["orders"]), int(live[number]["refused"])) == (asked, 0)


def test_instrument_that_is_not_known_is_ignored() -> None:
    rig = opened()
    assert ignored(rig.reports(entry(Reason.NOT_RECONCILED, instrument=9))) is Reason.UNKNOWN_INSTRUMENT


def test_new_session_knows_nothing_of_it() -> None:
    rig = opened()
    rig.reports(entry(Reason.NOT_RECONCILED))
    begin_session(rig.st, 1)
    assert not rig.s["entry_closed"].any()
