"""Recorded order latencies: which files are read, what is refused by name, and what lies between two rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from backtest.latency import MAX_LATENCY_NS, read_latencies
from oms.config import ConfigError
from oms.core.latencies import recorded_latency
from oms.core.state import MODEL
from oms.exchange_model import LATENCY_COLUMNS
from tests.backtest.venue import MS, START_NS, Venue

pytestmark = pytest.mark.pure

ROWS = np.array([[1_000, 1_400, 1_900], [2_000, 2_200, 2_300], [4_000, 4_800, 5_000]], np.int64)
"""Of two intervals: the entry latency goes from 400 to 200 ns, then to 800 ns."""


def as_npy(path: Path) -> Path:
    np.save(path / "rows.npy", ROWS)
    return path / "rows.npy"


def as_npz(path: Path) -> Path:
    named = np.zeros(len(ROWS), [("req_ts", "i8"), ("exch_ts", "i8"), ("resp_ts", "i8"), ("_padding", "i8")])
    for at, name in enumerate(("req_ts", "exch_ts", "resp_ts")):
        named[name] = ROWS[:, at]
    np.savez_compressed(path / "rows.npz", data=named)
    return path / "rows.npz"


def as_csv(path: Path) -> Path:
    return text_file(path, ",".join(LATENCY_COLUMNS), *(",".join(map(str, row)) for row in ROWS))


def text_file(path: Path, *lines: str) -> Path:
    file = path / "rows.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("write", [as_npy, as_npz, as_csv])
def test_a_file_is_read_in_every_form(write: Callable[[Path], Path], tmp_path: Path) -> None:
    rows = read_latencies(write(tmp_path))
    assert rows.dtype == np.int64
    assert rows.tolist() == ROWS.tolist()


HEAD = ",".join(LATENCY_COLUMNS)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEAD], "hold no row"),
        (["a,b,c", "1,2,3"], "columns a, b, c are not request_ts, exchange_ts, response_ts"),
        ([HEAD, "1,2,3", "1,3,4"], "request_ts of row 2 is not later than the one before it"),
        ([HEAD, "1,5,6", "2,5,6"], "exchange_ts of row 2 is not later than the one before it"),
        ([HEAD, "1,2,3", "5,4,6"], r"row 2 has times \[5, 4, 6\]"),
        ([HEAD, f"1,2,{MAX_LATENCY_NS + 3}"], "within an hour"),
        ([HEAD, "1,2"], "rows.csv"),
        ([HEAD, "1,soon,3"], "rows.csv"),
        ([HEAD, "1,,3"], "rows.csv"),
        ([], "rows.csv: the file is empty"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_name(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        read_latencies(text_file(tmp_path, *lines))
    assert "rows.csv" in str(refused.value)


@pytest.mark.parametrize("name", ["rows.txt", "rows.npy", "rows.npz"])
def test_what_is_no_such_file_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no array")
    with pytest.raises(ConfigError, match=name):
        read_latencies(tmp_path / name)
    with pytest.raises(ConfigError, match="missing"):
        read_latencies(tmp_path / f"missing_{name}")


def test_a_file_that_was_cut_off_is_refused_by_name(tmp_path: Path) -> None:
    for write in (as_npy, as_npz):
        file = write(tmp_path)
        file.write_bytes(file.read_bytes()[:-40])
        with pytest.raises(ConfigError, match=file.name):
            read_latencies(file)


def test_an_array_of_another_shape_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", ROWS[:, :2])
    with pytest.raises(ConfigError, match=r"an array of shape \(3, 2\) is not one of three columns"):
        read_latencies(tmp_path / "rows.npy")


def model_of(rows: npt.NDArray[np.int64]) -> np.void:
    model: np.void = np.zeros(1, MODEL)[0]
    model["latency_rows"] = rows.ctypes.data
    model["latency_count"] = len(rows)
    return model


@pytest.mark.parametrize(
    ("ts", "entry_ns"),
    [
        (0, 400),
        (999, 400),
        (1_000, 400),
        (1_500, 300),
        (1_999, 201),
        (2_000, 200),
        (3_000, 500),
        (4_000, 800),
        (9_000, 800),
    ],
)
def test_what_lies_between_two_rows_is_on_a_straight_line(ts: int, entry_ns: int) -> None:
    assert recorded_latency(model_of(ROWS), 0, ts) == entry_ns


def test_an_answer_goes_by_the_exchanges_times() -> None:
    assert [recorded_latency(model_of(ROWS), 1, ts) for ts in (1_400, 1_800, 2_200, 4_800)] == [500, 300, 100, 200]


def test_one_row_holds_for_all_time() -> None:
    assert [recorded_latency(model_of(ROWS[:1]), 0, ts) for ts in (0, 1_000, 5_000)] == [400] * 3


def test_a_share_of_the_feeds_latency_comes_to_the_constant_one() -> None:
    venue = Venue(entry_ns=2 * MS, response_ns=1 * MS)
    venue.st[0]["model"]["feed_factor"] = 0.5
    venue.snapshot({999: 10}, {1001: 10})
    book = venue.st[0]["books"][0]
    book["exch_ts"] = book["local_ts"] - 6 * MS
    asked = venue.now
    order = venue.market(1, 5)
    venue.wait(100 * MS)
    (fill,) = (row for row in venue.all_events if row["order_id"] == order and row["last_qty"] > 0)
    assert int(fill["ts"]) - asked == (2 + 3 + 1 + 3) * MS
    assert asked > START_NS
