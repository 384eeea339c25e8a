"""Money of options: what is bought is paid at the fill, what is sold is received then and margined until it is closed.

A bought option is paid and needs no margin; its value cannot be spent. Open buys need their premium, and what is sold
short needs its margin as far as the open sells can take it, whatever premium they would bring. The rule of the margin
is ``margin.short_option_margin``.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.book import mid_half_ticks
from oms.core.margin import short_option_margin
from oms.core.positions import position_fits
from oms.core.settlement import contract_fits, quote_price
from oms.core.state import Record

UNKNOWN: Final = -1


@kernel
def short_margins(s: Record, definition: Record, half_ticks: int, lots: int) -> tuple[int, int]:
    """Initial and maintenance margin in cash of ``lots`` sold short, at a mark in half ticks and the underlying's mid.

    Both are UNKNOWN without one of the two prices, and where they do not fit 64-bit integers.
    """
    if lots <= 0:
        return 0, 0
    underlying = definition["underlying"]
    if underlying < 0 or half_ticks <= 0 or not position_fits(definition, half_ticks, lots):
        return UNKNOWN, UNKNOWN
    price = quote_price(s["instruments"][underlying], mid_half_ticks(s["books"][underlying]))
    if not contract_fits(definition, price, lots):
        return UNKNOWN, UNKNOWN
    return short_option_margin(definition, price, half_ticks, lots)


@kernel
def option_needs(s: Record, definition: Record, half_ticks: int, low: int, high: int, buy_value: int) -> int:
    """Cash for an option that open sells can take to ``low`` lots, and open buys worth ``buy_value`` to ``high``.

    UNKNOWN when a short position cannot be margined now.
    """
    sold, _ = short_margins(s, definition, half_ticks, -low)
    left, _ = short_margins(s, definition, half_ticks, -high)
    if sold == UNKNOWN or left == UNKNOWN:
        return UNKNOWN
    return max(sold, left + buy_value)
