"""The exchange behind a venue's front end: orders, fills and accounts of one instrument, over the matching engine.

It knows no wire format. A front end asks it, and hears of everything that happens to an order from its listeners, in
the order in which it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from fractions import Fraction
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from gateways.decoder import Ticks
from gateways.sandbox.accounts import Account, Bookkeeper, Fill, Income, Order, Status
from gateways.sandbox.engine.records import OPERATION, OperationFlag, OperationKind, OutcomeKind
from oms.instruments import Instrument
from oms.records import CASH_SCALE, Liquidity, OrderType, Reason, TickKind, TimeInForce

L = TypeVar("L", bound=Bookkeeper)

FIRST_ORDER_ID: Final = 8_389_760_000_000
"""Order ids are of this size: a client that keeps them in 32 bits must fail here too."""

NS_PER_MS: Final = 1_000_000
_TRADE: Final = int(TickKind.TRADE)
_QUOTE: Final = int(TickKind.QUOTE)


class Engine(Protocol):
    """The matching engine of one instrument; ``gateways.sandbox.matching.Matching``."""

    def operate(self, operations: Ticks) -> Ticks:
        """Do ``OPERATION`` rows in order, and return ``OUTCOME`` rows."""

    def background(self, ticks: Ticks) -> Ticks:
        """Move the displayed book by ``TICK`` rows, and return ``OUTCOME`` rows."""


class Refusal(Enum):
    """Why the exchange does not take an order."""

    MARGIN = auto()
    REDUCE_ONLY = auto()
    WOULD_TAKE = auto()
    NOT_FILLED_AT_ONCE = auto()
    NOT_OPEN = auto()
    IMPOSSIBLE = auto()
    """The engine cannot hold such an order: its price is too far from the market, or there are too many."""


class RefusedError(Exception):
    """An order, a cancel or an amend is refused; nothing has changed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.name)
        self.refusal = refusal


class What(Enum):
    """What happened to an order."""

    NEW = auto()
    TRADE = auto()
    AMENDED = auto()
    CANCELED = auto()
    EXPIRED = auto()


class Event(NamedTuple):
    """One thing that happened to an order; ``fill`` is None where it was no trade."""

    what: What
    order: Order
    fill: Fill | None
    ts_ms: int


