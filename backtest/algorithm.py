"""A parent order over recorded data: started in a backtest as a client starts one in a session, then measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from backtest.data.source import Source
from backtest.market import Market
from backtest.parent_order import SCHEDULE, ParentOrder
from backtest.run import (
    Backtest,
    BacktestError,
    Orders,
    Recorded,
    read_recording,
    run_backtest,
    with_problems,
)
from backtest.streaming import problems_of, read_ticks
from backtest.venues import Measure, measure_of
from oms.algorithms import Algorithm, AlgorithmError, exact_parameters, read_algorithms
from oms.assembly import PAPER_ACCOUNT
from oms.canonical import canonical_symbols
from oms.compiled import Progress
from oms.config import Settings, qualified_symbol
from oms.core.state import MAX_QTY
from oms.instruments import Instrument
from oms.reasons import MEANINGS
from oms.records import (
    BUY,
    COMMAND,
    ORDER_ID_COUNTER_BITS,
    ROUTES,
    RPC_CLIENT_BASE,
    SELL,
    TERMS,
    CommandKind,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    TickFlag,
    TickKind,
    TimeInForce,
    Trigger,
)

SIDES: Final = {"buy": BUY, "sell": SELL}
PARENT_ID: Final = RPC_CLIENT_BASE << ORDER_ID_COUNTER_BITS | 1
NS_PER_S: Final = 1_000_000_000


class ParentRequest(NamedTuple):
    """What is asked for; quantity and price are decimal text."""

    algorithm: str
    side: str
    qty: str
    price: str | None = None
    """The worst price; None: there is no limit."""
    parameters: Mapping[str, str] = MappingProxyType({})
    start_s: float = 0
    """Seconds behind the first tick at which it is started; at the earliest when every venue's book is complete."""
    venues: Sequence[str] | None = None
    """Other instruments in which it may trade, as in SYMBOL.VENUE. None: an algorithm that trades at several venues
    gets those in the data that trade the asset of its own."""


class ParentRun(NamedTuple):
    """A backtest with one parent order."""

    backtest: Backtest
    parent: ParentOrder
    state: OrderState
    """How the order ended; HELD: it was at work to the end of the data."""
    reason: Reason
    measure: Measure
    """In which ``parent`` is told, and its market is to be read."""


def venues_of(
    settings: Settings, request: ParentRequest, algorithm: Algorithm, instrument: Instrument, traded: Sequence[int]
) -> tuple[Instrument, ...]:
    """The instruments in which the order may trade, its own first.

    Parameters
    ----------
    traded : sequence of int
        Ids of the instruments that the data are of.

    Raises
    ------
    AlgorithmError
        When the algorithm trades at one venue and others are named, one is named twice, or there are too many.
    ConfigError
        When the settings do not define one.
    """
    if request.venues is None:
        symbols = canonical_symbols(instrument)[:1]
        found = [
            each
            for each in settings.instruments
            if algorithm.several_venues and each.id in traded and canonical_symbols(each)[:1] == symbols != ()
        ]
        others = [each for each in found if each.id != instrument.id]
    else:
        others = [settings.instrument(name) for name in request.venues]
    if others and not algorithm.several_venues:
        raise AlgorithmError(f"algorithm {algorithm.name} trades at one venue: name no other")
    if len({instrument.id, *(each.id for each in others)}) <= len(others):
        raise AlgorithmError(
            f"venues {', '.join(request.venues or ())} of {instrument.symbol}: name each instrument once, and the "
            "order's own not at all"
        )
    if len(others) >= ROUTES:
        raise AlgorithmError(f"{len(others) + 1} venues are more than the {ROUTES} that an order may have")
    return instrument, *others


