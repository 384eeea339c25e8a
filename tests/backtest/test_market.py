"""The market of a recording: the mid price over time as the core's book has it, and the trades."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest

from backtest.market import Market, MarketError, Rows, market_of
from gateways.book import BookRebuild
from gateways.recording import load_ticks
from oms.config import load_settings
from oms.records import TickKind
from tests.backtest.executions import LINEAR, market_from, touch, traded
from tests.oms.core.builders import BUY, SELL, depth, message, snapshot, tick, time_tick

ROOT: Final = Path(__file__).resolve().parents[2]
DEMO: Final = ROOT / "gateways/recordings/usdm_btcusdt_20240808_60s.gz"


def mids(*ticks: Rows) -> list[tuple[int, int]]:
    return [(int(ts), int(half_ticks)) for ts, half_ticks in market_from(*ticks).mids]


def test_mid_is_told_when_it_changes() -> None:
    away, same, better = depth(BUY, 90, 4, ts=6), depth(BUY, 99, 9, ts=7), depth(SELL, 100, 1, ts=8)
    assert mids(touch(5, 100), away, same, better) == [(5, 200), (8, 199)]


def test_mid_of_a_message_is_that_of_its_end() -> None:
    moved = message(TickKind.DEPTH, [(BUY, 99, 0), (SELL, 101, 0), (BUY, 104, 1), (SELL, 106, 1)], ts=9)
    assert mids(touch(5, 100), moved) == [(5, 200), (9, 210)]


def test_mid_needs_both_sides() -> None:
    emptied = depth(SELL, 101, 0, ts=7), depth(SELL, 103, 2, ts=9)
    assert mids(snapshot(0, {99: 5}, {}, ts=4), depth(SELL, 101, 5, ts=5), *emptied) == [(5, 200), (7, 0), (9, 202)]


def test_mid_is_not_known_from_a_gap_to_the_next_snapshot() -> None:
    after_a_gap = depth(BUY, 100, 1, ts=7, update_id=9, previous=8)
    assert mids(touch(5, 100), after_a_gap, depth(BUY, 98, 1, ts=8, update_id=10), touch(9, 50)) == [
        (5, 200),
        (7, 0),
        (9, 100),
    ]


def test_mid_is_not_known_once_the_stream_is_lost() -> None:
    assert mids(touch(5, 100), tick(TickKind.STALE, ts=7), touch(9, 100)) == [(5, 200), (7, 0), (9, 200)]


def test_level_that_cannot_be_takes_the_book_out_of_step() -> None:
    assert mids(touch(5, 100), depth(BUY, -3, 1, ts=7), depth(BUY, 99, 2, ts=8)) == [(5, 200), (7, 0)]


def test_quotes_stand_for_the_touch_where_there_is_no_level() -> None:
    quotes = [
        tick(TickKind.QUOTE, ts=3, px=99, px_2=101, qty=1, qty_2=1),
        tick(TickKind.QUOTE, ts=4, px=99, px_2=101, qty=7, qty_2=7),
        tick(TickKind.QUOTE, ts=5, px=0, px_2=101),
        tick(TickKind.QUOTE, ts=6, px=100, px_2=103),
        tick(TickKind.STALE, ts=7),
    ]
    assert mids(*quotes) == [(3, 200), (5, 0), (6, 203), (7, 0)]
    assert mids(*quotes[:3], touch(8, 70)) == [(8, 140)]


def test_trades_are_those_of_the_instrument_that_can_be() -> None:
    others = [traded(2, 50, 0), traded(2, 0, 5), tick(TickKind.TRADE, ts=2, instrument=3, px=9, qty=9), time_tick(2)]
    trades = market_from(traded(1, 100, 2), *others, traded(3, 101, 4)).trades
    assert trades.tolist() == [(1, 100, 2), (3, 101, 4)]


def test_mid_of_another_instrument_number_is_the_same() -> None:
    ticks = np.concatenate([touch(5, 100), depth(BUY, 100, 1, ts=6)])
    ticks["instrument"] = 7
    as_seventh = market_of(msgspec.structs.replace(LINEAR, id=7), ticks)
    assert as_seventh.mids.tolist() == [(5, 200), (6, 201)]
    assert (ticks["instrument"] == 7).all()


def test_mid_at_a_time_is_the_last_one_up_to_it() -> None:
    market = market_from(touch(5, 100), touch(7, 50))
    assert market.mid_at(np.array([4, 5, 6, 7, 8])).tolist() == [0, 200, 200, 100, 100]


def test_ticks_that_go_back_in_time_are_refused() -> None:
    with pytest.raises(MarketError, match="COIN go back in time"):
        market_from(touch(5, 100), traded(4, 100, 1))


def test_ticks_of_another_version_are_refused() -> None:
    with pytest.raises(MarketError, match="version 2 of COIN, not in version 1"):
        market_from(touch(5, 100), tick(TickKind.TRADE, ts=6, px=5, qty=5, version=2))


def test_recording_without_a_tick_has_no_market() -> None:
    empty = market_from(time_tick(1))
    assert (len(empty.mids), len(empty.trades)) == (0, 0)
    assert isinstance(empty, Market)


def test_mid_of_a_recorded_stream_is_that_of_its_book_at_every_tenth_of_a_second() -> None:
    instrument = load_settings(None, {"replay": {"file": str(DEMO)}}).instrument("BTCUSDT.binance_usdm")
    ticks = load_ticks(DEMO, instrument, duration_s=6)
    market = market_of(instrument, ticks)
    assert len(market.mids) > 5
    book = BookRebuild()
    start = 0
    for ts in range(int(ticks["local_ts"][0]) + 100_000_000, int(ticks["local_ts"][-1]), 100_000_000):
        stop = int(np.searchsorted(ticks["local_ts"], ts, "right"))
        book.take(ticks[start:stop])
        start = stop
        levels = book.snapshot(ts)
        expected = 0
        if levels is not None:
            expected = int(levels["px"][levels["side"] > 0].max() + levels["px"][levels["side"] < 0].min())
        assert market.mid_at(np.array([ts])) == [expected]