class Exchange(Generic[L]):
    """One instrument's orders and accounts.

    Parameters
    ----------
    instrument, ledger
        What is traded, and who keeps its accounts' books.
    engine
        Its matching engine, whose background book is there.
    now_ns
        The exchange's clock.
    first_order_id
        The venue's order ids are of this size.

    Attributes
    ----------
    listeners : list of callable
        Each is called with each ``Event``.
    orders : dict of Order by order id
        All of them, open or not.
    newest : dict of Order by account number and the client's id
        The last of each id.
    """

    def __init__(
        self,
        instrument: Instrument,
        ledger: L,
        engine: Engine,
        now_ns: Callable[[], int],
        first_order_id: int = FIRST_ORDER_ID,
    ) -> None:
        self.instrument = instrument
        self.ledger = ledger
        self.engine = engine
        self.listeners: list[Callable[[Event], None]] = []
        self.orders: dict[int, Order] = {}
        self.newest: dict[tuple[int, str], Order] = {}
        self.accounts: list[Account] = []
        self.mark_px = Fraction(0)
        self.last_px = 0
        self.bid_px = self.ask_px = 0
        self._now_ns = now_ns
        self._next_order_id = first_order_id
        self._wanted = (0, 0)  # price and quantity of the amend in hand

    @property
    def now_ms(self) -> int:
        """The exchange's time."""
        return self._now_ns() // NS_PER_MS

    def open_account(self, wallet: int) -> Account:
        """A new account with so much cash."""
        account = Account(len(self.accounts), wallet, wallet_ms=self.now_ms)
        self.accounts.append(account)
        return account

    def new_order_id(self) -> int:
        """The id of the next order: of one that waits for a price and is placed later, too."""
        self._next_order_id += 1
        return self._next_order_id

    def place(self, order: Order) -> None:
        """Take a new order; what becomes of it at once has happened when this returns.

        Raises
        ------
        RefusedError
            The order does not exist.
        """
        order.working_qty = order.qty
        if order.is_reduce_only:
            order.working_qty = self._reducible(order)
        else:
            self._check_funds(order)
        self._enter(order)

    def liquidate(self, account: Account, client_order_id: str) -> None:
        """Close a position by force: its account's orders expire, and what the market has is taken at once."""
        for each in list(account.open_orders.values()):
            self._operate_expiry(each)
        side, qty = (-1 if account.qty > 0 else 1), abs(account.qty)
        order = Order(
            account, client_order_id, side, OrderType.MARKET, TimeInForce.IOC, qty, working_qty=qty, is_liquidation=True
        )
        self._enter(order)

    def _enter(self, order: Order) -> None:
        """Give an order to the engine; raises ``RefusedError``."""
        if not order.order_id:
            order.order_id = self.new_order_id()
        order.created_ms = order.created_ms or self.now_ms
        order.updated_ms = self.now_ms
        self.orders[order.order_id] = order
        try:
            self._operate(order, OperationKind.PLACE, order.px, order.working_qty)
        except RefusedError:
            del self.orders[order.order_id]
            raise
        self.newest[order.account.number, order.client_order_id] = order

    def expire_at_once(self, order: Order) -> None:
        """Take an order that was just refused as one that has expired: some exchanges say it so."""
        self.orders[order.order_id] = order
        self.newest[order.account.number, order.client_order_id] = order
        self._tell(What.NEW, order, None)
        self._expire(order)

    def rename(self, order: Order, client_order_id: str) -> None:
        """Give an order another id of the client's."""
        self.newest.pop((order.account.number, order.client_order_id), None)
        order.client_order_id = client_order_id
        self.newest[order.account.number, client_order_id] = order

    def cancel(self, order: Order) -> None:
        """Cancel an order; raises ``RefusedError`` when it is not open."""
        self._operate(order, OperationKind.CANCEL, order.px, order.qty)

    def amend(self, order: Order, px: int, qty: int) -> None:
        """Give an order another price, and another quantity in all, what it has filled included.

        The engine cancels one that has filled as much already, and a post-only one that would take.

        Raises
        ------
        RefusedError
            The order is as it was.
        """
        working_qty = qty
        if order.is_reduce_only:
            working_qty = order.filled_qty + min(qty - order.filled_qty, abs(order.account.qty))
        else:
            self._check_funds(order, px, qty)
        self._wanted = (px, qty)
        self._operate(order, OperationKind.AMEND, px, working_qty)

    def move(self, ticks: Ticks) -> None:
        """Let the recorded market move by TICK rows; resting orders may fill."""
        if not len(ticks):
            return
        for kind, note in ((_TRADE, self._note_trade), (_QUOTE, self._note_quote)):
            at = np.flatnonzero(ticks["kind"] == kind)
            if len(at):
                note(ticks[at[-1]])
        self._take(self.engine.background(ticks))

    def pay_funding(self, rate: int) -> list[tuple[Account, int]]:
        """Have every position pay, or receive, its notional at the mark price times ``rate`` (1e-8; above 0 longs pay).

        Returns the accounts that have, with what they received: cash, paid is negative (Binance, "Introduction to
        Binance Futures Funding Rates").
        """
        paid = []
        for account in self.accounts:
            if account.qty:
                notional = self.ledger.notional(self.mark_px, account.qty)
                amount = -round(Fraction(notional * rate, CASH_SCALE)) * (1 if account.qty > 0 else -1)
                account.wallet += amount
                account.wallet_ms = self.now_ms
                account.incomes.append(Income("FUNDING_FEE", amount, 0, self.now_ms))
                paid.append((account, amount))
        return paid

    def _note_trade(self, tick: np.void) -> None:
        self.last_px = int(tick["px"])

    def _note_quote(self, tick: np.void) -> None:
        self.bid_px, self.ask_px = int(tick["px"]), int(tick["px_2"])
        self.mark_px = Fraction(self.bid_px + self.ask_px, 2)

    def _check_funds(self, order: Order, px: int = 0, qty: int = 0) -> None:
        """Refuse what the account cannot put up."""
        if not self.ledger.covers(order, px, qty, self.mark_px):
            raise RefusedError(Refusal.MARGIN)

    def _reducible(self, order: Order) -> int:
        """Lots of a reduce-only order that the engine is given: no more than the position."""
        if order.account.qty * order.side >= 0:
            raise RefusedError(Refusal.REDUCE_ONLY)
        return min(order.qty, abs(order.account.qty))

    def _operate(self, order: Order, kind: OperationKind, px: int, qty: int) -> None:
        """Have the engine do one operation; raises ``RefusedError`` when it refuses it."""
        flags = order.self_trade
        if order.is_post_only:
            flags |= OperationFlag.POST_ONLY
        operation = np.zeros(1, OPERATION)
        operation["kind"] = kind
        operation["order_id"] = order.order_id
        operation["account"] = order.account.number
        operation["side"] = order.side
        operation["order_type"] = order.order_type
        operation["tif"] = order.time_in_force
        operation["flags"] = flags
        operation["px"] = px
        operation["qty"] = qty
        operation["ts"] = self._now_ns()
        outcomes = self.engine.operate(operation)
        self._take(outcomes)
        refused = outcomes[outcomes["kind"] == OutcomeKind.REJECTED]
        if len(refused):
            raise RefusedError(_REFUSALS.get(Reason(int(refused["reason"][0])), Refusal.IMPOSSIBLE))

    def _take(self, outcomes: Ticks) -> None:
        """Book what the engine says, in order."""
        if not len(outcomes):
            return
        touched: dict[int, Account] = {}
        for outcome in outcomes[outcomes["kind"] != OutcomeKind.REJECTED]:
            order = self.orders[int(outcome["order_id"])]
            self._book(order, outcome)
            touched[order.account.number] = order.account
        self._cut_reduce_only(touched.values())

    def _book(self, order: Order, outcome: np.void) -> None:
        kind = OutcomeKind(int(outcome["kind"]))
        order.updated_ms = self.now_ms
        fill = None
        if kind is OutcomeKind.FILL:
            fill = self._fill(order, outcome)
        elif kind is OutcomeKind.ACCEPTED:
            order.account.open_orders[order.order_id] = order
        elif kind is OutcomeKind.AMENDED:
            order.px, order.qty = self._wanted
            order.working_qty = int(outcome["qty"])
            order.amends += 1
        else:
            order.status = _ENDS.get(Reason(int(outcome["reason"])), Status.CANCELED)
        if not order.status.is_open:
            order.account.open_orders.pop(order.order_id, None)
        self._tell(_WHAT[kind], order, fill)
        if order.status.is_open and order.filled_qty == order.working_qty < order.qty:
            self._expire(order)  # a reduce-only order has closed the position, and its rest has nothing to do

    def _expire(self, order: Order) -> None:
        order.status = Status.EXPIRED
        order.account.open_orders.pop(order.order_id, None)
        self._tell(What.EXPIRED, order, None)

    def _fill(self, order: Order, outcome: np.void) -> Fill:
        px, qty = int(outcome["px"]), int(outcome["qty"])
        is_maker = outcome["liquidity"] == Liquidity.MAKER
        account = order.account
        booked = self.ledger.book(account, order.side, px, qty, is_maker=bool(is_maker))
        order.filled_qty += qty
        order.filled_cost += px * qty
        order.status = Status.FILLED if order.left == 0 else Status.PARTIALLY_FILLED
        now_ms = account.updated_ms = account.wallet_ms = self.now_ms
        trade_id = int(outcome["trade_id"])
        fill = Fill(order, trade_id, px, qty, bool(is_maker), *booked, now_ms)
        account.fills.append(fill)
        account.incomes.append(Income("COMMISSION", -booked.fee, trade_id, now_ms))
        account.realized_pnl += booked.realized_pnl
        if booked.realized_pnl:
            account.incomes.append(Income("REALIZED_PNL", booked.realized_pnl, trade_id, now_ms))
        return fill

    def _cut_reduce_only(self, accounts: Iterable[Account]) -> None:
        """Expire the reduce-only orders that could no longer only reduce."""
        for account in list(accounts):
            for order in list(account.open_orders.values()):
                left = order.working_qty - order.filled_qty
                if order.is_reduce_only and (account.qty * order.side >= 0 or left > abs(account.qty)):
                    self._operate_expiry(order)

    def _operate_expiry(self, order: Order) -> None:
        """Take an order off the engine's book as expired: the engine calls that a cancel."""
        operation = np.zeros(1, OPERATION)
        operation["kind"] = OperationKind.CANCEL
        operation["order_id"] = order.order_id
        operation["account"] = order.account.number
        operation["ts"] = self._now_ns()
        self.engine.operate(operation)
        order.updated_ms = self.now_ms
        self._expire(order)

    def _tell(self, what: What, order: Order, fill: Fill | None) -> None:
        event = Event(what, order, fill, self.now_ms)
        for listener in self.listeners:
            listener(event)


_WHAT: Final = {
    OutcomeKind.ACCEPTED: What.NEW,
    OutcomeKind.FILL: What.TRADE,
    OutcomeKind.AMENDED: What.AMENDED,
    OutcomeKind.CANCELLED: What.CANCELED,
    OutcomeKind.EXPIRED: What.EXPIRED,
}

_REFUSALS: Final = {
    Reason.POST_ONLY_WOULD_CROSS: Refusal.WOULD_TAKE,
    Reason.NO_LIQUIDITY: Refusal.NOT_FILLED_AT_ONCE,
    Reason.UNKNOWN_AT_EXCHANGE: Refusal.NOT_OPEN,
}
_ENDS: Final = {Reason.NO_LIQUIDITY: Status.EXPIRED, Reason.SELF_TRADE: Status.EXPIRED_IN_MATCH}
"""How an order is that the engine has ended, by its reason; for any other it is cancelled."""
