"""SOR: one order over several venues of one asset, each part where it costs least with its fee.

What is displayed within the limit is taken at once, on all routes together: as much as can be had, split at the least
all-in cost (price, taker fee, currency, lots, smallest orders and free money of each venue: ``oms.core.split``). What
is left rests at the touch of the route where it is cheapest with the maker fee. It moves to another one when that saves
more than ``move_bps``, when its route is refused, halted or its book stale, and when it is not filled within
``patience_s`` (0: never): that route then comes last for as long.

A book still shows what an own child has just taken. So a route on which one took is taken on again only when its book
has changed since the child was done, or after ``settle_ms``. The touch of every route and the own children wake the
order; once a second it looks at what no tick tells: free money, exchange rates, halts.
"""

from __future__ import annotations

from typing import Final

from oms.algos.api import (
    NEVER,
    NS_PER_MS,
    NS_PER_S,
    POST_ONLY,
    ROUTES,
    function,
    is_resting,
    memory,
    parameter,
    refuse,
    rest,
    wake_at,
    wake_on_tick_of,
)
from oms.algos.routes import (
    all_routes_agree,
    begin_split,
    book_ts,
    may_rest,
    offer,
    resting_cost,
    resting_px,
    resting_qty,
    take_split,
    taken_ts,
    units_of_lot,
    usable,
    wake_on_route,
)
from oms.core.state import State

PARAMETERS: Final = {"settle_ms": 250.0, "patience_s": 10.0, "move_bps": 1.0, "rests": 1.0}
RANGES: Final = {
    "settle_ms": (0.0, 60_000.0),
    "patience_s": (0.0, 1e6),
    "move_bps": (0.0, 1e4),
    "rests": (0.0, 1.0),
}
SEVERAL_VENUES: Final = True
SETTLE: Final = 0
PATIENCE: Final = 1
MOVE: Final = 2
RESTS: Final = 3
BPS: Final = 1e-4
LOOK_NS: Final = NS_PER_S

# Cells of the memory, one of each for every route:
SENT: Final = 0  # when the last child was sent there that took and is done
SEEN: Final = ROUTES  # when the book had last changed once it was done
SETTLED: Final = 2 * ROUTES  # when the book is believed all the same
SINCE: Final = 3 * ROUTES  # when a child began to rest there; 0: none does


def start(st: State, me: int, now: int) -> None:
    if not all_routes_agree(st, me):
        refuse(st, me)


def work(st: State, me: int, now: int) -> None:
    wake_at(st, me, now + LOOK_NS)
    begin_split(st, me)
    for route in range(ROUTES):
        wake_on_route(st, me, route)
        if usable(st, me, route) and may_take(st, me, route, now):
            offer(st, me, route)
    left = take_split(st, me)
    if parameter(st, me, RESTS) != 0:
        rest_left(st, me, left, now)


@function
def may_take(st: State, me: int, route: int, now: int) -> bool:
    """No child takes on the route now, and its book shows what the last one has left."""
    if is_resting(st, me, ROUTES + route):
        return False
    cells = memory(st, me)
    sent = taken_ts(st, me, route)
    if sent > cells[SENT + route]:
        cells[SENT + route] = sent
        cells[SEEN + route] = book_ts(st, me, route)
        cells[SETTLED + route] = now + int(parameter(st, me, SETTLE) * NS_PER_MS)
    if book_ts(st, me, route) > cells[SEEN + route] or now >= cells[SETTLED + route]:
        return True
    wake_on_tick_of(st, me, route)
    wake_at(st, me, cells[SETTLED + route])
    return False


@function
def rest_left(st: State, me: int, units: int, now: int) -> None:
    """Let what the split leaves rest where it is cheapest, then where it is next cheapest."""
    cells = memory(st, me)
    patience = int(parameter(st, me, PATIENCE) * NS_PER_S)
    if patience == 0:
        patience = NEVER // 2
    tried = 0
    used = 0
    for _ in range(ROUTES):
        route = cheapest_to_rest(st, me, tried, now, patience) if units > 0 else -1
        if route < 0:
            break
        tried |= 1 << route
        px = resting_px(st, me, route)
        qty = resting_qty(st, me, route, px, units)
        if qty > 0:
            rest(st, me, route, px, qty, POST_ONLY)
            used |= 1 << route
            units -= qty * units_of_lot(st, me, route)
    for route in range(ROUTES):
        age = now - cells[SINCE + route]
        if used >> route & 1:
            cells[SINCE + route] = now if age >= 2 * patience else cells[SINCE + route]
        elif age < patience:
            cells[SINCE + route] = 0


@function
def cheapest_to_rest(st: State, me: int, tried: int, now: int, patience: int) -> int:
    """The route not tried yet where a unit that rests costs least; -1: there is none."""
    best = -1
    least = 0.0
    for route in range(ROUTES):
        if tried >> route & 1 or not may_rest(st, me, route) or resting_px(st, me, route) == 0:
            continue
        cost = resting_cost(st, me, route, resting_px(st, me, route))
        if is_resting(st, me, route):
            cost -= abs(cost) * parameter(st, me, MOVE) * BPS
        if patience <= now - memory(st, me)[SINCE + route] < 2 * patience:
            cost += abs(cost)  # behind all the others
        if best < 0 or cost < least:
            best = route
            least = cost
    return best
