"""Backtests over bars as a whole: stops and targets on a bar's way, and orders that algorithms work."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from backtest.data.opening import open_sources
from backtest.market import Rows
from backtest.run import Backtest
from backtest.streaming import backtest_bars
from oms.records import TICK, TickKind
from tests.backtest.venue import BOTH, MS, START_NS, STRATEGIES, Fill, fills_of, instrument, settings_of

pytestmark = pytest.mark.pure

MINUTE_NS: Final = 60_000 * MS
SIDES = pytest.mark.parametrize("side", [1, -1])
Bar = tuple[int, int, int, int]
FLAT: Final = (1_000, 1_001, 999, 1_000)


def bars_of(*bars: Bar, side: int = 1, volume: int = 1_000) -> Rows:
    """A bar a minute of open, high, low and close; for the other side mirrored at 1000."""
    ticks = np.zeros(len(bars), TICK)
    for at, (row, bar) in enumerate(zip(ticks, bars, strict=True)):
        o, h, low, c = bar if side > 0 else (2_000 - bar[0], 2_000 - bar[2], 2_000 - bar[1], 2_000 - bar[3])
        row["px_2"], row["qty_2"], row["update_id"], row["px"] = o, h, low, c
        row["exch_ts"] = START_NS + at * MINUTE_NS
    ticks["local_ts"] = ticks["exch_ts"] + MINUTE_NS
    ticks["kind"], ticks["flags"], ticks["qty"] = TickKind.BAR, BOTH, volume
    return ticks


def ran(folder: Path, bars: Rows, strategy: str, latency_us: int = 0, **parameters: float) -> Backtest:
    """A backtest over a table of these bars, whose prices are ticks and quantities lots."""
    columns = ("exch_ts", "px_2", "qty_2", "update_id", "px", "qty")
    rows = [",".join(str(bar[name]) for name in columns) for bar in bars]
    path = folder / "bars.csv"
    path.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    chosen: dict[str, Any] = {"file": str(STRATEGIES / strategy), "instrument": "TEST0", "parameters": parameters}
    matching = {"entry_latency_us": latency_us, "response_latency_us": latency_us}
    settings = settings_of(instrument(), matching=matching, strategies=[chosen])
    sources, of_bars = open_sources([path], settings, ["TEST0"])
    assert sources == []
    return backtest_bars(settings, of_bars)


def bracketed(folder: Path, side: int, *bars: Bar, latency_us: int = 0) -> list[tuple[int, int, int]]:
    """The fills of a bracket from 1000 with its target at 1010 and its stop at 990: number of the bar, side, price.

    Mirrored, where ``side`` is -1, and then shown as if it were not.
    """
    backtest = ran(
        folder,
        bars_of(FLAT, *bars, FLAT, side=side),
        "bracketer.py",
        latency_us,
        side=float(side),
        target_px=1_000.0 + 10 * side,
        stop_px=1_000.0 - 10 * side,
    )
    assert backtest.result.problems == ()
    fills = fills_of(backtest.fills)
    assert backtest.core.st[0]["positions"][0, 0, 0]["qty"] == sum(each.side * each.qty for each in fills)
    return [shown(each, side) for each in fills]


def shown(each: Fill, side: int) -> tuple[int, int, int]:
    bar = (each.ts - START_NS) // MINUTE_NS - 1
    return bar, each.side * side, 1_000 + (each.px - 1_000) * side


@SIDES
@pytest.mark.parametrize("latency_us", [0, 2_000])
def test_of_a_target_and_a_stop_in_one_bar_the_one_that_its_way_comes_to_first_is_filled(
    side: int, latency_us: int, tmp_path: Path
) -> None:
    entry = (1, 1, 1_000)
    target_first, stop_first = (1_000, 1_012, 985, 1_000), (1_000, 1_015, 988, 1_000)
    assert bracketed(tmp_path, side, FLAT, target_first, latency_us=latency_us) == [entry, (2, -1, 1_010)]
    assert bracketed(tmp_path, side, FLAT, stop_first, latency_us=latency_us) == [entry, (2, -1, 990)]


@SIDES
def test_a_stop_that_the_open_jumps_over_fills_at_the_open(side: int, tmp_path: Path) -> None:
    assert bracketed(tmp_path, side, FLAT, (980, 985, 975, 980)) == [(1, 1, 1_000), (2, -1, 980)]


@SIDES
def test_the_way_of_the_bar_that_filled_the_entry_counts(side: int, tmp_path: Path) -> None:
    assert bracketed(tmp_path, side, (1_000, 1_003, 985, 986)) == [(1, 1, 1_000), (1, -1, 990)]
    assert bracketed(tmp_path, side, (1_000, 1_012, 997, 1_000)) == [(1, 1, 1_000), (1, -1, 1_010)]


def test_an_algorithm_works_an_order_over_bars_at_their_opens_and_gets_no_more_than_their_volume(
    tmp_path: Path,
) -> None:
    falling = bars_of(*[(1_000 - at, 1_005, 900, 999 - at) for at in range(12)])
    backtest = ran(tmp_path, falling, "steady.py")
    assert set(backtest.algorithms.values()) == {"twap"}
    fills = [(shown(each, 1), each.qty) for each in fills_of(backtest.fills)]
    assert fills == [((1, 1, 999), 1), ((1, 1, 999), 1), ((2, 1, 998), 1), ((3, 1, 997), 1), ((4, 1, 996), 1)]
    falling["qty"] = 1
    fills = [(shown(each, 1), each.qty) for each in fills_of(ran(tmp_path, falling, "steady.py").fills)]
    assert fills == [((bar, 1, 1_000 - bar), 1) for bar in range(1, 6)]
