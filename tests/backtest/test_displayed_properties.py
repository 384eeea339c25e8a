"""The default exchange model over random books, trades and orders."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as some

from oms.core.orders import OPEN_STATES
from oms.core.state import ASK, BID
from oms.records import EventKind, OrderFlag, OrderState, OrderType, TimeInForce
from tests.backtest.consistency import check_model
from tests.backtest.reference import Exchange, Order
from tests.backtest.venue import MS, Venue, fills_of

PX = some.integers(999, 1002)
SIDE = some.sampled_from([1, -1])
QTY = some.integers(1, 6)
SHOWN = some.integers(0, 9)
VOLUME = some.integers(1, 20)
KIND = some.sampled_from(
    [
        (TimeInForce.GTC, OrderType.LIMIT, 0),
        (TimeInForce.GTC, OrderType.LIMIT, int(OrderFlag.POST_ONLY)),
        (TimeInForce.IOC, OrderType.LIMIT, 0),
        (TimeInForce.FOK, OrderType.LIMIT, 0),
        (TimeInForce.IOC, OrderType.MARKET, 0),
    ]
)
LEVELS = some.tuples(
    some.dictionaries(some.integers(998, 1000), QTY, max_size=3),
    some.dictionaries(some.integers(1001, 1003), QTY, max_size=3),
)


@dataclass(frozen=True)
class Snapshot:
    levels: tuple[dict[int, int], dict[int, int]]


@dataclass(frozen=True)
class Show:
    levels: list[tuple[int, int, int]]


@dataclass(frozen=True)
class Gap:
    side: int
    px: int


@dataclass(frozen=True)
class Trade:
    aggressor: int
    px: int
    qty: int


@dataclass(frozen=True)
class Submit:
    side: int
    px: int
    qty: int
    kind: tuple[TimeInForce, OrderType, int]


@dataclass(frozen=True)
class Cancel:
    number: int


@dataclass(frozen=True)
class Amend:
    number: int
    px: int
    qty: int


@dataclass(frozen=True)
class Wait:
    ms: int


NUMBER = some.integers(0, 7)
SUBMIT = some.builds(Submit, SIDE, PX, QTY, KIND)
SHOW = some.builds(Show, some.lists(some.tuples(SIDE, PX, SHOWN), min_size=1, max_size=3))
TRADE = some.builds(Trade, SIDE, PX, VOLUME)
AMEND = some.builds(Amend, NUMBER, some.one_of(some.just(0), PX), some.integers(0, 9))
CANCEL = some.builds(Cancel, NUMBER)
SNAPSHOT = some.builds(Snapshot, LEVELS)
GAP = some.builds(Gap, SIDE, PX)
WAIT = some.builds(Wait, some.integers(1, 5))
OFTEN = 9 * [SUBMIT] + 8 * [TRADE] + 4 * [SHOW] + 2 * [AMEND, CANCEL]
SOMETIMES = [SNAPSHOT, SNAPSHOT, SNAPSHOT, GAP, WAIT]
ACTION = some.sampled_from(2 * OFTEN + SOMETIMES).flatmap(lambda chosen: chosen)
ACTIONS = some.lists(ACTION, min_size=30, max_size=80)
Action = Submit | Show | Trade | Amend | Cancel | Snapshot | Gap | Wait


def act(venue: Venue, orders: list[int], action: Action) -> None:
    """Do one thing with the venue; an order that the action creates is appended to ``orders``."""
    chosen = orders[-1 - action.number % len(orders)] if isinstance(action, Cancel | Amend) and orders else 0
    match action:
        case Submit(side, px, qty, (time_in_force, order_type, flags)):
            px = 0 if order_type is OrderType.MARKET else px
            orders.append(venue.submit(side, px, qty, time_in_force, order_type, flags))
        case Show(levels):
            venue.show(*levels)
        case Trade(aggressor, px, qty):
            venue.trade(aggressor, px, qty)
        case Snapshot((bids, asks)):
            venue.snapshot(bids, asks)
        case Gap(side, px):
            venue.show_after_gap((side, px, 3))
        case Wait(ms):
            venue.wait(ms * MS)
        case Cancel() if chosen:
            venue.cancel(chosen)
        case Amend(_, px, qty) if chosen:
            venue.amend(chosen, px, qty)


class Twin:
    """The reference exchange, told what the venue was asked and shown."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.exchange = Exchange()
        self.synced = False

    def best(self, side: int) -> int:
        """Best price of the other side as an order of ``side`` sees it."""
        return int(self.venue.st[0]["books"][0]["best"][ASK if side > 0 else BID])

    def follow(self, action: Action, best: dict[int, int], order_id: int) -> None:
        """Do what the venue did; ``order_id`` is 0 when the core refused, ``best`` is from before the action."""
        exchange = self.exchange
        match action:
            case Submit(side, px, qty, (time_in_force, order_type, flags)) if order_id:
                exchange.submit(Order(order_id, side, px, qty, qty), best[side], time_in_force, order_type, bool(flags))
            case Show(levels) if self.synced:
                for side, px, qty in levels:
                    exchange.show(side, px, qty)
            case Trade(aggressor, px, qty) if self.synced:
                exchange.trade(aggressor, px, qty)
            case Snapshot((bids, asks)):
                exchange.clear()
                for side, levels_of_side in ((1, bids), (-1, asks)):
                    for px, qty in levels_of_side.items():
                        exchange.show(side, px, qty)
                self.synced = True
            case Gap():
                self.synced = False
            case Cancel() if order_id:
                exchange.cancel(order_id)
            case Amend() if order_id:
                order = self.venue.order(order_id)
                post_only = bool(order["flags"] & OrderFlag.POST_ONLY)
                exchange.amend(order_id, int(order["px"]), int(order["qty"]), best[int(order["side"])], post_only)


