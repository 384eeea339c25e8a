"""Liquidation: when the exchange closes a position, at which price, and what the core is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import pytest

from oms.core.state import State
from oms.durable import differences
from oms.instruments import Instrument
from oms.records import (
    BUY,
    CASH_SCALE,
    EXCHANGE_CLIENT,
    ORDER_ID_COUNTER_BITS,
    SELL,
    EventKind,
    Liquidation,
    Liquidity,
    OrderFlag,
    OrderState,
    Reason,
    TickKind,
)
from oms.replay import Replay
from oms.replay_all import WholeReplay
from tests.backtest.desk import (
    FIRST_TIER,
    INVERSE,
    SECOND_TIER,
    WATCH,
    Desk,
    balance,
    contract,
    hold,
    liquidations,
    move,
    set_up,
)
from tests.oms.core.builders import MS, amend, client_id, kinds, new_order, tick, time_tick
from tests.oms.journalled import SESSION, JournalledRig

pytestmark = pytest.mark.pure


class Case(NamedTuple):
    """A position, the last mark at which it is held, the first at which it is not, and the price of bankruptcy."""

    instrument: Instrument
    qty: int
    balance: int
    holds: int
    liquidates: int
    bankrupt: int
    left: float
    """Of the balance: less than a tick of the position."""


CASES: Final = {
    # 1000 + 10 (m - 1001) = 0.05 * 10 m at m = 948.4, and 0 at 901
    "long": Case(contract(), 10, 1_000, 949, 948, 901, 0.0),
    # 1000 + 10 (999 - m) = 0.05 * 10 m at 1046.7, and 0 at 1099
    "short": Case(contract(), -10, 1_000, 1_046, 1_047, 1_099, 0.0),
    # the second tier's deduction is 5000 * 0.05 = 250: 1100 + 10 (m - 1001) = 0.1 * 10 m - 250 at 962.2, and 0 at 891
    "tiers": Case(contract(0, FIRST_TIER, SECOND_TIER), 10, 1_100, 963, 962, 891, 0.0),
    # 1 + 10000 / 1001 - 10000 / m = 0.05 * 10000 / m at 955.4, and 0 at 909.9; 910 is in the account's favour
    "inverse long": Case(INVERSE, 100, 1, 956, 955, 910, 0.00099900),
    # 1 + 10000 / m - 10000 / 999 = 0.05 * 10000 / m at 1054.4, and 0 at 1109.9
    "inverse short": Case(INVERSE, -100, 1, 1_054, 1_055, 1_109, 0.00712250),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_position_whose_maintenance_margin_is_reached_is_closed_at_the_price_of_bankruptcy(case: Case) -> None:
    desk = Desk(case.instrument, balance=case.balance)
    hold(desk, case.qty)
    move(desk, case.holds)
    assert liquidations(desk) == []
    move(desk, case.liquidates)
    assert liquidations(desk) == [(0, -case.qty, case.bankrupt)]
    assert desk.position()["qty"] == 0
    assert balance(desk) == pytest.approx(case.left, abs=1e-7)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_loss_beyond_the_margin_is_not_the_accounts(case: Case) -> None:
    desk = Desk(case.instrument, balance=case.balance)
    hold(desk, case.qty)
    move(desk, case.bankrupt - 100 if case.qty > 0 else case.bankrupt + 100)
    assert liquidations(desk) == [(0, -case.qty, case.bankrupt)]
    assert balance(desk) == pytest.approx(case.left, abs=1e-7)


def test_positions_on_one_wallet_are_closed_together_and_share_what_is_left_by_maintenance() -> None:
    desk = Desk(contract(0), contract(1), balance=2_000)
    hold(desk, 10)
    hold(desk, -20, 500, 1)
    # 2000 + 10 (m - 1001) + 20 (499 - 500) = 0.05 (10 m + 20 * 500) at 897.9
    move(desk, 898)
    assert liquidations(desk) == []
    move(desk, 897)
    # of 940 that are left the short gets 940 * 500 / 948.5 = 495.5, which is 24 ticks; the long 460, which is 46
    assert sorted(liquidations(desk)) == [(0, -10, 851), (1, 20, 524)]
    assert balance(desk) == 0


def test_a_gain_of_one_position_keeps_the_other_from_liquidation() -> None:
    desk = Desk(contract(0), contract(1), balance=2_000)
    hold(desk, 10)
    hold(desk, -20, 500, 1)
    move(desk, 450, 1)
    # 2000 + 10 (m - 1001) + 20 (499 - 450) = 0.05 (10 m + 20 * 450) at 787.4
    move(desk, 788)
    assert liquidations(desk) == []
    move(desk, 787)
    assert len(liquidations(desk)) == 2


def test_an_isolated_position_is_closed_alone_and_loses_its_own_margin() -> None:
    desk = Desk(contract(0), contract(1), balance=5_000, leverage=10, isolated=1)
    hold(desk, 10)
    hold(desk, -2, 500, 1)
    orders = [client_id(90), client_id(91)]
    for number, order_id in enumerate(orders):
        desk.commands(new_order(order_id, BUY, 300, 1, instrument=number, strategy=-1))
    # 1001 + 10 (m - 1001) = 0.05 * 10 m at 948.3, and 0 at 900.9; 901 is in the account's favour
    move(desk, 949)
    assert liquidations(desk) == []
    move(desk, 948)
    assert liquidations(desk) == [(0, -10, 901)]
    assert balance(desk) == 4_000
    assert desk.position(1)["qty"] == -2
    assert [desk.state(each) for each in orders] == [OrderState.CANCELLED, OrderState.LIVE]


def test_each_leg_of_a_hedging_account_is_closed() -> None:
    desk = Desk(balance=1_600)
    desk.s["accounts"]["hedging"] = 1
    hold(desk, 15)
    hold(desk, -4, flags=OrderFlag.SHORT_LEG)
    # 1600 + 15 (m - 1001) + 4 (999 - m) = 0.05 * 19 m at 937.2
    move(desk, 938)
    assert liquidations(desk) == []
    move(desk, 937)
    assert sorted(qty for _, qty, _ in liquidations(desk)) == [-15, 4]
    assert desk.s["positions"]["qty"][0, 0].tolist() == [0, 0]


def short_calls() -> Desk:
    """Two calls sold short at 49 on 500 of the currency, on an underlying at 1000; their mark is 50."""
    call = Instrument(
        id=1,
        symbol="CALL",
        venue="binance_usdm",
        kind="option",
        option_kind="call",
        strike="1000",
        expiry="2030-01-01T00:00:00Z",
        base="C0",
        quote="USDT",
        underlying="C0USDT.binance_usdm",
        tick="1",
        lot="1",
        maker_fee_rate="0",
        taker_fee_rate="0",
    )
    desk = Desk(contract(0), call, balance=500)
    desk.s["instruments"]["underlying"][1] = 0
    move(desk, 1_000)
    hold(desk, -2, 50, 1)
    return desk


def test_a_short_option_is_closed_by_its_own_mark() -> None:
    desk = short_calls()
    # 500 + 98 - 2 m = 0.075 * 2 * 1000 at 224; nothing is left at 299
    move(desk, 223, 1)
    assert liquidations(desk) == []
    move(desk, 224, 1)
    assert liquidations(desk) == [(1, 2, 299)]
    assert balance(desk) == 0


def test_a_short_option_is_closed_by_its_underlyings_price() -> None:
    desk = short_calls()
    move(desk, 200, 1)
    # 500 + 98 - 2 * 200 = 0.075 * 2 u at 1320
    move(desk, 1_319)
    assert liquidations(desk) == []
    move(desk, 1_320)
    assert liquidations(desk) == [(1, 2, 299)]


def test_a_bought_option_is_left_alone() -> None:
    desk = short_calls()
    hold(desk, 4, 50, 1)
    move(desk, 1, 1)
    assert liquidations(desk) == []
    assert desk.position(1)["qty"] == 2


def test_at_the_mark_what_is_left_after_the_fee_stays() -> None:
    desk = Desk()
    set_up(desk, 1_000, liquidation=Liquidation.MARK, liquidation_fee_rate=CASH_SCALE // 100)
    hold(desk, 10)
    move(desk, 948)
    assert liquidations(desk) == [(0, -10, 948)]
    assert balance(desk) == 1_000 - 10 * (1_001 - 948) - 94.8


def test_the_fee_is_at_most_what_is_left_and_nothing_past_bankruptcy() -> None:
    for px, filled_at in ((948, 948), (850, 901)):
        desk = Desk()
        set_up(desk, 1_000, liquidation=Liquidation.MARK, liquidation_fee_rate=CASH_SCALE // 4)
        hold(desk, 10)
        move(desk, px)
        assert liquidations(desk) == [(0, -10, filled_at)]
        assert balance(desk) == 0


def test_the_venues_mark_counts_where_there_is_one() -> None:
    desk = Desk()
    hold(desk, 10)
    desk.ticks(tick(TickKind.MARK, px=1_000))
    move(desk, 900)
    assert liquidations(desk) == []
    desk.ticks(tick(TickKind.MARK, px=949))
    assert liquidations(desk) == []
    desk.ticks(tick(TickKind.MARK, px=948))
    assert liquidations(desk) == [(0, -10, 901)]


def test_a_book_that_is_out_of_step_has_no_mark() -> None:
    desk = Desk()
    hold(desk, 10)
    desk.ticks(tick(TickKind.STALE))
    desk.ticks(tick(TickKind.TRADE, side=SELL, px=800, qty=1))
    assert liquidations(desk) == []
    move(desk, 800)
    assert liquidations(desk) == [(0, -10, 901)]


def test_funding_and_a_payment_out_bring_it_nearer() -> None:
    desk = Desk()
    hold(desk, 10)
    move(desk, 960)
    desk.ticks(tick(TickKind.FUNDING, qty=CASH_SCALE // 50))  # 192, of which 110 were to spare
    move(desk, 960)
    assert len(liquidations(desk)) == 1


def test_off_it_stays() -> None:
    desk = Desk()
    set_up(desk, 1_000, liquidation=Liquidation.OFF)
    hold(desk, 10)
    move(desk, 500)
    assert liquidations(desk) == []
    assert desk.position()["qty"] == 10


def test_where_requests_leave_the_venue_liquidates() -> None:
    desk = Desk()
    hold(desk, 10)
    desk.s["external"] = 1
    move(desk, 500)
    assert desk.position()["qty"] == 10


def test_orders_are_cancelled_first_and_then_the_position_is_closed() -> None:
    desk = Desk()
    hold(desk, 10)
    order_id = client_id(90)
    desk.commands(new_order(order_id, BUY, 800, 1, strategy=-1))
    told = move(desk, 940)
    told = told[told["kind"] != EventKind.SCOPE]
    assert kinds(told) == [
        EventKind.ORDER_CANCELLED,
        EventKind.ORDER_ADOPTED,
        EventKind.ORDER_FILLED,
        EventKind.POSITION,
    ]
    assert told["reason"][:3].tolist() == [Reason.LIQUIDATION] * 3
    assert told["order_id"][0] == order_id
    filled = told[2]
    assert filled["order_id"] >> ORDER_ID_COUNTER_BITS == EXCHANGE_CLIENT
    assert (filled["liquidity"], filled["position_qty"], filled["fees"]) == (Liquidity.TAKER, 0, 0)
    assert desk.open_list() == []
    assert desk.s["wallets"]["margin"][0, 0] == 0


def test_a_strategy_hears_of_the_fill_and_its_share_is_closed() -> None:
    desk = Desk(contract())
    first, second = desk.add(WATCH), desk.add(WATCH)
    hold(desk, 6, strategy=first)
    hold(desk, -1, strategy=second)
    hold(desk, 5)  # a client's
    before = desk.s["strategies"]["memory"][:2, 1].tolist()
    move(desk, 930)
    assert sorted(qty for _, qty, _ in liquidations(desk)) == [-6, -5, 1]
    assert len({px for _, _, px in liquidations(desk)}) == 1
    assert desk.s["strategies"]["memory"][:2, 1].tolist() == [each + 1 for each in before]
    assert not desk.s["positions"]["qty"].any()
    assert 0 <= balance(desk) < 10


def test_an_order_on_its_way_is_rejected_and_one_that_comes_later_is_not() -> None:
    desk = Desk(latency_ns=10 * MS)
    move(desk, 1_000)
    desk.commands(new_order(client_id(1), BUY, 1_001, 10, strategy=-1))
    desk.ticks(time_tick(desk.now + 100 * MS))
    assert desk.position()["qty"] == 10
    desk.commands(new_order(client_id(2), BUY, 900, 1, strategy=-1))
    move(desk, 940)  # the exchange liquidates; the core hears of it 10 ms later
    assert liquidations(desk) == []
    desk.commands(new_order(client_id(3), SELL, 960, 1, strategy=-1, flags=OrderFlag.REDUCE_ONLY))
    desk.ticks(time_tick(desk.now + 100 * MS))
    assert liquidations(desk) == [(0, -10, 901)]
    for number in (2, 3):
        assert desk.state(client_id(number)) is OrderState.REJECTED
        assert desk.order(client_id(number))["reason"] == Reason.LIQUIDATION
    desk.s["wallets"]["balance"] = 1_000 * CASH_SCALE
    desk.commands(new_order(client_id(4), BUY, 900, 1, strategy=-1))
    desk.ticks(time_tick(desk.now + 100 * MS))
    assert desk.state(client_id(4)) is OrderState.LIVE


def test_an_order_whose_amend_is_on_its_way_is_cancelled_too() -> None:
    desk = Desk(latency_ns=10 * MS)
    move(desk, 1_000)
    desk.commands(
        new_order(client_id(1), BUY, 1_001, 10, strategy=-1), new_order(client_id(2), BUY, 900, 1, strategy=-1)
    )
    desk.ticks(time_tick(desk.now + 100 * MS))
    desk.commands(amend(client_id(2), px=899))
    move(desk, 940)
    desk.ticks(time_tick(desk.now + 100 * MS))
    assert desk.state(client_id(2)) is OrderState.CANCELLED
    assert desk.position()["qty"] == 0
    assert desk.s["illegal_transitions"] == 0


def test_fills_on_their_way_are_waited_for() -> None:
    desk = Desk(latency_ns=10 * MS)
    move(desk, 1_000)
    desk.commands(new_order(client_id(1), BUY, 1_001, 10, strategy=-1))
    desk.ticks(time_tick(desk.now + 100 * MS))
    desk.commands(new_order(client_id(2), SELL, 900, 10, strategy=-1))  # it has closed the position at the exchange
    desk.ticks(time_tick(desk.now + 11 * MS))
    move(desk, 940)
    desk.ticks(time_tick(desk.now + 100 * MS))
    move(desk, 940)
    assert liquidations(desk) == []
    assert desk.position()["qty"] == 0


def played(folder: Path, every_input: bool) -> tuple[JournalledRig, State]:
    """A session with a liquidation, and the core as it began."""
    live = JournalledRig(folder, external=False, instruments=(contract(),), every_input=every_input)
    set_up(live, 1_000)
    number = live.add(WATCH)
    begun = live.st.copy()
    hold(live, 6, strategy=number)
    hold(live, 4)
    live.commands(new_order(client_id(90), BUY, 800, 1, strategy=-1))
    move(live, 930)
    assert len(liquidations(live)) == 2
    return live, begun


def test_it_comes_out_of_the_journal_of_orders_as_it_was(tmp_path: Path) -> None:
    live, again = played(tmp_path, False)
    Replay(again).session(tmp_path, SESSION)
    assert again[0]["model"]["trade_counter"] == live.s["model"]["trade_counter"]
    assert list(differences(live.st, again, every_input=False)) == []


def test_it_comes_out_of_the_journal_of_every_input_byte_for_byte(tmp_path: Path) -> None:
    live, again = played(tmp_path, True)
    done = WholeReplay(again).session(tmp_path, SESSION)
    assert list(differences(live.st, again, every_input=True)) == []
    assert done.events == len(live.events)
