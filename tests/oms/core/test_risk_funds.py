"""Funds: what orders reserve, what fills move, what margin takes, and that everything is given back."""

from __future__ import annotations

from typing import Any

import pytest

from oms.instruments import Instrument
from oms.records import CASH_SCALE, Liquidity, OrderFlag, Reason, ReportKind
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    PERPETUAL,
    SELL,
    SPOT,
    Records,
    Rig,
    amend,
    cancel,
    fill,
    market_order,
    new_order,
    reason_of,
    report,
    snapshot,
)

pytestmark = pytest.mark.pure

SPOT_CASH = 10
"""Cash of one tick-lot of the spot instrument: 0.01 * 0.00001 in 1e-8."""
BASE_CASH = 1_000
"""Base currency of one of its lots in 1e-8."""
FEE = CASH_SCALE // 1_000
LEVERED = Instrument(
    id=0,
    symbol="BTCUSDT",
    venue="binance_usdm",
    kind="linear_perpetual",
    tick="0.1",
    lot="0.001",
    taker_fee_rate="0",
    maker_fee_rate="0",
    max_leverage="20",
)
MID_CASH = (BID_PX + ASK_PX) * 10_000 // 2


def market(*instruments: Instrument, **limits: int) -> Rig:
    rig = Rig(instruments=instruments or (PERPETUAL, SPOT), limits=limits)
    for each in instruments or (PERPETUAL, SPOT):
        rig.open_market(each.id)
    return rig


def wallet(rig: Rig, instrument: int, which: str) -> Any:
    return rig.s["wallets"][0, rig.s["instruments"][instrument][f"{which}_wallet"]]


def fund(rig: Rig, instrument: int, which: str, balance: int) -> Any:
    row = wallet(rig, instrument, which)
    row["balance"] = balance
    return row


def asked(rig: Rig, *commands: Records) -> list[Reason]:
    return [reason_of(rig.commands(each)) for each in commands]


