"""Order entry: requests that change something, on their way to the core and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from oms.config import Settings
from oms.definitions import Definitions
from oms.record_fields import CommandFields, EventFields, command_fields, event_fields
from oms.records import ORDER_EVENTS, ORDER_ID_COUNTER_BITS, CommandKind, EventKind, Reason, TradingState
from rpc.algorithm_entry import AlgorithmEntry
from rpc.batches import Records, the_order
from rpc.core_link import CoreLink, addressed
from rpc.dispatch import Dispatch
from rpc.entities import UNKNOWN, Outcome
from rpc.ledger import Ledger
from rpc.limits import Limits
from rpc.messages import CancelAllReply, KillReply, OrderReply, Reply, TradingStateReply
from rpc.order_batches import OrderBatches
from rpc.own_orders import OwnOrders
from rpc.pending import Pending, PendingTable, Waiter
from rpc.placing import Placing
from rpc.refusals import RefusalError
from rpc.replica import Replica
from rpc.requests import AmendOrder, CancelAll, CancelOrder, Kill, SetTradingState
from rpc.sessions import Session, Sessions
from rpc.translation import amend_command, named_account, named_instrument, named_strategy, refuse_expired
from rpc.views import REASONS, TRADING_STATES, Views

_ORDER_KINDS: Final = frozenset(int(kind) for kind in ORDER_EVENTS)
_REFUSED: Final = int(EventKind.ORDER_REFUSED)
_AMENDS: Final = frozenset({int(EventKind.AMEND_SUBMITTED), int(EventKind.HELD_AMENDED)})
_CANCELS: Final = frozenset(
    int(kind) for kind in (EventKind.CANCEL_SUBMITTED, EventKind.HELD_ENDED, EventKind.PROGRESS)
)
"""Also the answers to a pause and to a resume; the cancel of an order that an algorithm works is told as progress."""
_CHANGES: Final = _AMENDS | _CANCELS | {_REFUSED}
_TRADING_STATE: Final = int(EventKind.TRADING_STATE)
_KILLED: Final = int(EventKind.KILLED)

EVERY_ACCOUNT: Final = -1


class OrderEntry:
    """Takes requests, sends commands in batches, and answers when the core has.

    Parameters
    ----------
    catch_up : callable
        Reads the journal into the replica; False when events are missing for good.

    Attributes
    ----------
    placing : Placing
        For new orders.
    algorithms : AlgorithmEntry
        For orders that algorithms work.
    """

    def __init__(
        self,
        settings: Settings,
        definitions: Definitions,
        ledger: Ledger,
        replica: Replica,
        views: Views,
        link: CoreLink,
        sessions: Sessions,
        limits: Limits,
        catch_up: Callable[[], bool],
    ) -> None:
        self.own_orders = OwnOrders(settings, ledger, replica, views)
        self.dispatch = Dispatch(
            ledger,
            link,
            sessions,
            limits,
            lambda pending: OrderBatches(
                settings, definitions, ledger, link, sessions, limits, pending, self.own_orders
            ),
            catch_up=catch_up,
            unknown=lambda pending, request_id: self._reply(pending, request_id, "unknown"),
        )
        self.placing = Placing(settings, definitions, ledger, replica, views, self.own_orders, self.dispatch)
        self.dispatch.end_group = self.placing.end_group
        self._terms_book = views.terms_book
        self.algorithms = AlgorithmEntry(
            settings, definitions, self._terms_book, self.own_orders, self.dispatch, self.placing
        )
        self._settings = settings
        self._definitions = definitions
        self._ledger = ledger
        self._replica = replica
        self._settlers: Final[dict[CommandKind, Callable[[Pending, EventFields], None]]] = {
            CommandKind.NEW: self.placing.settle,
            CommandKind.AMEND: self._settle_change,
            CommandKind.CANCEL: self._settle_change,
            CommandKind.PAUSE: self._settle_change,
            CommandKind.RESUME: self._settle_change,
            CommandKind.CANCEL_ALL: self._settle_cancel_all,
            CommandKind.SET_TRADING_STATE: self._settle_state,
            CommandKind.KILL: self._settle_kill,
        }

    @property
    def batches(self) -> OrderBatches:
        """Orders that came in batches."""
        return self.dispatch.batches

    def place_records(self, session: Session, orders: Records) -> None:
        """Place orders that came as records: many as arrays, one as it comes.

        Raises
        ------
        LedgerError
            When the disk refuses; nothing was sent.
        """
        if len(orders) == 1:
            self.placing.place_record(session, the_order(orders))
        else:
            self.batches.place(session, orders)

    @property
    def pending(self) -> PendingTable:
        """Commands without an answer."""
        return self.dispatch.pending

    # Requests: each returns its reply, or None when the core's answer will be the reply

    def amend(self, session: Session, request: AmendOrder) -> Reply | None:
        """Ask for another price, another total quantity, another trigger."""
        refuse_expired(request.expires_ts)
        row = self.own_orders.find(session.client, request.client_order_id, request.order_id)
        asked = command_fields(row.command)
        instrument = self._definitions.in_force(asked.instrument)
        if instrument is None:
            raise RefusalError(
                Reason.UNKNOWN_INSTRUMENT, f"instrument {asked.instrument} is no longer defined in the settings"
            )
        command = amend_command(instrument, request, asked)
        self.dispatch.refuse_unless_listening()
        waiter = Waiter(session, request.request_id)
        payload = addressed(command, row.order_id)
        self.dispatch.send(CommandKind.AMEND, row, [payload], waiter, expires_ts=request.expires_ts)
        return None

    def cancel(self, session: Session, request: CancelOrder) -> Reply | None:
        """Ask for a cancel."""
        row = self.own_orders.find(session.client, request.client_order_id, request.order_id)
        self.dispatch.refuse_unless_listening()
        waiter = Waiter(session, request.request_id)
        self.dispatch.send(CommandKind.CANCEL, row, [self._cancel_command(row.order_id)], waiter)
        return None

    def cancel_all(self, session: Session, request: CancelAll) -> Reply | None:
        """Ask for the cancel of every own order, or of everyone's."""
        number = -1
        if request.symbol is not None:
            number = named_instrument(self._settings, self._definitions, request.symbol).id
        account = EVERY_ACCOUNT if request.account is None else named_account(self._settings, request.account)
        strategy = named_strategy(self._settings, request.strategy)
        if strategy >= 0 and request.scope == "own":
            raise RefusalError(
                Reason.BAD_COMMAND,
                f"orders of strategy {request.strategy} are not {session.client}'s: say scope account",
            )
        self.dispatch.refuse_unless_listening()
        waiter = Waiter(session, request.request_id)
        if request.scope == "account":
            command = CommandFields(kind=CommandKind.CANCEL_ALL, instrument=number, account=account, strategy=strategy)
            self.dispatch.send(CommandKind.CANCEL_ALL, None, [addressed(command, 0)], waiter)
            return None
        order_ids = self._own_open(session.client, number, account)
        if not order_ids:
            return CancelAllReply(request_id=request.request_id, outcome="acknowledged", cancels=0)
        commands = [self._cancel_command(order_id) for order_id in order_ids]
        self.dispatch.send(CommandKind.CANCEL, None, commands, waiter)
        return None

    def set_trading_state(self, session: Session, request: SetTradingState) -> Reply | None:
        """Set what an account, a strategy, or every account may do."""
        strategy = named_strategy(self._settings, request.strategy)
        accounts = self._accounts(request.account)
        if strategy >= 0:
            accounts = [self._settings.account_number(self._settings.strategies[strategy].account)]
        self.dispatch.refuse_unless_listening()
        state = TradingState[request.state.upper()]
        commands = [
            addressed(
                CommandFields(
                    kind=CommandKind.SET_TRADING_STATE, account=account, strategy=strategy, instrument=-1, value=state
                ),
                0,
            )
            for account in accounts
        ]
        self.dispatch.send(CommandKind.SET_TRADING_STATE, None, commands, Waiter(session, request.request_id))
        return None

    def kill(self, session: Session, request: Kill) -> Reply | None:
        """The kill switch of an account, or of every one."""
        accounts = self._accounts(request.account)
        self.dispatch.refuse_unless_listening()
        commands = [
            addressed(
                CommandFields(kind=CommandKind.KILL, account=account, instrument=-1, value=int(request.flatten)), 0
            )
            for account in accounts
        ]
        self.dispatch.send(CommandKind.KILL, None, commands, Waiter(session, request.request_id))
        return None

    def _accounts(self, name: str | None) -> list[int]:
        """The number of an account, or those of all."""
        return list(range(len(self._settings.accounts))) if name is None else [named_account(self._settings, name)]

    def _own_open(self, client: str, instrument: int, account: int) -> list[int]:
        """Open orders of a client, those on their way included."""
        index = self._ledger.client_index(client)
        return [
            order_id
            for order_id in {**self._replica.open, **self.pending.placing, **dict.fromkeys(self.batches.waiting_ids())}
            if order_id >> ORDER_ID_COUNTER_BITS == index and self._is_of(order_id, instrument, account)
        ]

    def _is_of(self, order_id: int, instrument: int, account: int) -> bool:
        own_instrument, own_account = self._place_of(order_id)
        if account not in (-1, own_account):
            return False
        return instrument in (-1, own_instrument) or self._may_trade_in(order_id, instrument)

    def _may_trade_in(self, order_id: int, instrument: int) -> bool:
        """True for an order over several venues of which the instrument is one."""
        if order_id in self._replica.orders and order_id not in self._replica.progress:
            return False  # no algorithm works it
        terms = self._terms_book.of(order_id)
        return terms is not None and instrument in terms.routes

    def _cancel_command(self, order_id: int) -> bytes:
        instrument, account = self._place_of(order_id)
        return addressed(
            CommandFields(kind=CommandKind.CANCEL, instrument=instrument, account=max(account, 0)), order_id
        )

    def _place_of(self, order_id: int) -> tuple[int, int]:
        """Instrument and account of an order; -1 when they are not known."""
        known = self._replica.orders.get(order_id)
        if known is not None:
            row = event_fields(known.record)
            return row.instrument, row.account
        pending = self.pending.placing.get(order_id)
        ledger_row = pending.row if pending is not None else self._ledger.find_order(order_id)
        if ledger_row is None:
            return -1, -1
        asked = command_fields(ledger_row.command)
        return asked.instrument, asked.account

    # Answers in

    def settle(self, event: EventFields) -> None:
        """Take an event of the core: it may be the answer that requests wait for."""
        self._terms_book.settle(event)
        pending = self.pending.get(event.request_id) if event.request_id else None
        if pending is None and event.kind in _ORDER_KINDS:
            pending = self.pending.placing.get(event.order_id)
        if pending is not None:
            self._settlers[pending.kind](pending, event)

    def _settle_change(self, pending: Pending, event: EventFields) -> None:
        """An amend, a cancel, a pause or a resume, or the cancels of all own orders; an order counts once."""
        row = pending.row
        if event.kind == _REFUSED and row is not None:
            self.dispatch.finish(pending, lambda request_id: self.own_orders.refusal(row, event, request_id))
        elif event.order_id not in pending.answered and event.kind in _CHANGES:
            pending.answered.add(event.order_id)
            pending.cancels += event.kind in _CANCELS
            self._settle_one(pending)

    def _settle_cancel_all(self, pending: Pending, event: EventFields) -> None:
        """The cancels of everyone's orders; the word on the trading state is the last of its events."""
        if event.kind in _CANCELS and event.order_id not in pending.answered:
            pending.answered.add(event.order_id)
            pending.cancels += 1
        if self._is_refused(pending, event):
            return
        if event.kind == _TRADING_STATE:
            self._settle_one(pending)

    def _settle_state(self, pending: Pending, event: EventFields) -> None:
        """Another trading state."""
        if not self._is_refused(pending, event) and event.kind == _TRADING_STATE:
            pending.state, pending.reason = event.aux, event.reason
            self._settle_one(pending)

    def _settle_kill(self, pending: Pending, event: EventFields) -> None:
        """The kill switch: its event comes first, then its cancels."""
        if not self._is_refused(pending, event) and event.kind == _KILLED:
            self._settle_one(pending)

    def _is_refused(self, pending: Pending, event: EventFields) -> bool:
        refused = event.kind == _REFUSED and event.aux == pending.kind
        if refused:
            self.dispatch.refuse(pending, REASONS.get(event.reason, str(event.reason)), "the core refused the command")
        return refused

    def _settle_one(self, pending: Pending) -> None:
        """Count one answer of those that a request waits for."""
        pending.remaining -= 1
        if pending.remaining <= 0:
            self.dispatch.finish(pending, lambda request_id: self._reply(pending, request_id, "acknowledged"))

    def _reply(self, pending: Pending, request_id: int, outcome: Outcome) -> Reply:
        row = pending.row
        if row is not None:
            return OrderReply(request_id=request_id, outcome=outcome, order=self.own_orders.state(row))
        if pending.kind == CommandKind.SET_TRADING_STATE:
            return TradingStateReply(
                request_id=request_id,
                outcome=outcome,
                state=TRADING_STATES.get(pending.state, UNKNOWN),
                reason=REASONS.get(pending.reason, UNKNOWN),
            )
        if pending.kind == CommandKind.KILL:
            return KillReply(request_id=request_id, outcome=outcome)
        return CancelAllReply(request_id=request_id, outcome=outcome, cancels=pending.cancels)
