"""Three venues of lots of different sizes, played against one order in whatever way."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as draw

from oms.records import OrderState, Reason, ReportKind, TimeInForce
from tests.oms.algos.builders import PARENT
from tests.oms.algos.sor_rig import HOME, SorRig, spot
from tests.oms.core.builders import MS, SECOND, report, snapshot

Action = tuple[str, int, int, int]

MIXED: Final = (HOME, spot(1, "double", lot="0.2", min_qty="0.4"), spot(2, "half", lot="0.5", quote="USDC"))
UNITS: Final = {0: 1, 1: 2, 2: 5}
TARGET: Final = 60


class Play:
    """Plays the venues of ``MIXED`` against one order, and counts what has been filled; ``core`` may be changed."""

    def __init__(self, core: SorRig, side: int, px: int) -> None:
        self.core = core
        self.side = side
        self.units = 0
        for route in range(3):
            self.show(route, 2, 10)
        self.core.go(side, TARGET, px, patience_s=1.0)

    def show(self, route: int, offset: int, qty: int) -> None:
        """A book of two levels each side around 100."""
        bid, ask = 99 + offset, 101 + offset
        self.core.ticks(snapshot(route, {bid: qty, bid - 2: qty}, {ask: qty, ask + 2: qty}))

    def fill(self, child: Any, qty: int) -> None:
        qty = min(qty, int(child["qty"] - child["filled_qty"]))
        self.units += qty * UNITS[int(child["instrument"])]
        self.core.fill(child, qty)

    def answer(self, child: Any, word: str, qty: int) -> None:
        """One answer of a venue to the request in hand about a child, or a fill, whenever it comes."""
        takes = child["time_in_force"] == TimeInForce.IOC
        state = child["state"]
        if word == "fill":
            self.fill(child, qty)
        elif word == "no" and state == OrderState.PENDING_NEW and child["filled_qty"] == 0:
            self.core.reject(child)
        elif word == "no" and state == OrderState.PENDING_AMEND:
            self.core.reports(report(ReportKind.AMEND_REJECTED, int(child["order_id"]), reason=Reason.BAD_PRICE))
        elif takes:
            self.core.expire(child)
        elif state == OrderState.PENDING_NEW:
            self.core.accept(child)
        elif state == OrderState.PENDING_CANCEL:
            self.core.confirm_cancel(child)
        elif state == OrderState.PENDING_AMEND and child["pending_qty"] > child["filled_qty"]:
            self.core.confirm_amend(child)

    def check(self) -> None:
        parent = self.core.order(PARENT)
        pending = sum(
            int(max(child["qty"], child["pending_qty"]) - child["filled_qty"]) * UNITS[int(child["instrument"])]
            for child in self.core.open_children
        )
        assert self.units + pending <= TARGET, "filled and open, whatever is in flight"
        assert parent["filled_qty"] == self.units
        for child in self.core.open_children:
            assert (int(child["px"]) - 103) * self.side <= 0, "no child is beyond the limit"

    def act(self, word: str, which: int, qty: int, lots: int) -> None:
        """Do one of ``actions``."""
        children = self.core.open_children
        if word == "show":
            self.show(which, qty, lots)
        elif word == "stale":
            self.core.stale(which)
        elif word == "wait":
            self.core.wait(which)
        elif children:
            self.answer(children[which % len(children)], word, qty)
        self.check()

    def finish(self) -> None:
        """Answer and fill everything until the order is done, and see that it is filled, to the unit."""
        for _ in range(60):
            if self.is_over:
                break
            for route in range(3):
                self.show(route, 0 if self.side > 0 else 4, 100)
            self.core.wait(SECOND)
            for child in self.core.open_children:
                if child["state"] == OrderState.PENDING_CANCEL:
                    self.core.confirm_cancel(child)
                else:
                    self.fill(child, int(child["qty"]))
                self.check()
        assert self.units == TARGET
        assert (self.core.order(PARENT)["state"], self.core.order(PARENT)["filled_qty"]) == (OrderState.FILLED, TARGET)

    @property
    def is_over(self) -> bool:
        return bool(self.core.order(PARENT)["parent_row"] == 0)


actions = draw.one_of(
    draw.tuples(draw.just("show"), draw.integers(0, 2), draw.integers(-3, 3), draw.integers(0, 30)),
    draw.tuples(draw.just("stale"), draw.integers(0, 2), draw.just(0), draw.just(0)),
    draw.tuples(draw.just("wait"), draw.sampled_from([MS, 60 * MS, 300 * MS, 2 * SECOND]), draw.just(0), draw.just(0)),
    draw.tuples(draw.sampled_from(["fill", "yes", "no"]), draw.integers(0, 5), draw.integers(1, 9), draw.just(0)),
)
