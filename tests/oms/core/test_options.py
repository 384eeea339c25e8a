"""Options through the core: premium, margin of what is sold short, exposure, and settlement at the expiry."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms import engine
from oms.core.liquidation import balance_behind
from oms.core.option_margin import UNKNOWN, short_margins
from oms.core.state import MAX_ACCOUNTS, new_state
from oms.core.valuation import equity_of
from oms.durable import differences
from oms.instruments import Instrument
from oms.margin_tiers import OptionMargin
from oms.records import CASH_SCALE, Contingency, EventKind, InstrumentState, MarginMode, Reason, ReportKind, TickKind
from oms.replay import Replay
from tests.oms.core.builders import (
    BUY,
    PERPETUAL,
    SECOND,
    SELL,
    START_TS,
    Records,
    Rig,
    amend,
    fill,
    market_order,
    new_order,
    report,
    snapshot,
    tick,
    time_tick,
)
from tests.oms.core.option_rig import (
    BOTH,
    CALL,
    COIN_PUT,
    FAR_CALL,
    INDEX,
    LOT,
    MARK,
    PUT,
    UNIT,
    asked,
    cash_up,
    free,
    hold,
    move,
    ready,
    short_margin,
    wallet,
    with_fee,
)
from tests.oms.journalled import SESSION

pytestmark = pytest.mark.pure


class TestPremium:
    @pytest.mark.parametrize("instrument", BOTH)
    def test_buying_needs_the_premium_and_the_fee(self, instrument: Instrument) -> None:
        rig = ready()
        wallet(rig)["balance"] = with_fee(MARK * 10 * UNIT)
        terms = {"instrument": instrument.id}
        assert asked(rig, new_order(1, BUY, MARK, 11, **terms), new_order(2, BUY, MARK, 10, **terms)) == [
            Reason.INSUFFICIENT_FUNDS,
            Reason.NONE,
        ]
        assert free(rig) == 0
        assert asked(rig, new_order(3, BUY, MARK - 9, 1, **terms)) == [Reason.INSUFFICIENT_FUNDS]
        rig.reports(report(ReportKind.CANCELLED, 2))
        assert wallet(rig)["margin"] == 0

    def test_market_order_needs_what_it_would_take(self) -> None:
        rig = ready()
        wallet(rig)["balance"] = with_fee((MARK + 1) * 10 * UNIT)
        sent = (market_order(each, qty=qty, instrument=CALL.id) for each, qty in ((1, 11), (2, 10)))
        assert asked(rig, *sent) == [Reason.INSUFFICIENT_FUNDS, Reason.NONE]

    @pytest.mark.parametrize("instrument", BOTH)
    def test_premium_is_paid_at_the_fill_and_nothing_else_is_taken(self, instrument: Instrument) -> None:
        rig = ready()
        before = int(wallet(rig)["balance"])
        hold(rig, instrument, 10)
        assert wallet(rig)["balance"] == before - MARK * 10 * UNIT
        assert free(rig) == wallet(rig)["balance"]
        for px in (MARK * 2, MARK // 2):
            move(rig, instrument, px)
            assert free(rig) == wallet(rig)["balance"] == before - MARK * 10 * UNIT

    def test_amend_to_a_dearer_price_needs_the_difference(self) -> None:
        rig = ready()
        wallet(rig)["balance"] = with_fee(MARK * 10 * UNIT)
        rig.commands(new_order(1, BUY, MARK - 10, 10, instrument=CALL.id))
        rig.reports(report(ReportKind.ACCEPTED, 1))
        assert asked(rig, amend(1, px=MARK + 1), amend(1, px=MARK)) == [Reason.INSUFFICIENT_FUNDS, Reason.NONE]
        assert free(rig) == 0

    def test_what_is_sold_is_received_and_closing_it_costs_what_it_costs(self) -> None:
        rig = ready()
        before = int(wallet(rig)["balance"])
        hold(rig, PUT, -10)
        assert wallet(rig)["balance"] == before + MARK * 10 * UNIT
        hold(rig, PUT, 10, MARK + 5, trade_id=2)
        assert wallet(rig)["balance"] == before - 5 * 10 * UNIT
        assert rig.position(PUT.id)["realized_pnl"] == -5 * 10 * UNIT
        assert wallet(rig)["margin"] == 0

    def test_account_is_worth_its_balance_and_its_options_at_their_marks(self) -> None:
        rig = ready()
        rig.s["scopes"][0]["max_leverage"] = 10**6 * CASH_SCALE
        rig.s["wallets"]["balance"] = 0
        wallet(rig)["balance"] = 10_000 * CASH_SCALE
        hold(rig, CALL, 10)
        hold(rig, PUT, -4, trade_id=2)
        move(rig, CALL, MARK + 30)
        move(rig, PUT, MARK - 10)
        assert equity_of(rig.s, 0) == 10_000 * CASH_SCALE + (30 * 10 + 10 * 4) * UNIT
        assert rig.s["scopes"][0]["pnl"] == (30 * 10 + 10 * 4) * UNIT

    def test_options_are_never_isolated(self) -> None:
        rig = ready()
        rig.s["accounts"]["isolated"] = 1
        hold(rig, CALL, -10)
        assert (rig.position(CALL.id)["margin_mode"], rig.position(CALL.id)["isolated_margin"]) == (MarginMode.CROSS, 0)


class TestShort:
    @pytest.mark.parametrize("instrument", [CALL, PUT, FAR_CALL])
    def test_selling_needs_the_margin_of_its_kind(self, instrument: Instrument) -> None:
        rig = ready()
        needed = short_margin(instrument, 10) + with_fee(MARK * 10 * UNIT) - MARK * 10 * UNIT
        wallet(rig)["balance"] = needed - 1
        order = new_order(1, SELL, MARK, 10, instrument=instrument.id)
        assert asked(rig, order) == [Reason.INSUFFICIENT_FUNDS]
        wallet(rig)["balance"] = needed
        assert asked(rig, order) == [Reason.NONE]
        rig.reports(fill(1, 10, MARK, side=SELL, trade_id=1))
        assert wallet(rig)["margin"] == short_margin(instrument, 10)
        assert free(rig) == needed - short_margin(instrument, 10) + MARK * 10 * UNIT

    @pytest.mark.parametrize("instrument", [CALL, PUT, FAR_CALL])
    def test_margin_follows_the_underlying_and_the_mark(self, instrument: Instrument) -> None:
        rig = ready()
        hold(rig, instrument, -10)
        for index, mark in ((580_000, MARK), (660_000, 2 * MARK), (600_000, MARK // 2)):
            move(rig, PERPETUAL, index)
            move(rig, instrument, mark)
            expected = short_margin(instrument, 10, mark=mark, index=Decimal(index) / 10)
            assert wallet(rig)["margin"] == expected

    def test_its_loss_is_taken_once(self) -> None:
        rig = ready()
        hold(rig, CALL, -10)
        before = free(rig)
        move(rig, CALL, MARK + 40)
        assert free(rig) == before - 40 * 10 * UNIT
        assert wallet(rig)["unrealized"] == 0

    def test_without_a_price_of_the_underlying_none_is_sold(self) -> None:
        rig = ready(priced=False)
        assert asked(rig, new_order(1, SELL, MARK, 10, instrument=CALL.id)) == [Reason.NO_PRICE]

    def test_margin_stays_while_it_cannot_be_said(self) -> None:
        rig = ready()
        hold(rig, CALL, -10)
        rig.s["instruments"][CALL.id]["underlying"] = -1
        move(rig, CALL, MARK + 20)
        assert wallet(rig)["margin"] == short_margin(CALL, 10)
        assert asked(rig, new_order(2, SELL, MARK, 1, instrument=CALL.id)) == [Reason.NO_PRICE]
        hold(rig, CALL, 10, MARK + 20, trade_id=3)
        assert wallet(rig)["margin"] == 0

    @pytest.mark.parametrize("held", [0, -10])
    def test_margin_stays_while_a_group_is_set_aside_and_it_cannot_be_said(self, held: int) -> None:
        rig = ready()
        if held:
            hold(rig, CALL, held)
        pair = {"instrument": CALL.id, "contingency": Contingency.OCO, "parent_id": 2}
        assert asked(rig, new_order(2, SELL, MARK, 10, **pair)) == [Reason.NONE]
        before = int(wallet(rig)["margin"])
        assert before > 0
        rig.s["instruments"][CALL.id]["underlying"] = -1
        assert asked(rig, new_order(3, SELL, MARK + 5, 10, **pair)) == [Reason.NO_PRICE]
        assert wallet(rig)["margin"] == before
        rig.s["instruments"][CALL.id]["underlying"] = PERPETUAL.id
        move(rig, CALL, MARK)
        assert wallet(rig)["margin"] == before

    @pytest.mark.parametrize("said", [True, False])
    def test_a_new_version_brings_its_rates_or_keeps_those_in_force(self, said: bool) -> None:
        rig = ready()
        hold(rig, CALL, -10)
        before = int(wallet(rig)["margin"])
        rates = OptionMargin(initial_rate="0.3", least_rate="0.3", maintenance_rate="0.075")
        definition = msgspec.structs.replace(CALL, version=2, option_margin=rates).definition()
        if not said:
            for name in ("option_initial_rate", "option_least_rate", "option_maintenance_rate"):
                definition["row"][name] = 0  # as a journal of before has it
        engine.step_definitions(rig.st, definition, 0)
        rig.flush()
        assert rig.s["instruments"][CALL.id]["version"] == 2
        rig.ticks(snapshot(CALL.id, {MARK - 1: 10_000}, {MARK + 1: 10_000}, version=2))
        rig.s["next_review"] = rig.s["next_due"] = rig.now
        rig.ticks(time_tick(rig.now + 1))
        more = cash_up(INDEX * 10 * LOT * Decimal("0.15")) if said else 0
        assert wallet(rig)["margin"] == before + more

    def test_margin_that_would_leave_64_bits_is_not_known(self) -> None:
        rig = ready()
        definition = rig.s["instruments"][CALL.id]
        assert short_margins(rig.s, definition, 2 * MARK, 10)[0] == short_margin(CALL, 10)
        definition["size_numerator"] = 2**40
        assert short_margins(rig.s, definition, 2 * MARK, 10_000_000) == (UNKNOWN, UNKNOWN)

    def test_closing_needs_nothing_and_turning_over_does(self) -> None:
        rig = ready()
        hold(rig, CALL, -10)
        hold(rig, PUT, 10, trade_id=2)
        wallet(rig)["balance"] = 0
        terms = ({"instrument": CALL.id}, {"instrument": PUT.id})
        assert asked(
            rig,
            new_order(10, BUY, MARK, 11, **terms[0]),
            new_order(11, BUY, MARK, 10, **terms[0]),
            new_order(12, SELL, MARK, 11, **terms[1]),
            new_order(13, SELL, MARK, 10, **terms[1]),
        ) == [Reason.INSUFFICIENT_FUNDS, Reason.NONE, Reason.INSUFFICIENT_FUNDS, Reason.NONE]

    def test_both_sides_open_need_the_worse_of_both(self) -> None:
        rig = ready()
        rig.commands(
            new_order(1, BUY, MARK - 5, 10, instrument=CALL.id), new_order(2, SELL, MARK + 5, 10, instrument=CALL.id)
        )
        fees = with_fee(2 * MARK * 10 * UNIT) - 2 * MARK * 10 * UNIT
        assert wallet(rig)["margin"] == max(short_margin(CALL, 10), (MARK - 5) * 10 * UNIT) + fees
        rig.reports(report(ReportKind.CANCELLED, 2))
        assert wallet(rig)["margin"] == with_fee((MARK - 5) * 10 * UNIT)

    def test_it_takes_its_maintenance_from_what_stands_behind_a_cross_position(self) -> None:
        rig = ready()
        hold(rig, PERPETUAL, 10, 600_000)
        wallet(rig)["balance"] = 5_000 * CASH_SCALE
        assert balance_behind(rig.s, 0, 0, 0) == 5_000 * CASH_SCALE
        hold(rig, CALL, -10, trade_id=2)
        maintenance = cash_up(INDEX * 10 * LOT * Decimal("0.075")) + MARK * 10 * UNIT
        assert balance_behind(rig.s, 0, 0, 0) == 5_000 * CASH_SCALE + MARK * 10 * UNIT - maintenance
        rig.s["instruments"][CALL.id]["underlying"] = -1
        assert balance_behind(rig.s, 0, 0, 0) == 5_000 * CASH_SCALE + MARK * 10 * UNIT - wallet_margin_of(rig, CALL)
        hold(rig, PUT, 10, trade_id=3)
        assert balance_behind(rig.s, 0, 0, 0) == 5_000 * CASH_SCALE - wallet_margin_of(rig, CALL)


def wallet_margin_of(rig: Rig, instrument: Instrument) -> int:
    return int(rig.s["valuations"][0, instrument.id, 0]["margin"])


class TestExposure:
    @pytest.mark.parametrize("instrument", BOTH)
    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_an_option_counts_with_its_underlyings_notional(self, instrument: Instrument, side: int) -> None:
        rig = ready()
        hold(rig, instrument, side * 10)
        scope = rig.s["scopes"][0]
        notional = int(INDEX * 10 * LOT * CASH_SCALE)
        direction = 1 if instrument is CALL else -1
        assert (scope["gross"], scope["net"]) == (notional, side * direction * notional)
        scope["max_gross"] = notional + notional // 10
        terms = {"instrument": instrument.id}
        assert asked(rig, new_order(5, side, MARK, 2, **terms), new_order(6, side, MARK, 1, **terms)) == [
            Reason.GROSS_EXPOSURE,
            Reason.NONE,
        ]

    def test_one_in_the_base_currency_counts_what_that_is_worth(self) -> None:
        rig = ready()
        hold(rig, COIN_PUT, 10)
        assert rig.s["scopes"][0]["gross"] == 1 * CASH_SCALE  # of BTC, which counts one to one here
        assert wallet(rig, COIN_PUT)["balance"] == 2**60 - MARK * 10 * CASH_SCALE // 20_000

    def test_a_put_that_is_held_is_short_of_its_underlying(self) -> None:
        rig = ready()
        hold(rig, CALL, 10)
        hold(rig, PUT, 10, trade_id=2)
        scope = rig.s["scopes"][0]
        assert scope["net"] == 0
        assert scope["gross"] == 2 * int(INDEX * 10 * LOT * CASH_SCALE)

    def test_net_exposure_lets_no_put_be_sold_beside_a_call_and_any_be_bought(self) -> None:
        rig = ready()
        hold(rig, CALL, 10)
        rig.s["scopes"][0]["max_net"] = int(INDEX * 15 * LOT * CASH_SCALE)
        terms = {"instrument": PUT.id}
        assert asked(
            rig,
            new_order(5, SELL, MARK, 6, **terms),
            new_order(6, SELL, MARK, 5, **terms),
            new_order(7, BUY, MARK - 1, 25, **terms),
            new_order(8, BUY, MARK - 1, 1, **terms),
        ) == [Reason.NET_EXPOSURE, Reason.NONE, Reason.NONE, Reason.NET_EXPOSURE]

    def test_premium_lost_is_a_loss_of_the_day(self) -> None:
        rig = ready()
        rig.s["scopes"][0]["max_daily_loss"] = 50 * 10 * UNIT
        hold(rig, CALL, 10)
        move(rig, CALL, MARK - 49)
        assert asked(rig, new_order(5, BUY, 600_000, 2)) == [Reason.NONE]
        move(rig, CALL, MARK - 50)
        assert asked(rig, new_order(6, BUY, 600_000, 3)) == [Reason.TRADING_REDUCING]


EXPIRY_TS: Final = START_TS + 10 * SECOND


def expire(rig: Rig, index: int) -> Records:
    """Pass the expiry with the underlying's index at ``index`` ticks; the core plays the exchange."""
    rig.ticks(tick(TickKind.MARK, px=index, px_2=index))
    rig.s["external"] = 0
    rig.now = max(rig.now, EXPIRY_TS) + SECOND
    return rig.ticks(time_tick(rig.now))


