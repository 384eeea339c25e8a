"""Two exponential moving averages of a bar's close: long while the fast one is above the slow one, else short or flat.

A trend-following rule as old as charts (Appel, 1979, is one source for exponential averages): a strategy to learn from
and to measure with, not one to trade.
"""

from strategies.api import (
    BUY,
    SELL,
    bar_close,
    bar_timeframe,
    function,
    memory,
    own_open_orders,
    own_position,
    parameter,
    submit_market,
)

PARAMETERS = {
    "fast_bars": 20.0,
    "slow_bars": 100.0,
    "order_lots": 1.0,
    "long_only": 0.0,  # 1: flat where it would be short
    "timeframe": 0.0,  # number of the timeframe whose bars it looks at
}
FAST_BARS, SLOW_BARS, LOTS, LONG_ONLY, TIMEFRAME = range(5)

FAST, SLOW, SEEN = range(3)
"""What memory holds: both averages in millionths of a tick, and how many bars they are of."""
SCALE = 1_000_000


@function
def average(before, value, bars):
    """The exponential average of ``bars`` bars after one more value."""
    return before + int((value - before) * 2.0 / (bars + 1.0))


def on_bar(st, me, bar):
    if bar_timeframe(bar) != int(parameter(st, me, TIMEFRAME)):
        return
    kept = memory(st, me)
    value = bar_close(bar) * SCALE
    if kept[SEEN] == 0:
        kept[FAST] = value
        kept[SLOW] = value
    kept[FAST] = average(kept[FAST], value, parameter(st, me, FAST_BARS))
    kept[SLOW] = average(kept[SLOW], value, parameter(st, me, SLOW_BARS))
    kept[SEEN] += 1
    if kept[SEEN] < parameter(st, me, SLOW_BARS) or own_open_orders(st, me) > 0:
        return
    lots = int(parameter(st, me, LOTS))
    wanted = lots
    if kept[FAST] <= kept[SLOW]:
        wanted = 0 if parameter(st, me, LONG_ONLY) != 0.0 else -lots
    held = own_position(st, me)
    if wanted > held:
        submit_market(st, me, BUY, wanted - held)
    elif wanted < held:
        submit_market(st, me, SELL, held - wanted)
