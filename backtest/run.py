"""Running a backtest: the core's own step over an array of ticks, with an exchange model for the exchange.

With ``--clock local`` the exchange acts in record time and local receive order, as it does in paper mode: the same file
and the same strategies give the same fills. With ``--clock dual`` it acts at exchange time, on books of its own, before
the strategies hear of it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from backtest.data.clocks import exchange_order
from backtest.event_log import EventLog
from backtest.marks import Sampler
from oms.assembly import PAPER_ACCOUNT, Core, Loaded, build_core
from oms.compiled import Progress
from oms.config import Settings, qualified_symbol
from oms.core.state import State
from oms.decimals import cash_text
from oms.engine import report_positions, step_commands, step_ticks, take_terms
from oms.instruments import Instrument
from oms.records import TICK, EventKind, Reason, TickFlag, TickKind

if TYPE_CHECKING:
    from backtest.frames import Frame, Library
    from backtest.performance import Performance

CLOCKS: Final = ("local", "dual")
"""By whose clock the exchange acts: the receiver's, or its own."""


class BacktestError(ValueError):
    """A backtest that cannot be run as asked, or whose results would not be whole."""


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


class LiquidationResult(msgspec.Struct, frozen=True, kw_only=True):
    """A position that the exchange closed, or a strategy's share of it; numbers but the time are decimal text."""

    ts: int
    """When the core heard of it, ns."""
    account: str
    strategy: str
    """Empty: no strategy's."""
    symbol: str
    side: str
    """Of the position: ``long`` or ``short``."""
    qty: str
    price: str
    fee: str
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
    """Empty when a strategy failed: what follows a failure is no result."""
    liquidations: tuple[LiquidationResult, ...] = ()
    refusals: dict[str, int] = {}
    """How many requests were refused, by reason, the most frequent first; those that found the core's output full are
    in ``refused`` alone."""
    problems: tuple[str, ...] = ()
    """What was wrong, a line each: strategies that failed, and what of a file could not be read."""


class Backtest(NamedTuple):
    """A finished backtest: its figures, its events, the core as it ended, and the prices on the way."""

    result: BacktestResult
    log: EventLog
    core: Core
    settings: Settings
    marks: npt.NDArray[np.void]
    """Of MARK_SAMPLE."""
    algorithms: Mapping[int, str]
    """The algorithm of each order that one has worked, by order id."""

    @property
    def events(self) -> npt.NDArray[np.void]:
        """Every event, in order; not to be written to."""
        return self.log.all()

    @property
    def fills(self) -> npt.NDArray[np.void]:
        """The ORDER_FILLED events, in order."""
        return self.log.of((EventKind.ORDER_FILLED,))

    def performance(self) -> Performance:
        """Equity, trades and metrics; see ``backtest.performance``."""
        from backtest.performance import JUDGED_KINDS, performance_of

        return performance_of(
            self.settings,
            self.log.of(JUDGED_KINDS),
            self.marks,
            [each.name for each in self.core.strategies],
            algorithms=self.algorithms,
            failures=_halts(self.core, self.log),
        )

    def trades_frame(self, library: Library = "pandas") -> Frame:
        """The trades, a row each; see ``backtest.frames``."""
        from backtest.frames import trades_frame

        return trades_frame(self.performance(), library)

    def fills_frame(self, library: Library = "pandas") -> Frame:
        """The fills, a row each; see ``backtest.frames``."""
        from backtest.frames import fills_frame

        return fills_frame(self.performance(), library)

    def equity_frame(self, library: Library = "pandas") -> Frame:
        """The equity curves, a row for each time and scope; see ``backtest.frames``."""
        from backtest.frames import equity_frame

        return equity_frame(self.performance(), library)


def check_clock(clock: str) -> None:
    """Raise ``BacktestError`` when there is no clock called ``clock``."""
    if clock not in CLOCKS:
        raise BacktestError(f"unknown clock {clock!r}: use {' or '.join(CLOCKS)}")


class Extent(NamedTuple):
    """How much a backtest went through, and how long it took."""

    records: int
    recorded_s: float
    elapsed_s: float


class Orders(NamedTuple):
    """Orders that are placed in a backtest before the tick in row ``at``, as a client places them."""

    at: int
    terms: npt.NDArray[np.void]
    """Of TERMS, for those that algorithms are to work."""
    commands: npt.NDArray[np.void]
    """Of COMMAND."""


