"""Several venues in one measure: what an order filled and what the market did there, as of one instrument.

Prices are in the quote currency of the order's own instrument, quantities in the base currency, both on the widest grid
that every venue's ticks and lots are on. An order in one instrument is measured by that alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from backtest.benchmarks import Integers, average_px, exact_sum
from backtest.equity import rates_at
from backtest.market import MARKET_TRADE, TOUCH, Market, MarketError, Rows, mids_of, ticks_of, touches_of, trades_of
from backtest.parent_order import VenueFills, fills_of
from oms.config import Settings, qualified_symbol
from oms.decimals import MAX_EXPONENT, cash_text
from oms.figures import average_price_text
from oms.instruments import MAX_VALUE, Instrument
from oms.records import CASH_SCALE, EventKind

Floats = npt.NDArray[np.float64]

PARTS_OF_A_TICK: Final = 1_000
"""A price that is converted from another currency is rounded to this part of a tick."""
MEASURED: Final = frozenset({"spot", "linear_perpetual", "linear_future"})
"""Kinds whose quantities and prices can be brought to one measure: a lot is worth its base at the price."""

_EXACT: Final = Context(prec=4 * MAX_EXPONENT)


def common_step(steps: Iterable[Fraction]) -> Fraction:
    """The greatest number of which each of ``steps``, all above zero, is a multiple."""
    whole = list(steps)
    denominator = math.lcm(*(each.denominator for each in whole))
    return Fraction(math.gcd(*(int(each * denominator) for each in whole)), denominator)


def _text(number: Fraction) -> str:
    """A number that has an end as decimal text."""
    return format(_EXACT.divide(Decimal(number.numerator), Decimal(number.denominator)).normalize(_EXACT), "f")


class Measure:
    """Brings fills and markets of an order's venues to one measure.

    Parameters
    ----------
    venues : sequence of Instrument
        Those that the order may trade in, its own first.
    rates : callable
        What a unit of each currency is worth at given times, as ``backtest.equity.rates_at`` says it; 0: not known.

    Attributes
    ----------
    instrument : Instrument
        In whose ticks and lots all is counted: the order's own with the grid that all of them share, or as it is where
        there is no other.

    Raises
    ------
    MarketError
        When there are several and one is of a kind that cannot be compared by price.
    """

    def __init__(self, venues: Sequence[Instrument], rates: Callable[[Integers], Mapping[str, Floats]]) -> None:
        own = venues[0]
        self.instrument = own
        self._venues = tuple(venues)
        self._rates = rates
        if len(venues) == 1:
            return
        for each in venues:
            if each.kind not in MEASURED:
                raise MarketError(
                    f"{qualified_symbol(each)} is {each.kind}: an order over several venues is measured in "
                    f"{', '.join(sorted(MEASURED))} only"
                )
        tick = common_step(Fraction(Decimal(each.tick)) for each in venues)
        if any(each.quote != own.quote for each in venues):
            tick /= PARTS_OF_A_TICK
        lot = common_step(each.size for each in venues)
        self.instrument = msgspec.structs.replace(own, tick=_text(tick), lot=_text(lot), multiplier="1")

    def qty(self, lots: Integers, instrument: Instrument) -> Integers:
        """Lots of a venue in the measure's."""
        return _multiplied(lots, instrument.size / self.instrument.size)

    def px(self, ticks: Integers, instrument: Instrument, ts: Integers) -> Integers:
        """A venue's ticks in the measure's, at the rates of the times ``ts``."""
        factor = Fraction(Decimal(instrument.tick)) / Fraction(Decimal(self.instrument.tick))
        if instrument.quote == self.instrument.quote:
            return _multiplied(ticks, factor)
        ratio = self._ratio(instrument.quote, self.instrument.quote, ts)
        return np.rint(ticks * ratio * float(factor)).astype(np.int64)

    def fills(self, events: Rows) -> Rows:
        """The ORDER_FILLED events among ``events`` as an array of FILL in the measure, in the events' order."""
        filled = events[events["kind"] == EventKind.ORDER_FILLED]
        measured = fills_of(filled)
        for each in self._venues:
            here = filled["instrument"] == each.id
            there = measured[here]
            there["px"] = self.px(there["px"], each, there["ts"])
            there["qty"] = self.qty(there["qty"], each)
            if each.settlement != self.instrument.settlement:
                worth = self._ratio(each.settlement, self.instrument.settlement, there["ts"])
                there["fee"] = np.rint(there["fee"] * worth).astype(np.int64)
            measured[here] = there
        return measured

    def by_venue(self, events: Rows) -> tuple[VenueFills, ...]:
        """What each of several venues has filled, in its own terms; nothing where there is one."""
        if len(self._venues) == 1:
            return ()
        return tuple(_venue_fills(each, fills_of(events[events["instrument"] == each.id])) for each in self._venues)

    def market(self, ticks: Rows) -> Market:
        """The market of all venues as one: the best of their touches, and the trades of each.

        A venue whose currency has no known rate is left out, as the order leaves it out; it needs no ticks at all.

        Raises
        ------
        MarketError
            As ``market_of``.
        """
        touches: list[Rows] = []
        trades: list[Rows] = []
        for each in self._venues:
            own = ticks_of(each, ticks)
            shown, traded = touches_of(own), trades_of(own)
            for name in ("bid", "ask"):
                shown[name] = self.px(shown[name], each, shown["ts"])
            traded["px"] = self.px(traded["px"], each, traded["ts"])
            traded["qty"] = self.qty(traded["qty"], each)
            touches.append(shown)
            trades.append(traded[traded["px"] > 0])
        together = np.concatenate([np.zeros(0, MARKET_TRADE), *trades])
        return Market(mids_of(best_touches(touches)), together[np.argsort(together["ts"], kind="stable")])

    def _ratio(self, currency: str, wanted: str, ts: Integers) -> Floats:
        """What a unit of a currency is in another one at the times ``ts``; 0: it is never known.

        A time at which it is not known yet has the next one that is.
        """
        rates = self._rates(ts)
        nothing = np.zeros(len(ts))
        divisor = rates.get(wanted, nothing)
        ratio = np.divide(rates.get(currency, nothing), divisor, out=nothing, where=divisor > 0)
        known = np.flatnonzero(ratio)
        if not len(known):
            return ratio
        following = np.searchsorted(known, np.arange(len(ratio)))
        return ratio[known[np.minimum(following, len(known) - 1)]]


