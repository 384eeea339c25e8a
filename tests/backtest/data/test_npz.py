"""Files of hftbacktest: their rows, their two orders, their damage."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import backtest.data.npz as module
from backtest.data.clocks import DataError
from backtest.data.npz import NpzSource
from gateways.recording import load_ticks
from oms.records import Reason, TickFlag, TickKind
from tests.backtest.data.support import (
    BOTH,
    BUY_EVENT,
    CLEAR,
    EVENT_ROW,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    START_NS,
    all_ticks,
    check_cuts,
    event_rows,
    instrument,
    joined,
    shipped_settings,
)

DEMO = Path(__file__).resolve().parents[3] / "gateways/recordings/usdm_btcusdt_20240808_60s.gz"


def saved(folder: Path, rows: Any, *, compressed: bool = True) -> Path:
    path = folder / "events.npz"
    (np.savez_compressed if compressed else np.savez)(path, data=rows)
    return path


def row(ev: int, px: float = 10.0, qty: float = 1.0, local_ts: int = START_NS, exch_ts: int = START_NS) -> Any:
    rows = np.zeros(1, EVENT_ROW)
    rows["ev"], rows["px"], rows["qty"], rows["local_ts"], rows["exch_ts"] = ev, px, qty, local_ts, exch_ts
    return rows


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("block_rows", [100, 10**6])
def test_a_recording_survives_the_way_there_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compressed: bool, block_rows: int
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", block_rows)
    traded = shipped_settings().instrument("BTCUSDT.binance_usdm")
    recorded = load_ticks(DEMO, traded, duration_s=0.3)
    levels_and_trades = recorded[recorded["kind"] != TickKind.QUOTE]
    source = NpzSource(saved(tmp_path, event_rows(levels_and_trades), compressed=compressed), traded)
    blocks = list(source.blocks())
    check_cuts(blocks, "local")
    ticks = joined(block.local for block in blocks)
    assert len(ticks) == len(levels_and_trades)
    for name in ("kind", "px", "qty", "side", "exch_ts", "local_ts", "instrument", "version"):
        assert (ticks[name] == levels_and_trades[name]).all(), name
    assert source.reading.rows == len(ticks)
    assert not source.reading.summary()


def test_an_npy_file_is_read_too(tmp_path: Path) -> None:
    np.save(tmp_path / "events.npy", row(2 | BUY_EVENT | BOTH))
    assert all_ticks(NpzSource(tmp_path / "events.npy", instrument()))["px"].tolist() == [100]


def test_a_snapshot_begins_with_what_it_clears(tmp_path: Path) -> None:
    rows = [
        row(CLEAR | BUY_EVENT | BOTH, px=9.0, qty=0.0),
        row(4 | BUY_EVENT | BOTH, px=9.9),
        row(CLEAR | SELL_EVENT | BOTH, px=11.0, qty=0.0),
        row(4 | SELL_EVENT | BOTH, px=10.1),
        row(1 | SELL_EVENT | BOTH, px=10.1, qty=0.0),
    ]
    ticks = all_ticks(NpzSource(saved(tmp_path, np.concatenate(rows)), instrument()))
    assert ticks["kind"].tolist() == [TickKind.SNAPSHOT] * 4 + [TickKind.DEPTH]
    assert ticks["side"].tolist() == [0, 1, 0, -1, -1]
    assert ticks["px"].tolist() == [0, 99, 0, 101, 101]
    first, last = TickFlag.FIRST, TickFlag.LAST
    assert ticks["flags"].tolist() == [first, 0, 0, last, first | last]


def test_rows_of_one_side_are_in_that_order_only(tmp_path: Path) -> None:
    """A trade that overtakes another on its way is there twice: once for each order."""
    late = {"local_ts": START_NS + 90, "exch_ts": START_NS + 10}
    early = {"local_ts": START_NS + 50, "exch_ts": START_NS + 40}
    rows = [
        row(2 | BUY_EVENT | EXCH_EVENT, px=1.0, **late),
        row(2 | BUY_EVENT | BOTH, px=2.0, **early),
        row(2 | BUY_EVENT | LOCAL_EVENT, px=1.0, **late),
    ]
    source = NpzSource(saved(tmp_path, np.concatenate(rows)), instrument())
    assert all_ticks(source)["px"].tolist() == [20, 10]
    blocks = list(source.blocks("dual"))
    check_cuts(blocks, "dual")
    assert joined(block.local for block in blocks)["px"].tolist() == [20, 10]
    assert joined(block.exchange for block in blocks)["px"].tolist() == [10, 20]


def test_a_touch_told_side_by_side_becomes_quotes_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 2)
    told = [(BUY_EVENT, 9.9, 1.0), (SELL_EVENT, 10.1, 2.0), (SELL_EVENT, 10.2, 3.0), (BUY_EVENT, 9.8, 4.0)]
    rows = np.concatenate([row(5 | side | BOTH, px=px, qty=qty) for side, px, qty in told])
    quotes = all_ticks(NpzSource(saved(tmp_path, rows), instrument()))
    assert quotes[["px", "qty", "px_2", "qty_2"]].tolist() == [
        (99, 1000, 0, 0),
        (99, 1000, 101, 2000),
        (99, 1000, 102, 3000),
        (98, 4000, 102, 3000),
    ]
    assert quotes["side"].tolist() == [0, 0, 0, 0]


def test_what_cannot_be_used_is_counted_by_reason_with_file_and_row(tmp_path: Path) -> None:
    rows = [
        row(2 | BUY_EVENT | BOTH),
        row(2 | BUY_EVENT | BOTH, px=10.05),
        row(2 | BUY_EVENT | BOTH, px=10.07),
        row(1 | SELL_EVENT | BOTH, qty=0.0005),
        row(1 | BOTH),
        row(2 | BUY_EVENT | BOTH, qty=float("nan")),
        row(2 | BUY_EVENT | BOTH, px=-10.0),
        row(2 | BUY_EVENT | BOTH, px=1e300),
        row(2 | BUY_EVENT | BOTH, qty=0.0),
        row(1 | BUY_EVENT | BOTH, qty=-1.0),
        row(2 | BUY_EVENT | BOTH, local_ts=0),
        row(10 | BUY_EVENT | BOTH),
        row(2 | BUY_EVENT),
    ]
    path = saved(tmp_path, np.concatenate(rows))
    source = NpzSource(path, instrument())
    assert len(all_ticks(source)) == 1
    assert source.reading.refused == {
        Reason.BAD_PRICE: 3,
        Reason.QTY_BELOW_MIN: 3,
        Reason.BAD_SIDE: 1,
        Reason.MALFORMED: 2,
        Reason.OVERFLOW: 1,
    }
    assert source.reading.problems[Reason.BAD_PRICE] == f"{path}, row 2: price 10.05 is not on TEST0's tick 0.1"
    assert (
        source.reading.problems[Reason.QTY_BELOW_MIN] == f"{path}, row 4: quantity 0.0005 is not on TEST0's lot 0.001"
    )
    assert source.reading.problems[Reason.OVERFLOW] == f"{path}, row 8: price 1e+300 is too large"
    assert source.reading.ignored == {"event rows of other kinds": 1, "event rows of neither side": 1}


def test_doubles_that_arithmetic_has_left_beside_the_grid_are_counted(tmp_path: Path) -> None:
    source = NpzSource(saved(tmp_path, row(2 | BUY_EVENT | BOTH, px=0.1 * 3, qty=0.3)), instrument())
    assert all_ticks(source)[["px", "qty"]].tolist() == [(3, 300)]
    assert source.reading.inexact == 1


@given(some.integers(1, 2**45), some.sampled_from(["0.1", "0.00001", "0.25", "10", "0.05"]))
def test_every_value_of_the_grid_is_read_from_its_double(steps: int, tick: str) -> None:
    from backtest.data.grid import Grid, steps_of_doubles

    traded = instrument(tick=tick)
    grid = Grid(traded, "price")
    value = float(traded.px_from_ticks(steps))
    found = steps_of_doubles(np.array([value]), grid)
    if found.reasons[0] == Reason.NONE:
        assert found.steps[0] == steps
        assert found.inexact == 0
    else:
        assert found.reasons[0] == Reason.OVERFLOW


def test_time_that_goes_back_names_file_and_row(tmp_path: Path) -> None:
    rows = np.concatenate([row(2 | BUY_EVENT | BOTH, local_ts=START_NS - i) for i in range(3)])
    path = saved(tmp_path, rows)
    with pytest.raises(DataError, match=f"{path}, row 2: local_ts {START_NS - 1} is before {START_NS}"):
        all_ticks(NpzSource(path, instrument()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"data": np.zeros((3, 6))}, "plain numbers .float64.*first version"),
        ({"a": np.zeros(1, EVENT_ROW), "b": np.zeros(1, EVENT_ROW)}, "holds the arrays a, b"),
        ({"data": np.zeros(1, [("ev", "u8"), ("px", "f8")])}, "no exch_ts, local_ts, qty"),
        ({"data": np.array([{"a": 1}])}, "holds Python objects"),
        ({"data": np.zeros(0, EVENT_ROW)}, "gives no tick of TEST0.venue"),
        ({"data": np.zeros((2, 2), EVENT_ROW)}, "gives no tick"),
    ],
)
def test_another_array_is_refused_in_words(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, **content)
    with pytest.raises(DataError, match=words):
        all_ticks(NpzSource(path, instrument()))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz is no file of hftbacktest's event rows"):
        all_ticks(NpzSource(tmp_path / "none.npz", instrument()))


def test_a_truncated_array_gives_what_is_before_the_damage(tmp_path: Path) -> None:
    np.save(tmp_path / "events.npy", np.concatenate([row(2 | BUY_EVENT | BOTH)] * 10))
    content = (tmp_path / "events.npy").read_bytes()
    (tmp_path / "events.npy").write_bytes(content[:-100])
    source = NpzSource(tmp_path / "events.npy", instrument())
    assert len(all_ticks(source)) == 8
    assert "2 of its rows are missing; everything before the damage was read" in source.reading.summary()[0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.data())
def test_damage_never_raises_anything_but_a_data_error(tmp_path: Path, data: Any) -> None:
    np.savez_compressed(tmp_path / "sound.npz", data=np.concatenate([row(2 | BUY_EVENT | BOTH)] * 50))
    np.save(tmp_path / "sound.npy", np.concatenate([row(2 | BUY_EVENT | BOTH)] * 50))
    name = data.draw(some.sampled_from(["sound.npz", "sound.npy"]))
    content = bytearray((tmp_path / name).read_bytes())
    for _ in range(data.draw(some.integers(1, 4))):
        content[data.draw(some.integers(0, len(content) - 1))] = data.draw(some.integers(0, 255))
    content = content[: data.draw(some.integers(0, len(content)))]
    path = tmp_path / f"damaged{name[-4:]}"
    path.write_bytes(content)
    source = NpzSource(path, instrument())
    ticks = None
    with suppress(DataError):
        ticks = all_ticks(source)
    assert ticks is None or len(ticks) <= 50
