"""What the core does where it plays the exchange: it settles what has expired, and books funding."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from oms import engine
from oms.core.state import MAX_ACCOUNTS, define_account
from oms.instruments import Instrument
from oms.records import (
    CASH_SCALE,
    EventKind,
    InstrumentState,
    OrderState,
    Reason,
    ReportKind,
    TickKind,
    TradingState,
)
from tests.oms.core.builders import (
    BID_PX,
    BUY,
    PERPETUAL,
    SECOND,
    SELL,
    SPOT,
    START_TS,
    Records,
    Rig,
    client_id,
    fill,
    new_order,
    only,
    report,
    tick,
    time_tick,
)

pytestmark = pytest.mark.pure

EXPIRY_TS: Final = 1_723_075_210_000_000_000
FUTURE: Final = Instrument(
    id=3,
    symbol="BTCUSDT_240808",
    venue="binance_usdm",
    kind="linear_future",
    base="BTC",
    quote="USDT",
    tick="0.1",
    lot="0.001",
    expiry="2024-08-08T00:00:10Z",
    taker_fee_rate="0",
)
CALL: Final = Instrument(
    id=4,
    symbol="BTC-240808-59000-C",
    venue="binance_options",
    kind="option",
    base="BTC",
    quote="USDT",
    tick="5",
    lot="0.01",
    expiry="2024-08-08T00:00:10Z",
    strike="59000",
    option_kind="call",
    underlying="BTCUSDT.binance_usdm",
    taker_fee_rate="0",
)
ORDER: Final = client_id(1)
OTHER: Final = client_id(2)


def ready() -> Rig:
    rig = Rig(external=True, instruments=(PERPETUAL, SPOT, FUTURE, CALL))
    define_account(rig.st, 1, TradingState.ACTIVE)
    rig.s["limits"][1] = rig.s["limits"][0]
    rig.s["strategies_used"] = 1
    rig.s["strategies"]["defined"][0] = 1
    rig.s["instruments"][CALL.id]["underlying"] = PERPETUAL.id
    rig.open_market(0, 3)
    rig.open_market(4, bid=200, ask=201)
    assert EXPIRY_TS == FUTURE.expiry_ts == START_TS + 10 * SECOND
    return rig


def hold(rig: Rig, qty: int, order_id: int = ORDER, *, px: int = BID_PX, side: int = BUY, **fields: int) -> None:
    rig.commands(new_order(order_id, side, px, qty, **fields))
    rig.reports(report(ReportKind.ACCEPTED, order_id), fill(order_id, qty, px, side=side, trade_id=order_id))


def play(rig: Rig) -> None:
    """From here the core plays the exchange."""
    rig.s["external"] = 0


def pass_expiry(rig: Rig) -> Records:
    rig.now = max(rig.now, EXPIRY_TS) + SECOND
    return rig.ticks(time_tick(rig.now))


def states(events: Records) -> list[tuple[InstrumentState, Reason]]:
    """What is told of the future."""
    found = events[(events["kind"] == EventKind.INSTRUMENT) & (events["instrument"] == FUTURE.id)]
    return [(InstrumentState(int(each["aux"])), Reason(int(each["reason"]))) for each in found]


def position(rig: Rig, instrument: int, account: int = 0) -> Any:
    return rig.s["positions"][account, instrument, 0]


class TestExpiry:
    def test_a_future_is_settled_at_its_index_price(self) -> None:
        rig = ready()
        hold(rig, 10, instrument=FUTURE.id, strategy=0)
        hold(rig, 4, OTHER, instrument=FUTURE.id, account=1, side=SELL)
        rig.ticks(tick(TickKind.MARK, px=BID_PX + 90, px_2=BID_PX + 100, instrument=FUTURE.id))
        play(rig)
        balance = rig.s["wallets"]["balance"].sum()

        events = pass_expiry(rig)

        settled = events[events["kind"] == EventKind.SETTLED]
        assert settled["account"].tolist() == [0, 1]
        assert settled["last_px"].tolist() == [(BID_PX + 100) * CASH_SCALE // 10] * 2
        gain = 10 * 100 * CASH_SCALE // 10_000
        assert position(rig, FUTURE.id)["realized_pnl"] == gain
        assert position(rig, FUTURE.id, MAX_ACCOUNTS)["realized_pnl"] == gain
        assert position(rig, FUTURE.id, 1)["realized_pnl"] == -gain * 4 // 10
        assert [int(position(rig, FUTURE.id, scope)["qty"]) for scope in (0, 1, MAX_ACCOUNTS)] == [0, 0, 0]
        assert rig.s["wallets"]["balance"].sum() - balance == gain * 6 // 10
        assert pass_expiry(rig)["kind"].tolist().count(EventKind.SETTLED) == 0

    def test_its_reports_are_in_the_output_that_is_journalled(self) -> None:
        rig = ready()
        hold(rig, 10, instrument=FUTURE.id)
        rig.ticks(tick(TickKind.MARK, px=BID_PX, px_2=BID_PX, instrument=FUTURE.id))
        play(rig)
        engine.step_ticks(rig.st, time_tick(EXPIRY_TS + SECOND), 0, 0)

        (row,) = rig.s["reports"][: rig.s["report_count"]]
        assert (row["kind"], row["instrument"], row["version"]) == (ReportKind.SETTLEMENT, FUTURE.id, 1)

    def test_an_option_pays_by_its_underlying(self) -> None:
        rig = ready()
        hold(rig, 10, instrument=CALL.id, px=200)
        rig.ticks(tick(TickKind.MARK, px=600_000, px_2=600_500, instrument=PERPETUAL.id))
        play(rig)

        events = pass_expiry(rig)

        assert only(events, EventKind.SETTLED)["last_px"] == 60_050 * CASH_SCALE
        assert position(rig, CALL.id)["realized_pnl"] == (1_050 - 1_000) * CASH_SCALE // 10

    def test_without_a_price_the_position_stays_and_that_is_told_once(self) -> None:
        rig = ready()
        hold(rig, 10, instrument=FUTURE.id)
        play(rig)

        events = pass_expiry(rig)

        assert states(events)[-1] == (InstrumentState.EXPIRED, Reason.NO_PRICE)
        assert position(rig, FUTURE.id)["qty"] == 10
        assert states(pass_expiry(rig)) == []
        rig.ticks(tick(TickKind.MARK, px=BID_PX, px_2=0, instrument=FUTURE.id))
        pass_expiry(rig)
        assert position(rig, FUTURE.id)["qty"] == 0

    def test_a_venue_settles_itself(self) -> None:
        rig = ready()
        hold(rig, 10, instrument=FUTURE.id)
        rig.ticks(tick(TickKind.MARK, px=BID_PX, px_2=BID_PX, instrument=FUTURE.id))

        pass_expiry(rig)

        assert position(rig, FUTURE.id)["qty"] == 10
        rig.reports(report(ReportKind.SETTLEMENT, 0, instrument=FUTURE.id, px=60_000 * CASH_SCALE))
        assert position(rig, FUTURE.id)["qty"] == 0

    def test_open_orders_are_cancelled_first(self) -> None:
        rig = ready()
        hold(rig, 10, instrument=FUTURE.id)
        rig.ticks(tick(TickKind.MARK, px=BID_PX, px_2=BID_PX, instrument=FUTURE.id))
        play(rig)
        rig.commands(new_order(OTHER, px=BID_PX - 5, instrument=FUTURE.id))
        rig.ticks(time_tick())

        events = pass_expiry(rig)
        rig.ticks(time_tick())

        assert only(events, EventKind.CANCEL_SUBMITTED)["reason"] == Reason.INSTRUMENT_EXPIRED
        pass_expiry(rig)
        assert rig.state(OTHER) == OrderState.CANCELLED
        assert position(rig, FUTURE.id)["qty"] == 0

    def test_a_new_version_is_not_waited_for_any_more(self) -> None:
        rig = ready()
        hold(rig, 7, instrument=FUTURE.id)
        rig.definitions(msgspec.structs.replace(FUTURE, version=2, lot="0.005"))
        assert rig.s["instrument_states"][FUTURE.id] == InstrumentState.OFF_GRID

        events = pass_expiry(rig)

        assert states(events) == [(InstrumentState.EXPIRED, Reason.INSTRUMENT_EXPIRED)]
        assert rig.s["switching"] == 0
        refused = rig.definitions(msgspec.structs.replace(FUTURE, version=3, lot="0.001"))
        assert only(refused, EventKind.DEFINITION_REFUSED)["reason"] == Reason.INSTRUMENT_EXPIRED


class TestFunding:
    def test_longs_pay_shorts_at_the_mark_price(self) -> None:
        rig = ready()
        hold(rig, 10)
        hold(rig, 4, OTHER, account=1, side=SELL)
        rig.ticks(tick(TickKind.MARK, px=BID_PX, px_2=0))
        play(rig)

        events = rig.ticks(tick(TickKind.FUNDING, qty=10_000))

        paid = events[events["kind"] == EventKind.FUNDING]
        value = 600 * CASH_SCALE
        assert paid["fees"].tolist() == [value // 10_000, -value * 4 // 100_000]
        assert position(rig, 0)["funding"] == -value // 10_000
        assert position(rig, 0, 1)["funding"] == value * 4 // 100_000

    def test_a_strategy_bears_its_share(self) -> None:
        rig = ready()
        hold(rig, 10)
        hold(rig, 4, OTHER, side=SELL, strategy=0)
        play(rig)

        rig.ticks(tick(TickKind.FUNDING, qty=10_000))

        assert position(rig, 0)["funding"] < 0
        assert position(rig, 0, MAX_ACCOUNTS)["funding"] * 6 == -position(rig, 0)["funding"] * 4

    def test_a_rate_below_zero_pays_longs(self) -> None:
        rig = ready()
        hold(rig, 10)
        play(rig)

        rig.ticks(tick(TickKind.FUNDING, qty=-10_000))

        assert position(rig, 0)["funding"] > 0

    def test_nothing_is_booked_where_the_venue_does_it_or_for_spot(self) -> None:
        rig = ready()
        hold(rig, 10)
        assert EventKind.FUNDING not in rig.ticks(tick(TickKind.FUNDING, qty=10_000))["kind"]
        play(rig)
        assert EventKind.FUNDING not in rig.ticks(tick(TickKind.FUNDING, qty=10_000, instrument=FUTURE.id))["kind"]

    def test_a_rate_above_all_reason_is_refused(self) -> None:
        rig = ready()
        hold(rig, 10)
        play(rig)

        rig.ticks(tick(TickKind.FUNDING, qty=CASH_SCALE + 1))

        assert rig.s["ticks_refused"] == 1
        assert position(rig, 0)["funding"] == 0
