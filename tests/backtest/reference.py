"""The rules of ``displayed`` a second time, lot by lot and without regard to speed: what the model must agree with."""

from __future__ import annotations

from dataclasses import dataclass, field

from oms.records import OrderType, TimeInForce

Level = tuple[int, int]
"""Side and price."""


@dataclass
class Order:
    order_id: int
    side: int
    px: int
    leaves: int
    qty: int
    ahead: int = 0
    """Market lots that stand before this order, own orders not counted."""


@dataclass
class Exchange:
    """One instrument's exchange. ``fills`` grows by (order id, price, quantity, maker)."""

    displayed: dict[Level, int] = field(default_factory=dict)
    free: dict[Level, int] = field(default_factory=dict)
    """Lots of each displayed level that own orders have not taken since the feed showed it."""
    resting: list[Order] = field(default_factory=list)
    """In order of arrival."""
    fills: list[tuple[int, int, int, bool]] = field(default_factory=list)

    def clear(self) -> None:
        self.displayed.clear()
        self.free.clear()

    def show(self, side: int, px: int, qty: int) -> None:
        """The feed shows a level."""
        self.displayed[side, px] = self.free[side, px] = qty
        for order in self.resting:
            if (order.side, order.px) == (side, px):
                order.ahead = min(order.ahead, qty)
        while self.free[side, px] and (reached := self._best_reached(-side, px)):
            self.free[side, px] -= 1
            self._fill_one(reached, reached.px, maker=True)

    def trade(self, aggressor: int, px: int, qty: int) -> None:
        """The market trades: lot by lot, better priced own orders first, then the queue at the price."""
        side = -aggressor
        for _ in range(qty):
            reached = self._best_reached(side, px)
            if reached is None:
                return
            if reached.px != px:
                self._fill_one(reached, reached.px, maker=True)
                continue
            queue = [order for order in self.resting if (order.side, order.px) == (side, px)]
            if queue[0].ahead == 0:
                self._fill_one(queue[0], px, maker=True)
            else:
                for order in queue:
                    order.ahead -= 1

    def submit(self, order: Order, best: int, time_in_force: int, order_type: int, post_only: bool) -> None:
        """An order arrives while ``best`` is the best price of the other side (none: a price it does not reach)."""
        prices = sorted(
            (px for side, px in self.displayed if side == -order.side and (px - best) * order.side >= 0),
            reverse=order.side < 0,
        )
        if order_type != OrderType.MARKET:
            prices = [px for px in prices if (order.px - px) * order.side >= 0]
            if post_only and (order.px - best) * order.side >= 0:
                return
        offered = [px for px in prices for _ in range(self.free[-order.side, px])]
        if time_in_force == TimeInForce.FOK and len(offered) < order.leaves:
            return
        for px in offered[: order.leaves]:
            self.free[-order.side, px] -= 1
            self._fill_one(order, px, maker=False)
        if order.leaves and order_type != OrderType.MARKET and time_in_force == TimeInForce.GTC:
            same_level = [other.ahead for other in self.resting if (other.side, other.px) == (order.side, order.px)]
            order.ahead = max([self.displayed.get((order.side, order.px), 0), *same_level])
            self.resting.append(order)

    def cancel(self, order_id: int) -> None:
        self.resting = [order for order in self.resting if order.order_id != order_id]

    def amend(self, order_id: int, px: int, qty: int, best: int, post_only: bool) -> None:
        """Change price and total quantity of an order at rest."""
        order = next(order for order in self.resting if order.order_id == order_id)
        leaves = qty - (order.qty - order.leaves)
        stays = px == order.px and leaves <= order.leaves
        if not stays or leaves <= 0:
            self.cancel(order_id)
        order.px, order.qty, order.leaves = px, qty, leaves
        if not stays and leaves > 0:
            self.submit(order, best, TimeInForce.GTC, OrderType.LIMIT, post_only)

    def _best_reached(self, side: int, px: int) -> Order | None:
        """The first own order of the best price at or through ``px``."""
        reached = [order for order in self.resting if order.side == side and (order.px - px) * side >= 0]
        return max(reached, key=lambda order: order.px * side, default=None)

    def _fill_one(self, order: Order, px: int, *, maker: bool) -> None:
        order.leaves -= 1
        last = self.fills[-1] if self.fills else None
        if last and last[0] == order.order_id and last[1] == px and last[3] == maker:
            self.fills[-1] = (order.order_id, px, last[2] + 1, maker)
        else:
            self.fills.append((order.order_id, px, 1, maker))
        if order.leaves == 0:
            self.cancel(order.order_id)
