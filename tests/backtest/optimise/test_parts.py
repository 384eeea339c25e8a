"""Parts of the data: one that begins in the middle begins with the book that was there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backtest.market import Rows, market_of
from backtest.optimise.folds import Part
from backtest.optimise.parts import Books, read_part, write_parts
from backtest.room import RoomError
from oms.records import TICK, TickFlag, TickKind
from tests.full_disk import files_bounded_to
from tests.oms.core.builders import SPOT, depth, message, snapshot, tick, trade
from tests.oms.core.ledger import instrument_of

pytestmark = pytest.mark.pure

LINEAR = instrument_of("linear")
PX = 600_000
SIDES = {"buy": 1, "sell": -1}


def stream(*messages: Rows) -> Rows:
    """Messages a second apart."""
    rows = []
    for second, message_rows in enumerate(messages, 1):
        rows.append(message_rows.copy())
        rows[-1]["local_ts"] = second * 10**9
        rows[-1]["exch_ts"] = second * 10**9 - 5
    return np.concatenate(rows)


def levels_of(ticks: Rows) -> dict[tuple[int, int], int]:
    """The book that is left by a snapshot and the updates after it, by side and price."""
    book: dict[tuple[int, int], int] = {}
    for row in ticks:
        if row["kind"] == TickKind.SNAPSHOT and row["flags"] & 1:
            book.clear()
        if row["kind"] in (TickKind.SNAPSHOT, TickKind.DEPTH) and row["side"]:
            book[int(row["side"]), int(row["px"])] = int(row["qty"])
    return {key: qty for key, qty in book.items() if qty}


UPDATES = some.lists(
    some.tuples(some.sampled_from([1, -1]), some.integers(1, 20_000), some.integers(0, 3)), min_size=1, max_size=25
)


@given(updates=UPDATES)
@settings(max_examples=30)
def test_opening_book_is_the_one_that_all_updates_have_left(updates: list[tuple[int, int, int]]) -> None:
    ticks = stream(
        snapshot(0, {PX: 5}, {PX + 1: 5}),
        *(depth(side, PX - far if side > 0 else PX + far, qty) for side, far, qty in updates),
    )
    books = Books([LINEAR])
    half = len(ticks) // 2
    books.take(ticks[:half])
    books.take(ticks[half:])
    opening = books.opening(77, 66)
    assert levels_of(opening) == levels_of(ticks)
    assert np.flatnonzero(opening["flags"] & TickFlag.FIRST).tolist() == [0]
    assert np.flatnonzero(opening["flags"] & TickFlag.LAST).tolist() == [len(opening) - 1]
    assert set(opening["local_ts"]) == {77}
    assert set(opening["exch_ts"]) == {66}


def test_updates_go_on_behind_the_opening_book(tmp_path: Path) -> None:
    ticks = stream(
        message(TickKind.SNAPSHOT, [(1, PX, 5), (-1, PX + 4, 5)], update_id=10),
        depth(1, PX + 1, 3, update_id=12, previous=10),
        depth(1, PX + 2, 3, update_id=15, previous=12),
        depth(-1, PX + 3, 1, update_id=17, previous=15),
    )
    part = Part(3 * 10**9, 5 * 10**9)
    write_parts(ticks, [LINEAR], [part], tmp_path)
    cut = read_part(tmp_path, part)
    assert market_of(LINEAR, cut).mids["half_ticks"].tolist() == [2 * PX + 5, 2 * PX + 6, 2 * PX + 5]
    assert cut["local_ts"].min() == 3 * 10**9


def test_last_quote_and_mark_price_are_known_at_the_start_and_trades_are_not(tmp_path: Path) -> None:
    quote = tick(TickKind.QUOTE, px=PX, qty=1, px_2=PX + 2, qty_2=1)
    mark = tick(TickKind.MARK, px=PX + 1)
    ticks = stream(quote, mark, trade(1, PX, 1), trade(1, PX, 2))
    part = Part(4 * 10**9, 5 * 10**9)
    write_parts(ticks, [LINEAR], [part], tmp_path)
    assert read_part(tmp_path, part)["kind"].tolist() == [TickKind.QUOTE, TickKind.MARK, TickKind.TRADE]


def test_book_out_of_step_is_not_made_up(tmp_path: Path) -> None:
    stale = tick(TickKind.STALE)
    ticks = stream(snapshot(0, {PX: 5}, {PX + 1: 5}), stale, trade(1, PX, 1))
    part = Part(3 * 10**9, 4 * 10**9)
    write_parts(ticks, [LINEAR], [part], tmp_path)
    assert read_part(tmp_path, part)["kind"].tolist() == [TickKind.TRADE]


def test_books_of_several_instruments_are_kept_apart() -> None:
    ticks = stream(snapshot(0, {PX: 5}, {PX + 1: 5}), snapshot(SPOT.id, {PX + 7: 1}, {PX + 9: 1}))
    books = Books([LINEAR, SPOT])
    books.take(ticks)
    opening = books.opening(1, 1)
    assert levels_of(opening[opening["instrument"] == 0]) == {(1, PX): 5, (-1, PX + 1): 5}
    assert levels_of(opening[opening["instrument"] == SPOT.id]) == {(1, PX + 7): 1, (-1, PX + 9): 1}


def test_parts_share_a_file_by_their_start_and_end_where_they_should(tmp_path: Path) -> None:
    ticks = stream(snapshot(0, {PX: 5}, {PX + 1: 5}), *(trade(1, PX, qty) for qty in range(1, 8)))
    parts = [Part(10**9, 4 * 10**9), Part(10**9, 9 * 10**9), Part(4 * 10**9, 6 * 10**9)]
    write_parts(ticks, [LINEAR], parts, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    first, whole, middle = (read_part(tmp_path, part) for part in parts)
    assert np.array_equal(whole, ticks)
    assert np.array_equal(first, ticks[: len(first)])
    assert first["local_ts"].max() == 3 * 10**9
    assert middle[middle["kind"] == TickKind.TRADE]["qty"].tolist() == [3, 4]


def test_part_without_ticks_is_empty(tmp_path: Path) -> None:
    ticks = stream(snapshot(0, {PX: 5}, {PX + 1: 5}))
    part = Part(5 * 10**9, 6 * 10**9)
    write_parts(ticks, [LINEAR], [part], tmp_path)
    assert read_part(tmp_path, part).dtype == TICK
    assert len(read_part(tmp_path, part)) == 0


def test_no_room_for_parts_is_an_error_that_says_how_to_make_some(tmp_path: Path) -> None:
    """Were they written through mapped memory, a disk that is full would be a bus error."""
    ticks = np.zeros(1_000, TICK)
    ticks["local_ts"] = np.arange(1_000)
    with files_bounded_to(10_000), pytest.raises(RoomError, match=r"no room for the data \(.*\): .* by TMPDIR"):
        write_parts(ticks, [], [Part(0, 1_000)], tmp_path)


def test_parts_are_written_and_not_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(np, "memmap")
    ticks = np.zeros(10, TICK)
    ticks["local_ts"] = np.arange(10)
    write_parts(ticks, [], [Part(2, 8)], tmp_path)
    assert (tmp_path / "2.local_ts.npy").read_bytes()[-6 * TICK.itemsize :] == ticks[2:8].tobytes()
