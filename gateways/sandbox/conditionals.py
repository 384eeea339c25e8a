"""Conditional orders: they wait beside the book for a price, and become orders when it is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Any, Final

from gateways.sandbox.accounts import Account, Order
from gateways.sandbox.exchange import Event, Exchange, RefusedError, What
from oms.records import OrderType, TimeInForce

FIRST_ALGO_ID: Final = 2_146_760


class Waiting(Enum):
    """States of a conditional order, under the venue's names (Binance, "Event: Algo Order Update")."""

    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    """The order that it became is in the book."""
    FINISHED = "FINISHED"
    """The order that it became is filled or cancelled."""
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    """The order that it was to become was refused."""
    EXPIRED = "EXPIRED"


class Source(Enum):
    """Which price a conditional order waits for."""

    LAST = "CONTRACT_PRICE"
    MARK = "MARK_PRICE"


@dataclass(slots=True)
class Conditional:
    """One conditional order; prices in ticks, 0: it has none.

    ``rises`` is +1 when it triggers at its trigger price or above, -1 at or below. A trailing one has a ``callback``,
    the part of the best price since it was activated by which the market must turn.
    """

    account: Account
    client_id: str
    kind: str
    side: int
    qty: int
    px: int
    trigger_px: int
    rises: int
    time_in_force: TimeInForce
    source: Source = Source.LAST
    is_reduce_only: bool = False
    closes_position: bool = False
    callback: Fraction = Fraction(0)
    best_px: Fraction = Fraction(0)
    """Of a trailing one, since it was activated; 0: it is not."""
    algo_id: int = 0
    state: Waiting = Waiting.NEW
    order_id: int = 0
    """Of the order that it becomes, where that is known before; 0: it gets one then."""
    order: Order | None = None
    failure: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    triggered_ms: int = 0

    def is_reached(self, px: Fraction) -> bool:
        """Whether a price triggers it; a trailing one remembers the best."""
        if not self.callback:
            return self.rises * (px - self.trigger_px) >= 0
        if not self.best_px:
            if self.trigger_px and self.side * (px - self.trigger_px) > 0:
                return False
            self.best_px = px
        self.best_px = min(self.best_px * self.side, px * self.side) * self.side
        return self.side * (px - self.best_px * (1 + self.side * self.callback)) >= 0


class Conditionals:
    """The conditional orders of an exchange.

    Attributes
    ----------
    listeners : list of callable
        Each is called with a conditional order whose state has changed.
    all : dict of Conditional by algo id
    """

    def __init__(self, exchange: Exchange[Any]) -> None:
        self.listeners: list[Callable[[Conditional], None]] = []
        self.all: dict[int, Conditional] = {}
        self._exchange = exchange
        self._open: dict[int, Conditional] = {}
        exchange.listeners.append(self._on_event)

    @property
    def are_open(self) -> bool:
        """Whether any waits."""
        return bool(self._open)

    def open_of(self, account: Account) -> list[Conditional]:
        """Those of an account that still wait."""
        return [each for each in self._open.values() if each.account is account]

    def would_trigger(self, conditional: Conditional) -> bool:
        """Whether it would trigger at once."""
        px = self._px(conditional.source)
        return bool(px) and not conditional.callback and conditional.is_reached(px)

    def place(self, conditional: Conditional) -> None:
        """Take a new one."""
        conditional.algo_id = FIRST_ALGO_ID + len(self.all)
        conditional.created_ms = self._exchange.now_ms
        self.all[conditional.algo_id] = self._open[conditional.algo_id] = conditional
        self._set(conditional, Waiting.NEW)

    def cancel(self, conditional: Conditional, state: Waiting = Waiting.CANCELED) -> None:
        """Take away one that waits."""
        del self._open[conditional.algo_id]
        self._set(conditional, state)

    def check(self) -> None:
        """Trigger what the prices of now reach."""
        for conditional in list(self._open.values()):
            px = self._px(conditional.source)
            if px and conditional.is_reached(px):
                self._trigger(conditional)

    def _px(self, source: Source) -> Fraction:
        return self._exchange.mark_px if source is Source.MARK else Fraction(self._exchange.last_px)

    def _trigger(self, conditional: Conditional) -> None:
        del self._open[conditional.algo_id]
        conditional.triggered_ms = self._exchange.now_ms
        self._set(conditional, Waiting.TRIGGERING)
        account = conditional.account
        qty = abs(account.qty) if conditional.closes_position else conditional.qty
        order = Order(
            account,
            conditional.client_id,
            conditional.side,
            OrderType.LIMIT if conditional.px else OrderType.MARKET,
            conditional.time_in_force if conditional.px else TimeInForce.IOC,
            qty,
            px=conditional.px,
            is_reduce_only=conditional.is_reduce_only or conditional.closes_position,
            order_id=conditional.order_id,
            created_ms=conditional.created_ms if conditional.order_id else 0,
            of_conditional=conditional.algo_id,
        )
        conditional.order = order
        try:
            self._exchange.place(order)
        except RefusedError as error:
            conditional.order = None
            conditional.failure = error.refusal.name
            self._set(conditional, Waiting.EXPIRED if conditional.closes_position else Waiting.REJECTED)

    def _on_event(self, event: Event) -> None:
        conditional = self.all.get(event.order.of_conditional)
        if conditional is None:
            return
        if event.what is What.NEW:
            self._set(conditional, Waiting.TRIGGERED)
        if not event.order.status.is_open:
            self._set(conditional, Waiting.FINISHED)

    def _set(self, conditional: Conditional, state: Waiting) -> None:
        conditional.state = state
        conditional.updated_ms = self._exchange.now_ms
        for listener in self.listeners:
            listener(conditional)
