"""Placing orders: alone, as a bracket, as a group of which one cancels the others, or in another's stead.

A new order is in the ledger before it is sent, and is answered when the core's event for it arrives. Without an answer
in time its outcome is unknown, never rejected, and the client may send it again under the same id: once the first copy
is void, and the journal does not know it, the same order id goes out again, of which the core takes one only.

Orders of one request leave in one batch. The core refuses a bracket as a whole when one of its exits could not be held;
when an order of any other group is refused, those that were taken are cancelled: no entry without its stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from oms.config import Settings
from oms.definitions import Definitions
from oms.record_fields import CommandFields, EventFields, command_fields, event_fields
from oms.records import CommandKind, Contingency, EventKind, OrderFlag, OrderState, Reason, Trigger
from rpc.algorithm_terms import AlgorithmTerms
from rpc.batches import CODE_NAMES, NewOrder, code_of
from rpc.core_link import addressed
from rpc.dispatch import Dispatch
from rpc.entities import ContingencyName, Order
from rpc.ledger import Ledger
from rpc.ledger_rows import LedgerRow
from rpc.messages import Error, GroupReply, OrderReply, Reply, RpcCode
from rpc.order_forms import FORMS
from rpc.own_orders import OwnOrders
from rpc.pending import AnyWaiter, Group, Member, Pending, RecordWaiter, Waiter
from rpc.refusals import RefusalError, order_name, order_text
from rpc.replica import Replica
from rpc.requests import OrderTerms, PlaceBracket, PlaceOco, PlaceOrder, ReplaceOrder
from rpc.sessions import Session
from rpc.translation import named_instrument, new_order_command, price_ticks, qty_lots, refuse_expired
from rpc.views import OPEN_STATE_NAMES, Views

_REFUSED: Final = int(EventKind.ORDER_REFUSED)


class Asked(NamedTuple):
    """An order to be placed: its client's id and, for a version of its instrument's definition, its command."""

    client_order_id: str
    command: Callable[[LedgerRow | None], CommandFields]
    """Given the ledger's row, where the id is known, the command in the version of that row."""
    terms: AlgorithmTerms | None = None
    """How an algorithm is to work it."""


