"""Funds: what an order needs of its account's wallets, in flight included.

Spot: a buy reserves the quote currency and the taker fee, a sell reserves the base currency. All else is margin in the
settlement currency (``margin_use``), the premium of an option that is to be bought too. What is free is
balance - reserved - margin + the unrealized loss.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.exact import scaled_up
from oms.core.margin_use import at_rate_up, margin_for, margin_for_option
from oms.core.option_margin import UNKNOWN
from oms.core.positions import value_of
from oms.core.state import Record
from oms.instrument_kinds import InstrumentKind
from oms.records import Reason

ROUGHLY: Final = 2
"""Times its value: more than the margin and the fee that an order can add."""
ROUNDING: Final = 4
_SPOT: Final = int(InstrumentKind.SPOT)
_NONE: Final = int(Reason.NONE)
_NO_PRICE: Final = int(Reason.NO_PRICE)
_INSUFFICIENT_FUNDS: Final = int(Reason.INSUFFICIENT_FUNDS)


@kernel
def base_cash(definition: Record, qty: int) -> int:
    """Base currency in 1e-8 of ``qty`` lots of a spot instrument, rounded up."""
    if definition["base_denominator"] == 1:
        return qty * definition["base_numerator"]
    return scaled_up(qty, definition["base_numerator"], definition["base_denominator"])


@hot_kernel
def counted_value(definition: Record, side: int, px: int, qty: int) -> int:
    """Cash that ``qty`` open lots of an order count for in its account's wallet.

    A spot order reserves it, of the quote currency for a buy and of the base for a sell; any other asks margin for it.
    """
    spot = definition["kind"] == _SPOT
    if spot and side < 0:
        return base_cash(definition, qty)
    if qty <= 0 or px <= 0:
        return 0
    value = value_of(definition, px, qty)
    return value + at_rate_up(value, max(definition["taker_fee_rate"], 0)) if spot else value


@kernel
def spot_wallet(definition: Record, side: int) -> int:
    """Number of the wallet that a spot order pays from; -1: there is none."""
    return definition["quote_wallet"] if side > 0 else definition["base_wallet"]


@kernel
def free_balance(wallet: Record) -> int:
    """Cash of a wallet that is not spoken for."""
    return wallet["balance"] - wallet["reserved"] - wallet["margin"] + min(wallet["unrealized"], 0)


@kernel
def covers(s: Record, account: int, number: int, needed: int) -> int:
    """INSUFFICIENT_FUNDS unless the wallet has ``needed`` more to give; a wallet that does not exist has nothing."""
    if needed <= 0:
        return _NONE
    if number < 0 or s["wallets"][account, number]["defined"] == 0:
        return _INSUFFICIENT_FUNDS
    return _NONE if needed <= free_balance(s["wallets"][account, number]) else _INSUFFICIENT_FUNDS


@kernel
def check_option_funds(
    s: Record, account: int, instrument: int, leg: int, side: int, added: int, added_qty: int
) -> int:
    """Funds for an option's open orders with so much cash and so many lots more; what can only close needs none."""
    definition = s["instruments"][instrument]
    position = s["positions"][account, instrument, leg]
    row = s["valuations"][account, instrument, leg]
    buy_qty = position["open_buy_qty"]
    buy_value = row["open_buy_value"]
    sell_qty = position["open_sell_qty"]
    sell_value = row["open_sell_value"]
    if side > 0:
        buy_qty += added_qty
        buy_value += added
        closes = position["qty"] + buy_qty <= 0
    else:
        sell_qty += added_qty
        sell_value += added
        closes = position["qty"] - sell_qty >= 0
    if closes:
        return _NONE
    margin = margin_for_option(s, account, instrument, leg, buy_qty, buy_value, sell_qty, sell_value)
    if margin == UNKNOWN:
        return _NO_PRICE
    return covers(s, account, definition["settle_wallet"], margin - row["margin"])


@hot_kernel
def added_margin(s: Record, account: int, instrument: int, leg: int, side: int, added: int, added_qty: int) -> int:
    """Settlement cash that so much more value and so many more open lots ask for; not for options.

    What can only close part of the position asks for nothing.
    """
    position = s["positions"][account, instrument, leg]
    row = s["valuations"][account, instrument, leg]
    buy_value = row["open_buy_value"]
    sell_value = row["open_sell_value"]
    if side > 0:
        if position["qty"] + position["open_buy_qty"] + added_qty <= 0:
            return 0
        buy_value += added
    else:
        if position["qty"] - position["open_sell_qty"] - added_qty >= 0:
            return 0
        sell_value += added
    margin = margin_for(s, account, instrument, leg, row["position_value"], buy_value, sell_value)
    return margin - row["margin"]


@hot_kernel
def check_funds(
    s: Record, account: int, instrument: int, leg: int, side: int, px: int, qty: int, before_value: int, before_qty: int
) -> int:
    """The account can pay for ``qty`` open lots at ``px`` instead of what the order counts for already.

    On margin, an order that can only close part of the position needs nothing.
    """
    definition = s["instruments"][instrument]
    added = counted_value(definition, side, px, qty) - before_value
    if definition["kind"] == _SPOT:
        return covers(s, account, spot_wallet(definition, side), added)
    added_qty = qty - before_qty
    if definition["option_kind"] != 0:
        return check_option_funds(s, account, instrument, leg, side, added, added_qty)
    wallet = definition["settle_wallet"]
    if definition["tier_count"] == 1 and covers(s, account, wallet, ROUGHLY * abs(added) + ROUNDING) == _NONE:
        return _NONE  # by one rate, which is at most 1, it cannot need as much as that
    return covers(s, account, wallet, added_margin(s, account, instrument, leg, side, added, added_qty))
