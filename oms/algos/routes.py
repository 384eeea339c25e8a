"""What algorithms may use that work an order at several venues: its routes, compared and split over.

Route 0 is the order's own instrument; prices and lots are each route's own. Quantities over all routes are in units, of
which every route's lot is a multiple. Costs are all-in prices of a unit in the order's own quote currency, fee
included, and negative for a sell: less is better.
"""

from __future__ import annotations

from oms.algos.api import (
    ROUTES,
    child_px,
    function,
    is_resting,
    side,
    take,
    wake_on_tick_of,
    wake_on_touch_of,
)
from oms.core.routing import (
    clear_split,
    is_comparable,
    is_live,
    is_usable,
    is_within_limit,
    offer_route,
    restable_lots,
    route_limit,
    split_lots,
    split_px,
    split_units,
    unit_cost,
    units_to_place,
)
from oms.core.state import State
from oms.core.terms import touch_px

__all__ = [
    "all_routes_agree",
    "begin_split",
    "book_ts",
    "may_rest",
    "offer",
    "resting_cost",
    "resting_px",
    "resting_qty",
    "take_split",
    "taken_ts",
    "units_of_lot",
    "usable",
    "wake_on_route",
]


@function
def all_routes_agree(st: State, me: int) -> bool:
    """True when every route trades the asset of the order's own instrument, spot or linear, and each is named once."""
    return is_comparable(st[0], me)


@function
def usable(st: State, me: int, route: int) -> bool:
    """True while a child may be sent to a route: it trades, its book is in step, nothing was refused there just now."""
    return is_usable(st[0], me, route)


@function
def may_rest(st: State, me: int, route: int) -> bool:
    """True while a child may rest on a route: as ``usable``, but a refusal does not concern one that is there."""
    return is_usable(st[0], me, route) or (is_resting(st, me, route) and is_live(st[0], me, route))


@function
def wake_on_route(st: State, me: int, route: int) -> None:
    """Call ``work`` when a route's touch has changed; with its next tick where nothing may be sent for now."""
    wake_on_touch_of(st, me, route)
    if not is_live(st[0], me, route):
        wake_on_tick_of(st, me, route)


@function
def units_of_lot(st: State, me: int, route: int) -> int:
    """Units of one lot on a route."""
    return st[0]["parents"][me]["route_units"][route]


@function
def book_ts(st: State, me: int, route: int) -> int:
    """When the last message of a route's book came, ns."""
    return st[0]["books"][st[0]["parents"][me]["routes"][route]]["local_ts"]


@function
def taken_ts(st: State, me: int, route: int) -> int:
    """When the last child that takes was sent to a route, ns; -1: none was."""
    return st[0]["parents"][me]["take_ts"][route]


@function
def begin_split(st: State, me: int) -> None:
    """Begin to split what is neither filled nor being taken; what rests counts as still to be placed."""
    clear_split(st[0], me)


@function
def offer(st: State, me: int, route: int) -> None:
    """Let the split take what a usable route displays, within the order's limit and the account's means."""
    offer_route(st[0], me, route, units_to_place(st[0], me))


@function
def take_split(st: State, me: int) -> int:
    """Want to take the split of least cost (``oms.core.split``), on all routes at once; returns the units it leaves."""
    left = split_units(st[0], me, units_to_place(st[0], me))
    for route in range(ROUTES):
        if split_lots(st[0], route) > 0:
            take(st, me, ROUTES + route, split_px(st[0], route), split_lots(st[0], route))
    return left


@function
def resting_px(st: State, me: int, route: int) -> int:
    """Where a child would rest on a usable route: at the touch, within the limit; at it where none is displayed.

    One that rests there stays where it is until the touch is better than its price. 0: nowhere.
    """
    direction = side(st, me)
    limit = route_limit(st[0], me, route)
    touch = touch_px(st[0]["books"][st[0]["parents"][me]["routes"][route]], -direction)
    resting = child_px(st, me, route)
    if (
        resting != 0
        and is_within_limit(st[0], me, route, resting)
        and (touch == 0 or (touch - resting) * direction <= 0)
    ):
        return resting
    return touch if touch != 0 and is_within_limit(st[0], me, route, touch) else max(limit, 0)


@function
def resting_cost(st: State, me: int, route: int, px: int) -> float:
    """Cost of a unit that is filled as a maker on a route."""
    instrument = st[0]["parents"][me]["routes"][route]
    return unit_cost(st[0], me, route, px, st[0]["instruments"][instrument]["maker_fee_rate"])


@function
def resting_qty(st: State, me: int, route: int, px: int, units: int) -> int:
    """Lots of so many units that can rest on a route beside the split, which counts them; 0: none."""
    return restable_lots(st[0], me, route, px, units // units_of_lot(st, me, route))
