"""Prices of different instruments brought to one measure: the tick of each, and the currency that it is quoted in."""

from __future__ import annotations

from oms.compiled import kernel
from oms.core.state import Record
from oms.core.valuation import conversion_rate
from oms.records import CASH_SCALE


@kernel
def tick_value(definition: Record) -> float:
    """One tick in the instrument's quote currency."""
    return float(definition["tick_numerator"]) / (float(definition["tick_denominator"]) * CASH_SCALE)


@kernel
def quote_ratio(s: Record, instrument: int, other: int) -> float:
    """What a unit of an instrument's quote currency is in that of another; 0: there is no rate between them."""
    currency = s["instruments"][instrument]["quote_currency"]
    wanted = s["instruments"][other]["quote_currency"]
    if currency == wanted:
        return 1.0
    rate = conversion_rate(s, wanted)
    return conversion_rate(s, currency) / rate if rate > 0.0 else 0.0
