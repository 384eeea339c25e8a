"""Splitting a quantity over several books: as much as can be had, and of all ways to have that, one of least cost.

What each route offers is in ``s["split"]["offers"]``: levels, best first, of which whole steps are taken. On one route
each further unit costs at least as much as the one before. With lots of one size the least cost is then to take unit
after unit where the next one is cheapest (O. Gross, "A class of discrete-type minimization problems", RAND RM-1644,
1956). Two things stand in the way of that:

- **Lots of different sizes.** Every step is a multiple of every finer one (``nest_steps`` sees to that). Going from the
  coarsest size to the finest, let all finer ones be had in any part: then a best split has as many steps of that size
  as fit into the share that the size would get, or one more. For if it had fewer, as much as a step would be had
  elsewhere for no less, and can be exchanged for it, since finer steps add up to it exactly. So ``fill_sizes`` tries
  both numbers for each size but the finest.
- **Smallest orders.** The venue takes nothing, or at least so much. The split that knows nothing of that costs no more
  than any other; where a route would get too little, what is best is the better of two: no more there than the largest
  order below it that is allowed (none, as a rule), or no fewer than the smallest above it. Both are looked into, unless
  a split has been found that is as good as they can become (branch and bound: A. Land, A. Doig, Econometrica 28, 1960).

So the best split of what is offered is found, unless more than ``MOST_NODES`` had to be looked at: then it is the best
of those.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.state import SPLIT_DEPTH, Record
from oms.core.units import MOST_UNITS, common_divisor
from oms.records import ROUTES

MOST_NODES: Final = 512
LARGEST_STEP: Final = MOST_UNITS
"""Units of a step that is larger than any order: nothing is taken in such steps."""


@kernel
def clear_offers(s: Record) -> None:
    """Offer nothing on any route."""
    for route in range(ROUTES):
        s["split"]["offers"][route]["levels"] = 0
        s["split"]["offers"][route]["most"] = 0
        s["split"]["offers"][route]["best_steps"] = 0


@kernel
def add_level(offer: Record, px: int, steps: int, first: int, cost: float) -> None:
    """Offer ``steps`` in all up to a level; an order at its price needs ``first`` at least."""
    at = offer["levels"]
    offer["px"][at] = px
    offer["steps"][at] = steps
    offer["first"][at] = max(first, offer["steps"][at - 1] + 1 if at > 0 else 1)
    offer["cost"][at] = cost
    offer["levels"] = at + 1
    offer["most"] = steps


@kernel
def level_of(offer: Record, steps: int) -> int:
    """The level at which the last of so many steps is taken."""
    at = 0
    while offer["steps"][at] < steps:
        at += 1
    return at


@kernel
def next_size(s: Record, below: int) -> int:
    """The coarsest step of any route below a size, in units; 0: there is none."""
    size = 0
    for route in range(ROUTES):
        offer = s["split"]["offers"][route]
        if offer["levels"] > 0 and offer["step_units"] < below:
            size = max(size, offer["step_units"])
    return size


@kernel
def cheapest(s: Record, finest: int, coarsest: int) -> int:
    """Route with steps of these sizes whose next unit costs least; -1: all have what they may."""
    best = -1
    for route in range(ROUTES):
        offer = s["split"]["offers"][route]
        if offer["levels"] == 0 or not finest <= offer["step_units"] <= coarsest:
            continue
        if offer["units"] >= offer["high"] * offer["step_units"]:
            continue
        while offer["units"] >= offer["steps"][offer["at"]] * offer["step_units"]:
            offer["at"] += 1
        if (
            best < 0
            or offer["cost"][offer["at"]] < s["split"]["offers"][best]["cost"][s["split"]["offers"][best]["at"]]
        ):
            best = route
    return best


@kernel
def fill_cheapest(s: Record, finest: int, coarsest: int, amount: int) -> int:
    """Give up to ``amount`` units to the routes with steps of these sizes, cheapest first; returns what none can take.

    Where a size is coarser than a unit it may get a part of a step.
    """
    while amount > 0:
        route = cheapest(s, finest, coarsest)
        if route < 0:
            break
        offer = s["split"]["offers"][route]
        most = min(offer["steps"][offer["at"]], offer["high"]) * offer["step_units"]
        units = min(most - offer["units"], amount)
        offer["units"] += units
        amount -= units
    return amount


@kernel
def fill_size(s: Record, size: int, amount: int, is_more: bool) -> int:
    """Give the routes whose step is ``size`` what they would get of an amount, in whole steps, or one step more.

    Returns what is left of the amount; -1 when one step more does not fit, or nothing was rounded.
    """
    for route in range(ROUTES):
        s["split"]["offers"][route]["before"] = s["split"]["offers"][route]["units"]
    fill_cheapest(s, 1, size, amount)
    share = 0
    for route in range(ROUTES):
        offer = s["split"]["offers"][route]
        if offer["levels"] > 0 and offer["step_units"] == size:
            share += offer["units"] - offer["before"]
        offer["units"] = offer["before"]
        offer["at"] = 0
    whole = share // size * size
    if is_more:
        if whole == share or whole + size > amount:
            return -1
        whole += size
    return amount - whole + fill_cheapest(s, size, size, whole)


@kernel
def fill_sizes(s: Record, amount: int, choice: int) -> bool:
    """Make the split in which bit k of ``choice`` gives the k-th size one step more; False: there is none such."""
    split = s["split"]
    for route in range(ROUTES):
        offer = split["offers"][route]
        offer["at"] = 0
        offer["units"] = offer["low"] * offer["step_units"] if offer["levels"] > 0 else 0
        amount -= offer["units"]
    size = next_size(s, 2**62)
    while size > 0 and amount >= 0:
        amount = fill_size(s, size, amount, bool(choice & 1))
        choice >>= 1
        size = next_size(s, size)
    split["left"] = amount
    return bool(amount >= 0)


@kernel
def cost_of_split(s: Record) -> float:
    """What the split in hand costs."""
    cost = 0.0
    for route in range(ROUTES):
        offer = s["split"]["offers"][route]
        before = 0
        at = 0
        while at < offer["levels"] and before < offer["units"]:
            upto = min(offer["steps"][at] * offer["step_units"], offer["units"])
            cost += (upto - before) * offer["cost"][at]
            before = upto
            at += 1
    return cost


@kernel
def is_better(s: Record) -> bool:
    """True when the split in hand leaves less than the best one, or as much at less cost."""
    split = s["split"]
    if split["left"] != split["best_left"]:
        return bool(split["left"] < split["best_left"])
    return bool(split["cost"] < split["best_cost"])


@kernel
def best_choice(s: Record, amount: int) -> int:
    """The choice of roundings whose split is the best within the bounds; -1: the bounds leave none that is better."""
    split = s["split"]
    kept_left = split["best_left"]
    kept_cost = split["best_cost"]
    sizes = 0
    size = next_size(s, 2**62)
    while size > 0:
        sizes += 1
        size = next_size(s, size)
    best = -1
    for choice in range(1 << max(sizes - 1, 0)):
        if not fill_sizes(s, amount, choice):
            continue
        split["cost"] = cost_of_split(s)
        if is_better(s):
            split["best_left"] = split["left"]
            split["best_cost"] = split["cost"]
            best = choice
    split["best_left"] = kept_left
    split["best_cost"] = kept_cost
    return best


@kernel
def is_allowed(offer: Record) -> bool:
    """True when the venue takes an order of what a route has."""
    steps = offer["units"] // max(offer["step_units"], 1)
    return bool(offer["levels"] == 0 or steps == 0 or steps >= offer["first"][level_of(offer, steps)])


@kernel
def push_bounds(s: Record, route: int, low: int, high: int) -> None:
    """Have the bounds in hand looked into with other ones for one route; those that leave nothing are not."""
    split = s["split"]
    depth = split["depth"]
    if low > high or depth == SPLIT_DEPTH:
        return
    for each in range(ROUTES):
        split["low"][depth, each] = split["offers"][each]["low"]
        split["high"][depth, each] = split["offers"][each]["high"]
    split["low"][depth, route] = low
    split["high"][depth, route] = high
    split["depth"] = depth + 1


@kernel
def branch(s: Record, route: int) -> None:
    """Have both sides of the orders looked into that a route's venue does not take, around what the route has."""
    offer = s["split"]["offers"][route]
    steps = offer["units"] // offer["step_units"]
    within = level_of(offer, steps)
    below = 0
    for at in range(within):
        if offer["first"][at] <= offer["steps"][at]:
            below = offer["steps"][at]
    push_bounds(s, route, offer["low"], min(below, offer["high"]))
    for at in range(within, offer["levels"]):
        if offer["first"][at] <= offer["steps"][at]:
            push_bounds(s, route, max(offer["first"][at], offer["low"]), offer["high"])
            return