def records_of(
    request: ParentRequest, algorithm: Algorithm, instrument: Instrument, others: Sequence[Instrument] = ()
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
    """The TERMS and the COMMAND record that ask for the order, which may trade in ``others`` too.

    Raises
    ------
    BacktestError, AlgorithmError, GridError
        For a side that is none, a parameter that cannot be, and a quantity or price off the grid.
    """
    if request.side not in SIDES:
        raise BacktestError(f"side {request.side!r} is neither buy nor sell")
    terms = np.zeros(1, TERMS)
    values = algorithm.values(exact_parameters(algorithm, request.parameters, instrument))
    terms["order_id"] = PARENT_ID
    terms["algorithm"] = algorithm.id
    terms["parameters"][0, : len(values)] = values
    terms["routes"] = -1
    terms["routes"][0, : len(others)] = [each.id for each in others]
    command = np.zeros(1, COMMAND)
    command["kind"] = CommandKind.NEW
    command["order_id"] = PARENT_ID
    command["side"] = SIDES[request.side]
    command["order_type"] = OrderType.MARKET if request.price is None else OrderType.LIMIT
    command["px"] = 0 if request.price is None else instrument.px_to_ticks(request.price)
    command["time_in_force"] = TimeInForce.GTC
    command["trigger"] = Trigger.ALGORITHM
    command["qty"] = instrument.qty_to_lots(request.qty)
    command["instrument"] = instrument.id
    command["strategy"] = -1
    command["source"] = RPC_CLIENT_BASE
    return terms, command


def first_row(ticks: npt.NDArray[np.void], instrument: Instrument, start_s: float) -> int:
    """The row before which the order is started: behind the first whole snapshot, and at ``start_s`` at the earliest.

    Raises
    ------
    BacktestError
        When ``start_s`` is no time behind the first tick, or the data end before that.
    """
    if not 0 <= start_s < math.inf:
        raise BacktestError(f"the order cannot start {start_s:g} s behind the first tick: give zero or more seconds")
    own = ticks["instrument"] == instrument.id
    whole = own & (ticks["kind"] == TickKind.SNAPSHOT) & ((ticks["flags"] & TickFlag.LAST) != 0)
    if not whole.any():
        raise BacktestError(f"there is no snapshot of {instrument.symbol} in the data: its book is never complete")
    start_ts = int(ticks["local_ts"][0]) + round(start_s * NS_PER_S)
    row = max(int(np.flatnonzero(whole)[0]) + 1, int(np.searchsorted(ticks["local_ts"], start_ts)))
    if row >= len(ticks):
        raise BacktestError(f"the data end before the order starts, {start_s:g} s behind their first tick")
    return row


def run_parent(
    settings: Settings,
    ticks: npt.NDArray[np.void],
    instrument: Instrument,
    request: ParentRequest,
    *,
    clock: str = "local",
    report: Callable[[Progress], None] = lambda progress: None,
) -> ParentRun:
    """Run a backtest in which one parent order is started.

    Raises
    ------
    BacktestError, AlgorithmError, GridError, ConfigError, StrategyError, MarketError
        When the order is refused, or anything of it or of the settings cannot be used.
    """
    known = read_algorithms(settings.algorithm_files)
    if request.algorithm not in known:
        raise BacktestError(f"there is no algorithm {request.algorithm!r}: there are {', '.join(known)}")
    algorithm = known[request.algorithm]
    venues = venues_of(settings, request, algorithm, instrument, np.unique(ticks["instrument"]).tolist())
    terms, command = records_of(request, algorithm, instrument, venues[1:])
    at = max(first_row(ticks, each, request.start_s) for each in venues)
    done = run_backtest(settings, ticks, clock=clock, report=report, orders=Orders(at, terms, command))
    return parent_run(done, venues, int(command["px"][0]))


def parent_run(done: Backtest, venues: Sequence[Instrument], limit_px: int) -> ParentRun:
    """Read off the events of a backtest how its parent order went; its own instrument is the first of ``venues``."""
    events = done.events
    own = events[events["order_id"] == PARENT_ID]
    refused = own[own["kind"] == EventKind.ORDER_REFUSED]
    if len(refused):
        reason = Reason(int(refused["reason"][0]))
        raise BacktestError(f"the order was refused: {reason.name}. {MEANINGS[reason]}")
    ended = own[own["kind"] == EventKind.HELD_ENDED]
    state = OrderState(int(ended["state"][0])) if len(ended) else OrderState.HELD
    reason = Reason(int(ended["reason"][0])) if len(ended) else Reason.NONE
    measure = measure_of(done.settings, done.marks, venues)
    home = venues[0]
    progress = own[own["kind"] == EventKind.PROGRESS]
    schedule = np.zeros(len(progress), SCHEDULE)
    schedule["ts"] = progress["ts"]
    schedule["due"] = measure.qty(progress["aux"], home)
    children = events[(events["kind"] == EventKind.ORDER_SUBMITTED) & (events["aux"] == PARENT_ID)]
    of_children = events[np.isin(events["order_id"], children["order_id"])]
    filled = measure.fills(of_children)
    start_ts = own["ts"][:1]
    parent = ParentOrder(
        instrument=measure.instrument,
        side=int(own["side"][0]),
        target_qty=int(measure.qty(own["qty"][-1:], home)[0]),
        start_ts=int(start_ts[0]),
        end_ts=max(int(ended["ts"][0]) if len(ended) else int(done.core.st[0]["now"]), *filled["ts"].tolist(), 0),
        fills=filled,
        limit_px=int(measure.px(np.array([limit_px]), home, start_ts)[0]) or None,
        children=len(children),
        schedule=schedule if schedule["due"].any() else None,
        venues=measure.by_venue(of_children),
    )
    return ParentRun(with_problems(done, _beyond_limits(done, venues, parent, measure)), parent, state, reason, measure)


def _beyond_limits(
    done: Backtest, venues: Sequence[Instrument], parent: ParentOrder, measure: Measure
) -> tuple[str, ...]:
    """A line where an order was not filled, and is for more than the position limits let it: no event says so.

    Its children are made smaller by what the limits leave, to nothing in the end.
    """
    limits = done.core.st[0]["limits"][PAPER_ACCOUNT]["max_position"]
    most = sum(int(measure.qty(np.minimum(limits[[each.id]], MAX_QTY), each)[0]) for each in venues)
    if parent.complete or parent.target_qty <= most:
        return ()
    names, qty = ", ".join(qualified_symbol(each) for each in venues), parent.instrument.qty_from_lots
    return (
        f"the order is for {qty(parent.target_qty)} and max_position of {names} is {qty(most)}: it was not filled"
        " beyond that; give limits of your own by --settings",
    )


def run_parent_file(
    settings: Settings,
    path: Path,
    request: ParentRequest,
    clock: str = "local",
    duration_s: float = 0,
    *,
    report: Callable[[Progress], None] = lambda progress: None,
) -> tuple[ParentRun, Market]:
    """Run one parent order over the recording at ``path``; returns how it went, and the market that it met.

    Raises
    ------
    RecordingError, ConfigError, StrategyError, BacktestError, AlgorithmError, GridError
        As ``backtest_file`` and ``run_parent`` do.
    """
    recorded = read_recording(settings, path, duration_s)
    return _run_parent(settings, recorded, request, clock, report)


def run_parent_sources(
    settings: Settings,
    sources: Sequence[Source],
    request: ParentRequest,
    clock: str = "local",
    duration_s: float = 0,
    *,
    report: Callable[[Progress], None] = lambda progress: None,
) -> tuple[ParentRun, Market]:
    """Run one parent order in the first source's instrument, over all of them; they are read as a whole.

    Raises
    ------
    DataError, ConfigError, StrategyError, BacktestError, AlgorithmError, GridError, MarketError
        As ``backtest_sources`` and ``run_parent`` do.
    """
    ticks = read_ticks(sources, duration_s)
    recorded = Recorded(sources[0].instrument, ticks, problems_of(sources))
    return _run_parent(settings, recorded, request, clock, report)


def _run_parent(
    settings: Settings, recorded: Recorded, request: ParentRequest, clock: str, report: Callable[[Progress], None]
) -> tuple[ParentRun, Market]:
    settings.matching.check_book_model()
    run = run_parent(settings, recorded.ticks, recorded.instrument, request, clock=clock, report=report)
    done = run._replace(backtest=with_problems(run.backtest, recorded.problems))
    return done, run.measure.market(recorded.ticks)
