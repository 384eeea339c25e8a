"""Order entry: requests that change something, on their way to the core and back.

A new order is in the ledger before it is sent, and is answered when the core's event for it arrives. Without an answer
in time its outcome is unknown, never rejected, and the client may send it again under the same id: once the first copy
is void, and the journal does not know it, the same order id goes out again, of which the core takes one only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from oms.config import Settings
from oms.event_fields import EventFields
from oms.records import COMMAND, ORDER_EVENTS, ORDER_ID_COUNTER_BITS, CommandKind, EventKind, Reason, TradingState
from rpc.core_link import TAKES_NONE, CoreLink, addressed, new_command
from rpc.entities import UNKNOWN, Outcome
from rpc.ledger import Ledger, LedgerError
from rpc.ledger_rows import LedgerRow
from rpc.limits import Limits
from rpc.messages import (
    AmendOrder,
    CancelAll,
    CancelAllReply,
    CancelOrder,
    Error,
    OrderReply,
    PlaceOrder,
    Reply,
    RpcCode,
    SetTradingState,
    TradingStateReply,
)
from rpc.order_batches import OrderBatches
from rpc.own_orders import OwnOrders
from rpc.pending import Pending, PendingTable, Waiter
from rpc.refusals import RefusalError, order_text
from rpc.replica import Replica, event_row
from rpc.sessions import Session, Sessions
from rpc.translation import ACCOUNT, amend_command, named_instrument, new_order_command, refuse_expired
from rpc.views import REASONS, TRADING_STATES, Views

_ORDER_KINDS: Final = frozenset(int(kind) for kind in ORDER_EVENTS)
_REFUSED: Final = int(EventKind.ORDER_REFUSED)
_AMEND_SUBMITTED: Final = int(EventKind.AMEND_SUBMITTED)
_CANCEL_SUBMITTED: Final = int(EventKind.CANCEL_SUBMITTED)
_TRADING_STATE: Final = int(EventKind.TRADING_STATE)


class OrderEntry:
    """Takes requests, sends commands in batches, and answers when the core has.

    Parameters
    ----------
    catch_up : callable
        Reads the journal into the replica; False when events are missing for good.

    Attributes
    ----------
    unanswered, failed_writes : int
        Commands that the core did not answer in time, and failed writes to the ledger that did no harm.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        replica: Replica,
        views: Views,
        link: CoreLink,
        sessions: Sessions,
        limits: Limits,
        catch_up: Callable[[], bool],
    ) -> None:
        self.own_orders = OwnOrders(settings, ledger, replica, views)
        self.pending = PendingTable(limits.answer_timeout_s)
        self.unanswered = 0
        self.failed_writes = 0
        self._settings = settings
        self._ledger = ledger
        self._replica = replica
        self._views = views
        self._link = link
        self._sessions = sessions
        self._limits = limits
        self._catch_up = catch_up
        self.batches = OrderBatches(settings, ledger, link, sessions, limits, self.pending, self.own_orders)
        self._outgoing: list[tuple[Pending, bytes]] = []
        self._void_at: dict[int, float] = {}
        self._settlers: Final[dict[CommandKind, Callable[[Pending, EventFields], None]]] = {
            CommandKind.NEW: self._settle_new,
            CommandKind.AMEND: self._settle_change,
            CommandKind.CANCEL: self._settle_change,
            CommandKind.CANCEL_ALL: self._settle_account,
            CommandKind.SET_TRADING_STATE: self._settle_account,
        }

    # Requests: each returns its reply, or None when the core's answer will be the reply

    def place(self, session: Session, request: PlaceOrder) -> Reply | None:
        """Place an order, or tell how the one of the same id stands."""
        refuse_expired(request.expires_ts)
        waiter = Waiter(session, request.request_id)
        asked = new_order_command(self._settings, request)
        index = self._ledger.client_index(session.client)
        row = self._ledger.find(index, request.client_order_id) if index is not None else None
        if row is not None:
            return self._place_again(row, addressed(asked, row.order_id), waiter, request.expires_ts)
        self._refuse_unless_listening()
        index = self._ledger.add_client(session.client)
        order_id = self._ledger.new_order_id(index)
        command = addressed(asked, order_id)
        self._ledger.add_order(index, request.client_order_id, order_id, command)
        self._views.remember(order_id, request.client_order_id)
        row = LedgerRow(order_id, request.client_order_id, command, None, None)
        pending = self._send(CommandKind.NEW, row, command, waiter, request.expires_ts)
        pending.is_new = True
        pending.rollbacks = self._ledger.rollbacks
        return None

    def _place_again(self, row: LedgerRow, command: bytes, waiter: Waiter, expires_ts: int) -> Reply | None:
        if command != row.command:
            before = self.own_orders.as_asked(row)
            raise RefusalError(
                RpcCode.DUPLICATE_CLIENT_ORDER_ID,
                f"client_order_id {row.client_order_id!r} stands for another order, {order_text(before)}: use a new id",
                before,
            )
        pending = self.pending.placing.get(row.order_id)
        if pending is not None:
            pending.waiters.append(waiter)
            return None
        if self.own_orders.is_decided(row):
            return self.own_orders.placed(row, waiter.request_id)
        sent_before = time.monotonic() < self._void_at.get(row.order_id, 0.0)
        if sent_before or self.batches.may_yet_be_taken(row.order_id):
            self.pending.add(CommandKind.NEW, row, waiter).is_sent = False  # an earlier copy may yet be taken
            return None
        if self._link.problem or not self._catch_up():
            return OrderReply(request_id=waiter.request_id, outcome="unknown", order=self.own_orders.as_asked(row))
        if self.own_orders.is_decided(row):
            return self.own_orders.placed(row, waiter.request_id)
        self._send(CommandKind.NEW, row, command, waiter, expires_ts)
        return None

    def amend(self, session: Session, request: AmendOrder) -> Reply | None:
        """Ask for another price, another total quantity, or both."""
        refuse_expired(request.expires_ts)
        row = self.own_orders.find(session.client, request.client_order_id, request.order_id)
        instrument = named_instrument(self._settings, self.own_orders.as_asked(row).symbol)
        command = addressed(amend_command(instrument, request, row.order_id), row.order_id)
        self._refuse_unless_listening()
        self._send(CommandKind.AMEND, row, command, Waiter(session, request.request_id), request.expires_ts)
        return None

    def cancel(self, session: Session, request: CancelOrder) -> Reply | None:
        """Ask for a cancel."""
        row = self.own_orders.find(session.client, request.client_order_id, request.order_id)
        self._refuse_unless_listening()
        self._send(CommandKind.CANCEL, row, self._cancel_command(row.order_id), Waiter(session, request.request_id))
        return None

    def cancel_all(self, session: Session, request: CancelAll) -> Reply | None:
        """Ask for the cancel of every own order, or of everyone's."""
        number = -1 if request.symbol is None else named_instrument(self._settings, request.symbol).id
        self._refuse_unless_listening()
        waiter = Waiter(session, request.request_id)
        if request.scope == "account":
            command = new_command(CommandKind.CANCEL_ALL, instrument=number, account=ACCOUNT)
            self._send(CommandKind.CANCEL_ALL, None, addressed(command, 0), waiter)
            return None
        index = self._ledger.client_index(session.client)
        order_ids = [
            order_id
            for order_id in {**self._replica.open, **self.pending.placing, **dict.fromkeys(self.batches.waiting_ids())}
            if order_id >> ORDER_ID_COUNTER_BITS == index and number in (-1, self._instrument_of(order_id))
        ]
        if not order_ids:
            return CancelAllReply(request_id=request.request_id, outcome="acknowledged", cancels=0)
        pending = self.pending.add(CommandKind.CANCEL, None, waiter)
        pending.remaining = len(order_ids)
        self._outgoing += [(pending, self._cancel_command(order_id)) for order_id in order_ids]
        return None

    def set_trading_state(self, session: Session, request: SetTradingState) -> Reply | None:
        """Set what the account may do."""
        self._refuse_unless_listening()
        state = TradingState[request.state.upper()]
        command = new_command(CommandKind.SET_TRADING_STATE, account=ACCOUNT, instrument=-1, value=state)
        waiter = Waiter(session, request.request_id)
        self._send(CommandKind.SET_TRADING_STATE, None, addressed(command, 0), waiter)
        return None

    def _cancel_command(self, order_id: int) -> bytes:
        command = new_command(CommandKind.CANCEL, instrument=self._instrument_of(order_id), account=ACCOUNT)
        return addressed(command, order_id)

    def _instrument_of(self, order_id: int) -> int:
        known = self._replica.orders.get(order_id)
        if known is not None:
            return event_row(known.record).instrument
        pending = self.pending.placing.get(order_id)
        command = pending.row.command if pending is not None and pending.row is not None else b""
        return int(np.frombuffer(command, COMMAND)["instrument"][0]) if command else -1

    def _refuse_unless_listening(self) -> None:
        problem = self._link.problem
        if problem:
            raise RefusalError(RpcCode.CORE_UNAVAILABLE, _unavailable(problem))

    # Commands out

    def _send(
        self, kind: CommandKind, row: LedgerRow | None, command: bytes, waiter: Waiter, expires_ts: int = 0
    ) -> Pending:
        pending = self.pending.add(kind, row, waiter)
        pending.expires_ts = expires_ts
        self._outgoing.append((pending, command))
        return pending

    def send_commands(self) -> None:
        """Commit the ledger and send what was asked for since the last call, in one frame."""
        outgoing, self._outgoing = self._outgoing, []
        try:
            self._ledger.commit()
        except LedgerError:
            self.failed_writes += 1
        self.batches.send()
        undone = [pending for pending, _ in outgoing if pending.is_new and pending.rollbacks != self._ledger.rollbacks]
        for pending in undone:
            self._refuse(pending, RpcCode.LEDGER_FAILED, "the order id could not be put on disk; nothing was sent")
        outgoing = [(pending, command) for pending, command in outgoing if pending not in undone]
        if not outgoing:
            return
        if self._link.send([(pending.request_id, command, pending.expires_ts) for pending, command in outgoing]):
            void_at = time.monotonic() + self._limits.command_life_s
            for pending, _ in outgoing:
                if pending.kind == CommandKind.NEW and pending.row is not None:
                    self._void_at.pop(pending.row.order_id, None)
                    self._void_at[pending.row.order_id] = void_at
            return
        for pending in {id(pending): pending for pending, _ in outgoing}.values():
            if pending.kind == CommandKind.NEW and not pending.is_new:
                self._give_up(pending)  # an earlier copy may have had effect
            else:
                self._refuse(pending, RpcCode.CORE_UNAVAILABLE, _unavailable(TAKES_NONE))
        self._forget([pending.row.order_id for pending, _ in outgoing if pending.is_new and pending.row is not None])

    def _forget(self, order_ids: list[int]) -> None:
        """Free the ids of orders that were never sent; where that fails, sending them again still gives an answer."""
        try:
            self._ledger.forget_orders(order_ids)
            self._ledger.commit()
        except LedgerError:
            self.failed_writes += 1

    # Answers in

    def settle(self, event: EventFields) -> None:
        """Take an event of the core: it may be the answer that requests wait for."""
        pending = self.pending.get(event.request_id) if event.request_id else None
        if pending is None and event.kind in _ORDER_KINDS:
            pending = self.pending.placing.get(event.order_id)
        if pending is not None:
            self._settlers[pending.kind](pending, event)

    def _settle_new(self, pending: Pending, event: EventFields) -> None:
        row = pending.row
        if row is None or row.order_id != event.order_id:
            return
        if event.kind != _REFUSED or event.reason == Reason.DUPLICATE_ORDER_ID:
            self._finish(pending, lambda request_id: self.own_orders.placed(row, request_id))
        elif event.aux == CommandKind.NEW and (event.request_id == pending.request_id or not pending.is_sent):
            self._finish(pending, lambda request_id: self._refused(row, event, request_id))
        else:
            return  # an earlier copy was refused: this one's answer is still to come
        self._void_at.pop(row.order_id, None)

    def _settle_change(self, pending: Pending, event: EventFields) -> None:
        """An amend, a cancel, or the cancels of all own orders."""
        row = pending.row
        if event.kind == _REFUSED and row is not None:
            self._finish(pending, lambda request_id: self._refused(row, event, request_id))
        elif event.kind in (_REFUSED, _AMEND_SUBMITTED, _CANCEL_SUBMITTED):
            pending.cancels += event.kind == _CANCEL_SUBMITTED
            pending.remaining -= 1
            if pending.remaining <= 0:
                self._finish(pending, lambda request_id: self._reply(pending, request_id, "acknowledged"))

    def _settle_account(self, pending: Pending, event: EventFields) -> None:
        """The cancels of everyone's orders, or another trading state."""
        pending.cancels += event.kind == _CANCEL_SUBMITTED
        if event.kind == _REFUSED and event.aux == pending.kind:
            self._refuse(pending, REASONS.get(event.reason, str(event.reason)), "the core refused the command")
        elif event.kind == _TRADING_STATE:
            self._finish(pending, lambda request_id: self._reply(pending, request_id, "acknowledged"))

    def expire(self) -> None:
        """Answer what the core did not: the outcome is unknown."""
        now = time.monotonic()
        if self.pending.is_due(now) or self.batches.is_due(now):
            self._catch_up()  # what the core did is in its journal, even if its events were lost on the way
        for pending in self.pending.expired(now):
            self._give_up(pending)
        self.batches.expire(now)
        while self._void_at and next(iter(self._void_at.values())) <= now:
            del self._void_at[next(iter(self._void_at))]

    def _give_up(self, pending: Pending) -> None:
        self.unanswered += 1
        self._finish(pending, lambda request_id: self._reply(pending, request_id, "unknown"))

    def _refuse(self, pending: Pending, code: str, message: str) -> None:
        self._finish(pending, lambda request_id: Error(request_id=request_id, code=code, message=message))

    def _refused(self, row: LedgerRow, event: EventFields, request_id: int) -> Reply:
        is_new = event.aux == CommandKind.NEW
        order = self.own_orders.as_asked(row) if is_new else self.own_orders.state(row)
        return self.own_orders.refused(order, event.reason, request_id)

    def _reply(self, pending: Pending, request_id: int, outcome: Outcome) -> Reply:
        row = pending.row
        if row is not None:
            return OrderReply(request_id=request_id, outcome=outcome, order=self.own_orders.state(row))
        if pending.kind == CommandKind.SET_TRADING_STATE:
            return TradingStateReply(
                request_id=request_id,
                outcome=outcome,
                state=TRADING_STATES.get(self._replica.trading_state, UNKNOWN),
                reason=REASONS.get(self._replica.trading_reason, UNKNOWN),
            )
        return CancelAllReply(request_id=request_id, outcome=outcome, cancels=pending.cancels)

    def _finish(self, pending: Pending, make: Callable[[int], Reply]) -> None:
        self.pending.remove(pending)
        for waiter in pending.waiters:
            self._sessions.reply(waiter.session, make(waiter.request_id))


def _unavailable(problem: str) -> str:
    return f"{problem}; nothing was sent and nothing will be sent later: see zoms status, and send again once it runs"