ASKED = (EventKind.ORDER_SUBMITTED, EventKind.CANCEL_SUBMITTED, EventKind.AMEND_SUBMITTED)
Fills = list[tuple[int, int, int, bool]]


def merged(fills: Fills) -> Fills:
    """Neighbouring fills of one order at one price as one: the reference fills lot by lot."""
    together: Fills = []
    for order_id, px, qty, maker in fills:
        if together and together[-1][:2] == (order_id, px) and together[-1][3] == maker:
            together[-1] = (order_id, px, together[-1][2] + qty, maker)
        else:
            together.append((order_id, px, qty, maker))
    return together


@settings(max_examples=80, deadline=None)
@given(ACTIONS)
def test_the_model_agrees_with_the_rules_applied_lot_by_lot(actions: list[Action]) -> None:
    venue = Venue()
    twin = Twin(venue)
    orders: list[int] = []
    for action in [Snapshot(({999: 5, 998: 3}, {1001: 5, 1002: 3})), *actions]:
        step = len(venue.events)
        best = {side: twin.best(side) for side in (1, -1)}
        act(venue, orders, action)
        events = venue.events_since(step)
        asked = [int(row["order_id"]) for row in events if row["kind"] in ASKED]
        twin.follow(action, best, asked[0] if asked else 0)
        fills = [(fill.order_id, fill.px, fill.qty, fill.maker) for fill in fills_of(events)]
        assert merged(fills) == merged(twin.exchange.fills)
        twin.exchange.fills.clear()
        assert venue.resting() == {order.order_id: order.leaves for order in twin.exchange.resting}
        check_model(venue.st)


@settings(max_examples=50, deadline=None)
@given(ACTIONS)
def test_own_fills_never_exceed_what_was_displayed_or_traded(actions: list[Action]) -> None:
    venue = Venue()
    orders: list[int] = []
    left: dict[tuple[int, int], int] = {}
    synced = False
    for action in actions:
        step = len(venue.events)
        act(venue, orders, action)
        fills = fills_of(venue.events_since(step))
        synced = (synced or isinstance(action, Snapshot)) and not isinstance(action, Gap)
        shown = shown_by(action) if synced else []
        if isinstance(action, Snapshot):
            left.clear()
        left.update({(side, px): qty for side, px, qty in shown})
        for fill in fills:
            if fill.maker:
                continue
            left[-fill.side, fill.px] -= fill.qty
            assert left[-fill.side, fill.px] >= 0, f"takers got more than was displayed at {fill.px}"
        for side in (1, -1):
            made = sum(fill.qty for fill in fills if fill.maker and fill.side == -side)
            traded = action.qty if isinstance(action, Trade) and action.aggressor == side else 0
            assert made <= traded + sum(qty for of, _, qty in shown if of == side)


def shown_by(action: Action) -> list[tuple[int, int, int]]:
    """The levels that an action shows: side, price, quantity."""
    match action:
        case Show(levels):
            return levels
        case Snapshot((bids, asks)):
            return [(1, px, qty) for px, qty in bids.items()] + [(-1, px, qty) for px, qty in asks.items()]
    return []


LATENCY_NS = some.sampled_from([0, 1, MS, 3 * MS, 10 * MS])


@settings(max_examples=50, deadline=None)
@given(ACTIONS, LATENCY_NS, LATENCY_NS, some.sampled_from(["displayed", "no_partial_fill"]))
def test_every_order_ends_or_rests_whatever_the_latency(
    actions: list[Action], entry_ns: int, response_ns: int, model: str
) -> None:
    venue = Venue(model, entry_ns=entry_ns, response_ns=response_ns)
    orders: list[int] = []
    for action in [Snapshot(({999: 5}, {1001: 5})), *actions]:
        act(venue, orders, action)
        check_model(venue.st, queues_in_order=model == "displayed")
    venue.wait(100 * MS)
    s = venue.st[0]
    assert s["model"]["request_count"] == s["model"]["answer_count"] == s["reports_ignored"] == 0
    held = 0
    left = venue.resting()
    events = venue.all_events
    sent = set(events["order_id"][events["kind"] == EventKind.ORDER_SUBMITTED].tolist())
    filled_by_id: Counter[int] = Counter()
    for fill in fills_of(events):
        filled_by_id[fill.order_id] += fill.qty
    for order_id in orders:
        if order_id not in sent:
            continue
        order = venue.order(order_id)
        filled = filled_by_id[order_id]
        assert filled == order["filled_qty"] <= order["qty"]
        held += filled * int(order["side"])
        if order_id in left:
            assert order["state"] == OrderState.LIVE
            assert left[order_id] == order["qty"] - filled
        else:
            assert order["state"] not in OPEN_STATES
            assert (order["state"] == OrderState.FILLED) == (filled == order["qty"])
    assert s["positions"][0, 0, 0]["qty"] == held
