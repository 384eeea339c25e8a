"""What several connections bring counts once, in whatever order they bring it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.live.repeats import REMEMBERED_TRADES, Repeats
from oms.records import TickKind
from tests.gateways.test_sequencer import message

pytestmark = pytest.mark.pure


def ids(*messages: tuple[TickKind, int]) -> list[tuple[int, int]]:
    repeats = Repeats()
    batch = np.concatenate(
        [message(kind, number, levels=2 if kind == TickKind.DEPTH else 1) for kind, number in messages]
    )
    left = repeats.take(batch)
    assert repeats.count == len(messages) - int((left["flags"] & 1 != 0).sum())
    return [tuple(row) for row in left[left["flags"] & 1 != 0][["kind", "update_id"]].tolist()]


@pytest.mark.parametrize("kind", [TickKind.DEPTH, TickKind.QUOTE])
def test_only_what_is_newer_counts(kind: TickKind) -> None:
    assert ids((kind, 5), (kind, 5), (kind, 4), (kind, 6)) == [(kind, 5), (kind, 6)]


def test_trade_that_was_lost_by_one_connection_counts_when_the_other_brings_it() -> None:
    trade = TickKind.TRADE
    assert ids((trade, 1), (trade, 3), (trade, 1), (trade, 2), (trade, 3)) == [(trade, 1), (trade, 3), (trade, 2)]


def test_kinds_have_ids_of_their_own_and_snapshots_always_count() -> None:
    sent = [
        (TickKind.DEPTH, 5),
        (TickKind.QUOTE, 5),
        (TickKind.TRADE, 5),
        (TickKind.SNAPSHOT, 5),
        (TickKind.SNAPSHOT, 5),
    ]
    assert ids(*sent) == sent


def test_whole_messages_are_left_out_and_without_repeats_the_array_is_the_same() -> None:
    repeats = Repeats()
    batch = np.concatenate([message(TickKind.DEPTH, 1, levels=3), message(TickKind.DEPTH, 2, levels=2)])
    assert repeats.take(batch) is batch
    assert len(repeats.take(np.concatenate([batch, message(TickKind.DEPTH, 3, levels=4)]))) == 4


def test_what_is_forgotten_is_new() -> None:
    repeats = Repeats()
    batch = np.concatenate([message(TickKind.TRADE, 7), message(TickKind.QUOTE, 7), message(TickKind.MARK, 0)])
    repeats.take(batch)
    repeats.forget()
    assert repeats.take(batch) is batch


def test_memory_of_trades_is_bounded() -> None:
    repeats = Repeats()
    for start in range(0, 3 * REMEMBERED_TRADES, 512):
        repeats.take(np.concatenate([message(TickKind.TRADE, start + number) for number in range(512)]))
    assert len(repeats.take(message(TickKind.TRADE, 0))) == 1
    assert len(repeats.take(message(TickKind.TRADE, 3 * REMEMBERED_TRADES - 1))) == 0


@given(
    order=st.lists(st.booleans(), min_size=60, max_size=60),
    lost=st.tuples(st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29))),
)
def test_of_two_connections_every_trade_comes_once_that_either_brings(
    order: list[bool], lost: tuple[set[int], set[int]]
) -> None:
    queues = [[number for number in range(30) if number not in missing] for missing in lost]
    heard: list[int] = []
    repeats = Repeats()
    for first in [*order, *[True] * 60, *[False] * 60]:
        queue = queues[first]
        if queue:
            heard += repeats.take(message(TickKind.TRADE, queue.pop(0)))["update_id"].tolist()
    assert sorted(heard) == sorted(set(range(30)) - (lost[0] & lost[1]))


def test_update_that_is_numbered_below_the_one_before_it_says_that_ids_begin_anew() -> None:
    repeats = Repeats()
    update = message(TickKind.DEPTH, 100)
    repeats.take(update)
    assert not repeats.began_anew
    restarted = message(TickKind.DEPTH, 7)
    restarted["px_2"] = 100
    repeats.take(restarted)
    assert repeats.began_anew
    repeats.forget()
    assert not repeats.began_anew
