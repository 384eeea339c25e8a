"""What a fill costs beside the market's price: slippage and impact where it takes, and the exchange's fee.

- **Slippage**: a fixed number of ticks against every taker.
- **Impact**: the price moves against a taker by ``price * rate * (taken / impact_qty) ** power``, rounded up to ticks;
  ``taken`` is what the order has taken so far, with this fill. A power of 1 is linear, 1/2 the square-root law.
  Neither goes beyond a limit order's own limit, and neither moves the market: the next order finds it as recorded.
- **Fee**: on the value at the instrument's rates, which is for the core to compute; on the quantity, an amount for each
  unit; or on the value at the rates of the account's tier. A tier is fixed at each UTC midnight, at the first fill
  after it, by the value in the reporting currency that the account has traded on the 30 days before.

Sources: for the square-root law Almgren, Thum, Hauptmann and Li (2005), *Direct estimation of equity market impact*
(who find a power of 3/5), and Toth et al. (2011), *Anomalous price impact and the critical nature of liquidity in
financial markets* (1/2); for the linear one Kyle (1985), *Continuous auctions and insider trading*.
"""

from __future__ import annotations

import math
from typing import Final

from backtest.matching.quantities import raw_qty
from oms.compiled import kernel
from oms.core.exact import at_rate, scaled
from oms.core.positions import fits, value_of
from oms.core.state import FEE_DAYS, MAX_ACCOUNTS, MAX_PX, Record
from oms.core.valuation import conversion_rate
from oms.records import CASH_SCALE, FeeBasis, Liquidity

_BY_VALUE: Final = int(FeeBasis.VALUE)
_BY_QUANTITY: Final = int(FeeBasis.QUANTITY)
_MAKER: Final = int(Liquidity.MAKER)
NS_PER_DAY: Final = 86_400_000_000_000
ROUNDING: Final = 1e-9
"""Of a tick: what rounding of floats may add to a whole number of ticks is no further tick."""


@kernel
def worse_px(order: Record, px: int, ticks: int) -> int:
    """A price ``ticks`` worse for the order than ``px``, not beyond its limit where it has one."""
    side = order["side"]
    moved = px + side * ticks
    if order["px"] > 0 and (moved - order["px"]) * side > 0:
        moved = order["px"]
    return min(max(moved, 1), MAX_PX)


@kernel
def impact_ticks(s: Record, order: Record, px: int) -> int:
    """Ticks by which what the order has taken moves the price; at most the whole price."""
    model = s["model"]
    if model["impact_power"] == 0.0:
        return 0
    relative_qty = raw_qty(s, order["instrument"], order["taken"]) / model["impact_qty"]
    share = min(model["impact_rate"] * relative_qty ** model["impact_power"], 1.0)
    return math.ceil(px * share - ROUNDING)


@kernel
def slipped_px(s: Record, order: Record, px: int) -> int:
    """What an order pays, or gets, that takes at ``px``."""
    return worse_px(order, px, s["model"]["slippage_ticks"] + impact_ticks(s, order, px))


@kernel
def unit_fee(s: Record, report: Record) -> int:
    """Fee in cash on a fill's quantity, rounded half to even."""
    model = s["model"]
    definition = s["instruments"][report["instrument"]]
    each = model["maker_unit_fee"] if report["liquidity"] == _MAKER else model["taker_unit_fee"]
    return scaled(report["qty"] * each, definition["base_numerator"], definition["base_denominator"] * CASH_SCALE)


@kernel
def start_day(model: Record, day: int) -> None:
    """Fix every account's tier for a UTC day by what it has traded on the days before."""
    days = FEE_DAYS + 1
    passed = min(day - model["fee_day"], days)
    model["fee_day"] = day
    for account in range(MAX_ACCOUNTS):
        for i in range(passed):
            model["traded_value"][account, (day - i) % days] = 0.0
        traded = 0.0
        for i in range(days):
            traded += model["traded_value"][account, i]
        tier = 0
        while tier + 1 < model["fee_tier_count"] and model["fee_tiers"][tier + 1]["traded_value"] <= traded:
            tier += 1
        model["fee_tier"][account] = tier


@kernel
def tier_fee(s: Record, report: Record) -> int:
    """Fee in cash on a fill's value at the rate of the account's tier, rounded half to even; the value is counted."""
    model = s["model"]
    day = s["now"] // NS_PER_DAY
    if day > model["fee_day"]:
        start_day(model, day)
    account = report["account"]
    definition = s["instruments"][report["instrument"]]
    value = value_of(definition, report["px"], report["qty"])
    counted = value * conversion_rate(s, definition["settle_currency"])
    model["traded_value"][account, day % (FEE_DAYS + 1)] += counted
    tier = model["fee_tiers"][model["fee_tier"][account]]
    return at_rate(value, tier["maker_fee_rate"] if report["liquidity"] == _MAKER else tier["taker_fee_rate"])


@kernel
def state_fee(s: Record, report: Record) -> None:
    """Enter the exchange's fee into a fill where it is not the instrument's rates that say it.

    A fill that is too large for exact arithmetic gets none: the core refuses it.
    """
    basis = s["model"]["fee_basis"]
    if basis == _BY_VALUE or not fits(s["instruments"][report["instrument"]], report["px"], report["qty"]):
        return
    report["fee"] = unit_fee(s, report) if basis == _BY_QUANTITY else tier_fee(s, report)
    report["fee_known"] = 1
