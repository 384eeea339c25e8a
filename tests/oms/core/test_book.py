"""The book: levels, touch and window against a plain dict of levels; gaps in the update ids; what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.compiled import JIT
from oms.core.state import ASK, BID, BOOK_FAR, BOOK_WINDOW, NO_ASK, NO_BID
from oms.records import BookState, EventKind, Reason, TickFlag, TickKind
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SELL,
    Rig,
    depth,
    kinds,
    message,
    new_order,
    only,
    snapshot,
    tick,
    trade,
)

pytestmark = pytest.mark.pure

CENTRE = 1_000_000
NEAR = hs.integers(-20, 60)
ANYWHERE = hs.one_of(NEAR, hs.integers(-900, 3_000), hs.integers(-20_000, 90_000))
SIDE = hs.sampled_from((BUY, SELL))
QTY = hs.one_of(hs.just(0), hs.integers(1, 9))
WALK = hs.one_of(hs.integers(-3, 3), hs.integers(-3_000, 3_000), hs.integers(-40_000, 40_000))


class ModelBook:
    """What the book must hold: every level, and the touch by the rule that the newest word hides what it crosses."""

    def __init__(self) -> None:
        self.levels: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self.best: dict[int, int | None] = {BUY: None, SELL: None}

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]

    def beyond(self, side: int, px: int) -> int | None:
        """Best stored price of ``side`` that is worse than ``px``."""
        worse = [each for each in self.levels[side] if (px - each) * side > 0]
        return max(worse, key=lambda each: each * side) if worse else None

    def set(self, side: int, px: int, qty: int) -> None:
        best = self.best[side]
        if qty == 0:
            self.levels[side].pop(px, None)
            if px == best:
                self.best[side] = self.beyond(side, px)
            return
        self.levels[side][px] = qty
        if best is None or (px - best) * side > 0:
            self.best[side] = px
        other = self.best[-side]
        if other is not None and (px - other) * side >= 0:
            self.best[-side] = self.beyond(-side, px)


def touch(rig: Rig, instrument: int = 0) -> dict[int, int | None]:
    best = rig.book(instrument)["best"]
    return {
        BUY: None if best[BID] == NO_BID else int(best[BID]),
        SELL: None if best[ASK] == NO_ASK else int(best[ASK]),
    }


def assert_same(rig: Rig, model: ModelBook) -> None:
    assert touch(rig) == model.best
    for side in (BUY, SELL):
        assert rig.levels(side) == model.levels[side]


UPDATE = hs.tuples(WALK, SIDE, ANYWHERE, QTY)


@given(hs.lists(hs.lists(UPDATE, min_size=1, max_size=4), max_size=60))
def test_book_holds_what_a_dict_of_levels_holds(messages: list[list[tuple[int, int, int, int]]]) -> None:
    rig = Rig()
    model = ModelBook()
    rig.ticks(snapshot(0, {CENTRE: 5}, {}))
    model.set(BUY, CENTRE, 5)
    centre = CENTRE
    for updates in messages:
        levels = []
        for walk, side, away, qty in updates:
            centre = max(centre + walk, 200_000)
            levels.append((side, centre - side * away, qty))
        rig.ticks(message(TickKind.DEPTH, levels))
        for level in levels:
            model.set(*level)
        assert touch(rig) == model.best
    assert_same(rig, model)
    assert rig.book()["dropped"] == 0


@given(
    hs.lists(hs.tuples(SIDE, ANYWHERE, hs.integers(1, 9)), max_size=40),
    hs.lists(hs.tuples(SIDE, ANYWHERE, QTY), max_size=20),
)
def test_snapshot_replaces_the_whole_book(
    before: list[tuple[int, int, int]], after: list[tuple[int, int, int]]
) -> None:
    rig = Rig()
    model = ModelBook()
    rig.ticks(
        message(TickKind.SNAPSHOT, [(side, CENTRE - side * away, qty) for side, away, qty in before] or [(0, 0, 0)])
    )
    levels = [(side, 5 * CENTRE - side * away, qty) for side, away, qty in after] or [(0, 0, 0)]
    rig.ticks(message(TickKind.SNAPSHOT, levels))
    for side, px, qty in levels:
        if side:
            model.set(side, px, qty)
    assert_same(rig, model)
    assert rig.book()["state"] == BookState.SYNCED


def test_level_through_the_other_side_hides_it_until_it_is_removed() -> None:
    rig = Rig()
    rig.ticks(snapshot(0, {100: 1}, {101: 2, 103: 3}))
    rig.ticks(depth(BUY, 102, 4))
    assert touch(rig) == {BUY: 102, SELL: 103}
    assert rig.levels(SELL) == {101: 2, 103: 3}
    rig.ticks(depth(BUY, 102, 0), depth(SELL, 101, 0))
    assert touch(rig) == {BUY: 100, SELL: 103}
    assert rig.book()["crossed"] == 1


def test_hidden_level_comes_back_when_it_is_named_again() -> None:
    rig = Rig()
    rig.ticks(snapshot(0, {100: 1}, {101: 2}))
    rig.ticks(depth(BUY, 101, 4))
    assert touch(rig) == {BUY: 101, SELL: None}
    rig.ticks(depth(SELL, 101, 2))
    assert touch(rig) == {BUY: 100, SELL: 101}


@pytest.mark.skipif(not JIT, reason="thousands of levels")
@pytest.mark.parametrize("side", [BUY, SELL])
def test_full_far_list_gives_up_the_farthest_levels(side: int) -> None:
    rig = Rig()
    rig.ticks(snapshot(0, {CENTRE - 1: 1}, {CENTRE + 1: 1}))
    far = [CENTRE - side * (BOOK_WINDOW + 3 * i) for i in range(BOOK_FAR + 200)]
    rig.ticks(*(depth(side, px, 7) for px in far[100:]))
    assert rig.book()["dropped"] == 100
    rig.ticks(*(depth(side, px, 7) for px in far[:100]))
    assert rig.book()["dropped"] == 200
    assert rig.levels(side) == {CENTRE - side: 1, **dict.fromkeys(far[:BOOK_FAR], 7)}


def test_emptied_side_has_no_price() -> None:
    rig = Rig()
    rig.ticks(snapshot(0, {100: 1}, {101: 1}), depth(BUY, 100, 0), depth(SELL, 101, 0))
    assert touch(rig) == {BUY: None, SELL: None}


MESSAGE_IDS = hs.tuples(hs.integers(-3, 4), hs.integers(0, 5), hs.sampled_from((0, 0, 0, 0, 0, 1)))


@given(hs.lists(MESSAGE_IDS, min_size=1, max_size=40))
def test_a_message_that_does_not_follow_makes_the_book_stale_until_the_next_snapshot(
    ids: list[tuple[int, int, int]],
) -> None:
    rig = Rig()
    rig.ticks(snapshot(0, {100: 1}, {200: 1}, update_id=50))
    last, synced, bid_qty = 50, True, 1
    for number, (shift, length, is_snapshot) in enumerate(ids, start=2):
        previous = last + shift
        update_id = previous + length
        if is_snapshot:
            events = rig.ticks(snapshot(0, {100: number}, {200: 1}, update_id=update_id))
            expected = [] if synced else [Reason.SNAPSHOT]
            last, synced, bid_qty = update_id, True, number
        else:
            levels = [(BUY, 100, number), (SELL, 200, 1)]
            events = rig.ticks(message(TickKind.DEPTH, levels, update_id=update_id, px_2=previous))
            follows = previous <= last <= update_id
            gap = synced and update_id >= last and previous > last
            expected = [Reason.SEQUENCE_GAP] if gap else []
            if synced and follows:
                last, bid_qty = update_id, number
            synced = synced and not gap
        assert [Reason(int(each)) for each in events["reason"]] == expected
        assert rig.book()["state"] == (BookState.SYNCED if synced else BookState.STALE)
        assert rig.book()["update_id"] == last
        assert rig.levels(BUY) == {100: bid_qty}


def test_gap_is_reported_with_both_update_ids() -> None:
    rig = Rig()
    rig.ticks(snapshot(0, {100: 1}, {101: 1}, update_id=50))
    event = only(rig.ticks(depth(BUY, 99, 1, update_id=60, previous=55)), EventKind.BOOK_STATE)
    assert (event["aux"], event["reason"]) == (BookState.STALE, Reason.SEQUENCE_GAP)
    assert (event["px"], event["qty"]) == (55, 50)
    assert rig.book()["gaps"] == 1


def test_first_records_of_a_message_after_a_gap_do_not_touch_own_orders() -> None:
    rig = Rig(external=False)
    rig.ticks(snapshot(0, {BID_PX: 50}, {ASK_PX: 50}, update_id=50))
    rig.commands(new_order(7, BUY, BID_PX))
    ahead = rig.s["model"]["orders"]["queue_ahead"]
    assert ahead[0] == 0.05  # 50 lots
    rig.ticks(depth(BUY, BID_PX, 1, update_id=60, previous=55))
    assert ahead[0] == 0.05  # 50 lots


def test_stale_word_of_the_gateway_stops_trading_on_one_book_only() -> None:
    rig = Rig()
    rig.open_market()
    events = rig.ticks(tick(TickKind.STALE))
    assert kinds(events) == [EventKind.BOOK_STATE]
    assert events["reason"][0] == Reason.GATEWAY_STALE
    assert rig.book(0)["state"] == BookState.STALE
    assert rig.book(1)["state"] == BookState.SYNCED


def test_stale_word_may_say_why() -> None:
    rig = Rig()
    rig.open_market()
    assert rig.ticks(tick(TickKind.STALE, qty=Reason.TICKS_LOST))["reason"][0] == Reason.TICKS_LOST


MALFORMED_LEVELS = [
    *((side, 100, 1) for side in (2, 5, -2, -128, 127)),
    *((BUY, px, 1) for px in (0, -1, 2**36 + 1, 2**63 - 1, -(2**63))),
    *((BUY, 100, qty) for qty in (-1, 2**53 + 1, 2**63 - 1, -(2**63))),
]


@pytest.mark.parametrize(("side", "px", "qty"), MALFORMED_LEVELS)
@pytest.mark.parametrize("kind", [TickKind.DEPTH, TickKind.SNAPSHOT])
def test_level_that_cannot_be_is_counted_and_makes_the_book_stale(kind: TickKind, side: int, px: int, qty: int) -> None:
    rig = Rig()
    rig.ticks(snapshot(0, {100: 1}, {101: 1}))
    events = rig.ticks(message(kind, [(side, px, qty), (BUY, 99, 4)]))
    assert (events["aux"][0], events["reason"][0]) == (BookState.STALE, Reason.MALFORMED)
    assert rig.book()["state"] == BookState.STALE
    assert rig.s["ticks_refused"] == 1
    rig.ticks(snapshot(0, {100: 1}, {101: 1}))
    assert rig.book()["state"] == BookState.SYNCED
    assert rig.levels(BUY) == {100: 1}


@pytest.mark.parametrize(
    ("side", "px", "qty"), [(2, 100, 1), (BUY, 0, 1), (BUY, -5, 1), (BUY, 2**36 + 1, 1), (BUY, 100, 0), (SELL, 9, -1)]
)
def test_trade_that_cannot_be_is_counted_and_changes_nothing(side: int, px: int, qty: int) -> None:
    rig = Rig()
    rig.open_market()
    rig.ticks(trade(BUY, 600_000, 3))
    rig.ticks(trade(side, px, qty))
    assert rig.book()["trade_px"] == 600_000
    assert rig.s["ticks_refused"] == 1


@pytest.mark.parametrize("instrument", [-1, 3, 127, 128, 2**15 - 1, -(2**15)])
def test_tick_of_an_unknown_instrument_is_counted_and_passed_over(instrument: int) -> None:
    rig = Rig()
    events = rig.ticks(snapshot(instrument, {100: 1}, {101: 1}))
    assert len(events) == 0
    assert rig.s["ticks_refused"] == 2


def test_tick_of_an_unknown_kind_is_counted_and_passed_over() -> None:
    rig = Rig()
    rig.open_market()
    assert len(rig.ticks(tick(max(TickKind) + 1), tick(0))) == 0  # type: ignore[arg-type]
    assert rig.s["ticks_refused"] == 2


def test_quote_changes_no_level() -> None:
    rig = Rig()
    rig.open_market()
    before = touch(rig)
    rig.ticks(tick(TickKind.QUOTE, px=5, qty=6, px_2=7, qty_2=8))
    assert touch(rig) == before
    assert rig.book()["quote_px"].tolist() == [7, 5]
    assert rig.book()["quote_qty"].tolist() == [8, 6]


def test_first_flag_alone_starts_a_message_that_later_records_complete() -> None:
    rig = Rig()
    rig.ticks(snapshot(0, {100: 1}, {101: 1}, update_id=5))
    rig.ticks(depth(BUY, 99, 2, update_id=6, previous=5, flags=TickFlag.FIRST))
    assert rig.book()["update_id"] == 5
    rig.ticks(depth(BUY, 98, 2, update_id=6, previous=5, flags=TickFlag.LAST))
    assert rig.book()["update_id"] == 6
    assert rig.levels(BUY) == {100: 1, 99: 2, 98: 2}
