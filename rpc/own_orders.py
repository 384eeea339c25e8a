"""A client's own orders: found by either id, and how they stand, from the replica or else from the ledger."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from oms.config import Settings
from oms.record_fields import EventFields, event_fields
from oms.records import ALGORITHM_CLIENT, ORDER_ID_COUNTER_BITS, CommandKind, EventKind, Reason
from rpc.entities import Order, Outcome
from rpc.ledger import Ledger
from rpc.ledger_rows import LedgerRow
from rpc.messages import Error, OrderReply, Reply
from rpc.refusals import RefusalError, refusal_text, refused_before_text
from rpc.replica import Replica
from rpc.views import REASONS, Views

_REFUSED: Final = int(EventKind.ORDER_REFUSED)


class OwnOrders:
    def __init__(self, settings: Settings, ledger: Ledger, replica: Replica, views: Views) -> None:
        self._settings = settings
        self._ledger = ledger
        self._replica = replica
        self._views = views

    def find(self, client: str, client_order_id: str | None, order_id: int | None) -> LedgerRow:
        """The client's order of that id.

        Raises
        ------
        RefusalError
            When not exactly one id is given, when there is no such order, or when it is someone else's.
        """
        if (client_order_id is None) == (order_id is None):
            raise RefusalError(Reason.BAD_COMMAND, "name the order by its client_order_id or its order_id, one of them")
        index = self._ledger.client_index(client)
        if client_order_id is not None:
            row = self._ledger.find(index, client_order_id) if index is not None else None
            if row is None:
                raise RefusalError(
                    Reason.UNKNOWN_ORDER, f"client {client} has no order {client_order_id!r}: place it, or check the id"
                )
            return row
        assert order_id is not None
        if order_id >> ORDER_ID_COUNTER_BITS == ALGORITHM_CLIENT and order_id in self._replica.terms:
            parent_id = self._replica.terms[order_id].parent_id
            raise RefusalError(
                Reason.NOT_OWNER,
                f"order {order_id} is a child of order {parent_id}, whose algorithm works it: amend, pause or cancel"
                " that one",
            )
        if order_id in self._replica.orders and order_id >> ORDER_ID_COUNTER_BITS != index:
            raise RefusalError(
                Reason.NOT_OWNER, f"order {order_id} is {self._views.owner(order_id)}'s, not {client}'s: ask its owner"
            )
        row = self._ledger.find_order(order_id) if order_id >> ORDER_ID_COUNTER_BITS == index else None
        if row is None:
            raise RefusalError(Reason.UNKNOWN_ORDER, f"client {client} has no order {order_id}: check the id")
        return row

    def is_known(self, row: LedgerRow) -> bool:
        """Whether the core has said anything about the order."""
        return row.order_id in self._replica.orders or row.event is not None

    def is_decided(self, row: LedgerRow) -> bool:
        """Whether the core has taken or refused the order; one that came too late may be sent again."""
        last = self._last_event(row)
        return last is not None and not (last.kind == _REFUSED and last.reason == Reason.COMMAND_TOO_LATE)

    def standing(self, row: LedgerRow) -> tuple[int, int]:
        """The order's last state, and the reason of a refusal by the core; state -1: it has not been decided."""
        last = self._last_event(row)
        if last is None or not self.is_decided(row):
            return -1, 0
        return last.state, last.reason if last.kind == _REFUSED else 0

    def _last_event(self, row: LedgerRow) -> EventFields | None:
        known = self._replica.orders.get(row.order_id)
        record = known.record if known is not None else row.event
        return event_fields(record) if record is not None else None

    def state(self, row: LedgerRow) -> Order:
        """How the order stands; ``unknown`` when the core has not answered, or does not know it any more."""
        known = self._replica.orders.get(row.order_id)
        if known is None:
            return self._views.settled_order(row)
        return self._views.order(row.order_id, known, is_open=row.order_id in self._replica.open)

    def as_asked(self, row: LedgerRow) -> Order:
        """The order as the client asked for it."""
        return self._views.unanswered_order(row)

    def placed(self, row: LedgerRow, request_id: int) -> Reply:
        """The answer to the PlaceOrder of a known order: how it stands, or why it was refused."""
        last = self._last_event(row)
        if last is not None and last.kind == _REFUSED:
            return self.refused(self.state(row), last.reason, request_id)
        outcome: Outcome = "acknowledged" if last is not None else "unknown"
        return OrderReply(request_id=request_id, outcome=outcome, order=self.state(row))

    def placed_before(self, row: LedgerRow, request_id: int) -> Reply:
        """The answer to an order that comes again after it was taken or refused; a refusal is told as one of then."""
        reply = self.placed(row, request_id)
        last = self._last_event(row)
        if last is None or not isinstance(reply, Error):
            return reply
        return replace(reply, message=refused_before_text(last.reason, self.as_asked(row)))

    def refusal(self, row: LedgerRow, event: EventFields, request_id: int) -> Error:
        """The core's refusal of an order, or of an amend or a cancel of it."""
        if event.aux == CommandKind.NEW:
            return self.refused(self.as_asked(row), event.reason, request_id)
        order = self.state(row)
        refused = self.refused(self._as_amended(order, event), event.reason, request_id)
        return replace(refused, order=order)

    def _as_amended(self, order: Order, event: EventFields) -> Order:
        """An order as a refused amend would have made it; what the amend leaves, and a cancel, is 0 in the event."""
        if event.aux != CommandKind.AMEND:
            return order
        instrument = self._views.instrument(event.instrument, event.version)
        return replace(
            order,
            price=instrument.px_from_ticks(event.px) if event.px else order.price,
            qty=instrument.qty_from_lots(event.qty) if event.qty else order.qty,
        )

    def refused(self, order: Order, reason: int, request_id: int) -> Error:
        """The core's refusal in words."""
        return Error(
            request_id=request_id,
            code=REASONS.get(reason, str(reason)),
            message=refusal_text(reason, self._settings, order),
            order=order,
        )
