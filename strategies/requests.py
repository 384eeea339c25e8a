"""Requests of compiled strategies: new orders of every type, amends, cancels, cancel-replace.

Prices are in ticks, quantities in lots, times in ns. A function that asks for an order returns its id (> 0), or minus
the Reason for which it was refused; one that asks for a change returns 0 or the Reason. Whatever does not fit into its
field is refused, never cut off.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import call_address, user_kernel
from oms.core.orders import BUT_AT_EXCHANGE, find_order, stands_at_exchange
from oms.core.outbox import clear_rare
from oms.core.state import Record, State
from oms.records import (
    BUY,
    ORDER_ID_COUNTER_BITS,
    SELL,
    STRATEGY_CLIENT_BASE,
    CommandKind,
    Contingency,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
    TrailUnit,
    Trigger,
    TriggerSource,
)

function = user_kernel

LIMIT: Final = int(OrderType.LIMIT)
MARKET: Final = int(OrderType.MARKET)
GTC: Final = int(TimeInForce.GTC)
IOC: Final = int(TimeInForce.IOC)
FOK: Final = int(TimeInForce.FOK)
GTD: Final = int(TimeInForce.GTD)
DAY: Final = int(TimeInForce.DAY)
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
AT_EXCHANGE: Final = int(OrderFlag.AT_EXCHANGE)
NO_TRIGGER: Final = int(Trigger.NONE)
STOP: Final = int(Trigger.STOP)
TAKE_PROFIT: Final = int(Trigger.TAKE_PROFIT)
TRAILING: Final = int(Trigger.TRAILING)
LAST: Final = int(TriggerSource.LAST)
MARK: Final = int(TriggerSource.MARK)
INDEX: Final = int(TriggerSource.INDEX)
BID_ASK: Final = int(TriggerSource.BID_ASK)
TICKS: Final = int(TrailUnit.TICKS)
BASIS_POINTS: Final = int(TrailUnit.BASIS_POINTS)
NO_CONTINGENCY: Final = int(Contingency.NONE)
OTO: Final = int(Contingency.OTO)
OCO: Final = int(Contingency.OCO)
REPLACE: Final = int(Contingency.REPLACE)

_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
_HELD: Final = int(OrderState.HELD)
_CANCEL: Final = int(CommandKind.CANCEL)
_CANCEL_ALL: Final = int(CommandKind.CANCEL_ALL)
_NOT_OWNER: Final = int(Reason.NOT_OWNER)
_UNKNOWN_ORDER: Final = int(Reason.UNKNOWN_ORDER)
_MAX_FLAGS: Final = 2**16 - 1
_MAX_TRAIL: Final = 2**31 - 1
_NO_SUCH: Final = 255
"""Of a one-byte field: a value that means nothing and is refused."""


@function
def whole(number: int) -> int:
    """Return ``number``; for a float there is no such operation, so that nothing is rounded unseen."""
    return number | 0


@function
def within_field(number: int, lowest: int, highest: int, otherwise: int) -> int:
    """``number`` where it is within its field's values, ``otherwise`` else."""
    return number if lowest <= number <= highest else otherwise


@function
def address(st: State, me: int, kind: int, order_id: int) -> Record:
    """The scratch command, cleared, about an order of the strategy."""
    s = st[0]
    command = s["command"]
    command["kind"] = kind
    command["order_id"] = order_id
    command["request_id"] = 0
    command["reason"] = 0
    command["value"] = 0
    command["source"] = me + STRATEGY_CLIENT_BASE
    command["strategy"] = me
    command["account"] = s["strategies"][me]["account"]
    command["instrument"] = s["strategies"][me]["instrument"]
    command["side"] = 0
    command["order_type"] = 0
    command["time_in_force"] = 0
    command["flags"] = 0
    command["px"] = 0
    command["qty"] = 0
    clear_rare(command)
    return command


@function
def ask(st: State, me: int, command: Record) -> int:
    """Have the core act on the scratch command; returns 0 or the Reason of refusal."""
    if call_address(st[0]["on_ask"], st, me, command) != 0:
        raise RuntimeError("the core could not act on a command")
    return st[0]["answered"]


