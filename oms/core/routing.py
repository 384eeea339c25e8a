"""Routes of a parent order: what each of its venues offers, at what cost, and what the account can pay there.

Prices of different venues are compared all-in: per unit of what is traded, in the quote currency of the order's own
instrument, with the fee. The order's limit price is about prices alone, as at a venue, not about fees: on another route
it is the same price in that instrument's quote currency and ticks, rounded to the better side.

What the order's own resting children keep of the account's money, and of its position limit, is taken to be free: they
are what is to be placed anew.
"""

from __future__ import annotations

import math
from typing import Final

from oms.compiled import kernel
from oms.core.accounting import count_open
from oms.core.book import level_qty, next_occupied
from oms.core.exact import wide_divide
from oms.core.exposure import check_position
from oms.core.funds import added_margin, counted_value, free_balance, spot_wallet
from oms.core.margin_use import keep_margin
from oms.core.orders import fillable_qty, find_order, is_open
from oms.core.positions import fits
from oms.core.quotes import quote_ratio, tick_value
from oms.core.self_trade import would_self_trade
from oms.core.sizing import largest_qty, least_qty
from oms.core.split import add_level, clear_offers, find_split, level_of, nest_steps
from oms.core.state import MAX_WALLETS, NO_ASK, NO_BID, OFFER_LEVELS, Record
from oms.core.terms import check_book, check_collar, rests, touch_px
from oms.core.trading import check_defined, leg_of, scope_of_strategy, state_of_scope
from oms.core.units import keeps_its_lot
from oms.instrument_kinds import InstrumentKind
from oms.records import CASH_SCALE, LANES, ROUTES, OrderFlag, Reason, TradingState

NO_PX: Final = -1
"""Limit of a route on which nothing may trade: between the currencies there is no rate."""
_NONE: Final = int(Reason.NONE)
_SPOT: Final = int(InstrumentKind.SPOT)
_LINEAR: Final = (int(InstrumentKind.LINEAR_PERPETUAL), int(InstrumentKind.LINEAR_FUTURE))
_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_REDUCING: Final = int(TradingState.REDUCING)


@kernel
def parent_order(s: Record, row: int) -> Record:
    """The order that a parent's row is about."""
    return s["orders"][s["parent_wakes"][row]["slot"] - 1]


@kernel
def route_limit(s: Record, row: int, route: int) -> int:
    """The worst price in ticks at which a route's children may trade; 0: there is none, ``NO_PX``: they may not."""
    order = parent_order(s, row)
    instrument = s["parents"][row]["routes"][route]
    limit = order["px"]
    if limit == 0 or route == 0:
        return limit
    home = s["instruments"][order["instrument"]]
    there = s["instruments"][instrument]
    buys = order["side"] > 0
    if home["quote_currency"] == there["quote_currency"]:
        numerator = home["tick_numerator"] * there["tick_denominator"]
        denominator = there["tick_numerator"] * home["tick_denominator"]
        px, rest = wide_divide(limit, numerator, denominator)
        if rest > 0 and not buys:
            px += 1
        return px if px > 0 else NO_PX
    ratio = quote_ratio(s, instrument, order["instrument"])
    if ratio <= 0.0:
        return NO_PX
    exact = limit * (tick_value(home) / (tick_value(there) * ratio))
    if exact >= NO_ASK:
        return NO_PX
    px = math.floor(exact) if buys else math.ceil(exact)
    return px if px > 0 else NO_PX


@kernel
def is_within_limit(s: Record, row: int, route: int, px: int) -> bool:
    """True when a child may trade at a price on a route."""
    if s["parents"][row]["routes"][route] < 0:
        return False
    limit = route_limit(s, row, route)
    return bool(limit == 0 or (limit > 0 and (limit - px) * parent_order(s, row)["side"] >= 0))


