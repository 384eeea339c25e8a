"""What a study's runs are over: the files of its plan, of any format that a backtest reads, laid out for its workers.

The files are read once, block by block, into one file of records for each order that counts (that of receipt, and with
two clocks the exchange's), which is then cut into parts: data that are larger than memory can be searched over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backtest.data.bars import BarSource
from backtest.data.clocks import Block
from backtest.data.opening import open_sources
from backtest.data.source import Source
from backtest.event_log import write_whole
from backtest.market import Rows
from backtest.optimise.errors import OptimiseError
from backtest.optimise.folds import Part
from backtest.optimise.parts import STAMPS, write_parts
from backtest.optimise.plan import Plan
from backtest.room import room
from backtest.streaming import bar_settings, problems_of, read_bars, stream
from oms.config import Settings
from oms.instruments import Instrument
from oms.records import TICK


class Opened(NamedTuple):
    """The files of a plan, opened."""

    settings: Settings
    """Of the runs over them."""
    sources: Sequence[Source]
    bars: Sequence[BarSource]

    @property
    def files(self) -> list[Source | BarSource]:
        return [*self.sources, *self.bars]


class StudyData(NamedTuple):
    """All records of a study."""

    ticks: Rows
    """In the order of receipt."""
    exchange: Rows | None
    """In the exchange's order, with a clock of its own."""
    instruments: tuple[Instrument, ...]
    """Those that there are records of."""
    problems: tuple[str, ...]
    """What of the files could not be used, a line each."""

    @property
    def orders(self) -> tuple[Rows, ...]:
        """The records in each order that counts, as ``STAMPS``."""
        return (self.ticks,) if self.exchange is None else (self.ticks, self.exchange)

    @property
    def whole(self) -> Part:
        """From the first record to the last, in either order."""
        ends = [rows[[0, -1]][stamp] for rows, stamp in zip(self.orders, STAMPS, strict=False) if len(rows)]
        return Part(min(int(first) for first, _ in ends), max(int(last) for _, last in ends) + 1)

    def write_parts(self, parts: Sequence[Part], folder: Path) -> None:
        """Write these parts for the workers, in each order; see ``backtest.optimise.parts``."""
        for rows, stamp in zip(self.orders, STAMPS, strict=False):
            write_parts(rows, self.instruments, parts, folder, stamp)


def open_data(plan: Plan) -> Opened:
    """Open the files of a plan.

    Raises
    ------
    DataError, ConfigError, BacktestError
        As a backtest over them does.
    OptimiseError
        When what the plan asks for is not for data of their kind.
    """
    sources, bars = open_sources([Path(file) for file in plan.files], plan.settings, plan.instruments)
    if not bars:
        if plan.timeframes_ns:
            raise OptimiseError("longer timeframes are made of bars, and the data are ticks: leave them away")
        plan.settings.matching.check_book_model()
        return Opened(plan.settings, sources, bars)
    if plan.clock != "local":
        raise OptimiseError(f"{bars[0].path} holds bars: they have one clock, local")
    return Opened(bar_settings(plan.settings), sources, bars)


def read_data(plan: Plan, opened: Opened, folder: Path) -> StudyData:
    """Read all files, those of ticks into ``folder``.

    Raises
    ------
    DataError
        When a file cannot be read.
    OptimiseError
        When they hold nothing within the plan's duration, or lack what is damaged.
    RoomError
        When there is no room for them.
    """
    exchange: Rows | None = None
    if opened.bars:
        ticks = read_bars(opened.bars, plan.timeframes_ns, plan.duration_s)
    else:
        blocks = stream(opened.sources, plan.clock, plan.duration_s)
        ticks, exchange = write_orders(blocks, folder, two=plan.clock == "dual")
    if not len(ticks):
        raise OptimiseError(f"there are no data within {plan.duration_s:g} s of their begin: search over more of them")
    for each in opened.files:
        if each.reading.lacks_data:
            raise OptimiseError(
                f"{problems_of([each])[-1]}: what is found over part of the data is not what was asked for; mend the "
                "file, or let --duration end before"
            )
    instruments = tuple({each.instrument.id: each.instrument for each in opened.files}.values())
    return StudyData(ticks, exchange, instruments, problems_of(opened.files))


def write_orders(blocks: Iterable[Block], folder: Path, *, two: bool) -> tuple[Rows, Rows | None]:
    """Write a stream to a file of records for each order; returns them mapped into memory, read only.

    Raises ``RoomError`` when there is no room for them.
    """
    paths = [folder / f"{stamp}.records" for stamp in (STAMPS if two else STAMPS[:1])]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb", buffering=0)) for path in paths]
        for block in blocks:
            for file, rows in zip(files, (block.local, block.exchange), strict=False):
                assert rows is not None
                with room(folder, "the data"):
                    write_whole(file, rows)
    orders = [_mapped(path) for path in paths]
    return orders[0], orders[1] if two else None


def _mapped(path: Path) -> Rows:
    if not path.stat().st_size:
        return np.zeros(0, TICK)
    return np.memmap(path, TICK, mode="r")