class TestExpiry:
    @pytest.mark.parametrize(
        ("instrument", "index", "paid"),
        [(CALL, 600_500, 1_050), (CALL, 589_999, 0), (PUT, 600_500, 950), (PUT, 610_001, 0), (PUT, 550_000, 6_000)],
    )
    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_it_pays_what_it_is_worth_then_and_everything_is_given_back(
        self, instrument: Instrument, index: int, paid: int, side: int
    ) -> None:
        rig = ready()
        begun = int(wallet(rig)["balance"])
        hold(rig, instrument, side * 10, strategy=0)
        premium, received = MARK * 10 * UNIT, paid * 10 * CASH_SCALE // 100
        events = expire(rig, index)
        assert EventKind.SETTLED in events["kind"]
        assert wallet(rig)["balance"] == begun + side * (received - premium)
        for scope in (0, MAX_ACCOUNTS):
            settled = rig.s["positions"][scope, instrument.id, 0]
            assert (settled["qty"], settled["realized_pnl"]) == (0, side * (received - premium))
            sums = rig.s["scopes"][scope]
            assert (sums["gross"], sums["net"], sums["pnl"]) == (0, 0, side * (received - premium))
        assert (wallet(rig)["margin"], wallet(rig)["unrealized"]) == (0, 0)
        rig.s["external"] = 1
        late = new_order(99, side, MARK, 1, instrument=instrument.id)
        assert asked(rig, late) == [Reason.INSTRUMENT_EXPIRED]
        assert rig.s["instrument_states"][instrument.id] == InstrumentState.EXPIRED

    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_one_in_the_base_currency_pays_over_the_underlyings_price(self, side: int) -> None:
        rig = ready()
        begun = int(wallet(rig, COIN_PUT)["balance"])
        hold(rig, COIN_PUT, side * 10)
        expire(rig, 500_000)
        premium = MARK * 10 * CASH_SCALE // 20_000
        assert wallet(rig, COIN_PUT)["balance"] == begun + side * (11_000 * CASH_SCALE // 50_000 - premium)
        assert wallet(rig, COIN_PUT)["margin"] == 0

    def test_venue_that_settles_itself_moves_the_wallet_alike(self) -> None:
        rig = ready()
        begun = int(wallet(rig)["balance"])
        hold(rig, PUT, -10)
        rig.reports(report(ReportKind.SETTLEMENT, 0, instrument=PUT.id, px=60_500 * CASH_SCALE, fee=7))
        assert wallet(rig)["balance"] == begun + MARK * 10 * UNIT - 500 * 10 * CASH_SCALE // 100 - 7
        assert wallet(rig)["margin"] == 0

    def test_open_orders_give_back_what_they_took(self) -> None:
        rig = ready()
        rig.commands(new_order(1, BUY, MARK - 5, 10, instrument=CALL.id))
        rig.commands(new_order(2, SELL, MARK + 5, 10, instrument=PUT.id))
        assert wallet(rig)["margin"] > 0
        rig.ticks(tick(TickKind.MARK, px=600_000, px_2=600_000))
        rig.ticks(time_tick(EXPIRY_TS + SECOND))
        rig.reports(report(ReportKind.CANCELLED, 1), report(ReportKind.CANCELLED, 2))
        assert wallet(rig)["margin"] == 0


def test_wallets_come_out_of_the_journal_as_they_were(tmp_path: Path) -> None:
    live = ready(folder=tmp_path)
    again = live.st.copy()
    again[0]["books"] = new_state()[0]["books"]
    for number, (instrument, qty) in enumerate(((CALL, 10), (PUT, -10), (CALL, -14), (COIN_PUT, 3)), start=1):
        hold(live, instrument, qty, MARK + number, trade_id=number)
    expire(live, 590_500)
    Replay(again).session(tmp_path, SESSION)
    assert (again[0]["positions"]["qty"] == 0).all()
    assert list(differences(live.st, again, every_input=False)) == []


TRADES: Final = hs.lists(
    hs.tuples(hs.sampled_from(BOTH), hs.integers(-20, 20).filter(bool), hs.integers(150, 250)), min_size=1, max_size=15
)


@given(TRADES, hs.integers(500_000, 700_000), hs.integers(150, 250))
def test_cash_pnl_and_worth_agree_to_the_last_unit(
    trades: list[tuple[Instrument, int, int]], index: int, mark: int
) -> None:
    rig = ready()
    begun = int(wallet(rig)["balance"])
    for number, (instrument, qty, px) in enumerate(trades, start=1):
        hold(rig, instrument, qty, px, trade_id=number)
    paid = sum(qty * px for _, qty, px in trades) * UNIT
    assert wallet(rig)["balance"] == begun - paid
    move(rig, PERPETUAL, index)
    for each in BOTH:
        move(rig, each, mark)
    held = {each: sum(qty for instrument, qty, _ in trades if instrument is each) for each in BOTH}
    assert rig.s["scopes"][0]["pnl"] == sum(held.values()) * mark * UNIT - paid
    margin = sum(
        short_margin(each, -qty, mark=mark, index=Decimal(index) / 10) for each, qty in held.items() if qty < 0
    )
    assert free(rig) == begun - paid - margin
    expire(rig, index)
    worth = {CALL: max(index - 590_000, 0), PUT: max(610_000 - index, 0)}
    received = sum(held[each] * worth[each] for each in BOTH) * CASH_SCALE // 1_000
    assert wallet(rig)["balance"] == begun - paid + received
    assert rig.s["scopes"][0]["pnl"] == received - paid
    assert free(rig) == wallet(rig)["balance"]
