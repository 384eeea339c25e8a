"""The matching engine once more, as plainly as it can be said: lists that are searched, and no structure to go wrong.

An order knows how many lots of the background are ahead of it, and the book is every order by time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gateways.sandbox.matching import OperationFlag, OperationKind, OutcomeKind
from oms.records import Liquidity, OrderType, Reason, TickFlag, TickKind, TimeInForce

WORST: Final = 10**9


class Outcome(NamedTuple):
    """The fields of ``OUTCOME`` that the engine decides."""

    kind: int
    order_id: int
    account: int
    side: int
    px: int
    qty: int
    left: int
    reason: int = 0
    liquidity: int = 0
    trade_id: int = 0


@dataclass
class Order:
    order_id: int
    account: int
    side: int
    px: int
    qty: int
    left: int
    flags: int = 0
    ahead: int = 0


@dataclass
class Level:
    displayed: int = 0
    taken: int = 0

    @property
    def available(self) -> int:
        return self.displayed - self.taken


@dataclass
class Reference:
    """One instrument."""

    orders: list[Order] = field(default_factory=list)
    background: dict[tuple[int, int], Level] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    trades: int = 0
    last_trade: tuple[int, int] | None = None
    synced: bool = False
    skipping: bool = False
    update_id: int = 0
    gaps: int = 0

    # the book

    def queue(self, side: int, px: int) -> list[Order]:
        return [order for order in self.orders if order.side == side and order.px == px]

    def level(self, side: int, px: int) -> Level:
        return self.background.setdefault((side, px), Level())

    def visible(self, side: int, px: int) -> int:
        return self.level(side, px).available + sum(order.left for order in self.queue(side, px))

    def prices(self, side: int) -> list[int]:
        """Prices with visible quantity, best first."""
        known = {px for at, px in self.background if at == side}
        known |= {order.px for order in self.orders if order.side == side}
        return sorted((px for px in known if self.visible(side, px) > 0), reverse=side > 0)

    def levels(self, side: int) -> list[tuple[int, int]]:
        return [(px, self.visible(side, px)) for px in self.prices(side)]

    def find(self, order_id: int, account: int) -> Order | None:
        return next((each for each in self.orders if (each.order_id, each.account) == (order_id, account)), None)

    # telling

    def tell(self, kind: OutcomeKind, order: Order, reason: Reason = Reason.NONE) -> None:
        ended = kind in (OutcomeKind.CANCELLED, OutcomeKind.EXPIRED)
        qty, left = (order.left, 0) if ended else (order.qty, order.left)
        terms = (order.order_id, order.account, order.side, order.px)
        self.outcomes.append(Outcome(kind, *terms, qty, left, reason))

    def trade(self, px: int, qty: int, taker: Order | None, maker: Order | None) -> None:
        self.trades += 1
        self.last_trade = px, qty
        for order in (taker, maker):
            if order is not None:
                order.left -= qty
        if maker is not None and maker.left == 0:
            self.orders.remove(maker)
        for order, liquidity in ((taker, Liquidity.TAKER), (maker, Liquidity.MAKER)):
            if order is not None:
                who = (order.order_id, order.account, order.side)
                fill = (px, qty, order.left, Reason.NONE, liquidity, self.trades)
                self.outcomes.append(Outcome(OutcomeKind.FILL, *who, *fill))

    # operations

    def operate(self, operation: Any) -> None:
        kind, order_type, tif, flags = (int(operation[name]) for name in ("kind", "order_type", "tif", "flags"))
        order_id, account, side = (int(operation[name]) for name in ("order_id", "account", "side"))
        px, qty = int(operation["px"]), int(operation["qty"])
        asked = Order(order_id, account, side, px if order_type == OrderType.LIMIT else 0, qty, qty, flags)
        if kind == OperationKind.PLACE:
            self.place(asked, order_type, tif)
            return
        order = self.find(order_id, account)
        if order is None:
            asked.left = 0
            self.tell(OutcomeKind.REJECTED, asked, Reason.UNKNOWN_AT_EXCHANGE)
        elif kind == OperationKind.CANCEL:
            self.orders.remove(order)
            self.tell(OutcomeKind.CANCELLED, order, Reason.REQUESTED)
        else:
            self.amend(order, px, qty, flags)

    def place(self, order: Order, order_type: int, tif: int) -> None:
        limit = order.px if order_type == OrderType.LIMIT else order.side * WORST
        reason = Reason.NONE
        if order.flags & OperationFlag.POST_ONLY and (order_type, tif) != (OrderType.LIMIT, TimeInForce.GTC):
            reason = Reason.BAD_FLAGS
        elif order.qty < 1:
            reason = Reason.QTY_BELOW_MIN
        elif order_type == OrderType.LIMIT and order.px < 1:
            reason = Reason.BAD_PRICE
        elif any(each.order_id == order.order_id for each in self.orders):
            reason = Reason.DUPLICATE_ORDER_ID
        elif order.flags & OperationFlag.POST_ONLY and self.reached(order.side, limit):
            reason = Reason.POST_ONLY_WOULD_CROSS
        elif tif == TimeInForce.FOK and sum(self.visible(-order.side, px) for px in self.reached(order.side, limit)) < (
            order.qty
        ):
            reason = Reason.NO_LIQUIDITY
        if reason:
            order.left = 0
            self.tell(OutcomeKind.REJECTED, order, reason)
            return
        self.tell(OutcomeKind.ACCEPTED, order)
        prevention = order.flags & OperationFlag.EXPIRE_BOTH if tif != TimeInForce.FOK else 0
        self.work(order, limit, prevention, rests=(order_type, tif) == (OrderType.LIMIT, TimeInForce.GTC))

    def reached(self, side: int, limit: int) -> list[int]:
        """Prices of the other side at which an order of ``side`` takes, best first."""
        return [px for px in self.prices(-side) if (limit - px) * side >= 0]

    def work(self, order: Order, limit: int, prevention: int, *, rests: bool) -> None:
        for px in self.reached(order.side, limit):
            if not self.take(order, px, prevention):
                self.tell(OutcomeKind.EXPIRED, order, Reason.SELF_TRADE)
                return
        if order.left > 0 and rests:
            order.ahead = max([self.level(order.side, order.px).available, *self.aheads(order.side, order.px)])
            self.orders.append(order)
        elif order.left > 0:
            self.tell(OutcomeKind.EXPIRED, order, Reason.NO_LIQUIDITY)

    def aheads(self, side: int, px: int) -> list[int]:
        return [order.ahead for order in self.queue(side, px)]

    def take(self, order: Order, px: int, prevention: int) -> bool:
        """Take at one price; False when the order in hand is to expire for its own account's sake."""
        level = self.level(-order.side, px)
        for maker in self.queue(-order.side, px):
            self.take_background(order, px, min(maker.ahead, level.available))
            if order.left == 0:
                return True
            if prevention and maker.account == order.account:
                if prevention & OperationFlag.EXPIRE_MAKER:
                    self.orders.remove(maker)
                    self.tell(OutcomeKind.EXPIRED, maker, Reason.SELF_TRADE)
                if prevention & OperationFlag.EXPIRE_TAKER:
                    return False
                continue
            self.trade(px, min(order.left, maker.left), order, maker)
            if order.left == 0:
                return True
        self.take_background(order, px, level.available)
        return True

    def take_background(self, order: Order, px: int, qty: int) -> None:
        qty = min(qty, order.left)
        if qty > 0:
            self.level(-order.side, px).taken += qty
            self.pass_queue(-order.side, px, qty)
            self.trade(px, qty, order, None)

    def pass_queue(self, side: int, px: int, qty: int) -> None:
        for each in self.queue(side, px):
            each.ahead = max(each.ahead - qty, 0)

    def amend(self, order: Order, px: int, qty: int, flags: int) -> None:
        reason = Reason.BAD_PRICE if px < 1 else Reason.NONE
        reason = Reason.QTY_BELOW_MIN if qty < 1 else reason
        if reason:
            self.tell(OutcomeKind.REJECTED, order, reason)
            return
        filled = order.qty - order.left
        crosses = order.flags & OperationFlag.POST_ONLY and self.reached(order.side, px)
        if qty <= filled or crosses:
            self.orders.remove(order)
            why = Reason.QTY_BELOW_MIN if qty <= filled else Reason.POST_ONLY_WOULD_CROSS
            self.tell(OutcomeKind.CANCELLED, order, why)
            return
        keeps = flags & OperationFlag.KEEP_PRIORITY and px == order.px and qty < order.qty
        order.px, order.qty, order.left = px, qty, qty - filled
        self.tell(OutcomeKind.AMENDED, order)
        if not keeps:
            self.orders.remove(order)
            self.work(order, px, flags & OperationFlag.EXPIRE_BOTH, rests=True)

    # the stream

    def background_message(self, ticks: Iterable[Any]) -> None:
        for tick in ticks:
            kind, side, px, qty = (int(tick[name]) for name in ("kind", "side", "px", "qty"))
            if kind == TickKind.TRADE:
                self.on_trade(-side, px, qty)
            elif kind == TickKind.STALE:
                self.lose_stream()
            elif kind in (TickKind.DEPTH, TickKind.SNAPSHOT):
                if tick["flags"] & TickFlag.FIRST:
                    self.begin(kind, int(tick["update_id"]), int(tick["px_2"]))
                if self.skipping:
                    continue
                if side:
                    self.show(side, px, qty)
                if tick["flags"] & TickFlag.LAST:
                    self.finish(kind, int(tick["update_id"]))

    def begin(self, kind: int, update_id: int, previous_id: int) -> None:
        if kind == TickKind.SNAPSHOT:
            self.background.clear()
            self.skipping = False
            return
        is_gap = self.synced and update_id >= self.update_id and previous_id > self.update_id
        self.skipping = not self.synced or update_id < self.update_id or is_gap
        if is_gap:
            self.gaps += 1
            self.lose_stream()

    def finish(self, kind: int, update_id: int) -> None:
        self.update_id = update_id
        if kind == TickKind.SNAPSHOT:
            self.synced = True
            for order in self.orders:
                order.ahead = min(order.ahead, self.level(order.side, order.px).displayed)

    def lose_stream(self) -> None:
        self.synced = False
        self.skipping = True
        self.background.clear()

    def show(self, side: int, px: int, qty: int) -> None:
        level = self.background[side, px] = Level(qty)
        for order in self.queue(side, px):
            order.ahead = min(order.ahead, qty)
        for order in self.by_price(-side):
            if (px - order.px) * side >= 0:
                level.taken += self.fill(order, level.available)

    def by_price(self, side: int) -> list[Order]:
        """The orders of a side, best price first, then by time."""
        return sorted((each for each in self.orders if each.side == side), key=lambda each: -each.px * side)

    def on_trade(self, side: int, px: int, qty: int) -> None:
        volume = qty
        for order in self.by_price(side):
            if (order.px - px) * side > 0:
                volume -= self.fill(order, volume)
        for order in self.queue(side, px):
            passed = min(order.ahead, volume)
            volume -= passed
            self.pass_queue(side, px, passed)
            volume -= self.fill(order, volume)
        self.last_trade = px, qty

    def fill(self, order: Order, volume: int) -> int:
        filled = min(order.left, volume)
        if filled > 0:
            self.trade(order.px, filled, None, order)
        return filled
