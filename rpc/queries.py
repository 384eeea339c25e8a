"""Queries: requests that change nothing, answered at once from the replica."""

from __future__ import annotations

import time
from itertools import islice
from typing import Final

from oms.config import Settings
from oms.core.state import MAX_ACCOUNTS
from oms.definitions import Definitions
from oms.lifecycle import Heartbeat
from oms.record_fields import command_fields, event_fields
from oms.records import ALGORITHM_CLIENT, ORDER_ID_COUNTER_BITS, Reason, Trigger
from rpc.core_link import CoreLink
from rpc.entities import UNKNOWN, AlgorithmInfo, Order, Outcome, Progress
from rpc.event_stream import EventStream
from rpc.feed import process_of
from rpc.ledger import Ledger
from rpc.ledger_rows import LedgerRow
from rpc.messages import (
    Algorithms,
    Fills,
    Instruments,
    OrderReply,
    Orders,
    Pong,
    Positions,
    ProgressReply,
    Reply,
    Standings,
    Status,
)
from rpc.own_orders import OwnOrders
from rpc.progress import progress_of
from rpc.refusals import RefusalError
from rpc.replica import Replica, owner_index
from rpc.requests import (
    GetAlgorithms,
    GetFills,
    GetInstruments,
    GetOrder,
    GetOrders,
    GetPositions,
    GetProgress,
    GetStandings,
    GetStatus,
    Ping,
)
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
        child = self._own_child(session, request.order_id)
        if child is not None:
            return OrderReply(request_id=request.request_id, outcome="acknowledged", order=child)
        row = self._own_orders.find(session.client, request.client_order_id, request.order_id)
        order = self._own_orders.state(row)
        outcome: Outcome = "acknowledged" if self._own_orders.is_known(row) else "unknown"
        return OrderReply(request_id=request.request_id, outcome=outcome, order=order)

    def _own_child(self, session: Session, order_id: int | None) -> Order | None:
        """The child order of that id that an algorithm has placed for the client; None: there is none."""
        if order_id is None or order_id >> ORDER_ID_COUNTER_BITS != ALGORITHM_CLIENT:
            return None
        known = self._replica.orders.get(order_id)
        if known is None or owner_index(order_id, self._replica.terms) != self._client_index(session):
            return None
        return self._views.order(order_id, known, is_open=order_id in self._replica.open)

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
            if request.scope == "account" or owner_index(row.order_id, self._replica.terms) == index
        )
        fills = tuple(islice(wanted, request.limit + 1))
        return Fills(request_id=request.request_id, fills=fills[: request.limit], more=len(fills) > request.limit)

    def algorithms(self, _session: Session, request: GetAlgorithms) -> Reply:
        algorithms = tuple(
            AlgorithmInfo(name=name, summary=each.summary, parameters=each.parameters, ranges=each.ranges)
            for name, each in self._views.terms_book.algorithms.items()
        )
        return Algorithms(request_id=request.request_id, algorithms=algorithms)

    def progress(self, session: Session, request: GetProgress) -> Reply:
        if request.client_order_id is not None or request.order_id is not None:
            row = self._own_orders.find(session.client, request.client_order_id, request.order_id)
            one = (self._progress_of(row.order_id, self._last_event(row)),)
            return ProgressReply(request_id=request.request_id, progress=one, cursor=None)
        found, cursor = self._replica.page_of_orders(
            open_only=request.open_only,
            client_index=self._client_index(session) if request.scope == "own" else None,
            worked_only=True,
            before=request.cursor,
            limit=request.limit,
        )
        progress = tuple(self._progress_of(order_id, known.record) for order_id, known in found)
        return ProgressReply(request_id=request.request_id, progress=progress, cursor=cursor)

    def _last_event(self, row: LedgerRow) -> bytes:
        """The last event of an order that an algorithm works; raises ``RefusalError`` where there is none."""
        if command_fields(row.command).trigger != Trigger.ALGORITHM:
            order = self._own_orders.state(row)
            raise RefusalError(
                Reason.NO_PARENT, f"no algorithm works order {row.client_order_id!r}: ask for its state", order
            )
        known = self._replica.orders.get(row.order_id)
        record = known.record if known is not None else row.event
        if record is None:
            raise RefusalError(
                Reason.UNKNOWN_ORDER,
                f"the core has not answered for order {row.client_order_id!r}: start it again by the same id, or ask"
                " for its state",
                self._own_orders.as_asked(row),
            )
        return record

    def _progress_of(self, order_id: int, last_event: bytes) -> Progress:
        return progress_of(self._views, event_fields(last_event), self._replica.progress.get(order_id))

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