@kernel
def unit_cost(s: Record, row: int, route: int, px: int, fee_rate: int) -> float:
    """All-in price of a unit on a route at ``px`` ticks and a fee rate in 1e-8; negative for a sell: less is better."""
    order = parent_order(s, row)
    instrument = s["parents"][row]["routes"][route]
    side = order["side"]
    price = px * tick_value(s["instruments"][instrument]) * quote_ratio(s, instrument, order["instrument"])
    return side * price + price * (float(fee_rate) / CASH_SCALE)


@kernel
def is_comparable(s: Record, row: int) -> bool:
    """True when all routes trade one asset: the same kind, spot or linear, of the same base currency, each once."""
    routes = s["parents"][row]["routes"]
    home = s["instruments"][routes[0]]
    if home["kind"] != _SPOT and home["kind"] != _LINEAR[0] and home["kind"] != _LINEAR[1]:
        return False
    for route in range(1, ROUTES):
        if routes[route] < 0:
            continue
        there = s["instruments"][routes[route]]
        if there["defined"] == 0 or there["kind"] != home["kind"] or there["expiry_ts"] != home["expiry_ts"]:
            return False
        if there["base_currency"] < 0 or there["base_currency"] != home["base_currency"]:
            return False
        for other in range(route):
            if routes[other] == routes[route]:
                return False
    return True


@kernel
def is_live(s: Record, row: int, route: int) -> bool:
    """True while children may be at a route: its instrument trades, its book is in step, its price can be compared."""
    parent = s["parents"][row]
    order = parent_order(s, row)
    instrument = parent["routes"][route]
    if instrument < 0 or parent["route_units"][route] <= 0 or not keeps_its_lot(s, parent, route):
        return False
    if check_defined(s, order["account"], instrument, 0) != _NONE:
        return False
    if check_book(s, instrument, s["limits"][order["account"], instrument]["max_book_age_ns"]) != _NONE:
        return False
    return bool(quote_ratio(s, instrument, order["instrument"]) > 0.0 and route_limit(s, row, route) != NO_PX)


@kernel
def is_usable(s: Record, row: int, route: int) -> bool:
    """True while a new child may be sent to a route: nothing was refused there just now."""
    return bool(s["parents"][row]["blocked_ts"][route] <= s["now"] and is_live(s, row, route))


@kernel
def units_to_place(s: Record, row: int) -> int:
    """Units of the target that are neither filled nor in a child that takes; resting ones are to be placed anew."""
    parent = s["parents"][row]
    units = parent_order(s, row)["qty"] * parent["route_units"][0] - parent["filled_units"]
    for lane in range(LANES):
        slot = find_order(s, parent["lanes"][lane]) if parent["lanes"][lane] != 0 else -1
        if slot >= 0 and is_open(s["orders"][slot]["state"]) and not rests(s["orders"][slot]["time_in_force"]):
            units -= fillable_qty(s["orders"][slot]) * parent["route_units"][lane % ROUTES]
    return max(units, 0)


@kernel
def set_resting_aside(s: Record, row: int, put_back: bool) -> None:
    """Stop counting the open quantity of a parent's resting children, or count it again.

    Counted again their positions have the margin that they had, also where the market does not say it: lanes are put
    back in the other direction, so that each finds what it left.
    """
    parent = s["parents"][row]
    kept = s["aside"]
    margins = s["aside_margin"]
    for at in range(LANES):
        lane = LANES - 1 - at if put_back else at
        if not put_back:
            kept[lane] = 0
        slot = find_order(s, parent["lanes"][lane]) if parent["lanes"][lane] != 0 else -1
        if slot < 0 or not rests(s["orders"][slot]["time_in_force"]):
            continue
        child = s["orders"][slot]
        account, instrument, leg = child["account"], child["instrument"], child["leg"]
        if not put_back:
            kept[lane] = child["risk_qty"]
            margins[lane] = s["valuations"][account, instrument, leg]["margin"]
        if kept[lane] > 0:
            count_open(s, child, kept[lane] if put_back else 0, child["risk_px"])
            if put_back:
                keep_margin(s, account, instrument, leg, margins[lane])


