"""A market maker with inventory skew: one post-only quote on each side of the mid price.

Both quotes shift against the position by up to ``skew_ticks`` at the position limit (a linear form of the reservation
price of Avellaneda and Stoikov, 2008: high-frequency trading in a limit order book), so that the inventory tends back
to zero. A quote moves only when its price is ``requote_ticks`` off, because each move gives up its place in the queue.
"""

from math import ceil, floor

from strategies.api import (
    BUY,
    NO_AMEND,
    NO_ASK,
    NO_BID,
    POST_ONLY,
    SELL,
    amend,
    best_ask,
    best_bid,
    cancel,
    function,
    instrument_of,
    log,
    memory,
    order_px,
    order_state,
    parameter,
    position,
    submit_limit,
)

PARAMETERS = {
    "half_spread_ticks": 5.0,  # distance of each quote from the skewed mid price
    "order_lots": 10.0,
    "max_position_lots": 100.0,  # no quote on the side that would carry the position beyond it
    "skew_ticks": 10.0,  # shift of both quotes at the full position
    "requote_ticks": 3.0,
}
HALF_SPREAD, ORDER_LOTS, MAX_POSITION, SKEW, REQUOTE = range(5)

LOG_MESSAGES = ("filled {} lots at {} ticks, position {}, fee {}",)

# Memory: cell 0 and 1 hold the ask's and the bid's order id.
_LIVE = 2
_LAST_OPEN = 4


@function
def quote(st, me, side, px, wanted):
    """Bring the quote of one side to ``px``, or take it away when it is not wanted."""
    cells = memory(st, me)
    k = (side + 1) >> 1
    order_id = cells[k]
    state = order_state(st, order_id) if order_id > 0 else 0
    if not 0 < state <= _LAST_OPEN:
        cells[k] = 0
        if wanted:
            order_id = submit_limit(st, me, side, px, int(parameter(st, me, ORDER_LOTS)), POST_ONLY)
            if order_id > 0:
                cells[k] = order_id
    elif state == _LIVE:
        if not wanted:
            cancel(st, me, order_id)
        elif (
            abs(order_px(st, order_id) - px) >= parameter(st, me, REQUOTE)
            and amend(st, me, order_id, px, 0) == NO_AMEND
        ):
            cancel(st, me, order_id)  # the exchange changes no orders: another one is placed once it is gone


def on_tick(st, me, tick):
    instrument = instrument_of(st, me)
    bid = best_bid(st, instrument)
    ask = best_ask(st, instrument)
    if bid == NO_BID or ask == NO_ASK:
        return
    held = position(st, me)
    limit = parameter(st, me, MAX_POSITION)
    lots = parameter(st, me, ORDER_LOTS)
    fair = 0.5 * (bid + ask) - parameter(st, me, SKEW) * held / limit
    half_spread = parameter(st, me, HALF_SPREAD)
    quote(st, me, BUY, min(floor(fair - half_spread), ask - 1), held + lots <= limit)
    quote(st, me, SELL, max(ceil(fair + half_spread), bid + 1), held - lots >= -limit)


def on_fill(st, me, event):
    log(st, me, 0, event["side"] * event["last_qty"], event["last_px"], event["position_qty"], event["fees"])
