"""Orders of compiled strategies that execution algorithms work.

An algorithm is chosen where the file is loaded, and its parameters are checked there::

    from oms.algos import twap
    from strategies.api import algorithm, work_order

    TWAP = algorithm(twap, duration_s=60, slices=6)

and is started, as any order is placed, by a callback. An algorithm of one's own is a file beside the strategy, imported
in the same way, and named in the settings too.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

from oms.core.orders import find_order
from oms.core.parents import is_worked, open_units
from oms.core.state import MAX_PARENTS, TERMS_RING, Record, State
from oms.records import (
    BUY,
    ORDER_ID_COUNTER_BITS,
    PARENT_PARAMETERS,
    ROUTES,
    SELL,
    STRATEGY_CLIENT_BASE,
    CommandKind,
    OrderState,
    ParentState,
    Reason,
    Trigger,
)
from strategies.requests import GTC, LIMIT, MARKET, address, ask, function, whole, within_field

RUNNING: Final = int(ParentState.RUNNING)
PAUSED: Final = int(ParentState.PAUSED)
STOPPING: Final = int(ParentState.STOPPING)

_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
_PAUSE: Final = int(CommandKind.PAUSE)
_RESUME: Final = int(CommandKind.RESUME)
_ALGORITHM: Final = int(Trigger.ALGORITHM)
_HELD: Final = int(OrderState.HELD)
_NOT_OWNER: Final = int(Reason.NOT_OWNER)
_NO_PARENT: Final = int(Reason.NO_PARENT)
_BAD_ALGORITHM: Final = int(Reason.BAD_ALGORITHM)
_BAD_PARAMETER: Final = int(Reason.BAD_PARAMETER)
_MAX_FLAGS: Final = 2**16 - 1


class Terms(NamedTuple):
    """An algorithm with its parameters, as ``algorithm`` makes it."""

    number: int
    """Of the algorithm."""
    parameters: tuple[float, ...]
    """``PARENT_PARAMETERS`` of them."""
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    """What each may be."""
    several_venues: bool
    """It may trade in more instruments than the order's own."""


def algorithm(module: ModuleType, **parameters: float) -> Terms:
    """An algorithm's terms, by the module that it is; not for compiled code: call it where the file is loaded.

    Parameters
    ----------
    module : module
        Such as ``oms.algos.twap``, or an algorithm's file that lies beside the strategy.
    **parameters : float
        Its parameters; what is not given has its default.

    Raises
    ------
    AlgorithmError
        When there is no such parameter, or the value is outside its range.
    """
    from oms.algorithms import read_algorithm

    declared = read_algorithm(Path(str(module.__file__)))
    missing = PARENT_PARAMETERS - len(declared.parameters)
    ranges = [declared.ranges.get(name, (-math.inf, math.inf)) for name in declared.parameters]
    none = [0.0] * missing
    return Terms(
        declared.id,
        (*declared.values(parameters), *none),
        (*(lowest for lowest, _ in ranges), *none),
        (*(highest for _, highest in ranges), *none),
        declared.several_venues,
    )


def parameter_number(module: ModuleType, name: str) -> int:
    """The number of an algorithm's parameter, for ``set_parameter``; not for compiled code.

    Raises
    ------
    ValueError
        When the algorithm has no such parameter.
    """
    from oms.algorithms import read_algorithm

    return list(read_algorithm(Path(str(module.__file__))).parameters).index(name)


@function
def _next_terms(st: State, order_id: int) -> Record:
    """The next row of the ring of terms, to be filled in, of an order."""
    s = st[0]
    row = s["terms"][s["terms_count"] % TERMS_RING]
    s["terms_count"] += 1
    row["order_id"] = order_id
    for route in range(ROUTES):
        row["routes"][route] = -1
    return row


@function
def _start(st: State, me: int, order_id: int, side: int, px: int, qty: int, flags: int) -> int:
    """Ask for the order whose terms are there."""
    s = st[0]
    command = address(st, me, _NEW, order_id)
    command["side"] = side if side == BUY or side == SELL else 0
    command["order_type"] = MARKET if whole(px) == 0 else LIMIT
    command["time_in_force"] = GTC
    command["flags"] = within_field(flags, 0, _MAX_FLAGS, _MAX_FLAGS)
    command["px"] = whole(px)
    command["qty"] = whole(qty)
    command["trigger"] = _ALGORITHM
    reason = ask(st, me, command)
    if reason != 0:
        s["strategies"][me]["refused"] += 1
        return -reason
    s["strategies"][me]["orders"] += 1
    return order_id


@function
def _new_id(st: State, me: int) -> int:
    strategy = st[0]["strategies"][me]
    strategy["order_counter"] += 1
    return ((me + STRATEGY_CLIENT_BASE) << ORDER_ID_COUNTER_BITS) | strategy["order_counter"]


@function
def work_order(st: State, me: int, terms: Terms, side: int, px: int, qty: int, flags: int) -> int:
    """Have an algorithm work an order in the strategy's instrument; it lasts until it is filled, ends or is cancelled.

    Parameters
    ----------
    terms : Terms
        What ``algorithm`` has made.
    px : int
        The worst price, in ticks; 0: there is no limit.
    flags : int
        ``REDUCE_ONLY`` and ``SHORT_LEG``, or 0.

    Returns
    -------
    int
        The order id (> 0), or minus the Reason for which it was refused.
    """
    order_id = _new_id(st, me)
    row = _next_terms(st, order_id)
    row["algorithm"] = terms.number
    for at in range(PARENT_PARAMETERS):
        row["parameters"][at] = terms.parameters[at]
    return _start(st, me, order_id, side, px, qty, flags)


