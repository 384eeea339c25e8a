"""The execution report of one parent order: what its child fills cost, against what the market offered meanwhile.

It knows nothing of the algorithm that worked the order. Everything is computed from integers in exact rationals and
rounded once, half to even, where text is made. ``docs/execution-report.md`` has each formula with its source.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeVar

import msgspec
import numpy as np

from backtest.benchmarks import (
    Absent,
    average_px,
    exact_sum,
    mid_steps,
    participation_weighted,
    trades_between,
    volume_weighted,
)
from backtest.market import Market
from backtest.parent_order import SIDES, ParentOrder, VenueFills
from oms.config import qualified_symbol
from oms.decimals import Grid, cash_text
from oms.figures import average_price_text
from oms.records import CASH_SCALE, Liquidity

Value = TypeVar("Value")

BASIS_POINTS: Final = 10_000
BASIS_POINT_DECIMALS: Final = 4
SHARE_DECIMALS: Final = 8


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """A price to measure by, and how much worse the average fill was."""

    name: str
    price: str | None
    slippage_bps: str | None
    """Of this price; positive is a cost, for a buy and a sell alike."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """A cost in the settlement currency, and in basis points of the target's value at the arrival price."""

    cash: str
    bps: str


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """The implementation shortfall: how much worse the order did than all of it traded at the arrival price."""

    execution: Cost
    """Of what was filled, at other prices than the arrival price."""
    opportunity: Cost
    """Of what was not filled, at the last mid."""
    fees: Cost
    total: Cost


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """How far the filled quantity was from the schedule at one time; positive is ahead of it."""

    ts: int
    qty: str
    share: str
    """Of the target."""


class ExecutionReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one execution: prices, quantities and amounts as decimal text, shares and rates of 1.

    A figure that does not exist is None, and ``absent`` says why by its name.
    """

    symbol: str
    side: str
    target: str
    limit_price: str | None
    start_ts: int
    end_ts: int
    filled: str
    completion: str
    fills: int
    children: int | None
    average_price: str | None
    benchmarks: tuple[Benchmark, ...]
    """arrival, twap, vwap, pov, last_mid."""
    shortfall: Shortfall | None
    fees: str
    settlement: str
    market_qty: str
    """Traded in the market while the order was at work: until it was complete, else until its end."""
    participation_rate: str | None
    """Filled over ``market_qty``."""
    maker_share: str | None
    time_to_complete_ns: int | None
    schedule_deviation: Deviation | None
    """The largest one."""
    without_touch_ns: int
    """Time between start and end in which the mid price is not known; the TWAP leaves it out."""
    venues: tuple[VenueFills, ...] = ()
    """Of an order over several venues: what each filled. All else is in one measure of theirs."""
    absent: dict[str, str]

    def benchmark(self, name: str) -> Benchmark:
        """The benchmark called ``name``; raises ``KeyError`` when there is none."""
        return {each.name: each for each in self.benchmarks}[name]


class Measurement:
    """The figures of one order in ticks, lots, cash (1e-8 of the settlement currency) and shares of 1, exact.

    A figure that does not exist raises ``Absent``.
    """

    def __init__(self, parent: ParentOrder, market: Market) -> None:
        self.parent = parent
        self.market = market
        self.filled_qty = parent.filled_qty
        self.fees = exact_sum(parent.fills["fee"])
        self.mids = mid_steps(market, parent.start_ts, parent.end_ts)
        self.market_qty = exact_sum(trades_between(market, parent.start_ts, parent.worked_until)["qty"])

    def average_price(self) -> Fraction:
        self._need_fill()
        fills = self.parent.fills
        return average_px(fills["px"], fills["qty"].tolist(), inverse=self.parent.instrument.inverse)

    def vwap(self) -> Fraction:
        parent = self.parent
        return volume_weighted(self.market, parent.start_ts, parent.end_ts, inverse=parent.instrument.inverse)

    def pov(self) -> Fraction:
        """The price of taking part in the market's volume at the achieved rate until the target is reached."""
        parent = self.parent
        needed = parent.target_qty / self.participation_rate()
        return participation_weighted(self.market, parent.start_ts, needed, inverse=parent.instrument.inverse)

    def participation_rate(self) -> Fraction:
        self._need_fill()
        if not self.market_qty:
            raise Absent("the market traded nothing while the order was at work")
        return Fraction(self.filled_qty, self.market_qty)

    def maker_share(self) -> Fraction:
        self._need_fill()
        fills = self.parent.fills
        return Fraction(exact_sum(fills["qty"][fills["liquidity"] == Liquidity.MAKER]), self.filled_qty)

    def time_to_complete_ns(self) -> int:
        if not self.parent.complete:
            raise Absent("the target was not reached")
        return self.parent.worked_until - self.parent.start_ts

    def schedule_deviation(self) -> tuple[int, int]:
        """The first time at which the filled quantity was farthest from the schedule, and how far, in lots."""
        parent = self.parent
        if parent.schedule is None:
            raise Absent("the order followed none")
        changes = np.concatenate([[parent.start_ts], parent.fills["ts"], parent.schedule["ts"]])
        ts = np.unique(changes[(changes >= parent.start_ts) & (changes <= parent.end_ts)])
        ahead = parent.filled_at(ts) - parent.due_at(ts)
        largest = int(np.abs(ahead).argmax())
        return int(ts[largest]), int(ahead[largest])

    def shortfall(self) -> dict[str, int]:
        """Perold's parts of the shortfall, each rounded to cash, and their sum."""
        arrival = self.mids.first()
        unfilled_qty = self.parent.target_qty - self.filled_qty
        execution = self._cost(self.filled_qty, arrival, self.average_price()) if self.filled_qty else 0
        opportunity = self._cost(unfilled_qty, arrival, self.mids.last())
        return {
            "execution": execution,
            "opportunity": opportunity,
            "fees": self.fees,
            "total": execution + opportunity + self.fees,
        }

    def paper_value(self) -> Fraction:
        """The target's value at the arrival price, cash."""
        return abs(self._value(self.mids.first())) * self.parent.target_qty

    def _cost(self, qty: int, arrival: Fraction, price: Fraction) -> int:
        return round(self.parent.side * qty * (self._value(price) - self._value(arrival)))

    def _value(self, px: Fraction) -> Fraction:
        """Cash value of one lot, which rises with the price: of an inverse contract it is what a long one owes."""
        instrument = self.parent.instrument
        return -instrument.inverse_cash / px if instrument.inverse else instrument.cash_per_tick_lot * px

    def _need_fill(self) -> None:
        if not self.filled_qty:
            raise Absent("nothing was filled")


