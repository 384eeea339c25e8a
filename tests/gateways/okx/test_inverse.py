"""An inverse swap at OKX: contracts of 100 USD, settled in BTC."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.sandbox.accounts import Account, Ledger
from gateways.sandbox.inverse_ledger import InverseLedger, ledger_of
from oms.records import CASH_SCALE, OrderFlag, Reason, ReportKind
from tests.gateways.okx.booth import INVERSE_SWAP, SWAP, OkxBooth, on_booth
from tests.gateways.orders.booth import FAR


def test_contract_gains_by_one_over_the_price() -> None:
    ledger, account = InverseLedger(INVERSE_SWAP), Account(0, CASH_SCALE)
    ledger.rates = {True: 0, False: 0}
    ledger.book(account, 1, 400_000, 1, is_maker=True)
    assert ledger.entry_px(account) == 400_000
    assert ledger.unrealized_pnl(account, Fraction(500_000)) == 50_000
    booked = ledger.book(account, -1, 500_000, 1, is_maker=True)
    assert (booked.realized_pnl, account.wallet, account.qty, account.open_cost) == (50_000, CASH_SCALE + 50_000, 0, 0)


@given(st.lists(st.tuples(st.sampled_from((1, -1)), st.integers(300_000, 900_000), st.integers(1, 500)), max_size=20))
def test_what_is_closed_at_last_has_moved_the_wallet_by_what_was_paid_and_brought(
    fills: list[tuple[int, int, int]],
) -> None:
    ledger, account = InverseLedger(INVERSE_SWAP), Account(0, 0)
    ledger.rates = {True: 0, False: 0}
    brought = 0
    for side, px, qty in fills:
        brought += side * round(INVERSE_SWAP.inverse_cash * qty / px)
        ledger.book(account, side, px, qty, is_maker=True)
        assert account.wallet - account.open_cost == brought
    if account.qty:
        brought += -round(INVERSE_SWAP.inverse_cash * account.qty / 500_000)
        ledger.book(account, 1 if account.qty < 0 else -1, 500_000, abs(account.qty), is_maker=True)
    assert (account.qty, account.open_cost, account.wallet) == (0, 0, brought)


def test_each_kind_has_its_own_books() -> None:
    assert type(ledger_of(SWAP)) is Ledger
    with pytest.raises(ValueError, match="no accounts for linear_perpetual"):
        InverseLedger(SWAP)


@on_booth(instrument=INVERSE_SWAP)
async def test_fills_positions_and_balance_are_told_exactly(booth: OkxBooth) -> None:
    order_id = booth.place(1, 500)
    await booth.until(lambda: sum(each["qty"] for each in booth.reports if each["kind"] == ReportKind.FILL) == 500)
    await booth.gateway.idle()
    fills = [each for each in booth.reports if each["kind"] == ReportKind.FILL]
    told = [(int(each["trade_id"]), int(each["px"]), int(each["qty"]), int(each["fee"])) for each in fills]
    assert told == [(fill.trade_id, fill.px, fill.qty, fill.fee) for fill in booth.account.fills]
    assert booth.of(order_id)[0] == "ACCEPTED"
    assert booth.known.positions[booth.instrument.id] == 500
    assert booth.known.cash["BTC"] == booth.account.wallet
    (view,) = await booth.okx.positions()
    entry_px = booth.side.exchange.ledger.entry_px(booth.account)
    assert view.qty == 500
    assert abs(Fraction(view.px_fraction, CASH_SCALE) + view.px - entry_px) <= Fraction(1, CASH_SCALE)
    await booth.done(booth.place(-1, 500, flags=OrderFlag.REDUCE_ONLY), ReportKind.FILL)
    await booth.until(lambda: booth.known.positions[booth.instrument.id] == 0)
    assert await booth.gateway.reconcile()
    assert booth.known.cash["BTC"] == booth.account.wallet


@on_booth(instrument=INVERSE_SWAP)
async def test_order_that_the_account_cannot_put_up_is_refused(booth: OkxBooth) -> None:
    booth.account.wallet = CASH_SCALE
    worth = int(20 * 61_000 / 100)  # contracts that one BTC puts up at the leverage of 20
    refused, taken = booth.place(1, worth + 100, FAR), booth.place(1, worth - 100, FAR)
    assert await booth.done(refused, ReportKind.REJECTED) == ["REJECTED"]
    assert booth.report(refused, ReportKind.REJECTED)["reason"] == Reason.INSUFFICIENT_FUNDS
    assert await booth.done(taken, ReportKind.ACCEPTED) == ["ACCEPTED"]
