"""Equity over time: what a run's positions are worth at each mark, in the reporting currency.

A position's PnL is converted at the rate of the moment, as the core converts it for its limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from backtest.benchmarks import Integers
from backtest.ledger import Ledger
from backtest.market import Rows
from backtest.marks import marks_at
from oms.core.valuation import LARGEST
from oms.decimals import scaled

if TYPE_CHECKING:
    from oms.config import Settings
    from oms.currencies import Conversion

Floats = npt.NDArray[np.float64]

EQUITY = np.dtype(
    [
        ("ts", "<i8"),
        ("pnl", "<i8"),  # realized and unrealized, less fees, with funding
        ("realized_pnl", "<i8"),  # before fees and funding
        ("unrealized_pnl", "<i8"),
        ("fees", "<i8"),  # paid is positive
        ("funding", "<i8"),  # received is positive
        ("exposure", "<i8"),  # value of the open positions, each without its sign
    ]
)
"""A point of a curve; amounts are cash (1e-8) of the reporting currency, since the start of the run."""

PARTS: Final = {
    "realized_pnl": "realized_pnl",
    "unrealized_pnl": "unrealized_pnl",
    "fees": "fees",
    "funding": "funding",
    "exposure": "value",
}
"""What each column but ``pnl`` is in a POINT."""


def to_cash(amounts: Floats) -> Integers:
    """Amounts of cash as whole units, as the core rounds them (``oms.core.valuation.whole_cash``)."""
    return np.floor(np.clip(amounts, -LARGEST, LARGEST) + 0.5).astype(np.int64)


def rates_at(conversions: Mapping[str, Conversion], marks: Rows, ts: Integers) -> dict[str, Floats]:
    """What a unit of each currency is worth in the reporting currency at the times ``ts``; 0 where that is not known.

    It is the settings' rate, or what the last known mark of the settings' instrument says.
    """
    return {code: rate_of(conversion, marks, ts) for code, conversion in conversions.items()}


def rate_of(conversion: Conversion, marks: Rows, ts: Integers) -> Floats:
    """One currency's rates; see ``rates_at``."""
    if conversion.instrument is None:
        return np.full(len(ts), float(conversion.rate))
    half_ticks = marks_at(marks, conversion.instrument.id, ts)
    half_tick = float(conversion.instrument.tick) / 2
    if not conversion.inverse:
        return np.multiply(half_ticks, half_tick, dtype=np.float64)
    return np.divide(1 / half_tick, half_ticks, out=np.zeros(len(ts)), where=half_ticks > 0)


def capital_of(settings: Settings, rates: Mapping[str, Floats], account: int) -> tuple[int, tuple[str, ...]]:
    """What an account's wallets held at the start, in cash, each at its currency's first known rate.

    Returns
    -------
    cash : int
    left_out : tuple of str
        Wallets that hold something whose worth was never known; they count nothing.
    """
    total = 0.0
    left_out = []
    balances = settings.accounts[settings.account_names[account]].balances
    for wallet in settings.wallets:
        balance = scaled("balance", balances.get(str(wallet), "0"), f"balance of {wallet}")
        known = rates[wallet.currency] if wallet.currency in rates else np.zeros(0)
        known = known[known > 0]
        if balance and not len(known):
            left_out.append(str(wallet))
        elif balance:
            total += balance * float(known[0])
    return int(to_cash(np.array([total]))[0]), tuple(left_out)


def curve_of(ledger: Ledger, rates: Floats, positions: Integers) -> Rows:
    """The sum of some of a ledger's positions.

    Parameters
    ----------
    ledger : Ledger
    rates : array of float64, shape (times, positions)
        What a unit of each position's settlement currency is worth.
    positions : array of int64
        Which of the ledger's positions.

    Returns
    -------
    array of EQUITY
        A row for each of the ledger's times.
    """
    curve = np.zeros(len(ledger.ts), EQUITY)
    curve["ts"] = ledger.ts
    points = ledger.points[:, positions]
    rate = rates[:, positions]
    own = points["realized_pnl"] - points["fees"] + points["funding"] + points["unrealized_pnl"]
    curve["pnl"] = to_cash(own * rate).sum(axis=1)
    for name, source in PARTS.items():
        curve[name] = to_cash(points[source] * rate).sum(axis=1)
    return curve