def execution_report(parent: ParentOrder, market: Market) -> ExecutionReport:
    """Measure one parent order.

    Parameters
    ----------
    parent : ParentOrder
        The order and its fills.
    market : Market
        Of its instrument, as ``market_of`` reads it from the ticks of a recording.

    Raises
    ------
    ExecutionError
        When the order cannot be: see ``ParentOrder.check``.
    """
    parent.check()
    measured = Measurement(parent, market)
    instrument = parent.instrument
    absent: dict[str, str] = {}

    def figure(name: str, compute: Callable[[], Value]) -> Value | None:
        try:
            return compute()
        except Absent as why:
            absent[name] = str(why)
            return None

    def price_text(px: Fraction | None) -> str | None:
        return None if px is None else average_price_text(instrument, round(px * CASH_SCALE))

    def benchmark(name: str, compute: Callable[[], Fraction]) -> Benchmark:
        px = figure(name, compute)
        if px is None or average is None:
            return Benchmark(name=name, price=price_text(px), slippage_bps=None)
        return Benchmark(name=name, price=price_text(px), slippage_bps=_bps(parent.side * (average - px) / px))

    def cost(cash: int) -> Cost:
        return Cost(cash=cash_text(cash), bps=_bps(cash / measured.paper_value()))

    average = figure("average_price", measured.average_price)
    costs = figure("shortfall", measured.shortfall)
    deviation = figure("schedule_deviation", measured.schedule_deviation)
    return ExecutionReport(
        symbol=qualified_symbol(instrument),
        side=SIDES[parent.side],
        target=instrument.qty_from_lots(parent.target_qty),
        limit_price=None if parent.limit_px is None else instrument.px_from_ticks(parent.limit_px),
        start_ts=parent.start_ts,
        end_ts=parent.end_ts,
        filled=instrument.qty_from_lots(measured.filled_qty),
        completion=_share(Fraction(measured.filled_qty, parent.target_qty)),
        fills=len(parent.fills),
        children=parent.children,
        average_price=price_text(average),
        benchmarks=(
            benchmark("arrival", measured.mids.first),
            benchmark("twap", measured.mids.mean),
            benchmark("vwap", measured.vwap),
            benchmark("pov", measured.pov),
            benchmark("last_mid", measured.mids.last),
        ),
        shortfall=None if costs is None else Shortfall(**{name: cost(cash) for name, cash in costs.items()}),
        fees=cash_text(measured.fees),
        settlement=instrument.settlement,
        market_qty=instrument.qty_from_lots(measured.market_qty),
        participation_rate=figure("participation_rate", lambda: _share(measured.participation_rate())),
        maker_share=figure("maker_share", lambda: _share(measured.maker_share())),
        time_to_complete_ns=figure("time_to_complete_ns", measured.time_to_complete_ns),
        schedule_deviation=None
        if deviation is None
        else Deviation(
            ts=deviation[0],
            qty=instrument.qty_from_lots(deviation[1]),
            share=_share(Fraction(deviation[1], parent.target_qty)),
        ),
        without_touch_ns=measured.mids.unknown_ns,
        venues=parent.venues,
        absent=absent,
    )


def _share(share: Fraction) -> str:
    return _text(share, SHARE_DECIMALS)


def _bps(ratio: Fraction) -> str:
    return _text(ratio * BASIS_POINTS, BASIS_POINT_DECIMALS)


def _text(number: Fraction, decimals: int) -> str:
    """A number as decimal text, rounded half to even to so many decimals, without trailing zeros."""
    text = Grid(Decimal(1).scaleb(-decimals)).text(round(number * 10**decimals))
    return text.rstrip("0").rstrip(".")
