"""Lots as quantities of the instrument's own unit, which models of queues and of impact are functions of."""

from __future__ import annotations

from oms.compiled import kernel
from oms.core.book import level_qty
from oms.core.exchange_view import exchange_book
from oms.core.state import Record


@kernel
def raw_qty(s: Record, instrument: int, lots: int) -> float:
    """Lots as a quantity of the instrument's own unit."""
    definition = s["instruments"][instrument]
    return float(lots) * definition["base_numerator"] / (definition["base_denominator"] * 1e8)


@kernel
def displayed_qty(s: Record, order: Record) -> float:
    """What the market shows at an order's price, as ``raw_qty``."""
    instrument = order["instrument"]
    return raw_qty(s, instrument, level_qty(exchange_book(s, instrument), order["side"], order["px"]))
