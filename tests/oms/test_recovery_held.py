"""Orders in the core's keeping outlive the core: killed and started again, they leave when their price comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oms.core.state import new_state
from oms.durable import begin_session
from oms.records import (
    Contingency,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TimeInForce,
    TradingState,
    TrailUnit,
    Trigger,
    TriggerSource,
)
from oms.recovery import cancelled_by_restart, carry_definitions, recover, take_on
from oms.snapshot import Definitions
from tests.oms.core.builders import (
    BID_PX,
    BUY,
    MS,
    SELL,
    Records,
    Rig,
    amend,
    client_id,
    command,
    fill,
    new_order,
    report,
    snapshot,
    time_tick,
    trade,
)
from tests.oms.journalled import SESSION, JournalledRig

S = OrderState
ORDER, TARGET, STOP = client_id(1), client_id(2), client_id(3)
DEFINITIONS = Definitions(instruments={"0": {"name": "BTCUSDT.binance_usdm"}})


class Killed:
    """A core whose journal is all that is left of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rig = JournalledRig(folder / "journal")
        self.assembled = new_state()
        carry_definitions(self.assembled, self.rig.st)
        self.rig.open_market()
        self.rig.ticks(trade(BUY, BID_PX, 1))

    def restarted(self) -> Rig:
        """The core that comes after it, told to trade again; nothing is known of the market yet."""
        past = recover(self.assembled, DEFINITIONS, self.folder / "snapshots", self.folder / "journal")
        fresh = Rig()
        take_on(fresh.st, past, DEFINITIONS)
        begin_session(fresh.st, SESSION + 1)
        fresh.now = self.rig.now
        ended = cancelled_by_restart(fresh.st)
        if len(ended):
            fresh.reports(ended)
        for state in (TradingState.HALTED, TradingState.ACTIVE):
            fresh.commands(command(5, 0, instrument=-1, value=state))
        return fresh


@pytest.fixture
def killed(tmp_path: Path) -> Killed:
    return Killed(tmp_path)


def price(rig: Rig, px: int) -> Records:
    """Bring the book and the last trade to ``px``; returns the events."""
    before = rig.ticks(snapshot(0, {px: 1_000}, {px + 1: 1_000}))
    after: Records = rig.ticks(trade(BUY, px, 1))
    return before if len(before) > len(after) else after


def stop_order(order_id: int, side: int = SELL, **fields: Any) -> Records:
    terms = {
        "order_type": OrderType.MARKET,
        "trigger": Trigger.STOP,
        "trigger_source": TriggerSource.LAST,
        "trigger_px": BID_PX - 50,
        **fields,
    }
    return new_order(order_id, side, 0, 10, **terms)


def test_stop_fires_after_a_restart(killed: Killed) -> None:
    killed.rig.commands(stop_order(ORDER))
    rig = killed.restarted()
    assert rig.state(ORDER) == OrderState.HELD
    price(rig, BID_PX - 49)
    assert rig.state(ORDER) == OrderState.HELD
    price(rig, BID_PX - 50)
    assert rig.state(ORDER) == OrderState.PENDING_NEW
    assert rig.sent["order_id"][rig.sent["kind"] == 1].tolist() == [ORDER]


def test_stop_has_the_terms_that_it_was_given_last(killed: Killed) -> None:
    killed.rig.commands(stop_order(ORDER), amend(ORDER, qty=7, trigger_px=BID_PX - 20, request_id=9))
    rig = killed.restarted()
    assert int(rig.order(ORDER)["request_id"]) == 9
    assert int(rig.order(ORDER)["full_qty"]) == 7
    price(rig, BID_PX - 20)
    (left,) = rig.sent[rig.sent["kind"] == 1]
    assert left["qty"] == 7


def test_stop_whose_price_has_passed_meanwhile_leaves_with_the_first_price(killed: Killed) -> None:
    killed.rig.commands(stop_order(ORDER))
    rig = killed.restarted()
    price(rig, BID_PX - 200)
    assert rig.state(ORDER) == OrderState.PENDING_NEW


def test_trailing_stop_goes_on_from_where_it_was(killed: Killed) -> None:
    trailing = {"trigger": Trigger.TRAILING, "trigger_px": 0, "trail": 30, "trail_unit": TrailUnit.TICKS}
    killed.rig.commands(stop_order(ORDER, **trailing))
    price(killed.rig, BID_PX + 100)
    rig = killed.restarted()
    assert int(rig.order(ORDER)["trigger_px"]) == BID_PX + 70
    price(rig, BID_PX + 120)
    assert int(rig.order(ORDER)["trigger_px"]) == BID_PX + 90
    price(rig, BID_PX + 91)
    assert rig.state(ORDER) == OrderState.HELD
    price(rig, BID_PX + 90)
    assert rig.state(ORDER) == OrderState.PENDING_NEW


def test_bracket_whose_entry_has_filled_still_guards_the_position(killed: Killed) -> None:
    exits = {"parent_id": ORDER, "contingency": Contingency.OTO}
    killed.rig.commands(
        new_order(ORDER, BUY, BID_PX, 10),
        new_order(TARGET, SELL, BID_PX + 50, 10, **exits),
        stop_order(STOP, **exits),
    )
    killed.rig.reports(report(ReportKind.ACCEPTED, ORDER), fill(ORDER, 6, trade_id=1))
    assert killed.rig.state(TARGET) == OrderState.PENDING_NEW
    rig = killed.restarted()
    assert rig.position()["qty"] == 6
    assert [rig.state(each) for each in (ORDER, TARGET, STOP)] == [S.CANCELLED, S.CANCELLED, S.HELD]
    assert int(rig.order(TARGET)["reason"]) == Reason.RESTARTED
    price(rig, BID_PX - 50)
    (left,) = rig.sent[rig.sent["kind"] == 1]
    assert (left["order_id"], left["qty"]) == (STOP, 6)
    rig.reports(report(ReportKind.ACCEPTED, STOP), fill(STOP, 6, BID_PX - 50, side=SELL, trade_id=2))
    assert rig.position()["qty"] == 0


def test_bracket_whose_entry_was_at_an_exchange_that_is_gone_ends(killed: Killed) -> None:
    killed.rig.commands(
        new_order(ORDER, BUY, BID_PX, 10), stop_order(STOP, parent_id=ORDER, contingency=Contingency.OTO)
    )
    rig = killed.restarted()
    assert rig.state(STOP) == OrderState.CANCELLED
    assert int(rig.order(STOP)["reason"]) == Reason.PARENT_ENDED


def test_order_whose_time_ended_meanwhile_expires_with_the_first_tick(killed: Killed) -> None:
    killed.rig.commands(
        stop_order(ORDER, time_in_force=TimeInForce.GTD, expire_ts=killed.rig.now + 50 * MS),
    )
    rig = killed.restarted()
    events = rig.ticks(time_tick(killed.rig.now + 60 * MS))
    assert rig.state(ORDER) == OrderState.EXPIRED
    assert EventKind.HELD_ENDED in events["kind"].tolist()


def test_held_order_waits_while_trading_is_halted(killed: Killed) -> None:
    killed.rig.commands(stop_order(ORDER))
    rig = killed.restarted()
    rig.commands(command(5, 0, instrument=-1, value=TradingState.HALTED))
    price(rig, BID_PX - 60)
    assert rig.state(ORDER) == OrderState.HELD
    rig.commands(command(5, 0, instrument=-1, value=TradingState.ACTIVE))
    price(rig, BID_PX - 60)
    assert rig.state(ORDER) == OrderState.PENDING_NEW