def set_exchange_rows(st: State, rows: npt.NDArray[np.void]) -> None:
    """Let ``rows``, ``exch_ts`` ascending, act at the core's exchange; keep them as long as it steps."""
    model = st[0]["model"]
    model["rows"] = rows.ctypes.data
    model["rows_count"] = len(rows)
    model["rows_taken"] = 0


def time_record(ts: int) -> npt.NDArray[np.void]:
    """A TICK array of one record that says nothing but the time."""
    tick = np.zeros(1, TICK)
    tick["kind"] = TickKind.TIME
    tick["exch_ts"] = tick["local_ts"] = ts
    tick["flags"] = TickFlag.FIRST | TickFlag.LAST
    return tick


class Drive:
    """Steps a core through a stream, and keeps what it tells on the way: its events, and marks at regular times.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    instruments : iterable of Instrument
        Those whose marks are wanted.
    """

    def __init__(self, st: State, instruments: Iterable[Instrument] = ()) -> None:
        self.st = st
        st[0]["scopes_untold"] = 1
        self.records = 0
        self.elapsed_s = 0.0
        """Wall time of the steps."""
        self.first_ts = 0
        self.last_ts = 0
        self.algorithms: dict[int, int] = {}
        """Number of the algorithm of each order that one has worked, by order id."""
        self.log = EventLog()
        self._sampler = Sampler(st, instruments)

    @property
    def extent(self) -> Extent:
        """How much has been gone through so far."""
        return Extent(self.records, (self.last_ts - self.first_ts) / 1e9, self.elapsed_s)

    def marks(self) -> npt.NDArray[np.void]:
        """MARK_SAMPLE rows up to the last tick."""
        return self._sampler.marks(self.last_ts)

    def take(self, ticks: npt.NDArray[np.void]) -> None:
        """Step over ticks, in the order of receipt; raises ``BacktestError`` when events were lost."""
        if not len(ticks):
            return
        if not self.records:
            self.first_ts = int(ticks["local_ts"][0])
            self._sampler.begin(self.first_ts)
        begun = time.perf_counter()
        start = 0
        at_once = self._sampler.takes_at_once(ticks)
        for sample_ts, end in () if at_once else self._sampler.cuts(ticks):
            self._step(ticks[start:end])
            start = end
            self._sampler.sample(sample_ts)
        self._step(ticks[start:])
        if at_once:
            self._sampler.sample_bars(ticks)
        self.elapsed_s += time.perf_counter() - begun
        self.records += len(ticks)
        self.last_ts = int(ticks["local_ts"][-1])

    def ask(self, orders: Orders) -> None:
        """Place orders now, as a client places them."""
        take_terms(self.st, orders.terms)
        step_commands(self.st, orders.commands, 0)
        self._flush()

    def let_pass(self, until: int) -> None:
        """Let what is due up to ``until`` happen, and what acts at an exchange with a clock of its own."""
        self._step(time_record(until))

    def _step(self, ticks: npt.NDArray[np.void]) -> None:
        start = 0
        while start < len(ticks):
            start = step_ticks(self.st, ticks, start, 0)
            self._flush()

    def _flush(self) -> None:
        """Empty the core's outputs, and keep what they hold."""
        count = int(self.st[0]["parent_count"])
        if count:
            told = self.st[0]["told_parents"][:count]
            self.algorithms.update(zip(told["order_id"].tolist(), told["algorithm"].tolist(), strict=True))
        self.log.add(take_events(self.st))


def drive(st: State, ticks: npt.NDArray[np.void], orders: Orders | None = None) -> npt.NDArray[np.void]:
    """Step the core over all ticks, with orders on the way, and return every event that it wrote, as one EVENT array.

    Raises
    ------
    BacktestError
        When events were lost.
    """
    driven = Drive(st)
    drive_with(driven, ticks, orders)
    return driven.log.all()


def drive_with(driven: Drive, ticks: npt.NDArray[np.void], orders: Orders | None) -> None:
    """Step over all ticks, with orders on the way."""
    if orders is None:
        driven.take(ticks)
        return
    driven.take(ticks[: orders.at])
    driven.ask(orders)
    driven.take(ticks[orders.at :])


