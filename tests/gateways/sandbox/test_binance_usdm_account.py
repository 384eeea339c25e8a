"""The account through an unmodified ccxt: balance, position, fees, margin, modes; and the ledger by its invariants."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateways.sandbox.accounts import Account, Ledger
from oms.instruments import Instrument
from oms.margin_tiers import MarginTier
from oms.records import CASH_SCALE
from tests.gateways.sandbox.desk import SYMBOL, Desk, on_sandbox, shipped_instrument

FAR = 61_000.0
TIERS = (
    MarginTier(notional="0", initial_rate="0.01", maintenance_rate="0.004"),
    MarginTier(notional="50000", initial_rate="0.02", maintenance_rate="0.01"),
)
TIERED = replace(shipped_instrument(), margin_tiers=TIERS, max_leverage="100")

fills = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(1, 10**6), st.integers(1, 10**5), st.booleans()), max_size=30
)


def shipped() -> Ledger:
    return Ledger(shipped_instrument())


@given(fills)
def test_wallet_is_what_fills_have_realized_less_their_fees(given_fills: list[tuple[int, int, int, bool]]) -> None:
    ledger, account = shipped(), Account(0, 0)
    total = 0
    for side, px, qty, is_maker in given_fills:
        booked = ledger.book(account, side, px, qty, is_maker=is_maker)
        total += booked.realized_pnl - booked.fee
        assert booked.fee >= 0
    assert account.wallet == total
    assert account.qty == sum(side * qty for side, _, qty, _ in given_fills)


@given(fills)
def test_flat_account_has_realized_its_whole_cash_flow(given_fills: list[tuple[int, int, int, bool]]) -> None:
    ledger, account = shipped(), Account(0, 0)
    flow = realized = 0
    for side, px, qty, is_maker in given_fills:
        flow -= side * px * qty
        realized += ledger.book(account, side, px, qty, is_maker=is_maker).realized_pnl
    if account.qty:
        side, qty = (-1 if account.qty > 0 else 1), abs(account.qty)
        flow -= side * 1000 * qty
        realized += ledger.book(account, side, 1000, qty, is_maker=False).realized_pnl
    assert (account.qty, account.open_cost) == (0, 0)
    assert realized == ledger.value(flow)


def test_position_that_turns_over_opens_at_the_fills_price() -> None:
    ledger, account = shipped(), Account(0, 0)
    ledger.book(account, 1, 1000, 10, is_maker=True)
    booked = ledger.book(account, -1, 1100, 15, is_maker=False)
    assert booked.realized_pnl == ledger.value(10 * 100)
    assert account.qty == -5
    assert ledger.entry_px(account) == 1100


def test_maintenance_margin_is_by_tier() -> None:
    ledger = Ledger(TIERED)
    mark_px = Fraction(600_000)  # 60,000
    account = Account(0, 0, qty=500)  # 0.5, worth 30,000
    assert ledger.maintenance_margin(account, mark_px) == 120 * CASH_SCALE
    account.qty = -2000  # worth 120,000: 1 % less what the first 50,000 need less
    assert ledger.maintenance_margin(account, mark_px) == (1200 - 300) * CASH_SCALE


def test_other_kinds_of_instruments_are_refused() -> None:
    inverse = Instrument(
        id=1, symbol="X", venue="v", kind="inverse_perpetual", base="BTC", quote="USD", tick="1", lot="1"
    )
    with pytest.raises(ValueError, match="inverse_perpetual"):
        Ledger(inverse)


@on_sandbox()
async def test_balance_and_position_after_a_round_trip(desk: Desk) -> None:
    bought = await desk.buy(0.1)
    balance = (await desk.exchange.fetch_balance())["info"]
    fee = bought["cost"] * 0.0005
    assert float(balance["totalWalletBalance"]) == pytest.approx(100_000 - fee)
    (position,) = await desk.exchange.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"]) == ("long", 0.1)
    assert position["entryPrice"] == pytest.approx(bought["average"])
    mark = position["markPrice"]
    assert position["unrealizedPnl"] == pytest.approx((mark - bought["average"]) * 0.1)
    sold = await desk.order("sell", 0.1)
    balance = (await desk.exchange.fetch_balance())["info"]
    fee += sold["cost"] * 0.0005
    assert float(balance["totalWalletBalance"]) == pytest.approx(100_000 - fee + sold["cost"] - bought["cost"])
    assert await desk.exchange.fetch_positions([SYMBOL]) == []


@on_sandbox()
async def test_incomes_are_the_wallets_bookings(desk: Desk) -> None:
    await desk.buy(0.1)
    await desk.order("sell", 0.04)
    await desk.order("sell", 0.06)
    incomes = await desk.exchange.fapiPrivateGetIncome({"limit": 1000})
    total = sum(float(income["income"]) for income in incomes)
    assert {income["incomeType"] for income in incomes} == {"COMMISSION", "REALIZED_PNL"}
    wallet = float((await desk.exchange.fetch_balance())["info"]["totalWalletBalance"])
    assert wallet == pytest.approx(100_000 + total)
    only = await desk.exchange.fapiPrivateGetIncome({"incomeType": "COMMISSION"})
    assert len(only) == len(await desk.exchange.fetch_my_trades(SYMBOL))


@on_sandbox()
async def test_open_orders_take_margin_and_too_many_are_refused(desk: Desk) -> None:
    await desk.exchange.set_leverage(10, SYMBOL)
    await desk.buy(10, FAR)
    free = (await desk.exchange.fetch_balance())["USDT"]["free"]
    assert free == pytest.approx(100_000 - 10 * FAR / 10)
    with pytest.raises(ccxt.InsufficientFunds, match="-2019"):
        await desk.buy(10, FAR)
    await desk.exchange.cancel_all_orders(SYMBOL)
    assert (await desk.exchange.fetch_balance())["USDT"]["free"] == 100_000


@on_sandbox()
async def test_order_that_closes_needs_no_margin(desk: Desk) -> None:
    await desk.exchange.set_leverage(1, SYMBOL)
    await desk.buy(1.5)
    with pytest.raises(ccxt.InsufficientFunds):
        await desk.buy(0.5)
    assert (await desk.order("sell", 1.5))["status"] == "closed"


@on_sandbox()
async def test_leverage_beyond_the_instruments_is_refused(desk: Desk) -> None:
    await desk.exchange.load_markets()
    with pytest.raises(ccxt.BadRequest, match="-4028"):
        await desk.exchange.fapiPrivatePostLeverage({"symbol": "BTCUSDT", "leverage": 126})
    assert (await desk.exchange.set_leverage(50, SYMBOL))["leverage"] == 50


@on_sandbox(instrument=TIERED)
async def test_leverage_brackets_are_the_margin_tiers(desk: Desk) -> None:
    tiers: list[Any] = (await desk.exchange.fetch_leverage_tiers([SYMBOL]))[SYMBOL]
    assert [(tier["minNotional"], tier["maintenanceMarginRate"], tier["maxLeverage"]) for tier in tiers] == [
        (0, 0.004, 100),
        (50_000, 0.01, 50),
    ]


@on_sandbox()
async def test_modes_that_are_not_offered_are_refused(desk: Desk) -> None:
    await desk.exchange.load_markets()
    assert (await desk.exchange.fetch_position_mode(SYMBOL))["hedged"] is False
    with pytest.raises(ccxt.BadRequest, match="-1020"):
        await desk.exchange.set_position_mode(True, SYMBOL)
    with pytest.raises(ccxt.BadRequest, match="-1020"):
        await desk.exchange.set_margin_mode("isolated", SYMBOL)
    with pytest.raises(ccxt.MarginModeAlreadySet):
        await desk.exchange.set_margin_mode("cross", SYMBOL)


@on_sandbox()
async def test_fee_rates_are_the_instruments(desk: Desk) -> None:
    fee = await desk.exchange.fetch_trading_fee(SYMBOL)
    assert (fee["maker"], fee["taker"]) == (0.0002, 0.0005)


@on_sandbox()
async def test_trades_are_asked_for_by_order_and_by_id(desk: Desk) -> None:
    first, second = await desk.buy(0.01), await desk.buy(0.02)
    trades = await desk.exchange.fetch_my_trades(SYMBOL)
    of_second = await desk.exchange.fetch_my_trades(SYMBOL, params={"orderId": second["id"]})
    assert {trade["order"] for trade in of_second} == {second["id"]}
    after = await desk.exchange.fetch_my_trades(SYMBOL, params={"fromId": int(trades[-1]["id"])})
    assert [trade["id"] for trade in after] == [trades[-1]["id"]]
    assert [order["id"] for order in await desk.exchange.fetch_orders(SYMBOL)] == [first["id"], second["id"]]
