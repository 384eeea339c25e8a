"""Closing a position for the exchange: its orders are cancelled, then it fills by orders of the exchange's own.

The core is told as a venue tells it: of each order's cancel, then of an order that it has not placed (ADOPTED) and of
its fill, all for the reason LIQUIDATION. Each strategy's share of the position is closed by an order of its own, what
no strategy has by one more.
"""

from __future__ import annotations

from typing import Final

from backtest.matching.exchange import ADOPTED, CANCELLED, FILL, TAKER, answer, newest_answer, plain_answer, remove
from backtest.stops.at_exchange import wait_no_more
from oms.compiled import kernel
from oms.core.exact import at_rate, share
from oms.core.margin_watch import margin_mark
from oms.core.positions import PRICE_ROOM, value_at
from oms.core.state import MAX_ACCOUNTS, MAX_PX, Record
from oms.records import (
    EXCHANGE_CLIENT,
    ORDER_ID_COUNTER_BITS,
    Liquidation,
    Liquidity,
    OrderFlag,
    OrderType,
    Reason,
    TimeInForce,
)

_LIQUIDATION: Final = int(Reason.LIQUIDATION)
_NO_LIQUIDITY_SIDE: Final = int(Liquidity.NONE)
_BANKRUPTCY: Final = int(Liquidation.BANKRUPTCY)
_LIMIT: Final = int(OrderType.LIMIT)
_GTC: Final = int(TimeInForce.GTC)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)


@kernel
def cancel_orders(s: Record, account: int, instrument: int) -> None:
    """Cancel an account's orders that are at the exchange in an instrument."""
    model = s["model"]
    slot = model["head"][instrument]
    while slot >= 0:
        order = model["orders"][slot]
        following = order["next"]
        if order["account"] == account:
            remove(s, slot)
            plain_answer(s, order, CANCELLED, _LIQUIDATION)
        slot = following
    slot = model["first_stop"][instrument] - 1
    while slot >= 0:
        order = model["orders"][slot]
        following = order["next"]
        if order["account"] == account:
            wait_no_more(s, slot)
            plain_answer(s, order, CANCELLED, _LIQUIDATION)
        slot = following


@kernel
def value_sign(definition: Record, qty: int) -> int:
    """+1 where a position gains with its value (a linear long, an inverse short), else -1."""
    return 1 if (qty > 0) == (definition["inverse"] == 0) else -1


@kernel
def lost_at(definition: Record, qty: int, half_ticks: int, px: int) -> int:
    """Cash that closing at ``px`` ticks loses against the mark; below 0: it gains."""
    lots = abs(qty)
    return value_sign(definition, qty) * (value_at(definition, half_ticks, lots) - value_at(definition, 2 * px, lots))


@kernel
def favourable_px(qty: int, half_ticks: int) -> int:
    """The mark in whole ticks, rounded in favour of the position."""
    return (half_ticks + 1) // 2 if qty > 0 else half_ticks // 2


@kernel
def bankruptcy_px(definition: Record, qty: int, half_ticks: int, left: int) -> int:
    """The worst price in ticks at which closing loses no more than ``left`` cash against the mark.

    Below 0, which the mark has passed already, it is a better price than the mark. It is found as a float and put right
    in integers; it stays within eight times the mark either way, where those are exact.
    """
    lots = abs(qty)
    side = 1 if qty > 0 else -1
    highest = min(half_ticks * (PRICE_ROOM // 2), MAX_PX)
    lowest = max(half_ticks // (2 * PRICE_ROOM), 1)
    value = float(value_at(definition, half_ticks, lots))
    target = value - float(value_sign(definition, qty)) * float(left)
    if target <= 0.0:
        return highest if definition["inverse"] != 0 else lowest
    moved = value / target if definition["inverse"] != 0 else target / value
    px = int(min(max(half_ticks * 0.5 * moved, float(lowest)), float(highest)))
    while lowest <= px - side <= highest and lost_at(definition, qty, half_ticks, px - side) <= left:
        px -= side
    while lowest <= px + side <= highest and lost_at(definition, qty, half_ticks, px) > left:
        px += side
    return px


@kernel
def send_closing(
    s: Record, account: int, instrument: int, leg: int, strategy: int, qty: int, px: int, fee: int
) -> None:
    """Tell the core of an order of the exchange's own that closes ``qty`` signed lots of a strategy's, and its fill."""
    model = s["model"]
    order = s["own_command"]
    order["order_id"] = EXCHANGE_CLIENT << ORDER_ID_COUNTER_BITS | (model["trade_counter"] + 1)
    order["instrument"] = instrument
    order["account"] = account
    order["side"] = -1 if qty > 0 else 1
    answer(s, order, ADOPTED, _LIQUIDATION, px, abs(qty), _NO_LIQUIDITY_SIDE)
    adopted = newest_answer(s)
    adopted["leaves_qty"] = abs(qty)
    adopted["order_type"] = _LIMIT
    adopted["time_in_force"] = _GTC
    adopted["strategy"] = strategy
    adopted["flags"] = _SHORT_LEG if leg == 1 else 0
    answer(s, order, FILL, _LIQUIDATION, px, abs(qty), TAKER)
    filled = newest_answer(s)
    filled["flags"] = adopted["flags"]
    filled["fee"] = fee
    filled["fee_known"] = 1


@kernel
def close_shares(s: Record, account: int, instrument: int, leg: int, px: int, fee: int) -> None:
    """Close a position, each owner's share of it; they bear the fee by their quantities."""
    unowned = s["positions"][account, instrument, leg]["qty"]
    lots = 0
    for number in range(s["strategies_used"]):
        if s["strategies"][number]["account"] == account:
            qty = s["positions"][MAX_ACCOUNTS + number, instrument, leg]["qty"]
            unowned -= qty
            lots += abs(qty)
    lots += abs(unowned)
    for number in range(-1, s["strategies_used"]):
        qty = unowned
        if number >= 0:
            is_own = s["strategies"][number]["account"] == account
            qty = s["positions"][MAX_ACCOUNTS + number, instrument, leg]["qty"] if is_own else 0
        if qty != 0:
            part = share(fee, abs(qty), lots)
            send_closing(s, account, instrument, leg, number, qty, px, part)
            fee -= part
            lots -= abs(qty)


@kernel
def close_position(s: Record, account: int, instrument: int, leg: int, left: int) -> int:
    """Close a position for which ``left`` cash of its margin is there; returns what of it is used up."""
    model = s["model"]
    definition = s["instruments"][instrument]
    qty = s["positions"][account, instrument, leg]["qty"]
    half_ticks = margin_mark(s, instrument)
    fee = 0
    if model["liquidation"] == _BANKRUPTCY or left < 0:
        px = bankruptcy_px(definition, qty, half_ticks, left)
    else:
        px = favourable_px(qty, half_ticks)
        rest = left - lost_at(definition, qty, half_ticks, px)
        value = value_at(definition, 2 * px, abs(qty))
        fee = min(at_rate(value, model["liquidation_fee_rate"]), rest)
    close_shares(s, account, instrument, leg, px, fee)
    return lost_at(definition, qty, half_ticks, px) + fee
