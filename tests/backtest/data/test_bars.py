"""Bars: published candles as they are, and longer bars of shorter ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backtest.data.bars import BAR, BarSource, interval_text, resample
from backtest.data.clocks import DataError
from backtest.data.csv_file import CsvFile
from oms.instruments import Instrument
from oms.records import Reason
from tests.backtest.data.support import instrument

BARS = Path(__file__).resolve().parents[2] / "data/bars"
MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MIDNIGHT = 19_700 * DAY


def source(path: Path, traded: Instrument) -> BarSource:
    return BarSource(CsvFile(path), traded)


def bars_of(*rows: tuple[int, int, int, int, int, int], interval: int = MINUTE) -> Any:
    """Bars ``(minute, open, high, low, close, volume)``."""
    bars = np.zeros(len(rows), BAR)
    for at, (number, *values) in enumerate(rows):
        bars[at] = (MIDNIGHT + number * interval, MIDNIGHT + (number + 1) * interval, *values)
    return bars


# Published files


FREQTRADE = """date,open,high,low,close,volume
2024-01-10 04:55:00+00:00,5.330000000000001e-05,5.330000000000001e-05,5.288000000000001e-05,5.2900000000000005e-05,43.97
2024-01-10 05:00:00+00:00,5.2900000000000005e-05,5.294e-05,5.269e-05,5.27e-05,31.5
2024-01-10 05:15:00+00:00,5.27e-05,5.27e-05,5.27e-05,5.27e-05,0.0
"""


def test_candles_of_freqtrade_are_read_with_their_gaps(tmp_path: Path) -> None:
    (tmp_path / "ADA_BTC-5m.csv").write_text(FREQTRADE)
    cardano = source(tmp_path / "ADA_BTC-5m.csv", instrument(tick="0.00000001", lot="0.01"))
    bars = cardano.read()
    assert cardano.interval_ns == 5 * MINUTE
    assert bars["ts_open"][0] == np.datetime64("2024-01-10T04:55", "ns").astype(np.int64)
    assert bars[["open", "high", "low", "close", "volume"]][0].tolist() == (5330, 5330, 5288, 5290, 4397)
    assert (np.diff(bars["ts_open"]) // MINUTE).tolist() == [5, 15]
    assert cardano.reading.inexact == 5
    assert not cardano.reading.refused


def test_daily_candles_without_a_header() -> None:
    bars = source(BARS / "crypto_coinbase_daily_btcusd_trade.csv.gz", instrument(tick="0.01", lot="0.00000001")).read()
    assert bars["ts_open"][0] == np.datetime64("2014-12-01", "ns").astype(np.int64)
    assert bars[["open", "high", "low", "close", "volume"]][0].tolist() == (30000, 37000, 30000, 37000, 5655554)
    assert bars["ts_close"][0] - bars["ts_open"][0] == DAY


def test_times_since_midnight_take_their_day_from_the_file_s_name(tmp_path: Path) -> None:
    name = "cryptofuture_binance_minute_btcusd_20221213_trade.csv.gz"
    minutes = source(BARS / name, instrument(tick="0.1", lot="1"))
    bars = minutes.read()
    assert bars["ts_open"][0] == np.datetime64("2022-12-13", "ns").astype(np.int64)
    assert minutes.interval_ns == MINUTE
    (note,) = minutes.reading.notes
    assert note == "time is in ms since midnight of 2022-12-13 (UTC), the day in the file's name"
    (tmp_path / "nameless.csv.gz").write_bytes((BARS / name).read_bytes())
    with pytest.raises(DataError, match="times since midnight need a day in the file's name"):
        source(tmp_path / "nameless.csv.gz", instrument(tick="0.1", lot="1"))


# Rows that cannot be used


def csv(folder: Path, *lines: str) -> BarSource:
    path = folder / "bars.csv"
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *lines]))
    return source(path, instrument(tick="0.1", lot="1"))


def test_bars_that_cannot_be_are_refused_and_counted(tmp_path: Path) -> None:
    sound = "1700000000000,10,12,9,11,5"
    wrong = [
        "1700000060000,10,10.5,9,11,5",
        "1700000120000,10,12,10.5,11,5",
        "1700000180000,10,12,0,11,5",
        "1700000240000,10,12,9,11,-5",
        "1700000300000,10.05,12,9,11,5",
    ]
    minutes = csv(tmp_path, sound, *wrong)
    assert len(minutes.read()) == 1
    assert minutes.reading.refused == {Reason.BAD_PRICE: 4, Reason.QTY_BELOW_MIN: 1}
    assert minutes.reading.problems[Reason.BAD_PRICE].endswith("row 2: open or close is outside of low to high")


@pytest.mark.parametrize("second", [1_700_000_000_000, 1_699_999_940_000])
def test_a_bar_that_comes_again_or_goes_back_is_an_error(tmp_path: Path, second: int) -> None:
    rows = [1_700_000_000_000, second, 1_700_000_060_000]
    with pytest.raises(DataError, match=r"row 2: the bar of .* is not behind that of"):
        csv(tmp_path, *(f"{ts},10,12,9,11,5" for ts in rows)).read()


def test_one_bar_does_not_tell_its_interval(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fewer than two bars"):
        csv(tmp_path, "1700000000000,10,12,9,11,5")


# Longer bars


def test_five_minutes_of_one_minute_bars() -> None:
    minutes = bars_of((0, 10, 12, 9, 11, 1), (1, 11, 15, 11, 14, 2), (4, 14, 14, 8, 9, 3), (5, 9, 9, 9, 9, 4))
    longer = resample(minutes, 5 * MINUTE)
    assert longer.tolist() == [
        (MIDNIGHT, MIDNIGHT + 5 * MINUTE, 10, 15, 8, 9, 6),
        (MIDNIGHT + 5 * MINUTE, MIDNIGHT + 10 * MINUTE, 9, 9, 9, 9, 4),
    ]


def test_a_stretch_without_bars_has_no_longer_bar() -> None:
    longer = resample(bars_of((0, 1, 1, 1, 1, 1), (20, 2, 2, 2, 2, 2)), 5 * MINUTE)
    assert ((longer["ts_open"] - MIDNIGHT) // MINUTE).tolist() == [0, 20]


def test_days_begin_at_the_zone_s_midnight() -> None:
    hours = bars_of(*((hour, hour + 1, hour + 1, hour + 1, hour + 1, 1) for hour in range(24)), interval=HOUR)
    tokyo = resample(hours, DAY, utc_offset_ns=9 * HOUR)
    assert tokyo["ts_open"].tolist() == [MIDNIGHT - 9 * HOUR, MIDNIGHT + 15 * HOUR]
    assert tokyo["volume"].tolist() == [15, 9]


@pytest.mark.parametrize(
    ("interval", "offset", "words"),
    [(90 * 10**9, 0, "give a multiple"), (MINUTE // 2, 0, "give a multiple"), (HOUR, 1, "cuts bars of")],
)
def test_intervals_that_do_not_fit_are_refused(interval: int, offset: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        resample(bars_of((0, 1, 1, 1, 1, 1)), interval, utc_offset_ns=offset)


def test_bars_out_of_order_are_refused() -> None:
    with pytest.raises(DataError, match="in order of time"):
        resample(bars_of((1, 1, 1, 1, 1, 1), (0, 1, 1, 1, 1, 1)), HOUR)


@given(some.lists(some.tuples(some.integers(0, 500), *[some.integers(1, 50)] * 3), min_size=1, max_size=60))
def test_longer_bars_keep_extremes_volume_and_both_ends(rows: list[tuple[int, int, int, int]]) -> None:
    unique = {row[0]: row for row in rows}
    minutes = bars_of(
        *((at, o, max(o, c) + 1, min(o, c), c, v) for at, o, c, v in (unique[at] for at in sorted(unique)))
    )
    longer = resample(minutes, 15 * MINUTE)
    assert longer["volume"].sum() == minutes["volume"].sum()
    for bar in longer:
        own = minutes[(minutes["ts_open"] >= bar["ts_open"]) & (minutes["ts_open"] < bar["ts_close"])]
        assert bar.tolist()[2:6] == (own["open"][0], own["high"].max(), own["low"].min(), own["close"][-1])
    again = resample(longer, 30 * MINUTE)
    assert again.tobytes() == resample(minutes, 30 * MINUTE).tobytes()


@pytest.mark.parametrize(("interval", "text"), [(MINUTE, "1m"), (DAY, "1d"), (90 * 10**9, "90s"), (1, "1ns")])
def test_an_interval_in_words(interval: int, text: str) -> None:
    assert interval_text(interval) == text
