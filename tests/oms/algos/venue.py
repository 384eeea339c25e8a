"""A played exchange: it answers every request that has left a core by the book that the core was shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oms.records import CommandKind, OrderState, TimeInForce
from tests.oms.algos.builders import AlgoRig
from tests.oms.core.builders import ASK_PX, BID_PX, BUY, SECOND, time_tick


class PlayedVenue:
    """Takes orders at one touch: a crossing order gets what is displayed, and it is displayed anew each time."""

    def __init__(self, core: AlgoRig, *, bid: int = BID_PX, ask: int = ASK_PX, displayed: int = 1_000) -> None:
        self.core = core
        self.bid = bid
        self.ask = ask
        self.displayed = displayed
        self.seen = 0
        self.amends = 0

    def answer(self) -> None:
        """Answer until nothing more is asked; the book is refilled for each request."""
        while self.seen < len(self.core.sent):
            request = self.core.sent[self.seen]
            self.seen += 1
            if request["kind"] <= CommandKind.CANCEL:
                self._answer(self.core.order(int(request["order_id"])), CommandKind(int(request["kind"])))

    def _answer(self, order: Any, kind: CommandKind) -> None:
        if kind == CommandKind.CANCEL:
            self.core.confirm_cancel(order)
            return
        if kind == CommandKind.AMEND:
            self.amends += 1
            self.core.confirm_amend(order)
        else:
            self.core.accept(order)
        side = int(order["side"])
        far = self.ask if side == BUY else self.bid
        leaves = int(order["qty"] - order["filled_qty"])
        if (int(order["px"]) - far) * side >= 0 and leaves > 0 and order["state"] == OrderState.LIVE:
            self.core.fill(order, min(leaves, self.displayed), far)
        if order["time_in_force"] == TimeInForce.IOC and order["state"] == OrderState.LIVE:
            self.core.expire(order)

    def run(self, seconds: float, step_s: float = 1.0) -> Iterator[float]:
        """Let time go on, answering after each step; yields the seconds that have gone."""
        begin = self.core.now
        steps = round(seconds / step_s)
        for number in range(1, steps + 1):
            self.core.ticks(time_tick(begin + int(number * step_s * SECOND)))
            self.answer()
            yield number * step_s

    def until(self, seconds: float, step_s: float = 1.0) -> None:
        for _ in self.run(seconds, step_s):
            pass