def take_events(st: State) -> npt.NDArray[np.void]:
    """Empty the core's outputs and return the events among them, as an EVENT array of its own.

    Raises
    ------
    BacktestError
        When an event or an exchange's answer found no room: what follows would not be what the market made of it.
    """
    s = st[0]
    if s["events_lost"]:
        raise BacktestError(
            f"{s['events_lost']} events found the core's output full: the results would not be whole; "
            f"let the strategies ask for less at a time"
        )
    events: npt.NDArray[np.void] = s["events"][: s["event_count"]].copy()
    s["event_count"] = 0
    s["command_count"] = 0
    s["report_count"] = s["parent_count"] = 0
    return events


def run_backtest(
    settings: Settings,
    ticks: npt.NDArray[np.void],
    *,
    clock: str = "local",
    report: Callable[[Progress], None] = lambda progress: None,
    orders: Orders | None = None,
    loaded: Loaded | None = None,
    exchange: npt.NDArray[np.void] | None = None,
) -> Backtest:
    """Build a core from ``settings`` and run it over ``ticks``.

    Parameters
    ----------
    settings : Settings
        Instruments, limits, strategies and the exchange model; the same as for a paper session.
    ticks : array of TICK
        In the order in which they were received.
    clock : str
        One of ``CLOCKS``.
    report : callable
        Told about the progress of compiling.
    orders : Orders, optional
        Placed on the way.
    loaded : Loaded, optional
        As for ``build_core``: what several runs of the same files need not load again.
    exchange : array of TICK, optional
        The records in the exchange's order, where it is known, for its own clock; else it is made from ``ticks``.

    Raises
    ------
    ConfigError, StrategyError
        When a setting cannot be used.
    BacktestError
        When the clock is unknown, or the strategies wrote more than the core can hold at once.
    """
    check_clock(clock)
    core = build_core(settings, two_clocks=clock == "dual", loaded=loaded, report=report)
    driven = Drive(core.st, settings.instruments)
    if clock == "dual":
        rows = exchange_order(ticks) if exchange is None else exchange
        set_exchange_rows(core.st, rows)
    drive_with(driven, ticks, orders)
    if clock == "dual" and len(rows):
        driven.let_pass(max(int(rows["exch_ts"][-1]), driven.last_ts))
    return finished(core, settings, clock, driven)


def finished(core: Core, settings: Settings, clock: str, driven: Drive) -> Backtest:
    """The figures of a core that has gone through all of its data."""
    s = core.st[0]
    log = driven.log
    extent = driven.extent
    closing = _closing_positions(core.st)
    halted = int(s["strategies"]["halted"].sum())
    result = BacktestResult(
        clock=clock,
        model=settings.matching.model,
        ticks=int(s["ticks"]),
        ticks_refused=int(s["ticks_refused"]),
        orders=int(s["orders_sent"]),
        refused=int(s["orders_refused"]),
        fills=int(s["fills"]),
        strategies_halted=halted,
        recorded_s=extent.recorded_s,
        elapsed_s=extent.elapsed_s,
        ticks_per_s=extent.records / extent.elapsed_s if extent.elapsed_s > 0 else 0.0,
        instruments=tuple(
            _instrument_result(instrument, s["positions"][PAPER_ACCOUNT, instrument.id, 0], closing.get(instrument.id))
            for instrument in settings.instruments
            if not halted
        ),
        liquidations=tuple(_liquidations(core, settings, log)),
        refusals=_refusals(log),
        problems=tuple(_halts(core, log)),
    )
    names = {each.id: each.name for each in core.algorithms}
    algorithms = {order_id: names[number] for order_id, number in driven.algorithms.items()}
    return Backtest(result, log, core, settings, driven.marks(), algorithms)