def measure_of(settings: Settings, marks: Rows, venues: Sequence[Instrument]) -> Measure:
    """The measure of an order in a backtest, with the rates that the backtest's marks say; raises as ``Measure``."""
    return Measure(venues, lambda ts: rates_at(settings.conversions, marks, ts))


def best_touches(touches: Sequence[Rows]) -> Rows:
    """The best prices of several books at each time at which one of them changed, arrays of TOUCH alike."""
    ts = np.unique(np.concatenate([each["ts"] for each in touches]))
    best = np.zeros(len(ts), TOUCH)
    best["ts"] = ts
    worst = np.iinfo(np.int64).max
    asks = np.full(len(ts), worst)
    for each in touches:
        at = np.searchsorted(each["ts"], ts, "right")
        best["bid"] = np.maximum(best["bid"], np.concatenate([[0], each["bid"]])[at])
        ask = np.concatenate([[0], each["ask"]])[at]
        asks = np.minimum(asks, np.where(ask > 0, ask, worst))
    best["ask"] = np.where(asks < worst, asks, 0)
    return best


def _multiplied(values: Integers, factor: Fraction) -> Integers:
    """Values times a whole factor, exactly; raises ``MarketError`` where that leaves 64 bits."""
    largest = int(np.abs(values).max()) if len(values) else 0
    if largest * factor > MAX_VALUE:
        raise MarketError("the venues' ticks or lots are too far apart to be measured together")
    return values * int(factor)


def _venue_fills(instrument: Instrument, fills: Rows) -> VenueFills:
    qty = exact_sum(fills["qty"])
    px = round(average_px(fills["px"], fills["qty"].tolist(), inverse=False) * CASH_SCALE) if qty else 0
    return VenueFills(
        symbol=qualified_symbol(instrument),
        filled=instrument.qty_from_lots(qty),
        fills=len(fills),
        average_price=average_price_text(instrument, px) if qty else None,
        fees=cash_text(exact_sum(fills["fee"])),
        settlement=instrument.settlement,
    )
