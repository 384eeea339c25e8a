"""Queries: requests that change nothing, answered at once from the replica."""

from __future__ import annotations

import time
from itertools import islice
from typing import Final

from oms.config import Settings
from oms.core.state import MAX_ACCOUNTS
from oms.definitions import Definitions
from oms.lifecycle import Heartbeat
from oms.records import ORDER_ID_COUNTER_BITS
from rpc.core_link import CoreLink
from rpc.entities import UNKNOWN, Outcome
from rpc.event_stream import EventStream
from rpc.feed import process_of
from rpc.ledger import Ledger
from rpc.messages import Fills, Instruments, OrderReply, Orders, Pong, Positions, Reply, Standings, Status
from rpc.own_orders import OwnOrders
from rpc.replica import Replica
from rpc.requests import GetFills, GetInstruments, GetOrder, GetOrders, GetPositions, GetStandings, GetStatus, Ping
from rpc.sessions import Session
from rpc.translation import named_account, named_instrument, named_strategy
from rpc.views import REASONS, TRADING_STATES, Views

NO_CLIENT: Final = -1
"""An index that no order has: a client that never placed one."""


class Queries:
    def __init__(
        self,
        settings: Settings,
        definitions: Definitions,
        ledger: Ledger,
        replica: Replica,
        views: Views,
        stream: EventStream,
        link: CoreLink,
        own_orders: OwnOrders,
    ) -> None:
        self.heartbeats: dict[str, Heartbeat] = {}
        self._settings = settings
        self._definitions = definitions
        self._ledger = ledger
        self._replica = replica
        self._views = views
        self._stream = stream
        self._link = link
        self._own_orders = own_orders

    def ping(self, _session: Session, request: Ping) -> Reply:
        return Pong(request_id=request.request_id, ts=time.time_ns())

    def order(self, session: Session, request: GetOrder) -> Reply:
        row = self._own_orders.find(session.client, request.client_order_id, request.order_id)
        order = self._own_orders.state(row)
        outcome: Outcome = "acknowledged" if self._own_orders.is_known(row) else "unknown"
        return OrderReply(request_id=request.request_id, outcome=outcome, order=order)

    def orders(self, session: Session, request: GetOrders) -> Reply:
        instrument = (
            None if request.symbol is None else named_instrument(self._settings, self._definitions, request.symbol).id
        )
        found, cursor = self._replica.page_of_orders(
            open_only=request.open_only,
            client_index=self._client_index(session) if request.scope == "own" else None,
            instrument=instrument,
            before=request.cursor,
            limit=request.limit,
        )
        orders = tuple(
            self._views.order(order_id, known, is_open=order_id in self._replica.open) for order_id, known in found
        )
        return Orders(request_id=request.request_id, orders=orders, cursor=cursor)

    def fills(self, session: Session, request: GetFills) -> Reply:
        index = self._client_index(session)
        wanted = (
            self._views.fill(fill, row)
            for fill, row in self._replica.fills_after(request.after_session, request.after_seq)
            if request.scope == "account" or row.order_id >> ORDER_ID_COUNTER_BITS == index
        )
        fills = tuple(islice(wanted, request.limit + 1))
        return Fills(request_id=request.request_id, fills=fills[: request.limit], more=len(fills) > request.limit)

    def positions(self, _session: Session, request: GetPositions) -> Reply:
        account = -1 if request.account is None else named_account(self._settings, request.account)
        strategy = named_strategy(self._settings, request.strategy)
        positions = tuple(
            self._views.position(row)
            for row in self._replica.positions.values()
            if account in (-1, row.account) and strategy in (-1, row.strategy)
        )
        return Positions(request_id=request.request_id, positions=positions)

    def standings(self, _session: Session, request: GetStandings) -> Reply:
        replica = self._replica
        scopes = [
            *range(len(self._settings.accounts)),
            *(MAX_ACCOUNTS + number for number in range(len(self._settings.strategies))),
        ]
        standings = tuple(
            self._views.standing(scope, replica.standings.get(scope), replica.trading_state(scope)) for scope in scopes
        )
        return Standings(request_id=request.request_id, standings=standings)

    def status(self, _session: Session, request: GetStatus) -> Reply:
        now = time.time_ns()
        state, reason = self._replica.trading_state(0)
        return Status(
            request_id=request.request_id,
            trading_state=TRADING_STATES.get(state, UNKNOWN),
            trading_reason=REASONS.get(reason, UNKNOWN),
            core_available=not self._link.problem,
            core_session=self._stream.session,
            next_seq=self._stream.next_seq,
            complete=self._stream.complete,
            processes=tuple(
                process_of(heartbeat, (now - heartbeat.ts) / 1e9) for heartbeat in self.heartbeats.values()
            ),
        )

    def instruments(self, _session: Session, request: GetInstruments) -> Reply:
        return Instruments(request_id=request.request_id, instruments=self._views.instruments())

    def _client_index(self, session: Session) -> int:
        index = self._ledger.client_index(session.client)
        return NO_CLIENT if index is None else index