@function
def value(st: State, me: int) -> None:
    """Have the core value the strategy and its account at the market of now."""
    if call_address(st[0]["on_value"], st, me, st[0]["command"]) != 0:
        raise RuntimeError("the core could not value the strategy")


@function
def submit_order(
    st: State,
    me: int,
    side: int,
    px: int,
    qty: int,
    order_type: int,
    time_in_force: int,
    flags: int,
    trigger: int,
    trigger_source: int,
    trigger_px: int,
    trail: int,
    trail_unit: int,
    display_qty: int,
    expire_ts: int,
    contingency: int,
    parent_id: int,
) -> int:
    """Ask for an order of any kind in the strategy's instrument; the other functions are short for this one.

    Parameters
    ----------
    trigger : ``NO_TRIGGER``, ``STOP``, ``TAKE_PROFIT`` or ``TRAILING``
    trigger_source : ``LAST``, ``MARK``, ``INDEX`` or ``BID_ASK``; 0 without a trigger
    trail, trail_unit : distance of a trailing trigger in ``TICKS`` or ``BASIS_POINTS``; 0 for others
    display_qty : lots shown at a time; 0: all
    expire_ts : when a ``GTD`` order expires; 0 for others
    contingency : ``NO_CONTINGENCY``, ``OTO``, ``OCO`` or ``REPLACE``
    parent_id : the own order that it hangs on; 0: none

    Returns
    -------
    int
        The order id (> 0), or minus the Reason for which it was refused.
    """
    s = st[0]
    strategy = s["strategies"][me]
    strategy["order_counter"] += 1
    order_id = ((me + STRATEGY_CLIENT_BASE) << ORDER_ID_COUNTER_BITS) | strategy["order_counter"]
    command = address(st, me, _NEW, order_id)
    command["side"] = side if side == BUY or side == SELL else 0
    command["order_type"] = within_field(order_type, LIMIT, MARKET, 0)
    command["time_in_force"] = within_field(time_in_force, GTC, DAY, 0)
    command["flags"] = within_field(flags, 0, _MAX_FLAGS, _MAX_FLAGS)
    command["px"] = whole(px)
    command["qty"] = whole(qty)
    command["trigger"] = within_field(trigger, NO_TRIGGER, TRAILING, _NO_SUCH)
    command["trigger_source"] = within_field(trigger_source, 0, BID_ASK, _NO_SUCH)
    command["trigger_px"] = whole(trigger_px)
    command["trail"] = within_field(whole(trail), 0, _MAX_TRAIL, -1)
    command["trail_unit"] = within_field(trail_unit, 0, BASIS_POINTS, _NO_SUCH)
    command["display_qty"] = whole(display_qty)
    command["expire_ts"] = whole(expire_ts)
    command["contingency"] = within_field(contingency, NO_CONTINGENCY, REPLACE, _NO_SUCH)
    command["parent_id"] = whole(parent_id)
    reason = ask(st, me, command)
    if reason != 0:
        strategy["refused"] += 1
        return -reason
    strategy["orders"] += 1
    return order_id


