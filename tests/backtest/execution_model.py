"""The execution report a second time: lot by lot and nanosecond by nanosecond, without regard to speed."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import chain, repeat

from backtest.parent_order import ParentOrder
from oms.records import BUY, SELL, Liquidity
from tests.backtest.executions import FillTuple

Figures = dict[str, Fraction | None]


@dataclass
class Tape:
    """What happened in the market, as it is told; it knows nothing of records."""

    levels: dict[int, dict[int, int]] = field(default_factory=lambda: {BUY: {}, SELL: {}})
    known: bool = False
    mids: dict[int, Fraction | None] = field(default_factory=dict)
    """In ticks, from each time on."""
    lots: list[tuple[int, int]] = field(default_factory=list)
    """Time and price of each lot that the market has traded."""

    def refresh(self, ts: int, levels: dict[int, dict[int, int]]) -> None:
        self.levels, self.known = levels, True
        self._note(ts)

    def lose(self, ts: int) -> None:
        self.known = False
        self._note(ts)

    def show(self, ts: int, side: int, px: int, qty: int) -> None:
        if self.known:
            self.levels[side][px] = qty
            self._note(ts)

    def trade(self, ts: int, px: int, qty: int) -> None:
        self.lots += repeat((ts, px), qty)

    def mid_at(self, ts: int) -> Fraction | None:
        return next((self.mids[each] for each in range(ts, -1, -1) if each in self.mids), None)

    def _note(self, ts: int) -> None:
        bids, asks = ([px for px, qty in self.levels[side].items() if qty] for side in (BUY, SELL))
        self.mids[ts] = Fraction(max(bids) + min(asks), 2) if self.known and bids and asks else None


def mean(lot_prices: list[int], weights: list[Fraction], inverse: bool) -> Fraction | None:
    """The price of equal value: the mean, of an inverse contract the harmonic one."""
    total = sum(weights)
    if not total:
        return None
    parts = zip(lot_prices, weights, strict=True)
    return total / sum(weight / px for px, weight in parts) if inverse else sum(px * w for px, w in parts) / total


def lot_mean(lot_prices: list[int], inverse: bool) -> Fraction | None:
    return mean(lot_prices, [Fraction(1)] * len(lot_prices), inverse)


def figures(parent: ParentOrder, tape: Tape) -> Figures:
    """Every figure as an exact number: prices in the quote currency, money in the settlement currency."""
    instrument = parent.instrument
    inverse = instrument.inverse
    start, end, target = parent.start_ts, parent.end_ts, parent.target_qty
    fills: list[dict[str, int]] = [
        dict(zip(parent.fills.dtype.names or (), each, strict=True)) for each in parent.fills.tolist()
    ]
    own_lots = list(chain.from_iterable([fill["px"]] * fill["qty"] for fill in fills))
    filled = len(own_lots)
    average = lot_mean(own_lots, inverse)

    every_ns = [tape.mid_at(ts) for ts in range(start, end)]
    mids = [mid for mid in every_ns if mid is not None]
    last_mid = [mid for mid in [*every_ns, tape.mid_at(end)] if mid is not None]
    arrival = tape.mid_at(start)

    until = max(fill["ts"] for fill in fills) if filled == target else end
    at_work = sum(start <= ts <= until for ts, _ in tape.lots)
    rate = Fraction(filled, at_work) if filled and at_work else None
    pov = None
    after_start = [px for ts, px in tape.lots if ts >= start]
    if rate and target / rate <= len(after_start):
        needed = target / rate
        weights = [min(max(needed - before, Fraction(0)), Fraction(1)) for before in range(len(after_start))]
        pov = mean(after_start, weights, inverse)
    benchmarks: Figures = {
        "arrival": arrival,
        "twap": sum(mids, start=Fraction(0)) / len(mids) if mids else None,
        "vwap": lot_mean([px for ts, px in tape.lots if start <= ts <= end], inverse),
        "pov": pov,
        "last_mid": last_mid[-1] if last_mid else None,
    }

    tick, size = Fraction(Decimal(instrument.tick)), instrument.size

    def paid(lots: int, px: Fraction) -> Fraction:
        """What ``lots`` cost whoever buys them: in quote currency; inverse: minus the coin that they are worth."""
        return -lots * size / (px * tick) if inverse else lots * size * px * tick

    found: Figures = {"average_price": average and average * tick, "participation_rate": rate}
    found["maker_share"] = (
        Fraction(sum(fill["qty"] for fill in fills if fill["liquidity"] == Liquidity.MAKER), filled) if filled else None
    )
    found["completion"] = Fraction(filled, target)
    for name, px in benchmarks.items():
        found[name] = None if px is None else px * tick
        found[f"{name}_bps"] = parent.side * (average / px - 1) * 10_000 if average and px else None
    fees = Fraction(sum(fill["fee"] for fill in fills), 10**8)
    found["fees"] = fees
    found |= dict.fromkeys(("execution", "opportunity", "total", "total_bps"))
    if arrival is not None:
        last = last_mid[-1]
        execution = sum((paid(1, Fraction(px)) - paid(1, arrival) for px in own_lots), start=Fraction(0))
        opportunity = paid(target - filled, last) - paid(target - filled, arrival)
        found["execution"] = parent.side * execution
        found["opportunity"] = parent.side * opportunity
        total = cents(parent.side * execution) + cents(parent.side * opportunity) + fees
        found["total"] = total
        found["total_bps"] = total / abs(paid(target, arrival)) * 10_000
    return found


def cents(amount: Fraction) -> Fraction:
    """An amount rounded to 1e-8, half to even."""
    return round(amount, 8)


def largest_deviation(parent: ParentOrder) -> tuple[int, int]:
    """Time and lots of the largest distance from the schedule, looked for at every ns."""
    assert parent.schedule is not None
    steps: list[tuple[int, int]] = parent.schedule.tolist()
    fills: list[FillTuple] = parent.fills.tolist()

    def ahead(ts: int) -> int:
        due = [lots for at, lots in steps if at <= ts]
        return sum(fill[2] for fill in fills if fill[0] <= ts) - (due[-1] if due else 0)

    best = max(range(parent.start_ts, parent.end_ts + 1), key=lambda ts: abs(ahead(ts)))
    return best, ahead(best)
