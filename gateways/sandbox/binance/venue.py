"""Binance USD-M futures over one recorded instrument: what a request or a frame of the recording leads to."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from gateways.sandbox.accounts import Ledger
from gateways.sandbox.binance.account import KEY_PERMISSIONS
from gateways.sandbox.binance.front import Front
from gateways.sandbox.binance.limits import RateLimits
from gateways.sandbox.binance.listen_keys import ListenKeys
from gateways.sandbox.binance.orders import REFUSALS
from gateways.sandbox.binance.public import aggregate_event, mark_event
from gateways.sandbox.binance.routes import ROUTES
from gateways.sandbox.binance.streams import Streams
from gateways.sandbox.binance.views import Json, Views
from gateways.sandbox.conditionals import Conditional
from gateways.sandbox.exchange import Engine, Event
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.inverse_ledger import ledger_of
from gateways.sandbox.market import TRADE_FIELDS, Batch, Frame, RecordedMarket, Trade

HOSTS: Final = ("fapi.binance.com", "fstream.binance.com", "api.binance.com")
"""The exchange's hosts that the sandbox stands for."""

MARK_MS: Final = 1000
"""Of the recording, between two mark prices."""


class Venue(Front[Ledger]):
    """USD-M futures.

    Parameters
    ----------
    market
        The recording, open: its book is there.
    engine
        Of the same instrument.
    opened
        What opening the market took.
    faults
        What goes wrong.
    """

    hosts: tuple[str, ...] = HOSTS
    routes = ROUTES
    refusals = REFUSALS
    views_type: ClassVar[type[Views]] = Views

    def __init__(self, market: RecordedMarket, engine: Engine, opened: Batch, faults: FaultPlan | None = None) -> None:
        super().__init__(market, ledger_of(market.instrument), engine, faults, KEY_PERMISSIONS, RateLimits())
        self.views = self.views_type(self.exchange, self.instrument, market.px_decimals)
        self.listen_keys = ListenKeys(self.timers, self._tell_expired)
        self._marked_ms = 0
        self.conditionals.listeners.append(self._on_conditional)
        self.exchange.move(opened.ticks)

    def pay_funding(self, rate: int) -> None:
        """Have funding be paid now at a rate in 1e-8, and tell whom it concerns."""
        for account, amount in self.exchange.pay_funding(rate):
            key = self.listen_keys.of(account)
            self._tell(key, self.views.funding_update(account, amount, self.clock.now_ms))

    def take(self, batch: Batch) -> None:
        """As every front, and liquidate accounts whose margin is used up; ids as "Event: Order Update" has them."""
        super().take(batch)
        for account in self.exchange.accounts:
            if self.exchange.ledger.is_exhausted(account, self.exchange.mark_px):
                self.exchange.liquidate(account, f"autoclose-{self.clock.now_ms}")

    def new_streams(self) -> Streams:
        """Three entries, as ``gateways.sandbox.binance.streams`` says."""
        return Streams(self)

    def expire_subscription(self, name: str) -> None:
        """It is a listen key."""
        self.expire_listen_key(name)

    def expire_listen_key(self, key: str) -> None:
        """Make a listen key invalid now."""
        for account in self.exchange.accounts:
            if self.listen_keys.of(account) == key:
                self.listen_keys.expire(account)

    def _pass_on(self, frame: Frame) -> None:
        super()._pass_on(frame)
        streams = self.streams
        event_ms = frame.ts // 1_000_000 + self.shift_ms
        if frame.channel == "trade" and frame.records and streams.are_heard("aggTrade"):
            trade = Trade(*frame.ticks[list(TRADE_FIELDS)].tolist()[0])
            streams.publish("aggTrade", msgspec.json.encode(aggregate_event(self, trade, event_ms)))
        if not self._marked_ms <= event_ms < self._marked_ms + MARK_MS:
            self._marked_ms = event_ms
            streams.publish("markPrice", msgspec.json.encode(mark_event(self, event_ms)))

    def _on_event(self, event: Event) -> None:
        key = self.listen_keys.of(event.order.account)
        if event.fill is not None:
            self._tell(key, self.views.account_update(event.order.account, event.ts_ms))
        self._tell(key, self.views.order_update(event))

    def _on_conditional(self, conditional: Conditional) -> None:
        self._tell(self.listen_keys.of(conditional.account), self.views.conditional_update(conditional))

    def _tell(self, key: str | None, event: Json) -> None:
        self.streams.publish_private(key, msgspec.json.encode(event))

    def _tell_expired(self, key: str) -> None:
        """listenKeyExpired; the exchange writes this event's time as text, as a client's log of one shows."""
        event = {"e": "listenKeyExpired", "E": str(self.clock.now_ms), "listenKey": key}
        for connection in self.streams.connections:
            if connection.entry == "private" and key in connection.names:
                connection.tell(msgspec.json.encode(event))