@kernel
def take_bounds(s: Record) -> None:
    """Take the bounds on top of the stack in hand."""
    split = s["split"]
    split["depth"] -= 1
    for route in range(ROUTES):
        split["offers"][route]["low"] = split["low"][split["depth"], route]
        split["offers"][route]["high"] = split["high"][split["depth"], route]


@kernel
def keep_best(s: Record) -> None:
    """Note the split in hand as the best so far."""
    split = s["split"]
    split["best_left"] = split["left"]
    split["best_cost"] = split["cost"]
    for route in range(ROUTES):
        offer = split["offers"][route]
        offer["best_steps"] = offer["units"] // offer["step_units"] if offer["levels"] > 0 else 0


@kernel
def find_split(s: Record, amount: int) -> int:
    """Split ``amount`` units over what is offered into ``best_steps`` of every route; returns what is left of them."""
    split = s["split"]
    split["best_left"] = amount
    split["best_cost"] = 0.0
    for route in range(ROUTES):
        offer = split["offers"][route]
        offer["best_steps"] = 0
        offer["low"] = 0
        offer["high"] = offer["most"]
    split["depth"] = 0
    push_bounds(s, 0, 0, split["offers"][0]["high"])
    nodes = 0
    while split["depth"] > 0 and nodes < MOST_NODES:
        nodes += 1
        take_bounds(s)
        choice = best_choice(s, amount)
        if choice < 0:
            continue
        fill_sizes(s, amount, choice)
        split["cost"] = cost_of_split(s)
        route = 0
        while route < ROUTES and is_allowed(split["offers"][route]):
            route += 1
        if route < ROUTES:
            branch(s, route)
        else:
            keep_best(s)
    return split["best_left"]


@kernel
def nest_steps(s: Record, parent: Record) -> None:
    """Set every route's step, its lot as a rule: the least multiple of it that is one of every finer step too."""
    finer = 1
    done = 0
    while True:
        units = 2**62
        for route in range(ROUTES):
            if parent["routes"][route] >= 0 and done < parent["route_units"][route]:
                units = min(units, parent["route_units"][route])
        if units == 2**62:
            return
        lots = min(finer // common_divisor(finer, units), LARGEST_STEP // units)
        for route in range(ROUTES):
            if parent["route_units"][route] == units:
                s["split"]["offers"][route]["step_lots"] = lots
                s["split"]["offers"][route]["step_units"] = lots * units
        finer = lots * units
        done = units
