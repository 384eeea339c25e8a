"""The log of trades: round trips of one owner in one instrument, from flat to flat.

A trade begins with the fill that opens a position from flat and ends with the one that makes it flat again. A fill that
turns a position over ends one trade and begins the next; its cost and its fee are split by quantity. Since a trade is
whole, its PnL is the same under average cost and under FIFO.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.benchmarks import Integers, average_px
from backtest.equity import Floats, to_cash
from backtest.ledger import ACCOUNT, Ledger, of_exchange
from backtest.ledger_kernels import FILLED, SETTLED
from backtest.market import Rows
from oms.instruments import Instrument
from oms.records import CASH_SCALE, Liquidity

TRADE = np.dtype(
    [
        ("account", "<i8"),
        ("owner", "<i8"),  # a strategy's number; NO_STRATEGY
        ("instrument", "<i8"),
        ("leg", "<i8"),
        ("side", "<i8"),  # +1 long, -1 short
        ("is_open", "?"),  # at the end of the run
        ("is_liquidated", "?"),  # the exchange closed it
        ("entry_ts", "<i8"),
        ("exit_ts", "<i8"),  # of the last fill; open: the end of the run
        ("entry_px", "<i8"),  # average, 1e-8 ticks
        ("exit_px", "<i8"),  # 0: nothing has closed
        ("qty", "<i8"),  # lots that opened it
        ("closed_qty", "<i8"),
        ("maker_qty", "<i8"),  # lots of both ways that a maker traded
        ("fills", "<i8"),
        # cash of the settlement currency
        ("gross_pnl", "<i8"),  # before fees and funding; open: with what is unrealized at the last mark
        ("fees", "<i8"),  # paid is positive
        ("funding", "<i8"),  # received is positive
        ("net_pnl", "<i8"),
        ("adverse_excursion", "<i8"),  # the lowest gross PnL on the way, at the marks; 0 or less
        ("favourable_excursion", "<i8"),  # the highest; 0 or more
        # cash of the reporting currency
        ("net", "<i8"),  # net_pnl at the rate of the exit
    ]
)
"""One round trip."""

Objects = npt.NDArray[Any]


def trades_of(ledger: Ledger, instruments: Mapping[int, Instrument], rates: Floats) -> Rows:
    """The trades of every strategy, and of the orders that none asked for.

    Parameters
    ----------
    ledger : Ledger
    instruments : mapping
        By id.
    rates : array of float64, shape (times, positions)
        What a unit of each position's settlement currency is worth.

    Returns
    -------
    array of TRADE
        In order of their exits, those that are still open last.
    """
    blocks: list[Rows] = [np.zeros(0, TRADE)]
    for position in np.flatnonzero(ledger.keys["owner"] != ACCOUNT).tolist():
        instrument = instruments[int(ledger.keys["instrument"][position])]
        blocks.append(trips_of(ledger, position, instrument, rates[:, position]))
    trades = np.concatenate(blocks)
    return trades[np.lexsort((trades["entry_ts"], trades["exit_ts"], trades["is_open"]))]


def trips_of(ledger: Ledger, position: int, instrument: Instrument, rates: Floats) -> Rows:
    """The trades of one position, in order."""
    moves = ledger.moves[ledger.moves["position"] == position]
    moves = moves[(moves["qty"] > 0) | (moves["funding"] != 0)]
    side = moves["side"]
    opened = np.where(moves["kind"] == FILLED, moves["qty"] - moves["closed_qty"], 0)
    after = moves["position_qty"]
    begins = (opened > 0) & (after == side * opened)
    ends = (moves["closed_qty"] > 0) & (after == side * opened)
    opens = np.cumsum(begins) - 1  # the trade that what opens belongs to
    closes = opens - begins  # and what closes, or is paid
    count = int(begins.sum())
    trades = np.zeros(count, TRADE)
    for name in ledger.keys.dtype.names or ():
        trades[name] = ledger.keys[name][position]
    first = np.flatnonzero(begins)
    last = np.flatnonzero(ends)
    trades["side"] = side[first]
    trades["entry_ts"] = moves["ts"][first]
    trades["is_open"][len(last) :] = True
    trades["exit_ts"] = int(ledger.ts[-1]) if len(ledger.ts) else 0
    trades["exit_ts"][: len(last)] = moves["ts"][last]
    trades["is_liquidated"][: len(last)] = of_exchange(moves)[last]

    def summed(opening: Objects | Integers, closing: Objects | Integers) -> Objects:
        total = np.zeros(count, object)
        np.add.at(total, opens[opened > 0], opening[opened > 0].astype(object))
        np.add.at(total, closes[closing_at], closing[closing_at].astype(object))
        return total

    nothing = np.zeros(len(moves), np.int64)
    closing_at = (moves["closed_qty"] > 0) | (moves["funding"] != 0)
    is_maker = moves["liquidity"] == Liquidity.MAKER
    closing_fee = _parts(moves["fee"], moves["closed_qty"], moves["qty"])
    trades["qty"] = summed(opened, nothing)
    trades["closed_qty"] = summed(nothing, moves["closed_qty"])
    trades["maker_qty"] = summed(opened * is_maker, moves["closed_qty"] * is_maker)
    trades["fills"] = summed((opened > 0).astype(np.int64), (moves["closed_qty"] > 0).astype(np.int64))
    trades["gross_pnl"] = summed(nothing, moves["realized_pnl"])
    trades["fees"] = summed(moves["fee"] - closing_fee, closing_fee)
    trades["funding"] = summed(nothing, moves["funding"])
    prices = _prices(moves, instrument)
    for i, start in enumerate(first.tolist()):
        rows = slice(start, int(last[i]) + 1 if i < len(last) else len(moves))
        for column, lots in (
            ("entry_px", opened[rows] * (opens[rows] == i)),
            ("exit_px", moves["closed_qty"][rows] * (closes[rows] == i)),
        ):
            trades[column][i] = _average_px(prices[rows], lots, instrument)
    _add_path(trades, ledger, position)
    trades["net_pnl"] = trades["gross_pnl"] - trades["fees"] + trades["funding"]
    at_exit = np.searchsorted(ledger.ts, trades["exit_ts"], "right") - 1
    trades["net"] = to_cash(trades["net_pnl"] * rates[np.maximum(at_exit, 0)])
    return trades


def _parts(amounts: Integers, part: Integers, whole: Integers) -> Integers:
    """``amounts * part / whole``, rounded half to even; all of it where ``part`` is all."""
    parts = np.where(part == whole, amounts, 0)
    for i in np.flatnonzero((part > 0) & (part < whole)).tolist():
        parts[i] = round(Fraction(int(amounts[i]) * int(part[i]), int(whole[i])))
    return parts


def _prices(moves: Rows, instrument: Instrument) -> Objects:
    """The price of each move in ticks; of a settlement the one at which the quantity has the value that was paid."""
    prices = moves["px"].astype(object)
    for i in np.flatnonzero(moves["kind"] == SETTLED).tolist():
        value, lots = int(moves["value"][i]), int(moves["qty"][i])
        if instrument.inverse:
            prices[i] = instrument.inverse_cash * lots / value
        else:
            prices[i] = value / (instrument.cash_per_tick_lot * lots)
    return prices


def _average_px(prices: Objects, lots: Integers, instrument: Instrument) -> int:
    """The average in 1e-8 ticks, rounded half to even; 0 without lots, or where an option expired worthless."""
    traded = lots > 0
    if not traded.any():
        return 0
    return round(average_px(prices[traded], lots[traded].tolist(), inverse=instrument.inverse) * CASH_SCALE)


def _add_path(trades: Rows, ledger: Ledger, position: int) -> None:
    """Add what is unrealized to an open trade's PnL, and find the worst and the best PnL of each on its way."""
    points = ledger.points[:, position]
    pnl = points["realized_pnl"] + points["unrealized_pnl"]
    if len(trades) and trades["is_open"][-1]:
        trades["gross_pnl"][-1] += points["unrealized_pnl"][-1]
    before = np.cumsum(trades["gross_pnl"]) - trades["gross_pnl"]  # what earlier trades have realized
    inside = np.searchsorted(ledger.ts, trades["entry_ts"], "left")
    outside = np.searchsorted(ledger.ts, trades["exit_ts"], "left")
    for i, (start, stop) in enumerate(zip(inside.tolist(), outside.tolist(), strict=True)):
        own = pnl[start:stop] - before[i]
        reached = (0, int(trades["gross_pnl"][i]), *((int(own.min()), int(own.max())) if len(own) else ()))
        trades["adverse_excursion"][i] = min(reached)
        trades["favourable_excursion"][i] = max(reached)
