"""What fills realize, where an exchange does not say it: by the position's average, as the exchange states that."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from gateways.orders.views import PositionView
from oms.instruments import Instrument
from oms.records import CASH_SCALE


class _Held(NamedTuple):
    qty: int
    px: Fraction


class Averages:
    """Positions of instruments that are no spot, from when the exchange has said the first time what they are."""

    def __init__(self) -> None:
        self._held: dict[int, _Held] = {}

    def state(self, view: PositionView) -> None:
        """Take a position as the exchange states it."""
        self._held[view.instrument] = _Held(view.qty, view.px + Fraction(view.px_fraction, CASH_SCALE))

    def realized(self, instrument: Instrument, side: int, px: int, qty: int) -> int:
        """Take a fill, and return the cash that it realizes; 0 where the position before it is not known."""
        held = self._held.get(instrument.id)
        if held is None:
            return 0
        signed = side * qty
        closed = min(qty, abs(held.qty)) if held.qty * side < 0 else 0
        left = held.qty + signed
        if not closed:
            average = _average(instrument, held, qty, px)
        elif abs(held.qty) > qty:
            average = held.px
        else:
            average = Fraction(px)
        self._held[instrument.id] = _Held(left, average)
        if not closed or not held.px:
            return 0
        if instrument.inverse:
            return round(side * closed * instrument.inverse_cash * (1 / Fraction(px) - 1 / held.px))
        return round(side * closed * instrument.cash_per_tick_lot * (held.px - px))


def _average(instrument: Instrument, held: _Held, qty: int, px: int) -> Fraction:
    """The price at which a position is held that a fill has made larger: of inverse ones the harmonic mean."""
    before = abs(held.qty)
    if not before or not held.px:
        return Fraction(px)
    if instrument.inverse:
        return (before + qty) / (before / held.px + Fraction(qty, px))
    return (before * held.px + qty * px) / (before + qty)