def backtest_file(
    settings: Settings,
    path: Path,
    clock: str = "local",
    duration_s: float = 0,
    *,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Backtest:
    """Run a backtest over the recording at ``path``, of an instrument that the settings define.

    Parameters
    ----------
    settings : Settings
        As for ``run_backtest``.
    path : Path
        A file of lines ``TIMESTAMP MESSAGE``.
    clock : str
        One of ``CLOCKS``.
    duration_s : float
        Stop after this much recorded time; 0: the whole file.
    report : callable
        Told about the progress of compiling.

    Raises
    ------
    RecordingError
        When the file cannot be read or gives no tick.
    ConfigError, StrategyError, BacktestError
        As ``run_backtest`` does.
    """
    check_clock(clock)
    settings.matching.check_book_model()
    recorded = read_recording(settings, path, duration_s)
    return with_problems(run_backtest(settings, recorded.ticks, clock=clock, report=report), recorded.problems)


class Recorded(NamedTuple):
    """A recording as ticks."""

    instrument: Instrument
    ticks: npt.NDArray[np.void]
    problems: tuple[str, ...]
    """What of it could not be read, a line each."""


def read_recording(settings: Settings, path: Path, duration_s: float = 0) -> Recorded:
    """Read the recording at ``path``, of an instrument that the settings define.

    Raises
    ------
    RecordingError
        When the file cannot be read or gives no tick.
    ConfigError
        When the settings do not define its instrument.
    """
    from gateways.recording import read_ticks
    from gateways.sidecar import open_recording

    recording = open_recording(path)
    instrument = settings.instrument(f"{recording.symbol}.{recording.venue}")
    ticks, counters = read_ticks(recording, instrument, duration_s=duration_s, quiet_times=True)
    noted = (recording.note,) if recording.note else ()
    return Recorded(instrument, ticks, (*noted, *counters.summary()))


def with_problems(backtest: Backtest, problems: tuple[str, ...]) -> Backtest:
    """The backtest, with problems of its data before its own."""
    told = (*problems, *backtest.result.problems)
    return backtest._replace(result=msgspec.structs.replace(backtest.result, problems=told))


def _closing_positions(st: State) -> dict[int, Any]:
    """The POSITION event of each instrument that has traded or has open orders, as of now."""
    take_events(st)
    found: dict[int, Any] = {}
    done = False
    while not done:
        done = report_positions(st)
        found |= {
            int(event["instrument"]): event
            for event in take_events(st)
            if event["account"] == PAPER_ACCOUNT and event["strategy"] < 0
        }
    return found


def _instrument_result(instrument: Instrument, position: Any, closing: Any) -> InstrumentResult:
    return InstrumentResult(
        symbol=qualified_symbol(instrument),
        fills=int(position["fills"]),
        bought=instrument.qty_from_lots(position["bought_qty"]),
        sold=instrument.qty_from_lots(position["sold_qty"]),
        position=instrument.qty_from_lots(position["qty"]),
        realized_pnl=cash_text(position["realized_pnl"]),
        unrealized_pnl=cash_text(closing["qty"] if closing is not None else 0),
        fees=cash_text(position["fees"]),
        settlement=instrument.settlement,
    )


def _liquidations(core: Core, settings: Settings, log: EventLog) -> Iterator[LiquidationResult]:
    """The fills by which the exchange closed positions, in order."""
    by_id = {each.id: each for each in settings.instruments}
    fills = log.of((EventKind.ORDER_FILLED,))
    for event in fills[fills["reason"] == Reason.LIQUIDATION]:
        instrument = by_id[int(event["instrument"])]
        yield LiquidationResult(
            ts=int(event["ts"]),
            account=settings.account_names[int(event["account"])],
            strategy=core.strategies[event["strategy"]].name if event["strategy"] >= 0 else "",
            symbol=qualified_symbol(instrument),
            side="short" if event["side"] > 0 else "long",
            qty=instrument.qty_from_lots(event["last_qty"]),
            price=instrument.px_from_ticks(int(event["last_px"])),
            fee=cash_text(event["fees"]),
            settlement=instrument.settlement,
        )


def _refusals(log: EventLog) -> dict[str, int]:
    """How often a request was refused, by reason."""
    counts: Counter[int] = Counter()
    for events in log.blocks():
        counts.update(events["reason"][events["kind"] == EventKind.ORDER_REFUSED].tolist())
    return {Reason(reason).name: count for reason, count in counts.most_common()}


def _halts(core: Core, log: EventLog) -> list[str]:
    """A line for each strategy that was stopped."""
    return [
        f"strategy {core.strategies[event['strategy']].name} failed at {np.datetime64(int(event['ts']), 'ns')}Z "
        f"({Reason(int(event['reason'])).name}) and was stopped: the figures do not judge it; to see the line that "
        f"raises, run it with NUMBA_DISABLE_JIT=1"
        for event in log.of((EventKind.STRATEGY_HALTED,))
    ]