@function
def work_order_over(
    st: State, me: int, terms: Terms, side: int, px: int, qty: int, flags: int, venues: tuple[int, ...]
) -> int:
    """As ``work_order``, in other instruments too: a tuple of their numbers (``id`` in the settings), at most seven.

    An algorithm that trades at one venue is refused (BAD_ALGORITHM).
    """
    if len(venues) >= ROUTES or not terms.several_venues:
        st[0]["strategies"][me]["refused"] += 1
        return -_BAD_ALGORITHM
    order_id = _new_id(st, me)
    row = _next_terms(st, order_id)
    row["algorithm"] = terms.number
    for at in range(PARENT_PARAMETERS):
        row["parameters"][at] = terms.parameters[at]
    for at in range(len(venues)):
        row["routes"][at] = whole(venues[at])
    return _start(st, me, order_id, side, px, qty, flags)


@function
def _parent_row(st: State, order_id: int) -> int:
    """Row of the table of parents of an order; -1: no algorithm works it now."""
    slot = find_order(st[0], order_id)
    if slot < 0 or st[0]["orders"][slot]["state"] != _HELD or not is_worked(st[0]["orders"][slot]):
        return -1
    return st[0]["orders"][slot]["parent_row"] - 1


@function
def set_parameter(st: State, me: int, order_id: int, terms: Terms, number: int, value: float) -> int:
    """Change one parameter of an own order that an algorithm works; in the callback that starts it too.

    Parameters
    ----------
    terms : Terms
        By which the order was started.
    number : int
        The parameter's, as ``parameter_number`` says it.

    Returns
    -------
    int
        0, or the Reason of the refusal: BAD_PARAMETER outside of the parameter's range.
    """
    if order_id >> ORDER_ID_COUNTER_BITS != me + STRATEGY_CLIENT_BASE:
        return _NOT_OWNER
    parent = _parent_row(st, order_id)
    if parent < 0:
        return _NO_PARENT
    if not 0 <= number < PARENT_PARAMETERS or st[0]["parents"][parent]["algorithm"] != terms.number:
        return _BAD_PARAMETER
    if not terms.lowest[number] <= value <= terms.highest[number]:
        return _BAD_PARAMETER
    row = _next_terms(st, order_id)
    row["algorithm"] = terms.number
    for at in range(PARENT_PARAMETERS):
        row["parameters"][at] = st[0]["parents"][parent]["parameters"][at]
    row["parameters"][number] = value
    command = address(st, me, _AMEND, order_id)
    command["trigger"] = _ALGORITHM
    return ask(st, me, command)


@function
def pause(st: State, me: int, order_id: int) -> int:
    """Have an own order that is worked rest: its children are cancelled; returns 0 or the Reason of refusal."""
    if order_id >> ORDER_ID_COUNTER_BITS != me + STRATEGY_CLIENT_BASE:
        return _NOT_OWNER
    return ask(st, me, address(st, me, _PAUSE, order_id))


@function
def resume(st: State, me: int, order_id: int) -> int:
    """Let a paused order go on; returns 0 or the Reason of refusal."""
    if order_id >> ORDER_ID_COUNTER_BITS != me + STRATEGY_CLIENT_BASE:
        return _NOT_OWNER
    return ask(st, me, address(st, me, _RESUME, order_id))


@function
def work_state(st: State, order_id: int) -> int:
    """``RUNNING``, ``PAUSED`` or ``STOPPING``; 0: no algorithm works the order, or not any more."""
    row = _parent_row(st, order_id)
    return 0 if row < 0 else st[0]["parents"][row]["state"]


@function
def work_open_qty(st: State, order_id: int) -> int:
    """Lots that an order's open children may yet fill; 0: none."""
    row = _parent_row(st, order_id)
    if row < 0:
        return 0
    return open_units(st[0], st[0]["parents"][row]) // max(st[0]["parents"][row]["route_units"][0], 1)


@function
def work_due_qty(st: State, order_id: int) -> int:
    """Lots that an order's schedule wants filled by now; 0 where it has none."""
    row = _parent_row(st, order_id)
    return 0 if row < 0 else st[0]["parents"][row]["due_qty"]


@function
def parent_of(st: State, order_id: int) -> int:
    """The order that a child order is part of, as ``on_fill`` gets it; 0: it is no child, or not known."""
    slot = find_order(st[0], order_id)
    return 0 if slot < 0 else st[0]["orders"][slot]["parent_id"]


@function
def worked_order(st: State, me: int, at: int) -> int:
    """The strategy's order number ``at``, from 0 on, of those that algorithms work now; 0: it has no more.

    A restart of the core keeps these orders, and empties the strategy's memory.
    """
    s = st[0]
    found = 0
    if s["parents_open"] == 0:
        return 0
    for row in range(MAX_PARENTS):
        slot = s["parent_wakes"][row]["slot"] - 1
        if slot >= 0 and s["orders"][slot]["strategy"] == me:
            if found == at:
                return s["orders"][slot]["order_id"]
            found += 1
    return 0
