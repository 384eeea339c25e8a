"""Several instruments in one stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backtest.data.clocks import DataError
from backtest.data.merge import merge
from oms.records import TickKind
from tests.backtest.data.support import START_NS, ListSource, check_cuts, instrument, joined, message


@some.composite
def sources(draw: Any) -> list[list[Any]]:
    """For each of up to four instruments: parts of whole messages in order of receipt, many at equal times."""
    found = []
    for number in range(draw(some.integers(1, 4))):
        count = draw(some.integers(1, 25))
        gaps = draw(some.lists(some.sampled_from([0, 0, 1, 3, 10**11]), min_size=count, max_size=count))
        latencies = draw(some.lists(some.integers(-5, 5), min_size=count, max_size=count))
        parts = [
            message(
                TickKind.DEPTH,
                [(1, 1, i + 1)] * (1 + i % 3),
                local_ts=ts,
                exch_ts=ts - latency,
                instrument=number,
            )
            for i, (ts, latency) in enumerate(zip((START_NS + np.cumsum(gaps)).tolist(), latencies, strict=True))
        ]
        size = draw(some.integers(1, count))
        found.append([joined(parts[at : at + size]) for at in range(0, count, size)])
    return found


@given(sources(), some.sampled_from(["local", "dual"]), some.randoms(use_true_random=False))
def test_a_merge_is_a_stable_sort(parts: list[list[Any]], clock: str, random: Any) -> None:
    given_sources = [ListSource(each, instrument(number)) for number, each in enumerate(parts)]
    random.shuffle(given_sources)
    blocks = list(merge(given_sources, clock))
    check_cuts(blocks, clock)
    everything = joined(part for each in parts for part in each)
    local = everything[np.lexsort((everything["instrument"], everything["local_ts"]))]
    assert joined(block.local for block in blocks).tobytes() == local.tobytes()
    exchange = everything[np.lexsort((everything["instrument"], everything["exch_ts"]))]
    expected = exchange.tobytes() if clock == "dual" else b""
    assert joined(block.exchange for block in blocks).tobytes() == expected


def test_a_merge_holds_no_more_than_a_block_of_each() -> None:
    dense = [message(TickKind.TRADE, [(1, 1, 1)], local_ts=START_NS + i) for i in range(1_000)]
    sparse = [message(TickKind.TRADE, [(1, 1, 1)], local_ts=START_NS + i, instrument=1) for i in range(0, 1_000, 100)]
    blocks = list(merge([ListSource(dense, instrument(0)), ListSource(sparse, instrument(1))]))
    assert max(len(block.local) for block in blocks) <= 101


def test_an_instrument_given_twice_is_refused() -> None:
    trades = [message(TickKind.TRADE, [(1, 1, 1)])]
    twice = [ListSource(trades, instrument(), [TickKind.TRADE, TickKind.QUOTE]), ListSource(trades, instrument())]
    with pytest.raises(DataError, match=r"QUOTE and TRADE records of TEST0\.venue are in list-TEST0 and in list-TEST0"):
        merge(twice)


def test_trades_and_book_of_one_instrument_are_merged() -> None:
    trades = ListSource([message(TickKind.TRADE, [(1, 1, 1)], local_ts=START_NS + 1)], instrument(), [TickKind.TRADE])
    book = ListSource(
        [message(TickKind.DEPTH, [(1, 1, 1)] * 2, local_ts=START_NS + i) for i in range(3)],
        instrument(),
        [TickKind.DEPTH],
    )
    ticks = joined(block.local for block in merge([trades, book]))
    assert ticks["kind"].tolist() == [1, 1, 2, 1, 1, 1, 1]


def test_an_error_of_one_source_is_the_merge_s() -> None:
    sound = ListSource([message(TickKind.TRADE, [(1, 1, 1)], local_ts=START_NS + 9)], instrument(0))
    back = [message(TickKind.TRADE, [(1, 1, 1)], local_ts=START_NS - i, instrument=1) for i in range(2)]
    with pytest.raises(DataError, match="row 2: local_ts"):
        list(merge([sound, ListSource(back, instrument(1))]))