@kernel
def wallet_of(definition: Record, side: int) -> int:
    """Number of the wallet that pays for an order; -1: there is none."""
    return spot_wallet(definition, side) if definition["kind"] == _SPOT else definition["settle_wallet"]


@kernel
def needed_cash(s: Record, order: Record, instrument: int, px: int, qty: int) -> int:
    """Cash that a child of ``order`` takes of the wallet that pays for it."""
    definition = s["instruments"][instrument]
    value = counted_value(definition, order["side"], px, qty)
    if definition["kind"] == _SPOT:
        return value
    leg = leg_of(order["flags"])
    return max(added_margin(s, order["account"], instrument, leg, order["side"], value, qty), 0)


@kernel
def is_payable(s: Record, order: Record, instrument: int, px: int, qty: int) -> bool:
    """True when a child can be paid beside what the split claims, and its positions are within their limits."""
    definition = s["instruments"][instrument]
    wallet = wallet_of(definition, order["side"])
    account = order["account"]
    if not fits(definition, px, qty) or wallet < 0 or s["wallets"][account, wallet]["defined"] == 0:
        return False
    leg = leg_of(order["flags"])
    scope = account
    for _ in range(2):
        reducing = bool(order["flags"] & _REDUCE_ONLY) or state_of_scope(s, scope) == _REDUCING
        if check_position(s, scope, instrument, leg, order["side"], qty, reducing) != _NONE:
            return False
        if order["strategy"] < 0:
            break
        scope = scope_of_strategy(order["strategy"])
    claimed = s["split"]["claims"][wallet]
    needed = needed_cash(s, order, instrument, px, qty)
    return needed == 0 or needed + claimed <= free_balance(s["wallets"][account, wallet])


@kernel
def most_payable(s: Record, order: Record, instrument: int, px: int, most: int) -> int:
    """The largest quantity up to ``most`` lots that can be paid, and is within the largest order."""
    most = min(most, largest_qty(s, order, instrument, px))
    if most <= 0 or is_payable(s, order, instrument, px, most):
        return max(most, 0)
    low = 0
    while most - low > 1:
        middle = (low + most) >> 1
        if is_payable(s, order, instrument, px, middle):
            low = middle
        else:
            most = middle
    return low


@kernel
def may_take_at(s: Record, order: Record, instrument: int, px: int) -> bool:
    """True when a child may take at a price: it is within the collars and meets no own order."""
    book = s["books"][instrument]
    if check_collar(book, px, s["limits"][order["account"], instrument]["collar_rate"]) != _NONE:
        return False
    if order["strategy"] >= 0:
        limits = s["limits"][scope_of_strategy(order["strategy"]), instrument]
        if limits["defined"] != 0 and check_collar(book, px, limits["collar_rate"]) != _NONE:
            return False
    return not would_self_trade(s, order["account"], instrument, order["side"], px)