class Placing:
    """Takes new orders, and knows what the core made of them."""

    def __init__(
        self,
        settings: Settings,
        definitions: Definitions,
        ledger: Ledger,
        replica: Replica,
        views: Views,
        own_orders: OwnOrders,
        dispatch: Dispatch,
    ) -> None:
        self._settings = settings
        self._definitions = definitions
        self._ledger = ledger
        self._replica = replica
        self._views = views
        self._own_orders = own_orders
        self._dispatch = dispatch
        self._instruments = frozenset(instrument.id for instrument in settings.instruments)

    def place(self, session: Session, request: PlaceOrder) -> Reply | None:
        """Place an order, or tell how the one of the same id stands."""
        refuse_expired(request.expires_ts)
        _refuse_worked(request)
        parent_id = self._parent_id(session, request)
        asked = self._asked(request, lambda: parent_id)
        return self._place(session.client, asked, Waiter(session, request.request_id), request.expires_ts)

    def place_worked(
        self, session: Session, order: OrderTerms, terms: AlgorithmTerms, waiter: Waiter, expires_ts: int
    ) -> Reply | None:
        """Place an order that an algorithm works; its command names the terms, so that the id stands for them too."""
        asked = self._asked(order, lambda: 0)

        def command(known: LedgerRow | None) -> CommandFields:
            return replace(asked.command(known), value=terms.digest)

        return self._place(session.client, Asked(order.client_order_id, command, terms), waiter, expires_ts)

    def place_record(self, session: Session, order: NewOrder) -> None:
        """Place one order that came as a record; its answer is a record."""
        waiter = RecordWaiter(session, order.request_id)
        code = code_of(order, self._instruments, time.time_ns())
        if code:
            self._dispatch.answer(waiter, Error(request_id=order.request_id, code=CODE_NAMES[code], message=""))
            return

        def command(known: LedgerRow | None) -> CommandFields:
            in_force = self._definitions.in_force(order.instrument)
            version = (
                command_fields(known.command).version if known is not None else in_force.version if in_force else 0
            )
            return CommandFields(
                kind=CommandKind.NEW,
                instrument=order.instrument,
                version=version,
                side=order.side,
                order_type=order.order_type,
                time_in_force=order.time_in_force,
                flags=order.flags,
                px=order.px,
                qty=order.qty,
            )

        asked = Asked(order.client_order_id.rstrip(b"\0").decode(), command)
        try:
            reply = self._place(session.client, asked, waiter, order.expires_ts)
        except RefusalError as refusal:
            reply = Error(request_id=order.request_id, code=refusal.code, message=str(refusal), order=refusal.order)
        if reply is not None:
            self._dispatch.answer(waiter, reply)

    def place_bracket(self, session: Session, request: PlaceBracket) -> Reply | None:
        """Place an entry, its target and its stop."""
        refuse_expired(request.expires_ts)
        entry, *exits = request.entry, request.take_profit, request.stop
        for terms in exits:
            if terms.side == entry.side or terms.symbol != entry.symbol or terms.account != entry.account:
                raise RefusalError(
                    Reason.BAD_PARENT,
                    f"order {terms.client_order_id!r} does not close entry {entry.client_order_id!r}: give it the same"
                    " symbol and account, and the other side",
                )
        return self._place_group(
            session, request.request_id, (entry, *exits), "oto", request.expires_ts, _refuse_swapped
        )

    def place_oco(self, session: Session, request: PlaceOco) -> Reply | None:
        """Place orders of which one cancels the others."""
        refuse_expired(request.expires_ts)
        return self._place_group(session, request.request_id, request.orders, "oco", request.expires_ts)

    def replace(self, session: Session, request: ReplaceOrder) -> Reply | None:
        """Cancel an order, and place another in its stead."""
        refuse_expired(request.expires_ts)
        old = self._own_orders.find(session.client, request.client_order_id, request.order_id)
        asked = Asked(request.new_client_order_id, lambda known: self._replacement(old, request, known))
        return self._place(session.client, asked, Waiter(session, request.request_id), request.expires_ts)

    def _place_group(
        self,
        session: Session,
        request_id: int,
        orders: Sequence[OrderTerms],
        contingency: ContingencyName,
        expires_ts: int,
        check: Callable[[Sequence[OrderTerms], Sequence[CommandFields]], None] = lambda orders, commands: None,
    ) -> Reply | None:
        """Place orders that hang on the first of them, unless ``check`` refuses them as a group."""
        first, *others = orders
        ids = [terms.client_order_id for terms in orders]
        if len(set(ids)) < len(ids):
            raise RefusalError(RpcCode.DUPLICATE_CLIENT_ORDER_ID, f"the orders of the group share an id: {ids}")
        for terms in orders:
            _refuse_worked(terms)
            if terms.contingency or terms.parent_client_order_id or terms.parent_order_id is not None:
                raise RefusalError(
                    Reason.BAD_PARENT, f"order {terms.client_order_id!r} of the group has a parent: leave it out"
                )

        def parent_id() -> int:
            row = self._row(session.client, first.client_order_id)
            return row.order_id if row is not None else 0

        head = replace(first, contingency="oco") if contingency == "oco" else first
        asked = [self._asked(head, lambda: 0)]
        asked += [self._asked(replace(terms, contingency=contingency), parent_id) for terms in others]
        check(orders, [self._sound(session, each) for each in asked])  # all are sound, or none is sent
        group = Group(Waiter(session, request_id), len(asked))
        for place, each in enumerate(asked):
            member = Member(group, place)
            try:
                reply = self._place(session.client, each, member, expires_ts)
            except RefusalError as refusal:
                if place == 0:
                    raise
                reply = Error(request_id=request_id, code=refusal.code, message=str(refusal), order=refusal.order)
            if reply is not None:
                self._dispatch.answer(member, reply)
        return None

    def _sound(self, session: Session, asked: Asked) -> CommandFields:
        """The command of an order of a group; raises ``RefusalError`` that names the order."""
        try:
            return asked.command(self._row(session.client, asked.client_order_id))
        except RefusalError as refusal:
            raise RefusalError(
                refusal.code, f"order {asked.client_order_id!r} of the group: {refusal}", refusal.order
            ) from None

    def end_group(self, group: Group) -> None:
        """Answer a request for several orders; where one was refused, cancel those that were taken."""
        replies = [reply for reply in group.replies if reply is not None]
        refusals = [reply for reply in replies if isinstance(reply, Error)]
        refused = min(refusals, key=lambda reply: reply.code == Reason.GROUP_REFUSED.name, default=None)
        taken = [reply for reply in replies if isinstance(reply, OrderReply)]
        waiter = group.waiter
        if refused is None:
            outcome = "unknown" if any(reply.outcome == "unknown" for reply in taken) else "acknowledged"
            orders = tuple(reply.order for reply in taken)
            self._dispatch.answer(waiter, GroupReply(request_id=waiter.request_id, outcome=outcome, orders=orders))  # type: ignore[arg-type]
            return
        left = [reply.order for reply in taken if reply.order.state in OPEN_STATE_NAMES]
        for order in left:
            self._cancel(order)
        message = refused.message
        if len(refusals) == len(replies) and any(reply.code == Reason.GROUP_REFUSED.name for reply in refusals):
            named = repr(refused.order.client_order_id) if refused.order is not None else "of it"
            message += f"; because of order {named} the whole group was refused, and nothing of it has left"
        if left:
            message += f"; the group's other orders are being cancelled: {', '.join(map(order_name, left))}"
        self._dispatch.answer(
            waiter, Error(request_id=waiter.request_id, code=refused.code, message=message, order=refused.order)
        )

    def _cancel(self, order: Order) -> None:
        row = self._ledger.find_order(order.order_id)
        command = addressed(CommandFields(kind=CommandKind.CANCEL, instrument=-1), order.order_id)
        self._dispatch.send(CommandKind.CANCEL, row, [command])

    def _asked(self, terms: OrderTerms, parent_id: Callable[[], int]) -> Asked:
        in_force = named_instrument(self._settings, self._definitions, terms.symbol)

        def command(known: LedgerRow | None) -> CommandFields:
            version = command_fields(known.command).version if known is not None else 0
            instrument = self._definitions.of(in_force.id, version) or in_force
            return new_order_command(self._settings, instrument, terms, parent_id())

        return Asked(terms.client_order_id, command)

    def _parent_id(self, session: Session, terms: OrderTerms) -> int:
        """The order id of the parent that an order names; 0 when it has none."""
        named = terms.parent_client_order_id is not None or terms.parent_order_id is not None
        if not named and terms.contingency in (None, "oco"):
            return 0
        if terms.contingency is None:
            raise RefusalError(
                Reason.BAD_PARENT,
                f"order {terms.client_order_id!r} names a parent and no contingency: say oto (held until the parent"
                " fills) or oco (one cancels the other)",
            )
        if not named:
            raise RefusalError(
                Reason.BAD_PARENT,
                f"order {terms.client_order_id!r} is {terms.contingency} and names no parent: name the order that it"
                " hangs on; only oco, for the first order of its group, goes without",
            )
        row = self._own_orders.find(session.client, terms.parent_client_order_id, terms.parent_order_id)
        if command_fields(row.command).trigger == Trigger.ALGORITHM:
            raise RefusalError(
                Reason.BAD_PARENT,
                f"order {row.client_order_id!r} is worked by an algorithm: no other order hangs on it",
            )
        return row.order_id

    def _replacement(self, old: LedgerRow, request: ReplaceOrder, known: LedgerRow | None) -> CommandFields:
        """The command of an order that replaces ``old``; what the request leaves open is as it was."""
        base = command_fields(known.command if known is not None else old.command)
        if base.trigger == Trigger.ALGORITHM:
            raise RefusalError(
                Reason.BAD_PARENT,
                f"order {old.client_order_id!r} is worked by an algorithm: amend it, or cancel it and start another",
            )
        if known is None:
            self._refuse_grouped(old)
            last = self._replica.orders.get(old.order_id)
            waits = True
            if last is not None:
                row = event_fields(last.record)
                base = replace(base, px=row.px, qty=row.qty)
                stands = row.flags & OrderFlag.AT_EXCHANGE
                waits = row.state == OrderState.HELD or bool(stands) or request.trigger_price is not None
            terms = self._replica.terms.get(old.order_id)
            if terms is not None:
                base = replace(base, trigger_px=terms.trigger_px, display_qty=terms.display_qty, trail=terms.trail)
            if not waits:  # its price has come: the new order does not wait for it again
                flags = base.flags & ~OrderFlag.AT_EXCHANGE
                base = replace(base, flags=flags, trigger=0, trigger_source=0, trigger_px=0, trail=0, trail_unit=0)
            in_force = self._definitions.in_force(base.instrument)
            base = replace(base, version=in_force.version if in_force is not None else base.version)
        instrument = self._definitions.of(base.instrument, base.version)
        if instrument is None:
            raise RefusalError(Reason.WRONG_VERSION, f"order {old.order_id} is of a definition that is not known")
        base = replace(base, contingency=Contingency.REPLACE, parent_id=old.order_id)
        if request.price is not None:
            base = replace(base, px=price_ticks(instrument, request.price))
        if request.qty is not None:
            base = replace(base, qty=qty_lots(instrument, request.qty))
        if request.trigger_price is not None:
            trigger_px = price_ticks(instrument, request.trigger_price, "trigger price", Reason.BAD_TRIGGER)
            base = replace(base, trigger_px=trigger_px)
        return base

    def _refuse_grouped(self, old: LedgerRow) -> None:
        """Refuse to replace an order of a group: the new one hangs on it alone, and would not be of the group."""
        order = self._own_orders.state(old)
        head = order.order_id
        if order.contingency in ("oto", "oco") and order.parent_order_id is not None:
            head = order.parent_order_id
        others = [each for each in self._replica.open_group(head) if each != order.order_id]
        if others or order.contingency == "oto":
            raise RefusalError(
                Reason.BAD_PARENT,
                f"order {order.client_order_id!r} ({order.order_id}) is of the group of order {head}, with"
                f" {', '.join(map(str, others)) or 'no other that is open'}, of which its replacement would not be:"
                " amend it, or cancel the group and place it anew",
                order,
            )

    def _row(self, client: str, client_order_id: str) -> LedgerRow | None:
        index = self._ledger.client_index(client)
        return self._ledger.find(index, client_order_id) if index is not None else None

    def _place(self, client: str, asked: Asked, waiter: AnyWaiter, expires_ts: int) -> Reply | None:
        row = self._row(client, asked.client_order_id)
        command = asked.command(row)
        if row is not None:
            return self._place_again(row, addressed(command, row.order_id), waiter, expires_ts, asked.terms)
        self._dispatch.refuse_unless_listening()
        index = self._ledger.add_client(client)
        order_id = self._ledger.new_order_id(index)
        payload = addressed(command, order_id)
        if asked.terms is not None:
            self._views.terms_book.put(order_id, asked.terms)
        self._ledger.add_order(index, asked.client_order_id, order_id, payload)
        row = LedgerRow(order_id, asked.client_order_id, payload, None, None)
        self._views.remember(row, command)
        pending = self._send(row, payload, waiter, expires_ts, asked.terms)
        pending.is_new = True
        pending.rollbacks = self._ledger.rollbacks
        return None

    def _send(
        self, row: LedgerRow, command: bytes, waiter: AnyWaiter, expires_ts: int, terms: AlgorithmTerms | None
    ) -> Pending:
        ahead = terms.record(row.order_id) if terms is not None else b""
        return self._dispatch.send(CommandKind.NEW, row, [command], waiter, expires_ts=expires_ts, terms=ahead)

    def _place_again(
        self, row: LedgerRow, command: bytes, waiter: AnyWaiter, expires_ts: int, terms: AlgorithmTerms | None
    ) -> Reply | None:
        own_orders = self._own_orders
        if command != row.command:
            before = own_orders.as_asked(row)
            raise RefusalError(
                RpcCode.DUPLICATE_CLIENT_ORDER_ID,
                f"client_order_id {row.client_order_id!r} stands for another order, {order_text(before)}: use a new id",
                before,
            )
        pending = self._dispatch.pending.placing.get(row.order_id)
        if pending is not None:
            pending.waiters.append(waiter)
            return None
        if own_orders.is_decided(row):
            return own_orders.placed_before(row, waiter.request_id)
        if self._dispatch.may_be_taken(row.order_id):
            self._dispatch.pending.add(CommandKind.NEW, row, waiter).is_sent = False  # an earlier copy may be taken yet
            return None
        if self._dispatch.problem or not self._dispatch.catch_up():
            return OrderReply(request_id=waiter.request_id, outcome="unknown", order=own_orders.as_asked(row))
        if own_orders.is_decided(row):
            return own_orders.placed_before(row, waiter.request_id)
        self._send(row, command, waiter, expires_ts, terms)
        return None

    def settle(self, pending: Pending, event: EventFields) -> None:
        """Take an event of a new order that waits for its answer."""
        row = pending.row
        if row is None or row.order_id != event.order_id:
            return
        if event.kind != _REFUSED or event.reason == Reason.DUPLICATE_ORDER_ID:
            self._dispatch.finish(pending, lambda request_id: self._own_orders.placed(row, request_id), event)
        elif event.aux == CommandKind.NEW and (event.request_id == pending.request_id or not pending.is_sent):
            self._dispatch.finish(pending, lambda request_id: self._own_orders.refusal(row, event, request_id), event)
        else:
            return  # an earlier copy was refused: this one's answer is still to come
        self._dispatch.is_answered(row.order_id)


def _refuse_worked(terms: OrderTerms) -> None:
    """Refuse an order that only an algorithm can work, where none is named."""
    if FORMS[terms.order_type].is_worked:
        raise RefusalError(
            Reason.BAD_ORDER_TYPE,
            f"order {terms.client_order_id!r} is of type {terms.order_type}, and no algorithm is named: start it by"
            " start_algorithm",
        )


def _refuse_swapped(orders: Sequence[OrderTerms], commands: Sequence[CommandFields]) -> None:
    """Refuse a bracket whose stop is not on the losing side of its target: it would leave at once."""
    (_, target, stop), (entry, take_profit, stop_loss) = orders, commands
    target_px = take_profit.px or take_profit.trigger_px
    if target_px and stop_loss.trigger_px and entry.side * (target_px - stop_loss.trigger_px) <= 0:
        side = "below" if entry.side > 0 else "above"
        raise RefusalError(
            Reason.BAD_TRIGGER,
            f"stop {stop.trigger_price} of order {stop.client_order_id!r} is not {side} target"
            f" {target.price or target.trigger_price} of order {target.client_order_id!r}: a"
            f" {orders[0].side} entry has its stop {side} its target",
        )
