"""The matching engine against the reference, outcome by outcome, and what must hold whatever happens."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.recording import load_ticks
from gateways.sandbox.engine.queue import home_of
from gateways.sandbox.engine.records import ID_INDEX, MAX_LEVELS, OUTCOMES_OF_ONE
from gateways.sandbox.matching import (
    MAX_ORDERS,
    OPERATION,
    TICKS_AROUND,
    Matching,
    OperationKind,
    OutcomeKind,
    Records,
)
from oms.compiled import JIT
from oms.records import BUY, SELL, TICK, Liquidity, OrderType, Reason, TickKind, TimeInForce
from tests.gateways.reference import USDM, USDM_FILE
from tests.gateways.sandbox.matching_reference import Order, Outcome, Reference
from tests.gateways.sandbox.matching_rows import (
    book,
    cancel,
    depth,
    market,
    message,
    place,
    rows,
    snapshot,
    stale,
    told,
    trade,
)

LOW, HIGH = 97, 103

sides = st.sampled_from([BUY, SELL])
prices = st.integers(LOW, HIGH)
lots = st.integers(1, 12)
operation_rows = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([OperationKind.PLACE] * 3 + [OperationKind.CANCEL, OperationKind.AMEND]),
        "order_id": st.integers(1, 9),
        "account": st.integers(1, 2),
        "side": sides,
        "px": st.integers(LOW, HIGH) | st.just(0),
        "qty": st.integers(0, 12),
        "order_type": st.sampled_from([OrderType.LIMIT] * 4 + [OrderType.MARKET]),
        "tif": st.sampled_from([TimeInForce.GTC] * 4 + [TimeInForce.IOC, TimeInForce.FOK]),
        "flags": st.integers(0, 15),
    }
)
displayed = st.lists(st.tuples(sides, prices, st.integers(0, 12)), min_size=1, max_size=6)
steps = st.one_of(
    st.tuples(st.just("operate"), st.lists(operation_rows, min_size=1, max_size=4)),
    st.tuples(st.just("depth"), displayed),
    st.tuples(st.just("snapshot"), displayed),
    st.tuples(st.just("trade"), st.tuples(sides, prices, lots)),
    st.tuples(st.just("old"), displayed),
    st.tuples(st.sampled_from(["gap", "stale"]), st.none()),
)


class Both:
    """The engine and the reference, which are given the same and must say the same."""

    def __init__(self) -> None:
        self.matching = Matching()
        self.reference = Reference()
        self.update_id = 10

    def operate(self, operations: Records) -> list[Outcome]:
        before = len(self.reference.outcomes)
        for operation in operations:
            self.reference.operate(operation)
        return self._compare(self.matching.operate(operations), before)

    def background(self, ticks: Records) -> list[Outcome]:
        before = len(self.reference.outcomes)
        self.reference.background_message(ticks)
        return self._compare(self.matching.background(ticks), before)

    def _compare(self, outcomes: Records, before: int) -> list[Outcome]:
        assert told(outcomes) == self.reference.outcomes[before:]
        visible = book(self.matching, 200)
        assert visible == {side: self.reference.levels(side) for side in (BUY, SELL)}
        assert self.matching.last_trade == self.reference.last_trade
        assert self.matching.open_orders == len(self.reference.orders)
        assert lots_ahead(self.matching) == {order.order_id: order.ahead for order in self.reference.orders}
        assert self.matching.gaps == self.reference.gaps
        assert_not_crossed(self.reference.orders)
        return self.reference.outcomes[before:]

    def message(self, kind: TickKind, levels: list[tuple[int, int, int]]) -> Records:
        self.update_id += 1
        return message(kind, self.update_id, levels)

    def take(self, what: str, terms: object) -> list[Outcome]:
        """Do one of ``steps``."""
        if what == "operate":
            return self.operate(rows(OPERATION, terms))  # type: ignore[arg-type]
        if what == "trade":
            return self.background(trade(*terms))  # type: ignore[misc]
        if what == "stale":
            return self.background(stale())
        if what == "old":
            return self.background(message(TickKind.DEPTH, 5, terms))  # type: ignore[arg-type]
        if what == "gap":
            self.update_id += 5
            return self.background(self.message(TickKind.DEPTH, [(0, 0, 0)]))
        kind = TickKind.SNAPSHOT if what == "snapshot" else TickKind.DEPTH
        return self.background(self.message(kind, terms))  # type: ignore[arg-type]


def lots_ahead(matching: Matching) -> dict[int, int]:
    """Lots of the background that are ahead of each order that rests."""
    state = matching._st[0]
    found = {}
    for level in state["levels"][1 : state["used_levels"] + 1]:
        slot, ahead = level["first"], 0
        while level["side"] != 0 and slot != 0:
            order = state["orders"][slot]
            ahead += int(order["gap"])
            found[int(order["order_id"])] = ahead
            slot = order["next"]
    return found


def assert_not_crossed(orders: list[Order]) -> None:
    bids = [order.px for order in orders if order.side == BUY]
    asks = [order.px for order in orders if order.side == SELL]
    assert not bids or not asks or max(bids) < min(asks)


@pytest.mark.pure
@settings(max_examples=150)
@given(st.lists(steps, max_size=30))
def test_whatever_happens_the_engine_says_what_the_reference_says(script: list[tuple[str, object]]) -> None:
    both = Both()
    both.take("snapshot", [(BUY, 99, 5), (SELL, 101, 5)])
    for what, terms in script:
        both.take(what, terms)


class Tally:
    """What the outcomes say of each order, from ACCEPTED to its end; an id may come again."""

    def __init__(self) -> None:
        self.left: dict[int, int] = {}
        self.total: dict[int, int] = {}
        self.filled: dict[int, int] = defaultdict(int)

    def take(self, outcome: Outcome) -> None:
        order_id = outcome.order_id
        if outcome.kind == OutcomeKind.REJECTED:
            return
        if outcome.kind == OutcomeKind.ACCEPTED:
            assert order_id not in self.left
            self.total[order_id], self.filled[order_id] = outcome.qty, 0
        elif outcome.kind == OutcomeKind.AMENDED:
            self.total[order_id] = outcome.qty
        elif outcome.kind == OutcomeKind.FILL:
            self.filled[order_id] += outcome.qty
        else:
            assert outcome.qty == self.left[order_id]
        self.left[order_id] = outcome.left
        if outcome.kind in (OutcomeKind.CANCELLED, OutcomeKind.EXPIRED):
            assert outcome.left == 0
        else:
            assert outcome.left == self.total[order_id] - self.filled[order_id] >= 0
        if outcome.left == 0:
            del self.left[order_id]


def assert_fair(outcomes: list[Outcome]) -> None:
    """The fills of one taker come price by price from the best; both sides of a trade are told alike, with one id."""
    fills = [each for each in outcomes if each.kind == OutcomeKind.FILL]
    by_trade = defaultdict(list)
    for fill in fills:
        by_trade[fill.trade_id].append(fill)
    for sides_ in by_trade.values():
        assert len({(fill.px, fill.qty) for fill in sides_}) == 1
        assert sorted(fill.liquidity for fill in sides_) in ([Liquidity.MAKER], [Liquidity.TAKER], [1, 2])
        assert sum(fill.side for fill in sides_) == (0 if len(sides_) == 2 else sides_[0].side)
    takers = [fill for fill in fills if fill.liquidity == Liquidity.TAKER]
    for one, two in pairwise(takers):
        assert one.order_id != two.order_id or (two.px - one.px) * one.side >= 0


@pytest.mark.pure
@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_operations_keep_quantity_and_priority(seed: int) -> None:
    random = np.random.default_rng(seed)
    both = Both()
    tally = Tally()
    both.take("snapshot", [(BUY, 99, 50), (SELL, 101, 50)])
    for _ in range(1_500 if JIT else 250):
        terms = {
            "kind": int(random.choice([1, 1, 1, 2, 3])),
            "order_id": int(random.integers(1, 200)),
            "account": int(random.integers(1, 4)),
            "side": int(random.choice([BUY, SELL])),
            "px": int(random.integers(80, 121)),
            "qty": int(random.integers(1, 40)),
            "order_type": int(random.choice([1, 1, 1, 1, 2])),
            "tif": int(random.choice([1, 1, 1, 1, 2, 3])),
            "flags": int(random.integers(0, 16)),
        }
        if terms["kind"] != OperationKind.PLACE and both.reference.orders:
            order = both.reference.orders[int(random.integers(len(both.reference.orders)))]
            terms |= {"order_id": order.order_id, "account": order.account}
        outcomes = both.operate(rows(OPERATION, [terms]))
        assert_fair(outcomes)
        side = int(random.choice([BUY, SELL]))
        near = 100 - side * int(random.integers(1, 12))
        if random.random() < 0.3:
            outcomes = [*outcomes, *both.take("depth", [(side, near, int(random.integers(0, 60)))])]
        if random.random() < 0.2:
            outcomes = [*outcomes, *both.take("trade", (-side, near, int(random.integers(1, 30))))]
        for outcome in outcomes:
            tally.take(outcome)
    assert set(tally.left) == {order.order_id for order in both.reference.orders}


# the recorded stream


@pytest.fixture(scope="module")
def ticks() -> Records:
    return load_ticks(USDM_FILE, USDM)


def displayed_after(ticks: Records) -> dict[int, dict[int, int]]:
    """The last word on each level since the last snapshot, by side and price; what is older than it does not count."""
    kinds = ticks["kind"]
    start = int(np.flatnonzero((kinds == TickKind.SNAPSHOT) & (ticks["flags"] & 1 > 0))[-1])
    snapshot_id = int(ticks["update_id"][start])
    levels: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
    part = ticks[start:]
    part = part[np.isin(part["kind"], [TickKind.DEPTH, TickKind.SNAPSHOT]) & (part["update_id"] >= snapshot_id)]
    for side, px, qty in zip(part["side"].tolist(), part["px"].tolist(), part["qty"].tolist(), strict=True):
        levels[side][px] = qty
    return {side: {px: qty for px, qty in each.items() if qty > 0} for side, each in levels.items()}


@pytest.mark.skipif(not JIT, reason="the whole recording takes compiled code")
def test_the_recorded_stream_is_displayed_as_it_was(ticks: Records) -> None:
    matching = Matching()
    outcomes = matching.background(ticks)
    expected = displayed_after(ticks)
    assert len(outcomes) == 0
    assert book(matching, MAX_LEVELS) == {
        side: sorted(levels.items(), reverse=side > 0) for side, levels in expected.items()
    }
    assert (matching.gaps, matching.levels_dropped) == (0, 0)


@pytest.mark.skipif(not JIT, reason="the whole recording takes compiled code")
def test_cutting_the_stream_into_pieces_changes_nothing(ticks: Records) -> None:
    """Orders at the touch from time to time, over whole batches and over pieces of messages."""
    whole, pieces = Matching(), Matching()
    for number, start in enumerate(range(0, 100_000, 5_000)):
        batch = ticks[start : start + 5_000]
        one = whole.background(batch)
        other = [pieces.background(batch[at : at + 7]) for at in range(0, len(batch), 7)]
        assert one.tobytes() == np.concatenate(other).tobytes()
        assert book(whole, 500) == book(pieces, 500)
        if whole.best_bid is not None and whole.best_ask is not None:
            quotes = [place(2 * number + 1, BUY, whole.best_bid, 50), place(2 * number + 2, SELL, whole.best_ask, 50)]
            for matching in (whole, pieces):
                matching.operate(np.concatenate(quotes))
    assert whole.last_trade == pieces.last_trade


@pytest.mark.skipif(not JIT, reason="the reference is compared with compiled code, which is quick")
def test_orders_on_the_recorded_stream_fare_as_in_the_reference(ticks: Records) -> None:
    start = int(np.flatnonzero(ticks["kind"] == TickKind.SNAPSHOT)[0])
    part = ticks[start : start + 12_000]
    part = part[part["kind"] != TickKind.QUOTE]
    firsts = np.flatnonzero(part["flags"] & 1)
    both = Matching(), Reference()
    filled = 0
    for number, (begin, stop) in enumerate(pairwise([*firsts[::20].tolist(), len(part)])):
        batch = part[begin:stop]
        before = len(both[1].outcomes)
        both[1].background_message(batch)
        outcomes = told(both[0].background(batch))
        assert outcomes == both[1].outcomes[before:]
        filled += len(outcomes)
        bid, ask = both[0].best_bid, both[0].best_ask
        if bid is not None and ask is not None and bid < ask:
            orders = [place(3 * number + 1, BUY, bid, 20), place(3 * number + 2, SELL, ask, 20)]
            orders += [market(3 * number + 3, BUY if number & 1 else SELL, 3, account=2)]
            before = len(both[1].outcomes)
            for operation in (requests := np.concatenate(orders)):
                both[1].operate(operation)
            assert told(both[0].operate(requests)) == both[1].outcomes[before:]
    assert filled > 20


# what fills up


@pytest.mark.skipif(not JIT, reason="65,536 orders take compiled code")
def test_a_full_table_of_orders_refuses_and_a_take_of_them_all_is_told() -> None:
    matching = Matching()
    orders = np.repeat(place(1, BUY, 100, 1), MAX_ORDERS)
    orders["order_id"] = np.arange(1, MAX_ORDERS + 1)
    assert (matching.operate(orders)["kind"] == OutcomeKind.ACCEPTED).all()
    refused = matching.operate(place(MAX_ORDERS + 1, BUY, 100, 1))
    assert refused["reason"].tolist() == [Reason.ORDER_TABLE_FULL]
    assert matching.operate(place(MAX_ORDERS + 1, BUY, 100, 1, tif=TimeInForce.IOC))["left"].tolist() == [1, 0]
    matching.operate(cancel(7))
    assert matching.operate(place(MAX_ORDERS + 2, BUY, 100, 1))["kind"].tolist() == [OutcomeKind.ACCEPTED]
    outcomes = matching.operate(market(MAX_ORDERS + 3, SELL, MAX_ORDERS, account=2))
    assert len(outcomes) == 2 * MAX_ORDERS + 1 < OUTCOMES_OF_ONE
    makers = outcomes["order_id"][2::2]
    assert makers.tolist() == [*range(1, 7), *range(8, MAX_ORDERS + 1), MAX_ORDERS + 2]
    assert matching.open_orders == 0


@pytest.mark.skipif(not JIT, reason="as many outcomes take compiled code")
def test_more_outcomes_than_fit_at_once_come_in_order() -> None:
    matching = Matching()
    orders = np.repeat(place(1, BUY, 100, 1), 20 * MAX_ORDERS)
    orders["order_id"] = np.arange(len(orders)) // 2 + 1
    orders["kind"][1::2] = OperationKind.CANCEL
    outcomes = matching.operate(orders)
    assert len(outcomes) == len(orders)
    assert outcomes["order_id"].tolist() == orders["order_id"].tolist()
    assert outcomes["kind"].tolist() == [OutcomeKind.ACCEPTED, OutcomeKind.CANCELLED] * (10 * MAX_ORDERS)


@pytest.mark.skipif(not JIT, reason="32,768 levels take compiled code")
def test_a_full_table_of_levels_refuses_orders_at_new_prices_and_counts_levels() -> None:
    matching = Matching(around_px=2 * TICKS_AROUND)
    levels = np.repeat(snapshot((BUY, 1, 1)), MAX_LEVELS)
    levels["px"] = 2 * TICKS_AROUND - np.arange(MAX_LEVELS)
    levels["flags"] = 0
    levels["flags"][0], levels["flags"][-1] = 1, 2
    matching.background(levels)
    assert matching.levels_dropped == 0
    matching.background(depth(2, (BUY, 2 * TICKS_AROUND + 1, 1)))
    assert matching.levels_dropped == 1
    new_price, known_price = place(1, BUY, 2 * TICKS_AROUND + 1, 1), place(2, BUY, 2 * TICKS_AROUND, 1)
    outcomes = matching.operate(np.concatenate([new_price, known_price]))
    assert outcomes["reason"].tolist() == [Reason.ORDER_TABLE_FULL, Reason.NONE]
    matching.background(depth(3, (BUY, 2 * TICKS_AROUND - 5, 0)))
    assert matching.operate(new_price)["kind"].tolist() == [OutcomeKind.ACCEPTED]


@pytest.mark.pure
def test_ids_of_any_kind_are_found_again() -> None:
    """Ids that lie together in the index, over its end, are taken out of it in another order than they came."""
    random = np.random.default_rng(5)
    matching = Matching()
    many = np.arange(1, 2**21)
    home = ((many ^ many >> 31) & 2**31 - 1) * 2_654_435_769 >> 15 & ID_INDEX - 1
    assert home[6] == home_of(7)
    ids = [*many[(home + 2) % ID_INDEX < 4].tolist(), *(2**40 * np.arange(1, 60)).tolist(), 2**62]
    for order_id in random.permutation(ids).tolist():
        matching.operate(place(order_id, BUY, 100, 1))
    open_ids = set(ids)
    for order_id in random.permutation(ids).tolist():
        assert matching.operate(cancel(order_id))["kind"].tolist() == [OutcomeKind.CANCELLED]
        open_ids.discard(order_id)
        assert matching.operate(cancel(order_id))["kind"].tolist() == [OutcomeKind.REJECTED]
        assert matching.open_orders == len(open_ids)
        probe = next(iter(open_ids), 0)
        assert probe == 0 or matching.operate(place(probe, BUY, 100, 1))["reason"] == Reason.DUPLICATE_ORDER_ID


def test_the_engine_takes_rows_that_lie_in_the_middle_of_a_frame() -> None:
    """What comes from a socket is read-only and often not aligned."""
    frame = b"\0" * 3 + place(1, BUY, 100, 5).tobytes()
    assert len(Matching().operate(np.frombuffer(frame, OPERATION, offset=3))) == 1
    frame = b"\0" * 3 + snapshot((BUY, 100, 5)).tobytes()
    matching = Matching()
    matching.background(np.frombuffer(frame, TICK, offset=3))
    assert matching.best_bid == 100
