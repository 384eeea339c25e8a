"""What risk counts equals what the tables say, worked out anew, after any commands, fills, rejects and cancels."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.core.orders import OPEN_STATES
from oms.core.state import ASK, BID, MAX_ACCOUNTS
from oms.instruments import Instrument
from oms.records import CASH_SCALE, OrderState, OrderType, TimeInForce
from tests.oms.core.builders import FINE, PERPETUAL, SECOND, SPOT, Records, Rig, amend, new_order, time_tick
from tests.oms.core.test_requests import INPUTS, play

pytestmark = pytest.mark.pure

WATCH = Path(__file__).parents[2] / "strategies" / "samples" / "watch.py"
INSTRUMENTS = {each.id: each for each in (PERPETUAL, SPOT, FINE)}
ALL_KINDS = hs.one_of(
    INPUTS,
    hs.lists(
        hs.one_of(
            hs.tuples(
                hs.just("commands"),
                hs.builds(
                    new_order,
                    hs.integers(1, 40),
                    hs.sampled_from((1, -1)),
                    hs.integers(599_990, 600_010),
                    hs.integers(2, 40),
                    instrument=hs.sampled_from((0, 1)),
                    strategy=hs.sampled_from((-1, 0)),
                ),
            ),
            hs.tuples(
                hs.just("commands"),
                hs.builds(amend, hs.integers(1, 40), px=hs.integers(599_990, 600_010), qty=hs.integers(2, 40)),
            ),
            INPUTS.filter(bool).map(lambda inputs: inputs[0]),
        ),
        max_size=60,
    ),
)


def open_orders(rig: Rig) -> list[Any]:
    used = rig.s["orders"][: rig.s["orders_used"]]
    return [each for each in used if OrderState(int(each["state"])) in OPEN_STATES]


def counted(order: Any) -> tuple[int, int]:
    """Quantity and price at which an order must be counted: the most that it may still be."""
    qty = order["qty"] - order["filled_qty"]
    px = order["risk_px"] if order["order_type"] == OrderType.MARKET else order["px"]
    if order["pending_qty"]:
        qty = max(qty, order["pending_qty"] - order["filled_qty"])
        px = max(px, order["pending_px"])
    return int(qty), int(px)


def value(instrument: Instrument, px: int, qty: int) -> int:
    return round(instrument.cash_per_tick_lot * px * qty)


def up(amount: Fraction) -> int:
    return math.ceil(amount)


def reserved(orders: list[Any], rig: Rig, wallet: int) -> int:
    """What the open spot orders reserve of a wallet."""
    total = 0
    for order in orders:
        instrument = INSTRUMENTS[int(order["instrument"])]
        row = rig.s["instruments"][instrument.id]
        if instrument.kind != "spot" or order["account"] != 0:
            continue
        qty, px = counted(order)
        if order["side"] > 0 and row["quote_wallet"] == wallet:
            notional = value(instrument, px, qty)
            total += notional + up(Fraction(notional * int(row["taker_fee_rate"]), CASH_SCALE))
        elif order["side"] < 0 and row["base_wallet"] == wallet:
            total += up(Fraction(int(row["base_numerator"]), int(row["base_denominator"])) * qty)
    return total


def margin(orders: list[Any], rig: Rig) -> int:
    """Margin of the perpetual: fully funded, both sides' farther one, and the taker fee of what is open.

    A position without a mark counts at its cost.
    """
    mine = [each for each in orders if each["instrument"] == 0 and each["account"] == 0]
    buys = sum(value(PERPETUAL, *reversed(counted(each))) for each in mine if each["side"] > 0)
    sells = sum(value(PERPETUAL, *reversed(counted(each))) for each in mine if each["side"] < 0)
    qty = int(rig.position()["qty"])
    twice = qty * mid(rig, 0) or 2 * int(rig.position()["open_cost"])
    position = Fraction(PERPETUAL.cash_per_tick_lot * twice, 2)
    worst = max(position + buys, sells - position)
    return up(worst) + up(Fraction((buys + sells) * int(rig.s["instruments"][0]["taker_fee_rate"]), CASH_SCALE))


def mid(rig: Rig, instrument: int) -> int:
    bid, ask = int(rig.book(instrument)["best"][BID]), int(rig.book(instrument)["best"][ASK])
    return bid + ask if abs(bid) < 2**60 and abs(ask) < 2**60 else 2 * int(rig.book(instrument)["trade_px"])


def assert_scope_counts(rig: Rig, scope: int, orders: list[Any]) -> None:
    mine = [each for each in orders if scope in {int(each["account"]), int(each["strategy"]) + MAX_ACCOUNTS}]
    gross = net = high_sum = low_sum = 0
    for instrument in INSTRUMENTS.values():
        position = rig.s["positions"][scope, instrument.id, 0]
        here = [each for each in mine if each["instrument"] == instrument.id]
        buys = sum(counted(each)[0] for each in here if each["side"] > 0)
        sells = sum(counted(each)[0] for each in here if each["side"] < 0)
        assert (position["open_buy_qty"], position["open_sell_qty"]) == (buys, sells)
        assert position["open_orders"] == len(here)
        unit = float(mid(rig, instrument.id) * instrument.cash_per_tick_lot / 2)
        high, low = int(position["qty"]) + buys, int(position["qty"]) - sells
        gross += math.floor(max(high, -low) * unit + 0.5)
        net += math.floor(int(position["qty"]) * unit + 0.5)
        high_sum += math.floor(high * unit + 0.5)
        low_sum += math.floor(low * unit + 0.5)
    sums = rig.s["scopes"][scope]
    assert sums["open_orders"] == len(mine)
    assert (sums["gross"], sums["net"], sums["net_high"], sums["net_low"]) == (gross, net, high_sum, low_sum)


def assert_counts(rig: Rig) -> None:
    """Every sum is what the order and the position table give."""
    rig.s["market_updates"] += 1
    rig.ticks(time_tick(rig.now + SECOND))
    orders = open_orders(rig)
    for order in orders:
        assert order["risk_qty"] == counted(order)[0]
        assert order["risk_px"] == counted(order)[1]
        if order["account"] == 0 and order["time_in_force"] == TimeInForce.GTC:
            best = rig.s["valuations"][0, int(order["instrument"]), 0]["own_best"][(int(order["side"]) + 1) >> 1]
            assert (best - order["px"]) * order["side"] >= 0
    for scope in (0, MAX_ACCOUNTS):
        assert_scope_counts(rig, scope, orders)
    for wallet in range(int(rig.s["wallets_used"])):
        assert rig.s["wallets"][0, wallet]["reserved"] == reserved(orders, rig, wallet)
    settle = rig.s["wallets"][0, rig.s["instruments"][0]["settle_wallet"]]
    assert abs(int(settle["margin"]) - margin(orders, rig)) <= 2
    assert np.all(rig.s["wallets"]["reserved"] >= 0)


def play_and_end(rig: Rig, inputs: list[tuple[str, Records]]) -> None:
    rig.open_market(qty=20)
    play(rig, inputs)
    assert_counts(rig)


@pytest.mark.parametrize("external", [True, False], ids=["exchange", "model"])
@given(inputs=ALL_KINDS)
def test_whatever_happens_counts_are_what_the_tables_say(external: bool, inputs: list[tuple[str, Records]]) -> None:
    rig = Rig(external=external)
    rig.add(WATCH, 0)
    play_and_end(rig, inputs)
    if not open_orders(rig):
        assert not np.any(rig.s["wallets"]["reserved"])
