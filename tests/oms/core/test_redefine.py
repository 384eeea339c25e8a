"""A new version of an instrument while the core runs: trading halts, orders go, it applies, trading resumes."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as hs

from oms import engine
from oms.core.redefine import restore_instrument
from oms.core.state import MAX_ACCOUNTS, define_account
from oms.core.valuation import equity_of, revalue
from oms.instruments import Instrument
from oms.records import (
    BookState,
    EventKind,
    InstrumentState,
    OrderState,
    Reason,
    ReportKind,
    TickKind,
    TradingState,
    Trigger,
    TriggerSource,
)
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    FINE,
    PERPETUAL,
    SECOND,
    SELL,
    SPOT,
    Records,
    Rig,
    amend,
    cancel,
    client_id,
    fill,
    ignored,
    kinds,
    new_order,
    only,
    reason_of,
    report,
    snapshot,
    tick,
    time_tick,
    trade,
)

pytestmark = pytest.mark.pure

COARSE: Final = msgspec.structs.replace(
    PERPETUAL, version=2, tick="0.5", lot="0.005", min_qty="0.005", min_notional="0"
)
"""Five old ticks, and five old lots, in one."""
FINER: Final = msgspec.structs.replace(PERPETUAL, version=2, tick="0.05", lot="0.0005")
ORDER: Final = client_id(1)
OTHER: Final = client_id(2)
THIRD: Final = client_id(3)


def ready(*instruments: Instrument, external: bool = True, **limits: int) -> Rig:
    """A core with two accounts (the second one FIFO), each with a strategy, and an open market."""
    rig = Rig(external=external, instruments=instruments or (PERPETUAL, SPOT, FINE), limits=limits)
    define_account(rig.st, 1, TradingState.ACTIVE)
    rig.s["accounts"][1]["fifo"] = 1
    rig.s["limits"][1] = rig.s["limits"][0]
    rig.s["strategies_used"] = 2
    rig.s["strategies"]["defined"][:2] = 1
    rig.s["strategies"]["account"][:2] = (0, 1)
    rig.open_market(*(each.id for each in instruments))
    return rig


def state_of(rig: Rig, instrument: int = 0) -> InstrumentState:
    return InstrumentState(int(rig.s["instrument_states"][instrument]))


def version_of(rig: Rig, instrument: int = 0) -> int:
    return int(rig.s["instruments"][instrument]["version"])


def hold(rig: Rig, qty: int, *, px: int = BID_PX, order_id: int = ORDER, side: int = BUY, **fields: int) -> None:
    """Give an account, or a strategy of its, a position by an order that fills."""
    rig.commands(new_order(order_id, side, px, qty, **fields))
    rig.reports(report(ReportKind.ACCEPTED, order_id), fill(order_id, qty, px, side=side, trade_id=order_id))


def live(rig: Rig, order_id: int, **fields: Any) -> None:
    rig.commands(new_order(order_id, **fields))
    rig.reports(report(ReportKind.ACCEPTED, order_id))


def pass_seconds(rig: Rig, seconds: int = 1) -> Records:
    rig.now += seconds * SECOND
    return rig.ticks(time_tick(rig.now))


def told(events: Records) -> list[tuple[InstrumentState, int]]:
    """States and versions in force of the INSTRUMENT events."""
    found = events[events["kind"] == EventKind.INSTRUMENT]
    return [(InstrumentState(int(each["aux"])), int(each["px"])) for each in found]


def equities(rig: Rig, scopes: Iterable[int]) -> list[int]:
    for scope in scopes:
        revalue(rig.s, scope)
    return [equity_of(rig.s, scope) for scope in scopes]


def test_without_open_orders_the_version_applies_at_once() -> None:
    rig = ready()

    events = rig.definitions(COARSE)

    assert told(events) == [(InstrumentState.SWITCHING, 1), (InstrumentState.TRADING, 2)]
    assert (version_of(rig), state_of(rig)) == (2, InstrumentState.TRADING)
    assert only(events, EventKind.BOOK_STATE)["aux"] == BookState.EMPTY


def test_live_held_and_new_orders_are_cancelled_first() -> None:
    rig = ready()
    live(rig, ORDER)
    rig.commands(new_order(OTHER))  # not acknowledged yet
    stop = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": ASK_PX + 100}
    rig.commands(new_order(THIRD, BUY, ASK_PX + 100, **stop))

    events = rig.definitions(COARSE)

    assert state_of(rig) == InstrumentState.SWITCHING
    assert version_of(rig) == 1
    cancels = events[events["kind"] == EventKind.CANCEL_SUBMITTED]
    assert set(cancels["order_id"].tolist()) == {ORDER, OTHER}
    assert set(cancels["reason"].tolist()) == {Reason.INSTRUMENT_HALTED}
    assert only(events, EventKind.HELD_ENDED)["order_id"] == THIRD
    assert set(events["version"][events["kind"] == EventKind.CANCEL_SUBMITTED].tolist()) == {1}

    rig.reports(report(ReportKind.CANCELLED, ORDER))
    assert version_of(rig) == 1
    events = rig.reports(report(ReportKind.CANCELLED, OTHER))
    assert told(events) == [(InstrumentState.TRADING, 2)]


def test_new_orders_and_amends_are_refused_until_then() -> None:
    rig = ready()
    live(rig, ORDER)
    rig.definitions(COARSE)

    assert reason_of(rig.commands(new_order(OTHER))) == Reason.INSTRUMENT_HALTED
    assert reason_of(rig.commands(amend(ORDER, BID_PX - 5))) == Reason.REQUEST_IN_FLIGHT
    assert reason_of(rig.commands(new_order(THIRD, instrument=1, px=BID_PX, qty=1))) == Reason.NONE


def test_a_refused_cancel_is_asked_for_again_at_the_next_review() -> None:
    rig = ready()
    live(rig, ORDER)
    rig.definitions(COARSE)
    rig.reports(report(ReportKind.CANCEL_REJECTED, ORDER))
    assert rig.state(ORDER) == OrderState.LIVE

    events = pass_seconds(rig)

    assert only(events, EventKind.CANCEL_SUBMITTED)["order_id"] == ORDER
    assert told(rig.reports(report(ReportKind.CANCELLED, ORDER))) == [(InstrumentState.TRADING, 2)]


def test_fills_in_flight_are_in_the_position_before_it_moves() -> None:
    rig = ready()
    live(rig, ORDER, qty=40)
    rig.reports(fill(ORDER, 10, trade_id=1))
    rig.definitions(COARSE)
    rig.reports(fill(ORDER, 15, trade_id=2))

    rig.reports(report(ReportKind.CANCELLED, ORDER))

    assert version_of(rig) == 2
    assert rig.position()["qty"] == 5
    assert rig.position()["version"] == 2
    assert rig.position()["open_cost"] == 5 * BID_PX // 5


def test_ticks_of_the_old_version_are_taken_until_the_switch_and_refused_after() -> None:
    rig = ready()
    live(rig, ORDER)
    rig.definitions(COARSE)
    refused = int(rig.s["ticks_refused"])
    rig.ticks(trade(BUY, ASK_PX, 1, version=1))
    assert rig.book()["trade_px"] == ASK_PX
    assert rig.s["ticks_refused"] == refused

    rig.reports(report(ReportKind.CANCELLED, ORDER))
    rig.ticks(trade(BUY, ASK_PX, 1, version=1), snapshot(0, {BID_PX: 1}, {ASK_PX: 1}, version=1))

    assert rig.book()["trade_px"] == 0
    assert rig.book()["state"] == BookState.EMPTY
    assert rig.s["ticks_refused"] == refused + 3


def test_trading_resumes_with_the_first_snapshot_of_the_new_version() -> None:
    rig = ready()
    rig.ticks(tick(TickKind.MARK, px=BID_PX, px_2=BID_PX))
    rig.definitions(COARSE)
    book = rig.book()
    assert (book["mark_px"], book["index_px"], book["trade_px"], book["occupied"].sum()) == (0, 0, 0, 0)
    assert rig.levels(BUY) == rig.levels(SELL) == {}
    assert reason_of(rig.commands(new_order(ORDER, px=120_000))) == Reason.BOOK_STALE
    rig.ticks(tick(TickKind.DEPTH, side=BUY, px=120_000, qty=3, version=2))
    assert rig.levels(BUY) == {}

    rig.ticks(snapshot(0, {120_000: 10}, {120_001: 10}, version=2))

    assert reason_of(rig.commands(new_order(ORDER, px=120_000, version=1))) == Reason.WRONG_VERSION
    events = rig.commands(new_order(OTHER, px=120_000))
    assert only(events, EventKind.ORDER_SUBMITTED)["version"] == 2
    assert rig.order(OTHER)["version"] == 2


@pytest.mark.parametrize("version", [COARSE, FINER], ids=["coarser", "finer"])
def test_pnl_and_equity_of_accounts_and_strategies_stay_the_same(version: Instrument) -> None:
    rig = ready()
    hold(rig, 25, px=BID_PX, order_id=ORDER, strategy=0)
    hold(rig, 10, px=BID_PX + 20, order_id=OTHER, side=SELL, strategy=0)
    hold(rig, 30, px=BID_PX - 15, order_id=THIRD, account=1, strategy=1)
    hold(rig, 5, px=BID_PX + 5, order_id=client_id(4), account=1, strategy=1)
    hold(rig, 15, px=BID_PX + 25, order_id=client_id(5), side=SELL, account=1, strategy=1)
    rig.ticks(snapshot(0, {BID_PX + 10: 5}, {BID_PX + 20: 5}))
    scopes = (0, 1, MAX_ACCOUNTS, MAX_ACCOUNTS + 1)
    before = equities(rig, scopes)
    balances = rig.s["wallets"]["balance"].copy()
    lots = rig.s["positions"][scopes, 0, 0]["qty"].copy()
    gross = [int(rig.s["scopes"][scope]["gross"]) for scope in scopes]

    events = rig.definitions(version)

    assert version_of(rig) == 2
    told_positions = events[events["kind"] == EventKind.POSITION]
    assert set(told_positions["version"].tolist()) == {2}
    assert told_positions["position_qty"].tolist() == rig.s["positions"]["qty"][:2, 0, 0].tolist()
    assert equities(rig, scopes) == before
    assert (rig.s["wallets"]["balance"] == balances).all()
    assert [int(rig.s["scopes"][scope]["gross"]) for scope in scopes] == gross
    ratio = Decimal(PERPETUAL.lot) / Decimal(version.lot)
    assert rig.s["positions"][scopes, 0, 0]["qty"].tolist() == [int(qty * ratio) for qty in lots.tolist()]
    assert rig.s["scopes"][0]["unpriced"] == 0
    steps = Decimal(PERPETUAL.tick) / Decimal(version.tick)
    rig.ticks(snapshot(0, {int((BID_PX + 10) * steps): 5}, {int((BID_PX + 20) * steps): 5}, version=2))
    assert equities(rig, scopes) == before


def test_limits_mean_the_same_quantity() -> None:
    rig = ready(max_order_qty=104, max_position=3)
    rig.s["limits"][MAX_ACCOUNTS, 0] = rig.s["limits"][0, 0]

    rig.definitions(COARSE)

    for scope in (0, 1, MAX_ACCOUNTS):
        assert rig.s["limits"][scope, 0]["max_order_qty"] == 20
        assert rig.s["limits"][scope, 0]["max_position"] == 1
    assert rig.s["limits"][0, 1]["max_order_qty"] == 104


def test_currencies_and_wallets_stay_those_of_the_session() -> None:
    rig = ready()
    before = rig.s["instruments"][0].copy()

    rig.definitions(COARSE)

    for name in ("underlying", "base_currency", "quote_currency", "settle_currency", "settle_wallet"):
        assert rig.s["instruments"][0][name] == before[name]


def test_a_currency_that_the_instrument_prices_keeps_its_rate() -> None:
    rig = ready()
    btc = rig.s["currencies"][rig.s["instruments"][1]["base_currency"]]
    for name, value in {"instrument": 1, "factor": 0.005}.items():
        btc[name] = value
    rig.definitions(msgspec.structs.replace(SPOT, version=2, tick="0.05"))

    assert btc["factor"] == 0.025


class TestOffGrid:
    def test_only_that_instrument_halts_and_the_position_is_named(self) -> None:
        rig = ready()
        hold(rig, 12, strategy=0)

        events = rig.definitions(COARSE)

        assert told(events)[-1] == (InstrumentState.OFF_GRID, 1)
        named = events[events["kind"] == EventKind.INSTRUMENT][-1]
        assert (named["account"], named["strategy"], named["position_qty"]) == (0, -1, 12)
        assert (named["reason"], named["qty"]) == (Reason.POSITION_OFF_GRID, 2)
        assert rig.position()["qty"] == 12
        assert reason_of(rig.commands(new_order(OTHER))) == Reason.INSTRUMENT_HALTED
        assert reason_of(rig.commands(new_order(THIRD, instrument=1, px=BID_PX, qty=1))) == Reason.NONE
        assert told(pass_seconds(rig, 3)) == []

    def test_adjustments_put_it_on_the_grid_and_the_switch_is_made(self) -> None:
        rig = ready()
        hold(rig, 12, strategy=0)
        rig.definitions(COARSE)

        rig.reports(report(ReportKind.POSITION, 0, qty=10, px=BID_PX))
        events = pass_seconds(rig)
        assert told(events) == [(InstrumentState.OFF_GRID, 1)]
        assert only(events, EventKind.INSTRUMENT)["strategy"] == 0
        events = rig.reports(report(ReportKind.POSITION, 0, qty=10, px=BID_PX, value=1))
        assert only(events, EventKind.POSITION_ADOPTED)["strategy"] == 0
        events = pass_seconds(rig)

        assert told(events) == [(InstrumentState.TRADING, 2)]
        assert rig.position()["qty"] == 2
        assert rig.s["positions"][MAX_ACCOUNTS, 0, 0]["qty"] == 2

    def test_a_still_newer_version_takes_its_place(self) -> None:
        rig = ready()
        hold(rig, 12)
        rig.definitions(COARSE)

        events = rig.definitions(msgspec.structs.replace(PERPETUAL, version=3, lot="0.002"))

        assert told(events) == [(InstrumentState.SWITCHING, 1), (InstrumentState.TRADING, 3)]
        assert rig.position()["qty"] == 6
        assert rig.s["switching"] == 0


class TestLateReports:
    def late(self, qty: int = 20) -> Rig:
        """An order of version 1 that was cancelled, and the instrument in version 2."""
        rig = ready()
        live(rig, ORDER, qty=qty)
        rig.definitions(COARSE)
        rig.reports(report(ReportKind.CANCELLED, ORDER))
        assert version_of(rig) == 2
        return rig

    @pytest.mark.parametrize("version", [0, 1])
    def test_a_late_fill_is_applied_exactly(self, version: int) -> None:
        rig = self.late()

        events = rig.reports(fill(ORDER, 10, BID_PX, trade_id=9, version=version))

        filled = only(events, EventKind.ORDER_FILLED)
        assert (filled["version"], filled["last_px"], filled["last_qty"]) == (1, BID_PX, 10)
        assert filled["position_qty"] == 10
        position = only(events, EventKind.POSITION)
        assert (position["version"], position["position_qty"]) == (2, 2)
        assert rig.position()["open_cost"] == 2 * (BID_PX // 5)
        assert rig.order(ORDER)["filled_qty"] == 10

    def test_one_in_the_new_version_is_converted_for_its_order(self) -> None:
        rig = self.late()

        rig.reports(fill(ORDER, 2, BID_PX // 5, trade_id=9, version=2))

        assert rig.order(ORDER)["filled_qty"] == 10
        assert rig.position()["qty"] == 2

    def test_its_fee_is_that_of_the_order_version(self) -> None:
        rig = self.late()
        rig.s["instruments"][0]["maker_fee_rate"] = 0

        event = only(rig.reports(fill(ORDER, 10, BID_PX, trade_id=9)), EventKind.ORDER_FILLED)

        assert event["fees"] == 60_000 * 10**8 // 100 * 2 // 10_000

    @pytest.mark.parametrize(("px", "qty"), [(BID_PX, 7), (BID_PX - 1, 10)])
    def test_one_that_is_not_on_the_new_grid_is_ignored_and_counted(self, px: int, qty: int) -> None:
        rig = self.late()
        before = rig.position().copy()

        events = rig.reports(fill(ORDER, qty, px, trade_id=9))

        assert ignored(events) == Reason.WRONG_VERSION
        assert rig.s["reports_ignored"] == 1
        assert rig.position().tobytes() == before.tobytes()
        assert rig.order(ORDER)["filled_qty"] == 0

    def test_one_of_a_version_that_is_forgotten_is_ignored(self) -> None:
        rig = self.late()
        rig.definitions(msgspec.structs.replace(PERPETUAL, version=3))

        assert ignored(rig.reports(fill(ORDER, 10, BID_PX, trade_id=9, version=1))) == Reason.WRONG_VERSION

    def test_more_than_the_order_has_left_is_an_overfill(self) -> None:
        rig = self.late()

        assert ignored(rig.reports(fill(ORDER, 25, BID_PX, trade_id=9))) == Reason.OVERFILL

    def test_a_repeated_trade_counts_once(self) -> None:
        rig = ready()
        live(rig, ORDER, qty=20)
        rig.reports(fill(ORDER, 10, trade_id=9))
        rig.definitions(COARSE)
        rig.reports(report(ReportKind.CANCELLED, ORDER))

        assert ignored(rig.reports(fill(ORDER, 10, BID_PX, trade_id=9))) == Reason.DUPLICATE_TRADE
        assert rig.position()["qty"] == 2

    def test_an_answer_without_a_price_needs_no_conversion(self) -> None:
        rig = self.late()

        assert kinds(rig.reports(report(ReportKind.CANCEL_REJECTED, ORDER))) == [EventKind.CANCEL_REJECTED]


@pytest.mark.parametrize(
    ("instrument", "reason"),
    [
        (msgspec.structs.replace(PERPETUAL, tick="0.5"), Reason.WRONG_VERSION),
        (msgspec.structs.replace(COARSE, id=77), Reason.UNKNOWN_INSTRUMENT),
        (msgspec.structs.replace(COARSE, multiplier="2"), Reason.CONTRACT_CHANGED),
        (msgspec.structs.replace(SPOT, id=0, version=2), Reason.CONTRACT_CHANGED),
        (msgspec.structs.replace(COARSE, symbol="ETHUSDT"), Reason.CONTRACT_CHANGED),
    ],
    ids=["same version", "unknown", "multiplier", "kind", "symbol"],
)
def test_what_is_no_newer_version_changes_nothing(instrument: Instrument, reason: Reason) -> None:
    rig = ready()
    live(rig, ORDER)
    before = rig.s["instruments"].copy()

    events = rig.definitions(instrument)

    assert only(events, EventKind.DEFINITION_REFUSED)["reason"] == reason
    assert kinds(events) == [EventKind.DEFINITION_REFUSED]
    assert state_of(rig) == InstrumentState.TRADING
    assert rig.state(ORDER) == OrderState.LIVE
    assert (rig.s["instruments"] == before).all()


@pytest.mark.parametrize("changed", [{"settlement": "ETH"}, {"base": "XRP"}, {"quote": "EUR"}])
def test_another_currency_is_another_contract(changed: dict[str, str]) -> None:
    quanto = Instrument(
        id=5,
        symbol="ETHUSD",
        venue="somewhere",
        kind="quanto_perpetual",
        base="ETH2",
        quote="USD",
        settlement="BTC",
        tick="0.05",
        lot="1",
        multiplier="0.000001",
    )
    rig = ready(quanto)

    events = rig.definitions(msgspec.structs.replace(quanto, version=2, tick="0.1", **changed))

    assert only(events, EventKind.DEFINITION_REFUSED)["reason"] == Reason.CONTRACT_CHANGED
    assert version_of(rig, 5) == 1
    rig.definitions(msgspec.structs.replace(quanto, version=2, tick="0.1"))
    assert version_of(rig, 5) == 2


def asking(rig: Rig, instrument: int = 0) -> Records:
    """What an instrument says when it is asked how it stands."""
    record = COARSE.definition()
    record["instrument"], record["version"] = instrument, 0
    return rig._step(engine.step_definitions, record)


class TestAsked:
    def test_one_that_is_traded_says_so(self) -> None:
        rig = ready()
        rig.definitions(COARSE)
        before = rig.st.copy()

        events = asking(rig)

        assert told(events) == [(InstrumentState.TRADING, 2)]
        assert rig.s["instruments"].tobytes() == before[0]["instruments"].tobytes()

    def test_one_that_is_not_there_is_refused(self) -> None:
        assert only(asking(ready(), 77), EventKind.DEFINITION_REFUSED)["reason"] == Reason.UNKNOWN_INSTRUMENT

    def test_one_that_waits_names_what_is_in_the_way_again(self) -> None:
        rig = ready()
        hold(rig, 12)
        rig.definitions(COARSE)

        events = asking(rig)

        assert told(events) == [(InstrumentState.SWITCHING, 1), (InstrumentState.OFF_GRID, 1)]
        assert events["reason"][-1] == Reason.POSITION_OFF_GRID


def test_a_row_that_does_not_fit_its_record_is_refused() -> None:
    rig = ready()
    wrong = COARSE.definition()
    wrong["row"]["tick_denominator"] = 0

    engine.step_definitions(rig.st, wrong, 0)

    assert only(rig.flush(), EventKind.DEFINITION_REFUSED)["reason"] == Reason.MALFORMED


def test_the_paper_exchange_answers_before_the_switch() -> None:
    rig = ready(external=False)
    rig.commands(new_order(ORDER, qty=20))
    rig.ticks(time_tick())
    rig.ticks(trade(SELL, BID_PX - 1, 5_000))
    events = rig.definitions(COARSE)
    events = np.concatenate([events, rig.ticks(time_tick()), rig.ticks(time_tick())])

    assert told(events)[-1] == (InstrumentState.TRADING, 2)
    assert rig.position()["qty"] * 5 == rig.order(ORDER)["filled_qty"]
    rig.ticks(snapshot(0, {120_000: 10}, {120_001: 10}, version=2))
    rig.commands(new_order(OTHER, BUY, 120_001, 4))
    rig.ticks(time_tick(), time_tick())
    assert rig.order(OTHER)["filled_qty"] == 4


def test_cancels_of_others_go_on_while_one_instrument_changes() -> None:
    rig = ready()
    live(rig, ORDER)
    live(rig, OTHER, instrument=1, px=BID_PX, qty=1)
    rig.definitions(COARSE)

    events = rig.commands(cancel(OTHER))

    assert kinds(events) == [EventKind.CANCEL_SUBMITTED]
    assert rig.state(OTHER) == OrderState.PENDING_CANCEL


def test_the_journal_events_put_the_same_version_in_force_again() -> None:
    rig = ready()
    hold(rig, 25, strategy=0)
    hold(rig, 10, order_id=OTHER, account=1, strategy=1)
    live(rig, THIRD)
    rig.reports(report(ReportKind.CANCELLED, THIRD))
    again = rig.st.copy()
    events = rig.definitions(COARSE)

    again[0]["incoming_definition"][0] = COARSE.definition()["row"][0]
    for event in events[events["kind"] == EventKind.INSTRUMENT]:
        restore_instrument(again[0], event)

    for name in ("instruments", "former_definitions", "instrument_states", "positions", "cost_lots", "limits"):
        assert again[0][name].tobytes() == rig.s[name].tobytes(), name
    assert again[0]["switching"] == rig.s["switching"] == 0


GRIDS: Final = hs.tuples(
    hs.sampled_from(("0.1", "0.5", "0.01", "1", "0.25", "0.2", "0.05")),
    hs.sampled_from(("0.001", "0.005", "0.01", "0.0001", "0.002", "0.05")),
)
TRADES: Final = hs.lists(
    hs.tuples(hs.sampled_from((BUY, SELL)), hs.integers(1, 40), hs.integers(1, 300), hs.integers(0, 1)), max_size=12
)


@given(old=GRIDS, new=GRIDS, trades=TRADES, mark=hs.integers(1, 200))
def test_on_any_two_grids_equity_stays_or_the_position_is_named(
    old: tuple[str, str], new: tuple[str, str], trades: list[tuple[int, int, int, int]], mark: int
) -> None:
    terms = {"min_qty": "0", "max_qty": "0", "min_notional": "0"}
    first = msgspec.structs.replace(PERPETUAL, tick=old[0], lot=old[1], **terms)
    second = msgspec.structs.replace(PERPETUAL, tick=new[0], lot=new[1], version=2, **terms)
    coarse = max(Decimal(old[0]), Decimal(new[0])) * 20
    middle = int(mark * coarse / Decimal(old[0]))
    assume(middle > 1)
    rig = ready(first)
    rig.ticks(snapshot(0, {middle - 1: 5}, {middle + 1: 5}))
    for number, (side, px, qty, account) in enumerate(trades, 1):
        hold(rig, qty, px=px, order_id=client_id(number), side=side, account=account, strategy=account)
    scopes = (0, 1, MAX_ACCOUNTS, MAX_ACCOUNTS + 1)
    before = equities(rig, scopes)
    held = [int(rig.s["positions"][scope, 0, 0]["qty"]) * Decimal(old[1]) for scope in scopes]

    events = rig.definitions(second)

    after = [int(rig.s["positions"][scope, 0, 0]["qty"]) for scope in scopes]
    if any(qty % Decimal(new[1]) for qty in held):
        assert told(events)[-1] == (InstrumentState.OFF_GRID, 1)
        assert [qty * Decimal(old[1]) for qty in after] == held
    else:
        assert told(events)[-1] == (InstrumentState.TRADING, 2)
        assert [qty * Decimal(new[1]) for qty in after] == held
    assert all(abs(one - other) <= 2 for one, other in zip(equities(rig, scopes), before, strict=True))
