"""Running a backtest: the core's own step over an array of ticks, with an exchange model for the exchange.

With ``--clock local`` the exchange acts in record time and local receive order, as it does in paper mode: the same file
and the same strategies give the same fills.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from oms.assembly import PAPER_ACCOUNT, Core, build_core
from oms.compiled import Progress
from oms.config import Settings
from oms.core.positions import unrealized_pnl
from oms.core.state import State
from oms.engine import step_ticks
from oms.instruments import Instrument, cash_text
from oms.records import EVENT, EventKind

CLOCKS: Final = ("local",)


class InstrumentResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one instrument's trading came to; prices, quantities and amounts are exact decimal text."""

    symbol: str
    fills: int
    bought: str
    sold: str
    position: str
    realized_pnl: str
    """Before fees, in the settlement currency."""
    unrealized_pnl: str
    """At the last mid price."""
    fees: str
    settlement: str


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one backtest."""

    clock: str
    model: str
    ticks: int
    ticks_refused: int
    orders: int
    refused: int
    fills: int
    strategies_halted: int
    recorded_s: float
    elapsed_s: float
    """Wall time of the run itself, without loading and compiling."""
    ticks_per_s: float
    instruments: tuple[InstrumentResult, ...]


class Backtest(NamedTuple):
    """A finished backtest: its figures, its events and the core as it ended."""

    result: BacktestResult
    events: npt.NDArray[np.void]
    core: Core

    @property
    def fills(self) -> npt.NDArray[np.void]:
        """The ORDER_FILLED events, in order."""
        return self.events[self.events["kind"] == EventKind.ORDER_FILLED]


def drive(st: State, ticks: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Step the core over all ticks and return every event that it wrote, as one EVENT array."""
    blocks: list[npt.NDArray[np.void]] = []
    s = st[0]
    start = 0
    while start < len(ticks):
        start = step_ticks(st, ticks, start, 0)
        blocks.append(s["events"][: s["event_count"]].copy())
        s["event_count"] = 0
        s["command_count"] = 0
    if s["events_lost"]:
        raise RuntimeError(f"{s['events_lost']} events found the core's output full: the results are incomplete")
    return np.concatenate(blocks) if blocks else np.zeros(0, EVENT)


def run_backtest(
    settings: Settings, ticks: npt.NDArray[np.void], *, report: Callable[[Progress], None] = lambda progress: None
) -> Backtest:
    """Build a core from ``settings`` and run it over ``ticks``.

    Parameters
    ----------
    settings : Settings
        Instruments, limits, strategies and the exchange model; the same as for a paper session.
    ticks : array of TICK
        In the order in which they were received.
    report : callable
        Told about the progress of compiling.

    Raises
    ------
    ConfigError, StrategyError
        When a setting cannot be used.
    """
    core = build_core(settings, report=report)
    start = time.perf_counter()
    events = drive(core.st, ticks)
    elapsed_s = time.perf_counter() - start
    s = core.st[0]
    result = BacktestResult(
        clock="local",
        model=settings.matching.model,
        ticks=int(s["ticks"]),
        ticks_refused=int(s["ticks_refused"]),
        orders=int(s["orders_sent"]),
        refused=int(s["orders_refused"]),
        fills=int(s["fills"]),
        strategies_halted=int(s["strategies"]["halted"].sum()),
        recorded_s=(int(ticks["local_ts"][-1]) - int(ticks["local_ts"][0])) / 1e9 if len(ticks) else 0.0,
        elapsed_s=elapsed_s,
        ticks_per_s=len(ticks) / elapsed_s if elapsed_s > 0 else 0.0,
        instruments=tuple(_instrument_result(s, instrument) for instrument in settings.instruments),
    )
    return Backtest(result, events, core)


def _instrument_result(s: Any, instrument: Instrument) -> InstrumentResult:
    position = s["positions"][PAPER_ACCOUNT, instrument.id]
    unrealized = unrealized_pnl(position, s["instruments"][instrument.id], s["books"][instrument.id])
    return InstrumentResult(
        symbol=f"{instrument.symbol}.{instrument.venue}",
        fills=int(position["fills"]),
        bought=instrument.qty_from_lots(position["bought_qty"]),
        sold=instrument.qty_from_lots(position["sold_qty"]),
        position=instrument.qty_from_lots(position["qty"]),
        realized_pnl=cash_text(position["realized_pnl"]),
        unrealized_pnl=cash_text(unrealized),
        fees=cash_text(position["fees"]),
        settlement=instrument.settlement,
    )
