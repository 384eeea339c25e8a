"""Whatever order things come in: a target is never exceeded, and filled once there is liquidity."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from oms.compiled import JIT
from oms.core.orders import fillable_qty
from oms.records import CommandKind, OrderState, Reason, ReportKind, TimeInForce
from tests.oms.algos.builders import PARENT, AlgoRig
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    MS,
    PERPETUAL,
    SELL,
    Records,
    amend,
    fill,
    report,
    snapshot,
    time_tick,
    trade,
)

LEAST: Final = 2
"""Lots of the smallest order of the instrument."""
LONG: Final = 100_000.0
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "twap": {"duration_s": 12.0, "slices": 3.0, "grace_s": LONG},
    "vwap": {"duration_s": 12.0, "slices": 5.0, "grace_s": LONG, "volume_1": 5.0, "volume_3": 0.0},
    "shortfall": {"duration_s": 12.0, "slices": 4.0, "grace_s": LONG, "kappa": 0.1},
    "pov": {"rate": 0.3, "min_rate": 0.25, "max_rate": 0.5},
}


class Random:
    """A core and an exchange with queues of requests and reports between them, which chance empties.

    Reports of one order come in the order in which they are sent, but that its acknowledgement may be late.
    """

    def __init__(self, name: str, side: int, target: int, limit: int, parameters: dict[str, Any]) -> None:
        self.core = AlgoRig(name, instruments=[PERPETUAL])
        self.core.open_market(0)
        self.requests: deque[Any] = deque()
        self.reports: list[Records] = []
        self.live: dict[int, dict[str, int]] = {}
        self.seen = self.trades = 0
        self.bound = target
        self.core.start(name, side, target, limit, **parameters)
        self.side = side

    def check(self) -> None:
        """Filled and open are within the target; after it was lowered, within what was open then."""
        parent = self.core.order(PARENT)
        used = int(parent["filled_qty"]) + sum(int(fillable_qty(child)) for child in self.core.open_children)
        self.bound = max(int(parent["qty"]), min(self.bound, used))
        assert used <= self.bound
        for request in self.core.sent[self.seen :]:
            if request["kind"] <= CommandKind.CANCEL:
                self.requests.append(request)
        self.seen = len(self.core.sent)

    def receive(self, accepts: bool) -> None:
        """The exchange takes the oldest request."""
        if not self.requests:
            return
        request = self.requests.popleft()
        order_id, kind = int(request["order_id"]), CommandKind(int(request["kind"]))
        if kind == CommandKind.NEW:
            if not accepts:
                self.reports.append(report(ReportKind.REJECTED, order_id, reason=Reason.NO_LIQUIDITY))
                return
            self.reports.append(report(ReportKind.ACCEPTED, order_id))
            self.live[order_id] = {name: int(request[name]) for name in ("px", "qty", "time_in_force")} | {"done": 0}
            return
        order = self.live.get(order_id)
        if kind == CommandKind.AMEND:
            if order is None or not accepts or request["qty"] <= order["done"]:
                self.reports.append(report(ReportKind.AMEND_REJECTED, order_id, reason=Reason.UNKNOWN_ORDER))
                return
            order["px"], order["qty"] = int(request["px"]), int(request["qty"])
            self.reports.append(report(ReportKind.AMENDED, order_id, px=order["px"], qty=order["qty"]))
        elif order is None:
            self.reports.append(report(ReportKind.CANCEL_REJECTED, order_id, reason=Reason.UNKNOWN_ORDER))
        else:
            self.reports.append(report(ReportKind.CANCELLED, order_id))
            del self.live[order_id]

    def trade(self, at: int, qty: int) -> None:
        """One of the orders at the exchange fills in part, or, where it is immediate, has its rest expired."""
        if not self.live:
            return
        order_id = sorted(self.live)[at % len(self.live)]
        order = self.live[order_id]
        qty = min(qty, order["qty"] - order["done"])
        if qty > 0:
            self.trades += 1
            order["done"] += qty
            self.reports.append(fill(order_id, qty, order["px"], side=self.side, trade_id=self.trades))
        if order["done"] == order["qty"]:
            del self.live[order_id]
        elif order["time_in_force"] == TimeInForce.IOC:
            self.reports.append(report(ReportKind.EXPIRED, order_id, reason=Reason.NO_LIQUIDITY))
            del self.live[order_id]

    def settle(self) -> None:
        """All that is under way arrives, and what it gives rise to."""
        while self.requests or self.reports:
            self.receive(True)
            self.deliver(0)
            self.check()

    def drop(self, at: int) -> None:
        """The exchange cancels an order that nobody has asked it to cancel."""
        if self.live:
            order_id = sorted(self.live)[at % len(self.live)]
            self.reports.append(report(ReportKind.CANCELLED, order_id))
            del self.live[order_id]

    def deliver(self, at: int) -> None:
        """One report reaches the core: the oldest of its order, or the one behind an acknowledgement."""
        if not self.reports:
            return
        number = at % len(self.reports)
        order_id = self.reports[number]["order_id"][0]
        mine = [each for each in range(number + 1) if self.reports[each]["order_id"][0] == order_id]
        acknowledged = self.reports[mine[0]]["kind"][0] == ReportKind.ACCEPTED
        next_is_fill = len(mine) > 1 and self.reports[mine[1]]["kind"][0] == ReportKind.FILL
        self.core.reports(self.reports.pop(mine[1] if acknowledged and next_is_fill else mine[0]))

    def move(self, by: int, volume: int) -> None:
        """The touch moves, and others trade."""
        self.core.ticks(snapshot(0, {BID_PX + by: 1_000}, {ASK_PX + by: 1_000}), trade(BUY, ASK_PX + by, volume))

    def wait(self, ms: int) -> None:
        self.core.ticks(time_tick(self.core.now + ms * MS))

    def change(self, qty: int, limit: int) -> None:
        """The target becomes ``qty``, or what is filled; one that had a limit gets another."""
        parent = self.core.order(PARENT)
        px = BID_PX + limit if parent["px"] else 0
        self.core.commands(amend(PARENT, px, max(qty, int(parent["filled_qty"]), 1)))

    def is_open(self) -> bool:
        return bool(self.core.s["parents_open"])


ACTIONS: Final = some.one_of(
    some.tuples(some.just("wait"), some.integers(1, 6_000)),
    some.tuples(some.just("receive"), some.sampled_from([True, True, True, False])),
    some.tuples(some.just("trade"), some.integers(0, 3), some.integers(0, 30)),
    some.tuples(some.just("settle")),
    some.tuples(some.just("drop"), some.integers(0, 3)),
    some.tuples(some.just("deliver"), some.integers(0, 5)),
    some.tuples(some.just("move"), some.integers(-3, 3), some.integers(1, 60)),
    some.tuples(some.just("pause")),
    some.tuples(some.just("resume")),
    some.tuples(some.just("change"), some.integers(1, 150), some.integers(-3, 3)),
)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
@given(
    side=some.sampled_from([BUY, SELL]),
    target=some.integers(LEAST, 120),
    limit=some.sampled_from([0, BID_PX]),
    passive_slices=some.sampled_from([0.0, 0.6]),
    follow_ticks=some.sampled_from([0.0, 2.0]),
    actions=some.lists(ACTIONS, min_size=40, max_size=120),
)
@settings(max_examples=15 if JIT else 8, suppress_health_check=[HealthCheck.too_slow])
def test_a_target_is_never_exceeded_and_filled_at_last(
    name: str,
    side: int,
    target: int,
    limit: int,
    passive_slices: float,
    follow_ticks: float,
    actions: list[tuple[Any, ...]],
) -> None:
    more = {} if name == "pov" else {"passive_slices": passive_slices}
    run = Random(name, side, target, limit, {**PARAMETERS[name], **more, "follow_ticks": follow_ticks})
    run.check()
    for word, *arguments in actions:
        if run.is_open():
            target_of = run if hasattr(run, word) else run.core
            getattr(target_of, word)(*arguments)
            run.check()
    fill_at_last(run)
    parent = run.core.order(PARENT)
    left = int(parent["qty"] - parent["filled_qty"])
    assert left < LEAST, "less than that no venue takes"
    assert run.core.end()[0] == (OrderState.CANCELLED if left > 0 else OrderState.FILLED)


def fill_at_last(run: Random) -> None:
    """All requests are taken, all orders fill, the market is within the limit and trades a lot."""
    if run.is_open():
        run.core.resume()
        run.check()
    limit = int(run.core.order(PARENT)["px"])
    by = limit - (ASK_PX if run.side == BUY else BID_PX) if limit else 0
    for _ in range(400):
        if not run.is_open():
            return
        while run.requests or run.reports or run.live:
            run.receive(True)
            run.trade(0, 1_000)
            run.deliver(0)
            run.check()
        run.move(by, 200)
        run.wait(500)
        run.check()
    raise AssertionError("the order does not end")
