"""The order of receipt, the exchange's order, and where both are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backtest.data.clocks import MAX_FEED_LATENCY_NS, DataError, exchange_order
from oms.records import TickKind
from tests.backtest.data.support import MS, START_NS, ListSource, check_cuts, instrument, joined, message, record

S = 1_000_000_000


@some.composite
def streams(draw: Any) -> list[Any]:
    """Messages in the order of receipt, with feed latencies of either sign, in parts of whole messages."""
    count = draw(some.integers(1, 40))
    gaps = draw(some.lists(some.sampled_from([0, 1, S, 30 * S, 100 * S]), min_size=count, max_size=count))
    latencies = draw(
        some.lists(some.integers(-MAX_FEED_LATENCY_NS, MAX_FEED_LATENCY_NS), min_size=count, max_size=count)
    )
    sizes = draw(some.lists(some.integers(1, 3), min_size=count, max_size=count))
    stamps = START_NS + np.cumsum(gaps)
    messages = [
        message(TickKind.DEPTH, [(1, 10 + i, number)] * size, local_ts=ts, exch_ts=ts - latency)
        for number, (ts, latency, size) in enumerate(zip(stamps.tolist(), latencies, sizes, strict=True))
        for i in [number]
    ]
    cuts = sorted(draw(some.lists(some.integers(1, count), max_size=4)))
    return [joined(messages[a:b]) for a, b in zip([0, *cuts], [*cuts, count], strict=True) if a < b]


@given(streams())
def test_blocks_of_two_clocks_hold_both_orders_whole(parts: list[Any]) -> None:
    source = ListSource(parts, instrument())
    blocks = list(source.blocks("dual"))
    everything = joined(parts)
    check_cuts(blocks, "dual")
    assert joined(block.local for block in blocks).tobytes() == everything.tobytes()
    by_exchange = everything[np.argsort(everything["exch_ts"], kind="stable")]
    assert joined(block.exchange for block in blocks).tobytes() == by_exchange.tobytes()


@given(streams())
def test_blocks_of_one_clock_are_the_file(parts: list[Any]) -> None:
    blocks = list(ListSource(parts, instrument()).blocks())
    check_cuts(blocks, "local")
    assert all(block.exchange is None for block in blocks)
    assert joined(block.local for block in blocks).tobytes() == joined(parts).tobytes()


def test_a_long_stream_is_passed_on_while_it_is_read() -> None:
    parts = [record(local_ts=START_NS + i * S, exch_ts=START_NS + i * S) for i in range(300)]
    blocks = list(ListSource(parts, instrument()).blocks("dual"))
    assert len(blocks) > 200
    assert max(len(block.local) for block in blocks) <= 61


def test_a_feed_latency_beyond_the_bound_is_refused_with_two_clocks_only() -> None:
    late = record(exch_ts=START_NS - MAX_FEED_LATENCY_NS - 1)
    source = ListSource([record(local_ts=START_NS - 1), late], instrument())
    with pytest.raises(DataError, match=r"list-TEST0: a record received at 17\d+ has exchange time 16\d+, over 60 s"):
        list(source.blocks("dual"))
    assert len(list(source.blocks("local"))) > 0


def test_time_that_goes_back_is_an_error_with_file_and_row() -> None:
    parts = [record(local_ts=START_NS + 5), record(local_ts=START_NS + 4)]
    with pytest.raises(DataError, match=f"list-TEST0, row 2: local_ts {START_NS + 4} is before {START_NS + 5}"):
        list(ListSource(parts, instrument()).blocks())


def test_a_snapshot_without_a_time_of_its_own_stands_ahead_of_what_is_newer() -> None:
    """Update 11 happened before the snapshot's answer (id 10) was received, and after what the snapshot shows."""
    parts = joined(
        [
            message(TickKind.DEPTH, [(1, 9, 1)], update_id=9, local_ts=START_NS + 30 * MS, exch_ts=START_NS),
            message(TickKind.DEPTH, [(1, 9, 2)], update_id=11, local_ts=START_NS + 50 * MS, exch_ts=START_NS + 20 * MS),
            message(
                TickKind.SNAPSHOT,
                [(1, 9, 1), (-1, 12, 1)],
                update_id=10,
                local_ts=START_NS + 60 * MS,
                exch_ts=START_NS + 60 * MS,
            ),
            message(TickKind.DEPTH, [(1, 9, 2)], update_id=11, local_ts=START_NS + 60 * MS, exch_ts=START_NS + 20 * MS),
            message(TickKind.DEPTH, [(1, 9, 3)], update_id=12, local_ts=START_NS + 70 * MS, exch_ts=START_NS + 40 * MS),
        ]
    )
    ordered = exchange_order(parts)
    assert ordered["update_id"].tolist() == [9, 11, 10, 10, 11, 12]
    assert (np.diff(ordered["exch_ts"]) >= 0).all()
    assert ordered["exch_ts"][2] == START_NS + 20 * MS
    blocks = list(ListSource([parts[:1], parts[1:4], parts[4:]], instrument()).blocks("dual"))
    assert joined(block.exchange for block in blocks).tobytes() == ordered.tobytes()


def test_no_record_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match=r"list-TEST0 gives no tick of TEST0\.venue: it holds no row"):
        list(ListSource([], instrument()).blocks())
