"""Equity is the core's own PnL of the account and of each strategy, converted as the core converts it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from backtest.equity import capital_of, curve_of, rate_of, rates_at, to_cash
from backtest.ledger import ACCOUNT, ledger_of
from backtest.marks import MARK_SAMPLE
from oms.config import load_settings
from oms.core.state import MAX_ACCOUNTS
from oms.core.valuation import whole_cash
from oms.currencies import Conversion
from oms.records import CASH_SCALE
from tests.backtest.runs import KINDS, STEPS, Step, run_of
from tests.oms.core.ledger import instrument_of


@settings(max_examples=20)
@given(name=some.sampled_from(KINDS), steps=STEPS, fifo=some.booleans())
def test_every_point_is_the_cores_pnl_in_the_reporting_currency(name: str, steps: list[Step], fifo: bool) -> None:
    run = run_of(name, steps, fifo=fifo)
    ledger = ledger_of(run.rig.events, [run.instrument], run.mark_rows, run.fifo_accounts)
    by_currency = rates_at(run.conversions, run.mark_rows, ledger.ts)
    rates = np.repeat(by_currency[run.instrument.settlement][:, None], len(ledger.keys), axis=1)
    for scope in run.said[0]:
        owner = ACCOUNT if scope == 0 else scope - MAX_ACCOUNTS
        curve = curve_of(ledger, rates, ledger.rows_of(owner=owner))
        assert curve["pnl"].tolist() == [said[scope]["pnl"] for said in run.said]
        parts = curve["realized_pnl"] + curve["unrealized_pnl"] - curve["fees"] + curve["funding"]
        assert np.abs(parts - curve["pnl"]).max() <= 2, "each part is rounded on its own"


@given(some.lists(some.floats(-1e20, 1e20), min_size=1))
def test_cash_is_rounded_as_the_core_rounds_it(amounts: list[float]) -> None:
    assert to_cash(np.array(amounts)).tolist() == [whole_cash(each) for each in amounts]


def marks_of(*half_ticks: int) -> Any:
    marks = np.zeros(len(half_ticks), MARK_SAMPLE)
    marks["ts"] = np.arange(len(half_ticks))
    marks["half_ticks"] = half_ticks
    return marks


def test_a_currency_is_worth_what_its_instrument_says() -> None:
    instrument = instrument_of("linear")
    marks = marks_of(0, 20, 0, 40)
    ts = np.arange(5)
    assert rate_of(Conversion(instrument, False, Decimal(0)), marks, ts).tolist() == [0, 1, 1, 2, 2]
    assert rate_of(Conversion(instrument, True, Decimal(0)), marks, ts).tolist() == [0, 1, 1, 0.5, 0.5]
    assert rate_of(Conversion(None, False, Decimal("1.5")), marks, ts).tolist() == [1.5] * 5


def test_capital_is_what_the_wallets_held_at_the_first_known_rates() -> None:
    shipped = load_settings(None, {"replay": {"file": "none"}})
    rates = {"USDT": np.ones(3), "BTC": np.array([0.0, 50_000.0, 60_000.0])}
    assert capital_of(shipped, rates, 0) == (250_000 * CASH_SCALE, ())


def test_a_wallet_whose_worth_is_not_known_counts_nothing_and_is_named() -> None:
    shipped = load_settings(None, {"replay": {"file": "none"}})
    assert capital_of(shipped, {"USDT": np.ones(3), "BTC": np.zeros(3)}, 0) == (
        200_000 * CASH_SCALE,
        ("binance_spot.BTC",),
    )