@function
def submit(st: State, me: int, side: int, px: int, qty: int, order_type: int, time_in_force: int, flags: int) -> int:
    """Ask for an order that leaves at once: ``LIMIT`` or ``MARKET``, ``GTC``, ``IOC``, ``FOK`` or ``DAY``."""
    return submit_order(st, me, side, px, qty, order_type, time_in_force, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@function
def submit_limit(st: State, me: int, side: int, px: int, qty: int, flags: int) -> int:
    """Ask for a limit order that rests until cancelled; ``flags`` may be ``POST_ONLY`` and ``REDUCE_ONLY``."""
    return submit(st, me, side, px, qty, LIMIT, GTC, flags)


@function
def submit_market(st: State, me: int, side: int, qty: int) -> int:
    """Ask for a market order: it fills what is displayed, the rest expires."""
    return submit(st, me, side, 0, qty, MARKET, IOC, 0)


@function
def submit_day(st: State, me: int, side: int, px: int, qty: int, flags: int) -> int:
    """Ask for a limit order that rests until the account's next reset."""
    return submit(st, me, side, px, qty, LIMIT, DAY, flags)


@function
def submit_until(st: State, me: int, side: int, px: int, qty: int, expire_ts: int, flags: int) -> int:
    """Ask for a limit order that rests until ``expire_ts``, ns."""
    return submit_order(st, me, side, px, qty, LIMIT, GTD, flags, 0, 0, 0, 0, 0, 0, expire_ts, 0, 0)


@function
def submit_displayed(st: State, me: int, side: int, px: int, qty: int, display_qty: int, flags: int) -> int:
    """Ask for a limit order of which ``display_qty`` lots show at a time."""
    return submit_order(st, me, side, px, qty, LIMIT, GTC, flags, 0, 0, 0, 0, 0, display_qty, 0, 0, 0)


@function
def _type_of(px: int) -> int:
    return MARKET if whole(px) == 0 else LIMIT


@function
def submit_stop(
    st: State, me: int, side: int, trigger_px: int, px: int, qty: int, trigger_source: int, flags: int
) -> int:
    """Ask for a stop: held until the price reaches ``trigger_px``, then a limit order at ``px`` (0: a market order).

    With ``AT_EXCHANGE`` among the flags it stands at the exchange until then.
    """
    return submit_order(
        st, me, side, px, qty, _type_of(px), GTC, flags, STOP, trigger_source, trigger_px, 0, 0, 0, 0, 0, 0
    )


@function
def submit_take_profit(
    st: State, me: int, side: int, trigger_px: int, px: int, qty: int, trigger_source: int, flags: int
) -> int:
    """As ``submit_stop``, with a trigger on the other side of the market."""
    return submit_order(
        st, me, side, px, qty, _type_of(px), GTC, flags, TAKE_PROFIT, trigger_source, trigger_px, 0, 0, 0, 0, 0, 0
    )


@function
def submit_trailing(
    st: State, me: int, side: int, trail: int, trail_unit: int, px: int, qty: int, trigger_source: int, flags: int
) -> int:
    """Ask for a stop whose trigger follows the price at ``trail`` ``TICKS`` or ``BASIS_POINTS``; ``px`` as above."""
    return submit_order(
        st, me, side, px, qty, _type_of(px), GTC, flags, TRAILING, trigger_source, 0, trail, trail_unit, 0, 0, 0, 0
    )


@function
def bracket(
    st: State, me: int, side: int, px: int, qty: int, target_px: int, stop_px: int, trigger_source: int, flags: int
) -> int:
    """Ask for an entry at ``px`` (0: at the market) with a target and a stop, which wait for its fills.

    The target is a limit order at ``target_px``, the stop a market order from ``stop_px`` on; what one of them fills
    the other is reduced by. Their ids are the entry's plus 1 and plus 2. When one of the three is refused, the others
    are cancelled. With ``AT_EXCHANGE`` among the flags the stop stands at the exchange once the entry is done,
    reduce-only.

    Returns
    -------
    int
        The entry's id, or minus the Reason of the refusal.
    """
    entry_type = _type_of(px)
    lasting = IOC if entry_type == MARKET else GTC
    entry = submit(st, me, side, px, qty, entry_type, lasting, flags & BUT_AT_EXCHANGE)
    if entry < 0:
        return entry
    leg = flags & SHORT_LEG
    stop_flags = leg | AT_EXCHANGE | REDUCE_ONLY if flags & AT_EXCHANGE else leg
    target = submit_order(st, me, -side, target_px, qty, LIMIT, GTC, leg, 0, 0, 0, 0, 0, 0, 0, OTO, entry)
    stop = target
    if target > 0:
        stop = submit_order(
            st, me, -side, 0, qty, MARKET, GTC, stop_flags, STOP, trigger_source, stop_px, 0, 0, 0, 0, OTO, entry
        )
    if stop < 0:
        cancel(st, me, entry)
        return stop
    return entry


@function
def oco(st: State, me: int, side: int, qty: int, target_px: int, stop_px: int, trigger_source: int, flags: int) -> int:
    """Ask for a limit order at ``target_px`` and a stop at ``stop_px`` of which one cancels the other.

    The stop's id is the target's plus 1. When one is refused the other is cancelled. With ``AT_EXCHANGE`` among the
    flags the stop stands at the exchange.

    Returns
    -------
    int
        The target's id, or minus the Reason of the refusal.
    """
    but_stop = flags & BUT_AT_EXCHANGE
    target = submit_order(st, me, side, target_px, qty, LIMIT, GTC, but_stop, 0, 0, 0, 0, 0, 0, 0, OCO, 0)
    if target < 0:
        return target
    stop = submit_order(
        st, me, side, 0, qty, MARKET, GTC, flags, STOP, trigger_source, stop_px, 0, 0, 0, 0, OCO, target
    )
    if stop < 0:
        cancel(st, me, target)
        return stop
    return target


@function
def replace(st: State, me: int, order_id: int, px: int, qty: int) -> int:
    """Ask for the cancel of an own order and for one like it at ``px`` and of total ``qty`` (0: as it was).

    The new order leaves once the cancel is certain, for what the first one has not filled. It has the trigger of one
    that still waits for its price, and does not wait again for a price that has come.

    Returns
    -------
    int
        The new order's id, or minus the Reason of the refusal.
    """
    if order_id >> ORDER_ID_COUNTER_BITS != me + STRATEGY_CLIENT_BASE:
        return -_NOT_OWNER
    slot = find_order(st[0], order_id)
    if slot < 0:
        return -_UNKNOWN_ORDER
    order = st[0]["orders"][slot]
    is_timed = order["time_in_force"] == GTD
    waits = order["state"] == _HELD or stands_at_exchange(order)
    return submit_order(
        st,
        me,
        order["side"],
        whole(px) if px != 0 else order["px"],
        whole(qty) if qty != 0 else order["qty"],
        order["order_type"],
        order["time_in_force"],
        order["flags"],
        order["trigger"] if waits else NO_TRIGGER,
        order["trigger_source"] if waits else 0,
        order["trigger_px"] if waits else 0,
        order["trail"] if waits else 0,
        order["trail_unit"] if waits else 0,
        order["display_qty"],
        order["expire_ts"] if is_timed else 0,
        REPLACE,
        order_id,
    )


@function
def _change(st: State, me: int, order_id: int, px: int, qty: int, trigger_px: int, trail: int) -> int:
    if order_id >> ORDER_ID_COUNTER_BITS != me + STRATEGY_CLIENT_BASE:
        return _NOT_OWNER
    command = address(st, me, _AMEND, order_id)
    command["px"] = whole(px)
    command["qty"] = whole(qty)
    command["trigger_px"] = whole(trigger_px)
    command["trail"] = within_field(whole(trail), 0, _MAX_TRAIL, -1)
    return ask(st, me, command)


@function
def amend(st: State, me: int, order_id: int, px: int, qty: int) -> int:
    """Ask for another price and total quantity (0: unchanged) of an own order; returns 0 or the Reason of refusal."""
    return _change(st, me, order_id, px, qty, 0, 0)


@function
def amend_trigger(st: State, me: int, order_id: int, trigger_px: int, trail: int) -> int:
    """Move the trigger, or change the trailing distance (0: unchanged), of an own order that is held.

    Of a stop that stands at the exchange the trigger can be moved, where the exchange does that.
    """
    return _change(st, me, order_id, 0, 0, trigger_px, trail)


@function
def cancel(st: State, me: int, order_id: int) -> int:
    """Ask for the cancel of an own order; returns 0 or the Reason of refusal."""
    if order_id >> ORDER_ID_COUNTER_BITS != me + STRATEGY_CLIENT_BASE:
        return _NOT_OWNER
    return ask(st, me, address(st, me, _CANCEL, order_id))


@function
def cancel_all(st: State, me: int) -> None:
    """Ask for the cancel of all own orders, those held in the core included."""
    ask(st, me, address(st, me, _CANCEL_ALL, 0))
