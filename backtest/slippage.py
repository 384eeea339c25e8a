"""Slippage by algorithm: what parent orders paid against the price at which they arrived.

It is read from the events alone: the last PROGRESS of a parent has the average price of its fills, and its arrival
price.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final, NamedTuple

import msgspec
import numpy as np

from backtest.market import Rows
from oms.config import qualified_symbol
from oms.instruments import Instrument
from oms.records import CASH_SCALE, EventKind

UNKNOWN: Final = "unknown"
"""For parents whose algorithm is not told."""
BASIS_POINTS: Final = 10_000


class AlgorithmSlippage(msgspec.Struct, frozen=True, kw_only=True):
    """How one algorithm's orders in one instrument were filled, against their arrival prices."""

    algorithm: str
    symbol: str
    parents: int
    filled_parents: int
    """Those with a fill and an arrival price: only they count below."""
    filled: str
    slippage_bps: float | None
    """Mean over the parents, weighted by their values at arrival; positive is a cost."""
    worst_bps: float | None
    best_bps: float | None


class ParentSlippage(NamedTuple):
    """One parent's fills against its arrival."""

    qty: int
    value: Fraction
    """At arrival, in no unit but the same for all parents in one instrument."""
    bps: Fraction


def slippage_by_algorithm(
    events: Rows, instruments: Mapping[int, Instrument], algorithms: Mapping[int, str]
) -> tuple[AlgorithmSlippage, ...]:
    """The slippage of every algorithm that worked an order, by instrument.

    Parameters
    ----------
    events : array of EVENT
    instruments : mapping
        By id.
    algorithms : mapping
        The algorithm's name of each parent, by its order id; those that are not in it are of ``UNKNOWN``.
    """
    progress = events[events["kind"] == EventKind.PROGRESS]
    _, last = np.unique(progress["order_id"][::-1], return_index=True)
    groups: dict[tuple[str, int], list[ParentSlippage | None]] = {}
    for row in progress[::-1][last]:
        algorithm = algorithms.get(int(row["order_id"]), UNKNOWN)
        instrument = int(row["instrument"])
        groups.setdefault((algorithm, instrument), []).append(parent_slippage(row, instruments[instrument]))
    return tuple(_summary(name, instruments[number], groups[name, number]) for name, number in sorted(groups))


def parent_slippage(progress: np.void, instrument: Instrument) -> ParentSlippage | None:
    """What a parent's last PROGRESS says; None while it has no fill, or where it had no price at its arrival."""
    qty = int(progress["filled_qty"])
    average = Fraction(int(progress["last_px"]), CASH_SCALE)
    arrival = Fraction(int(progress["realized_pnl"]), CASH_SCALE)
    if not qty or not average or not arrival:
        return None
    value = qty / arrival if instrument.inverse else qty * arrival
    return ParentSlippage(qty, value, int(progress["side"]) * (average - arrival) / arrival * BASIS_POINTS)


def _summary(algorithm: str, instrument: Instrument, parents: list[ParentSlippage | None]) -> AlgorithmSlippage:
    filled = [each for each in parents if each is not None]
    value = sum((each.value for each in filled), Fraction(0))
    return AlgorithmSlippage(
        algorithm=algorithm,
        symbol=qualified_symbol(instrument),
        parents=len(parents),
        filled_parents=len(filled),
        filled=instrument.qty_from_lots(sum(each.qty for each in filled)),
        slippage_bps=float(sum(each.value * each.bps for each in filled) / value) if filled else None,
        worst_bps=float(max(each.bps for each in filled)) if filled else None,
        best_bps=float(min(each.bps for each in filled)) if filled else None,
    )
