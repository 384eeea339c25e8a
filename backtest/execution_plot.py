"""The plot of an execution: what was filled against what was due, with the mid price and the fills below.

As text for a terminal, and as a picture file by matplotlib, which is an extra: ``pip install 'zoms[plots]'``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from backtest.benchmarks import Integers
from backtest.market import Market
from backtest.parent_order import SIDES, ExecutionError, ParentOrder
from backtest.whole_file import check_writable, whole_file
from oms.config import qualified_symbol
from oms.figures import average_price_text
from oms.instruments import Instrument
from oms.records import CASH_SCALE, Liquidity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE_SUFFIXES: Final = (".png", ".svg")
BARS: Final = " ▁▂▃▄▅▆▇█"
FILLED: Final = "█"
DUE: Final = "·"
FILLED_AND_DUE: Final = "▒"
MARKS: Final = {Liquidity.NONE: "?", Liquidity.MAKER: "m", Liquidity.TAKER: "t"}
SEVERAL: Final = "*"
"""Fills of several kinds in one column."""
LEGEND: Final = f"{FILLED} filled  {DUE} due  {FILLED_AND_DUE} both   fills: m maker, t taker, {SEVERAL} several"
COLOURS: Final = {Liquidity.NONE: "tab:gray", Liquidity.MAKER: "tab:green", Liquidity.TAKER: "tab:red"}


def plot_text(parent: ParentOrder, market: Market, *, width: int = 64, height: int = 12) -> str:
    """The plot as lines of text.

    Parameters
    ----------
    parent : ParentOrder
    market : Market
        Of its instrument.
    width, height : int
        Of the plane for the quantities, in characters; a column stands as it was at the end of its time.
    """
    instrument = parent.instrument
    edges = parent.start_ts + (parent.end_ts - parent.start_ts) * np.arange(1, width + 1) // width
    plane = [[" "] * width for _ in range(height)]
    for column, (filled, due) in enumerate(zip(parent.filled_at(edges), parent.due_at(edges), strict=True)):
        bar = _rows(int(filled), parent.target_qty, height)
        mark = _rows(int(due), parent.target_qty, height)
        for row in range(bar):
            plane[row][column] = FILLED
        if mark:
            plane[mark - 1][column] = FILLED_AND_DUE if mark <= bar else DUE
    target = instrument.qty_from_lots(parent.target_qty)
    half_ticks = market.mid_at(edges)
    gutter = max(len(target), len("fills"))
    labels = [*[""] * (height - 1), target]
    lines = [f"{labels[row]:>{gutter}} |{''.join(plane[row])}" for row in reversed(range(height))]
    lines += [
        f"{'':>{gutter}} +{'-' * width}",
        f"{'mid':>{gutter}}  {_bars(half_ticks)}",
        f"{'fills':>{gutter}}  {_fill_marks(parent, edges)}",
        f"{'':>{gutter}}  {_time(parent.start_ts)} {_time(parent.end_ts):>{max(width - 13, 0)}}",
        f"{'':>{gutter}}  {_range_text(parent.instrument, half_ticks)}",
        f"{'':>{gutter}}  {LEGEND}",
    ]
    return "\n".join(line.rstrip() for line in lines)


def check_picture(path: Path) -> None:
    """Check that a plot can be drawn into the file at ``path``; raises as ``save_plot`` does."""
    if path.suffix not in PICTURE_SUFFIXES:
        raise ExecutionError(f"plot {path} is neither a PNG nor an SVG: name it like {path.stem or 'plot'}.png")
    check_writable(path, "plot")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ExecutionError(f"plot {path} needs matplotlib ({error}): pip install 'zoms[plots]'") from None


def save_plot(parent: ParentOrder, market: Market, path: Path) -> None:
    """Draw the plot into the file at ``path``: a PNG or an SVG, by the name's end.

    Raises
    ------
    ExecutionError
        When the name ends otherwise, or matplotlib is not installed.
    FileError
        When the file cannot be written; one that was there is then as it was.
    """
    check_picture(path)
    from matplotlib.figure import Figure

    instrument = parent.instrument
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    quantities, prices = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_quantities(quantities, parent)
    _draw_prices(prices, parent, market)
    start = datetime.fromtimestamp(parent.start_ts / 1e9, tz=UTC)
    quantities.set_title(
        f"{SIDES[parent.side]} {instrument.qty_from_lots(parent.target_qty)} {qualified_symbol(instrument)}"
    )
    prices.set_xlabel(f"seconds since {start:%Y-%m-%d %H:%M:%S.%f} UTC")
    with whole_file(path, "plot") as partial:
        figure.savefig(partial)


def _rows(qty: int, target_qty: int, height: int) -> int:
    """Rows that a quantity reaches: none for nothing, all from the target on, never less than one for anything."""
    return min(-(-qty * height // target_qty), height)


def _bars(half_ticks: Integers) -> str:
    """A bar for each mid, between the lowest and the highest of them; nothing where it is not known."""
    known = half_ticks[half_ticks > 0]
    if not len(known):
        return ""
    lowest, span = int(known.min()), max(int(known.max() - known.min()), 1)
    return "".join(BARS[1 + 7 * (int(each) - lowest) // span] if each else BARS[0] for each in half_ticks)


def _range_text(instrument: Instrument, half_ticks: Integers) -> str:
    known = half_ticks[half_ticks > 0]
    if not len(known):
        return "the mid is not known"
    lowest, highest = (
        average_price_text(instrument, int(each) * CASH_SCALE // 2) for each in (known.min(), known.max())
    )
    return f"mid {lowest} to {highest}"


def _fill_marks(parent: ParentOrder, edges: Integers) -> str:
    """A mark for the fills of each column."""
    marks = [" "] * len(edges)
    columns = np.searchsorted(edges, parent.fills["ts"], "left")
    for column, liquidity in zip(columns.tolist(), parent.fills["liquidity"].tolist(), strict=True):
        mark = MARKS[Liquidity(liquidity)]
        marks[column] = mark if marks[column] in (" ", mark) else SEVERAL
    return "".join(marks)


def _draw_quantities(axes: Axes, parent: ParentOrder) -> None:
    """Filled and due quantity over time, as steps."""
    lot = float(parent.instrument.lot)
    ends = [parent.start_ts, parent.end_ts]
    ts = np.unique(np.concatenate([ends, parent.fills["ts"]]))
    axes.step(_seconds(parent, ts), parent.filled_at(ts) * lot, where="post", label="filled")
    if parent.schedule is not None:
        steps = parent.schedule["ts"]
        ts = np.unique(np.concatenate([ends, steps[(steps >= parent.start_ts) & (steps <= parent.end_ts)]]))
        axes.step(_seconds(parent, ts), parent.due_at(ts) * lot, where="post", linestyle="--", label="due")
    axes.axhline(parent.target_qty * lot, color="tab:gray", linewidth=0.8, label="target")
    axes.set_ylabel("quantity")
    axes.legend(loc="upper left")


def _draw_prices(axes: Axes, parent: ParentOrder, market: Market) -> None:
    """The mid price over time, the fills by their liquidity, and the limit where it is in sight."""
    tick = float(parent.instrument.tick)
    ts = market.mids["ts"]
    inside = ts[(ts > parent.start_ts) & (ts < parent.end_ts)]
    ts = np.unique(np.concatenate([[parent.start_ts, parent.end_ts], inside]))
    half_ticks = market.mid_at(ts)
    mid = np.where(half_ticks > 0, half_ticks / 2 * tick, np.nan)
    axes.step(_seconds(parent, ts), mid, where="post", color="tab:blue", linewidth=0.8, label="mid")
    for liquidity in Liquidity:
        fills = parent.fills[parent.fills["liquidity"] == liquidity]
        if len(fills):
            axes.scatter(
                _seconds(parent, fills["ts"]),
                fills["px"] * tick,
                color=COLOURS[liquidity],
                s=18,
                zorder=3,
                label=f"fill, {liquidity.name.lower()}",
            )
    if parent.limit_px is not None:
        in_sight = axes.get_ylim()
        axes.axhline(parent.limit_px * tick, color="tab:gray", linestyle=":", label="limit")
        axes.set_ylim(in_sight)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_ylabel("price")
    axes.legend(loc="upper left")


def _seconds(parent: ParentOrder, ts: Integers) -> npt.NDArray[np.float64]:
    return (ts - parent.start_ts) / 1e9


def _time(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1e9, tz=UTC):%H:%M:%S.%f}"[:12]