@kernel
def offer_levels(s: Record, row: int, route: int, amount: int) -> None:
    """Offer what up to ``amount`` units can be taken on a route."""
    order = parent_order(s, row)
    parent = s["parents"][row]
    instrument = parent["routes"][route]
    offer = s["split"]["offers"][route]
    definition = s["instruments"][instrument]
    book = s["books"][instrument]
    side = order["side"]
    step_lots = offer["step_lots"]
    wanted = amount // parent["route_units"][route]
    px = touch_px(book, side)
    lots = 0
    while lots < wanted and offer["levels"] < OFFER_LEVELS and px != 0 and px != NO_ASK and px != NO_BID:
        if not is_within_limit(s, row, route, px) or not may_take_at(s, order, instrument, px):
            break
        upto = min(lots + level_qty(book, -side, px), wanted)
        paid = most_payable(s, order, instrument, px, upto)
        if paid // step_lots > offer["most"]:
            first = -(-least_qty(s, instrument, px) // step_lots)
            cost = unit_cost(s, row, route, px, definition["taker_fee_rate"])
            add_level(offer, px, paid // step_lots, first, cost)
        if paid < upto:
            break
        lots = upto
        px = next_occupied(book, (1 - side) >> 1, px, side)


@kernel
def clear_split(s: Record, row: int) -> None:
    """Begin a split over the routes of a parent: nothing is offered, nothing claimed."""
    clear_offers(s)
    nest_steps(s, s["parents"][row])
    for wallet in range(MAX_WALLETS):
        s["split"]["claims"][wallet] = 0


@kernel
def offer_route(s: Record, row: int, route: int, amount: int) -> None:
    """Let up to ``amount`` units be taken on a route."""
    set_resting_aside(s, row, False)
    offer_levels(s, row, route, amount)
    set_resting_aside(s, row, True)


@kernel
def split_lots(s: Record, route: int) -> int:
    """Lots that the split takes on a route."""
    offer = s["split"]["offers"][route]
    return offer["best_steps"] * offer["step_lots"] if offer["best_steps"] > 0 else 0


@kernel
def split_px(s: Record, route: int) -> int:
    """The price up to which it takes them; 0: it takes nothing there."""
    offer = s["split"]["offers"][route]
    return offer["px"][level_of(offer, offer["best_steps"])] if offer["best_steps"] > 0 else 0


@kernel
def next_claim(s: Record) -> int:
    """Of the routes that have not claimed yet, the one whose last unit costs least; -1: all have."""
    best = -1
    least = 0.0
    for route in range(ROUTES):
        offer = s["split"]["offers"][route]
        if offer["best_steps"] <= 0 or offer["claimed"] != 0:
            continue
        cost = offer["cost"][level_of(offer, offer["best_steps"])]
        if best < 0 or cost < least:
            best = route
            least = cost
    return best


@kernel
def claim_cash(s: Record, order: Record, instrument: int, px: int, qty: int) -> None:
    """Note what a child will take of its wallet."""
    wallet = wallet_of(s["instruments"][instrument], order["side"])
    s["split"]["claims"][wallet] += needed_cash(s, order, instrument, px, qty)


@kernel
def claim_split(s: Record, row: int) -> bool:
    """Claim the money of the split in hand, the cheapest route first; False when a route had to be cut to what is left.

    Routes whose instruments are paid from one wallet cannot each have all of it.
    """
    order = parent_order(s, row)
    for wallet in range(MAX_WALLETS):
        s["split"]["claims"][wallet] = 0
    for route in range(ROUTES):
        s["split"]["offers"][route]["claimed"] = 0
    route = next_claim(s)
    while route >= 0:
        offer = s["split"]["offers"][route]
        instrument = s["parents"][row]["routes"][route]
        lots = split_lots(s, route)
        paid = most_payable(s, order, instrument, split_px(s, route), lots)
        if paid < lots:
            offer["most"] = paid // offer["step_lots"]
            return False
        claim_cash(s, order, instrument, split_px(s, route), lots)
        offer["claimed"] = 1
        route = next_claim(s)
    return True


@kernel
def split_units(s: Record, row: int, amount: int) -> int:
    """Split ``amount`` units over what is offered and can be paid; returns what is left of them."""
    set_resting_aside(s, row, False)
    left = find_split(s, amount)
    while not claim_split(s, row):
        left = find_split(s, amount)
    set_resting_aside(s, row, True)
    return left


@kernel
def restable_lots(s: Record, row: int, route: int, px: int, most: int) -> int:
    """Lots up to ``most`` that can rest on a route at a price beside all that the split claims, which is claimed too.

    0: none that the venue takes.
    """
    order = parent_order(s, row)
    instrument = s["parents"][row]["routes"][route]
    set_resting_aside(s, row, False)
    lots = most_payable(s, order, instrument, px, most)
    if lots < least_qty(s, instrument, px):
        lots = 0
    else:
        claim_cash(s, order, instrument, px, lots)
    set_resting_aside(s, row, True)
    return lots
