"""The core as far as reports concern it: every report must be legal in its order's state, and is applied."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from oms.core.orders import LEGAL, OrderInput
from oms.records import OrderState, ReportKind

OPEN = (OrderState.PENDING_NEW, OrderState.LIVE, OrderState.PENDING_AMEND, OrderState.PENDING_CANCEL)
FINAL = (ReportKind.AMENDED, ReportKind.AMEND_REJECTED, ReportKind.CANCELLED, ReportKind.EXPIRED)


@dataclass
class MirrorOrder:
    """One row of the core's order table."""

    side: int
    px: int
    qty: int
    state: OrderState = OrderState.PENDING_NEW
    filled_qty: int = 0
    pending_px: int = 0
    pending_qty: int = 0
    is_accepted: bool = False
    trades: set[int] = field(default_factory=set)

    def ask(self, order_input: OrderInput) -> bool:
        """Whether the core would let such a request go; then it has."""
        following = LEGAL[self.state].get(order_input)
        if following is None:
            return False
        self.state = following
        return True


class Mirror:
    """Orders, position and cash as the reports make them."""

    def __init__(self) -> None:
        self.orders: dict[int, MirrorOrder] = {}
        self.qty = 0
        self.cash = 0

    def take(self, report: np.void) -> None:
        """Apply a report; fails where the core would ignore it."""
        kind = ReportKind(int(report["kind"]))
        if kind is ReportKind.BALANCE:
            self.cash = int(report["fee"])
            return
        if kind is ReportKind.POSITION:
            self.qty = int(report["qty"])
            return
        order_id = int(report["order_id"])
        if kind is ReportKind.ADOPTED:
            assert order_id not in self.orders
            total, leaves = int(report["qty"]), int(report["leaves_qty"])
            self.orders[order_id] = MirrorOrder(
                int(report["side"]), int(report["px"]), total, OrderState.LIVE, total - leaves
            )
            return
        order = self.orders[order_id]
        order_input = self._input(order, kind, report)
        assert order_input in LEGAL[order.state], f"{kind.name} in {order.state.name}"
        order.is_accepted = True  # or it has ended, which is the same here
        if kind is ReportKind.FILL:
            self._fill(order, report)
        elif kind is ReportKind.AMENDED:
            assert report["qty"] >= order.filled_qty
            order.px, order.qty = int(report["px"]), int(report["qty"])
        if kind in (ReportKind.AMENDED, ReportKind.AMEND_REJECTED):
            order.pending_px = order.pending_qty = 0
        order.state = LEGAL[order.state][order_input]

    def _fill(self, order: MirrorOrder, report: np.void) -> None:
        qty, trade_id = int(report["qty"]), int(report["trade_id"])
        assert trade_id not in order.trades, f"trade {trade_id} twice"
        assert 0 < qty <= max(order.qty, order.pending_qty) - order.filled_qty
        order.trades.add(trade_id)
        if qty > order.qty - order.filled_qty:
            order.px, order.qty = order.pending_px, order.pending_qty
        order.filled_qty += qty
        self.qty += order.side * qty

    def _input(self, order: MirrorOrder, kind: ReportKind, report: np.void) -> OrderInput:
        """As ``oms.core.reports.input_of``."""
        is_open = order.state in OPEN
        if kind is ReportKind.FILL:
            left = order.qty - order.filled_qty
            fillable = max(order.qty, order.pending_qty) - order.filled_qty
            bound = fillable if is_open or report["qty"] > left else left
            return OrderInput.FILL_UP if report["qty"] == bound else OrderInput.FILL
        if not is_open or OrderInput(kind) not in LEGAL[order.state]:
            return OrderInput(kind)
        if kind is ReportKind.CANCEL_REJECTED:
            return OrderInput.CANCEL_REJECTED_FIRST if order.pending_qty else OrderInput(kind)
        qty = report["qty"] if kind is ReportKind.AMENDED else order.qty
        return OrderInput.FILL_UP if kind in FINAL and order.filled_qty == qty else OrderInput(kind)
