"""The rows in which the core and the journal hold definitions of instruments.

``oms.instruments`` makes them from decimal text; a DEFINITION record brings a new one to a core that runs.
"""

from __future__ import annotations

from typing import Final

import numpy as np

MAX_TIERS: Final = 8

TIER = np.dtype(
    [
        ("floor_value", "<i8"),  # cash: the tier holds from this notional on
        ("initial_rate", "<i8"),  # 1e-8
        ("maintenance_rate", "<i8"),  # 1e-8
        ("maintenance_deduction", "<i8"),  # cash: maintenance is value * rate - deduction, the same where tiers meet
    ]
)

INSTRUMENT = np.dtype(
    [
        ("defined", "<i8"),  # 0: the row is empty, its id unknown
        ("version", "<i8"),
        ("kind", "<i8"),  # InstrumentKind
        ("inverse", "<i8"),  # 1: a lot is worth inverse_numerator / (inverse_denominator * px) in cash
        ("coin_settled", "<i8"),  # 1: an option that is quoted and settled in the base currency
        ("cash_numerator", "<i8"),  # cash of one cost unit: of a tick-lot; inverse: 1
        ("cash_denominator", "<i8"),
        ("inverse_numerator", "<i8"),  # cash of one lot at one tick; 0 unless inverse
        ("inverse_denominator", "<i8"),
        ("tick_numerator", "<i8"),  # one tick in 1e-8
        ("tick_denominator", "<i8"),
        ("base_numerator", "<i8"),  # one lot in 1e-8; spot: of the base currency
        ("base_denominator", "<i8"),
        ("multiplier_numerator", "<i8"),
        ("multiplier_denominator", "<i8"),
        ("size_numerator", "<i8"),  # lot * multiplier
        ("size_denominator", "<i8"),
        ("min_qty", "<i8"),
        ("max_qty", "<i8"),
        ("min_notional", "<i8"),  # cash
        ("maker_fee_rate", "<i8"),  # 1e-8 of the notional; negative is a rebate
        ("taker_fee_rate", "<i8"),
        ("expiry_ts", "<i8"),  # ns; 0: it does not expire
        ("strike", "<i8"),  # 1e-8 of the quote currency
        ("option_kind", "<i8"),  # +1 call, -1 put, 0 no option
        ("underlying", "<i8"),  # id; -1: none, or not yet set by the assembly
        ("base_currency", "<i8"),  # indices, -1 until the assembly sets them
        ("quote_currency", "<i8"),
        ("settle_currency", "<i8"),
        ("base_wallet", "<i8"),
        ("quote_wallet", "<i8"),
        ("settle_wallet", "<i8"),
        ("max_leverage", "<i8"),  # 1e-8
        ("tier_count", "<i8"),
        ("tiers", TIER, (MAX_TIERS,)),
        ("contract", "<i8"),  # stands for symbol, venue, currencies and underlying
        # 1e-8 of the underlying's value that a short option needs; 0: no option, or a row of before there were settings
        ("option_initial_rate", "<i8"),
        ("option_least_rate", "<i8"),
        ("option_maintenance_rate", "<i8"),
    ]
)
"""One row of the core's instrument table."""

SET_BY_ASSEMBLY: Final = (
    "underlying",
    "base_currency",
    "quote_currency",
    "settle_currency",
    "base_wallet",
    "quote_wallet",
    "settle_wallet",
)
"""Fields of a row that hold numbers of the session's; a new version keeps them."""

DEFINITION = np.dtype(
    [
        ("instrument", "<i4"),
        ("version", "<u4"),
        ("row", INSTRUMENT),
        ("spare", "<i8"),
    ]
)
"""A version of an instrument's definition, 576 bytes: from an operator to the core, where what SET_BY_ASSEMBLY names is
not said; and from the core to the gateways, the one in force."""

assert DEFINITION.itemsize == 576