def spot_cost(px: int, qty: int) -> int:
    """Quote currency that a spot buy needs, its taker fee rounded up."""
    value = px * qty * SPOT_CASH
    return value + -(-value * FEE // CASH_SCALE)


def test_spot_buy_needs_its_notional_and_its_fee() -> None:
    rig = market()
    quote = fund(rig, 1, "quote", spot_cost(BID_PX, 100))
    assert asked(rig, new_order(1, qty=101, instrument=1), new_order(2, qty=100, instrument=1)) == [
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
    ]
    assert quote["reserved"] == quote["balance"]
    assert asked(rig, new_order(3, qty=1, instrument=1)) == [Reason.INSUFFICIENT_FUNDS]


def test_spot_sell_needs_what_it_sells() -> None:
    rig = market()
    base = fund(rig, 1, "base", 100 * BASE_CASH)
    assert asked(rig, new_order(1, SELL, qty=60, instrument=1), new_order(2, SELL, qty=41, instrument=1)) == [
        Reason.NONE,
        Reason.INSUFFICIENT_FUNDS,
    ]
    assert base["reserved"] == 60 * BASE_CASH


def test_spot_market_order_is_reserved_at_the_price_that_it_would_take() -> None:
    rig = market()
    quote = fund(rig, 1, "quote", spot_cost(ASK_PX, 100))
    assert asked(rig, market_order(1, qty=101, instrument=1), market_order(2, qty=100, instrument=1)) == [
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
    ]
    rig.reports(report(ReportKind.EXPIRED, 2))
    assert quote["reserved"] == 0


def test_spot_fill_moves_both_wallets_and_the_fee() -> None:
    rig = market()
    quote, base = fund(rig, 1, "quote", 10**15), fund(rig, 1, "base", 10**12)
    rig.commands(new_order(1, qty=100, instrument=1))
    rig.reports(fill(1, 40, instrument=1, trade_id=1, liquidity=Liquidity.TAKER))
    value = BID_PX * 40 * SPOT_CASH
    assert quote["balance"] == 10**15 - value - value * FEE // CASH_SCALE
    assert base["balance"] == 10**12 + 40 * BASE_CASH
    assert quote["reserved"] == spot_cost(BID_PX, 60)
    rig.commands(new_order(2, SELL, qty=40, instrument=1))
    rig.reports(fill(2, 40, ASK_PX, side=SELL, instrument=1, trade_id=2, fee_known=1, fee=7))
    assert base["balance"] == 10**12
    assert base["reserved"] == 0
    assert quote["balance"] == 10**15 - value - value * FEE // CASH_SCALE + ASK_PX * 40 * SPOT_CASH - 7


@pytest.mark.parametrize("end", [ReportKind.REJECTED, ReportKind.CANCELLED, ReportKind.EXPIRED])
def test_order_that_ends_gives_back_exactly_what_it_took(end: ReportKind) -> None:
    rig = market()
    quote = wallet(rig, 1, "quote")
    rig.commands(new_order(1, px=BID_PX - 7, qty=97, instrument=1))
    if end != ReportKind.REJECTED:
        rig.reports(report(ReportKind.ACCEPTED, 1), fill(1, 13, BID_PX - 7, trade_id=1, instrument=1))
    rig.reports(report(end, 1))
    assert quote["reserved"] == 0
    rig.reports(fill(1, 3, BID_PX - 7, trade_id=9, instrument=1))
    assert quote["reserved"] == 0


def test_amend_in_flight_is_reserved_at_the_dearer_of_both() -> None:
    rig = market()
    quote = fund(rig, 1, "quote", spot_cost(BID_PX, 100))
    rig.commands(new_order(1, px=BID_PX - 100, qty=100, instrument=1))
    rig.reports(report(ReportKind.ACCEPTED, 1))
    assert asked(rig, amend(1, px=BID_PX + 1), amend(1, px=BID_PX)) == [Reason.INSUFFICIENT_FUNDS, Reason.NONE]
    assert quote["reserved"] == spot_cost(BID_PX, 100)
    rig.reports(report(ReportKind.AMENDED, 1, px=BID_PX, qty=100))
    assert asked(rig, amend(1, px=BID_PX - 100)) == [Reason.NONE]
    assert quote["reserved"] == spot_cost(BID_PX, 100)
    rig.reports(report(ReportKind.AMENDED, 1, px=BID_PX - 100, qty=100))
    assert quote["reserved"] == spot_cost(BID_PX - 100, 100)


def test_account_without_a_wallet_has_no_funds() -> None:
    rig = market()
    wallet(rig, 1, "quote")["defined"] = 0
    assert asked(rig, new_order(1, qty=1, instrument=1), new_order(2)) == [Reason.INSUFFICIENT_FUNDS, Reason.NONE]
    rig.s["instruments"]["settle_wallet"] = -1
    assert asked(rig, new_order(3)) == [Reason.INSUFFICIENT_FUNDS]


@pytest.mark.parametrize(("leverage", "lots"), [(1, 100), (5, 500), (20, 2_000), (50, 2_000)])
def test_margin_is_the_farthest_position_at_the_accounts_leverage_within_the_instruments(
    leverage: int, lots: int
) -> None:
    rig = market(LEVERED)
    rig.s["accounts"][0]["leverage"] = leverage * CASH_SCALE
    fund(rig, 0, "settle", BID_PX * 100 * 10_000)
    assert asked(rig, new_order(1, qty=lots + 1), new_order(2, qty=lots), new_order(3, qty=1)) == [
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
        Reason.INSUFFICIENT_FUNDS,
    ]


def test_margin_of_both_sides_is_that_of_the_farther_one() -> None:
    rig = market(LEVERED)
    settle = fund(rig, 0, "settle", ASK_PX * 100 * 10_000)
    assert asked(rig, new_order(1, qty=100), new_order(2, SELL, qty=100)) == [Reason.NONE] * 2
    assert settle["margin"] == ASK_PX * 100 * 10_000
    rig.reports(report(ReportKind.REJECTED, 2))
    assert settle["margin"] == BID_PX * 100 * 10_000
    rig.reports(report(ReportKind.REJECTED, 1))
    assert settle["margin"] == 0


def test_order_that_only_closes_needs_no_funds() -> None:
    rig = market(LEVERED)
    settle = fund(rig, 0, "settle", ASK_PX * 100 * 10_000)
    rig.commands(new_order(1, qty=100))
    rig.reports(fill(1, 100, trade_id=1))
    settle["balance"] = 0
    assert asked(rig, new_order(2, qty=1), new_order(3, SELL, qty=100), new_order(4, SELL, qty=201)) == [
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
        Reason.INSUFFICIENT_FUNDS,
    ]


def test_unrealized_loss_is_not_free_and_unrealized_gain_neither() -> None:
    rig = market(LEVERED)
    settle = fund(rig, 0, "settle", MID_CASH * 210)
    rig.commands(new_order(1, qty=100))
    rig.reports(fill(1, 100, trade_id=1))
    rig.ticks(snapshot(0, {BID_PX * 9 // 10: 1_000}, {ASK_PX * 9 // 10 + 1: 1_000}))
    low = BID_PX * 9 // 10
    assert asked(rig, new_order(2, px=low, qty=123), new_order(3, px=low, qty=122)) == [
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
    ]
    assert settle["unrealized"] < 0
    rig.reports(report(ReportKind.REJECTED, 3))
    rig.ticks(snapshot(0, {BID_PX * 2: 1_000}, {ASK_PX * 2: 1_000}))
    assert asked(rig, new_order(4, px=BID_PX * 2, qty=6), new_order(5, px=BID_PX * 2, qty=5)) == [
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
    ]


def test_realized_pnl_and_fees_settle_in_the_wallet() -> None:
    rig = market()
    settle = fund(rig, 0, "settle", 10**16)
    rig.commands(new_order(1, qty=100), new_order(2, SELL, qty=100))
    rig.reports(fill(1, 100, trade_id=1, fee_known=1, fee=50))
    assert settle["balance"] == 10**16 - 50
    rig.reports(fill(2, 100, ASK_PX, side=SELL, trade_id=2, fee_known=1, fee=-20))
    assert settle["balance"] == 10**16 - 30 + 100 * 10_000
    assert (settle["margin"], settle["unrealized"], settle["reserved"]) == (0, 0, 0)


def test_tiers_ask_for_more_of_a_large_position() -> None:
    rig = market(LEVERED)
    definition = rig.s["instruments"][0]
    definition["tier_count"] = 2
    definition["tiers"]["initial_rate"][:2] = (CASH_SCALE // 20, CASH_SCALE // 2)
    definition["tiers"]["floor_value"][1] = BID_PX * 100 * 10_000
    rig.s["accounts"][0]["leverage"] = 20 * CASH_SCALE
    fund(rig, 0, "settle", BID_PX * 40 * 10_000)
    assert asked(rig, new_order(1, qty=99), new_order(2, qty=1), new_order(3, SELL, qty=80)) == [
        Reason.NONE,
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
    ]


def test_reduce_only_close_after_a_loss_passes() -> None:
    rig = market(LEVERED)
    rig.commands(new_order(1, qty=100))
    rig.reports(fill(1, 100, trade_id=1))
    fund(rig, 0, "settle", -5)
    close = market_order(2, SELL, qty=100, flags=OrderFlag.REDUCE_ONLY)
    assert asked(rig, close) == [Reason.NONE]
    rig.commands(cancel(2))


@pytest.mark.parametrize("side", [BUY, SELL])
def test_inverse_order_takes_margin_in_its_base_currency(side: int) -> None:
    inverse = Instrument(
        id=0,
        symbol="BTCUSD",
        venue="test",
        kind="inverse_perpetual",
        base="BTC",
        quote="USD",
        tick="0.5",
        lot="1",
        multiplier="100",
        taker_fee_rate="0",
    )
    rig = market(inverse)
    px = BID_PX if side == BUY else ASK_PX
    one = 100 * CASH_SCALE * 2 // px
    settle = fund(rig, 0, "settle", one * 10 + 9)
    assert asked(rig, new_order(1, side, qty=11), new_order(2, side, qty=10)) == [
        Reason.INSUFFICIENT_FUNDS,
        Reason.NONE,
    ]
    rig.reports(report(ReportKind.REJECTED, 2))
    assert settle["margin"] == 0
