"""Requests: what a client can ask the rpc server for; see ``rpc.messages`` for how they travel.

Every request carries a ``request_id`` of the client's own. Prices and quantities are plain decimal text and stay exact;
times are ns since the epoch. A request with an unknown field is refused: an order must not lose an instruction on its
way.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from rpc.entities import (
    ContingencyName,
    OrderTypeName,
    PositionSide,
    Scope,
    Side,
    TimeInForceName,
    Topic,
    TradingStateName,
    TrailUnitName,
    TriggerBy,
    tag_of,
)

PROTOCOL_VERSION: Final = 2

MAX_PAGE: Final = 1000
"""Most orders or fills in one reply."""
MAX_OCO: Final = 8
"""Most orders of which one cancels the others."""
MAX_VENUES: Final = 7
"""Most instruments, beside an order's own, in which its algorithm may trade."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[!-~]+\Z")]
"""Visible ASCII without blanks: client names and client order ids."""
Symbol: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
DecimalText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=40)]
NonNegative: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Parameters: TypeAlias = Annotated[dict[Name, float | DecimalText], Meta(max_length=16)]
Page: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_PAGE)]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag=tag_of):
    """Base of all requests."""

    request_id: NonNegative


class Hello(Request, frozen=True):
    """Who is calling; the first request of a connection, and again after the server was restarted."""

    client: Name
    """Owner of the orders. Connections with the same name share orders and client order ids."""
    version: int = PROTOCOL_VERSION


class Ping(Request, frozen=True):
    """Is the server there?"""


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order as it is asked for."""

    client_order_id: Name
    symbol: Symbol
    """``BTCUSDT``, or ``BTCUSDT.binance_usdm`` where several venues have it."""
    side: Side
    qty: DecimalText
    price: DecimalText | None = None
    """Required for limit orders, also for those that wait for a trigger; None for market orders."""
    account: Name | None = None
    """None: the session's own."""
    order_type: OrderTypeName = "limit"
    time_in_force: TimeInForceName | None = None
    """None: gtc for a limit order, ioc for a market order."""
    good_till_ts: NonNegative = 0
    """gtd: when the order expires, ns since the epoch. (``expires_ts`` is about the request.)"""
    post_only: bool = False
    reduce_only: bool = False
    at_exchange: bool = False
    """Of a stop or take-profit order: it stands at the exchange until its trigger, and is not held by the core."""
    display_qty: DecimalText | None = None
    """Shown at a time; None: all."""
    position_side: PositionSide | None = None
    """The position that the order is about: required in hedging mode, and None in netting mode."""
    trigger_price: DecimalText | None = None
    """Required for stop and take-profit orders; for trailing ones where the trigger begins, None: at its distance."""
    trigger_by: TriggerBy | None = None
    """None: last."""
    trail_by: DecimalText | None = None
    """Trailing orders: distance from the price that is watched."""
    trail_unit: TrailUnitName | None = None
    """None: price."""
    contingency: ContingencyName | None = None
    """``oto``: held until the parent fills; ``oco``: the parent's end ends this one, and the other way round;
    ``replace``: the parent is cancelled, then this order leaves for what the parent has not filled."""
    parent_client_order_id: Name | None = None
    parent_order_id: NonNegative | None = None


class PlaceOrder(OrderTerms, frozen=True, tag_field="type", tag=tag_of):
    """Place an order. Sent again with the same ``client_order_id``, it answers with the state of that order."""

    request_id: NonNegative
    expires_ts: NonNegative = 0
    """Wall clock, ns: the server refuses the request when it reads it later than this. 0: never."""


class PlaceBracket(Request, frozen=True):
    """Place an entry with a target and a stop, which are held until the entry fills and then reduce one another. Sent
    again with the same ids, it answers with the states of those orders."""

    entry: OrderTerms
    take_profit: OrderTerms
    stop: OrderTerms
    expires_ts: NonNegative = 0


class PlaceOco(Request, frozen=True):
    """Place orders of which one cancels the others. Sent again with the same ids, it answers with their states."""

    orders: Annotated[tuple[OrderTerms, ...], Meta(min_length=2, max_length=MAX_OCO)]
    expires_ts: NonNegative = 0


class ReplaceOrder(Request, frozen=True):
    """Cancel an own order, named by one of its two ids, and place another in its stead for what it has not filled.
    What is not given is as it was."""

    new_client_order_id: Name
    client_order_id: Name | None = None
    order_id: NonNegative | None = None
    price: DecimalText | None = None
    qty: DecimalText | None = None
    """Total, what the first one has filled included."""
    trigger_price: DecimalText | None = None
    expires_ts: NonNegative = 0


class AmendOrder(Request, frozen=True):
    """Change what is given of an own order, named by one of its two ids."""

    client_order_id: Name | None = None
    order_id: NonNegative | None = None
    price: DecimalText | None = None
    qty: DecimalText | None = None
    """The new total, the filled part included."""
    trigger_price: DecimalText | None = None
    """Of an order that the core still holds, as ``trail_by``, or of a stop that stands at the exchange."""
    trail_by: DecimalText | None = None
    trail_unit: TrailUnitName | None = None
    """None: as before."""
    expires_ts: NonNegative = 0


class StartAlgorithm(Request, frozen=True):
    """Have an algorithm work an order: the parent, which is filled by child orders. Sent again with the same
    ``client_order_id``, it answers with the state of that order."""

    client_order_id: Name
    algorithm: Name
    symbol: Symbol
    side: Side
    qty: DecimalText
    """The target."""
    price: DecimalText | None = None
    """The worst price of a child; None: any."""
    parameters: Parameters = {}
    """Numbers, or decimal text for a quantity or a price; what is not given is as the algorithm declares it."""
    venues: Annotated[tuple[Symbol, ...], Meta(max_length=MAX_VENUES)] = ()
    """Other instruments in which it may trade, of an algorithm that splits an order over venues. Without any,
    ``symbol`` may be a canonical one, such as ``BTC-SPOT``, or ``BTC-SPOT.VENUE`` with the order's own venue."""
    account: Name | None = None
    time_in_force: TimeInForceName | None = None
    """gtc, gtd or day; None: gtc."""
    good_till_ts: NonNegative = 0
    reduce_only: bool = False
    position_side: PositionSide | None = None
    expires_ts: NonNegative = 0


class AmendAlgorithm(Request, frozen=True):
    """Change what is given of an own order that an algorithm works, named by one of its two ids."""

    client_order_id: Name | None = None
    order_id: NonNegative | None = None
    price: DecimalText | None = None
    qty: DecimalText | None = None
    """The new target, the filled part included."""
    parameters: Parameters = {}
    expires_ts: NonNegative = 0


class PauseAlgorithm(Request, frozen=True):
    """Have an own order rest that an algorithm works: its children are cancelled, and there are no new ones."""

    client_order_id: Name | None = None
    order_id: NonNegative | None = None


class ResumeAlgorithm(Request, frozen=True):
    """Let a paused order go on."""

    client_order_id: Name | None = None
    order_id: NonNegative | None = None
    expires_ts: NonNegative = 0


class CancelOrder(Request, frozen=True):
    """Cancel an own order, named by one of its two ids."""

    client_order_id: Name | None = None
    order_id: NonNegative | None = None


class CancelAll(Request, frozen=True):
    """Cancel the client's open orders, or with scope ``account`` those of every client and strategy."""

    symbol: Symbol | None = None
    scope: Scope = "own"
    account: Name | None = None
    """Only of this account; None: of every one."""
    strategy: Name | None = None
    """Only of this strategy; for scope ``account``."""


class SetTradingState(Request, frozen=True):
    """Set what an account or a strategy may do; every account where none is named."""

    state: TradingStateName
    account: Name | None = None
    strategy: Name | None = None


class Kill(Request, frozen=True):
    """The kill switch: halt an account (None: every one) and cancel all its orders."""

    account: Name | None = None
    flatten: bool = False
    """Also close its positions at the market."""


class GetOrder(Request, frozen=True):
    """The state of an own order, named by one of its two ids."""

    client_order_id: Name | None = None
    order_id: NonNegative | None = None


class GetOrders(Request, frozen=True):
    """Orders, newest first, a page at a time."""

    open_only: bool = True
    symbol: Symbol | None = None
    scope: Scope = "own"
    limit: Page = MAX_PAGE
    cursor: NonNegative | None = None
    """``Orders.cursor`` of the page before; None: the first page."""


class GetFills(Request, frozen=True):
    """Fills after a place in the core's event stream, oldest first: what a client missed."""

    after_session: NonNegative = 0
    after_seq: int = -1
    scope: Scope = "own"
    limit: Page = MAX_PAGE


class GetAlgorithms(Request, frozen=True):
    """The execution algorithms of this session."""


class GetProgress(Request, frozen=True):
    """How far algorithms have worked orders: one own order, named by one of its two ids, or a page of orders, newest
    first."""

    client_order_id: Name | None = None
    order_id: NonNegative | None = None
    open_only: bool = True
    scope: Scope = "own"
    limit: Page = MAX_PAGE
    cursor: NonNegative | None = None
    """``ProgressReply.cursor`` of the page before; None: the first page."""


class GetPositions(Request, frozen=True):
    """The positions of accounts and strategies."""

    account: Name | None = None
    strategy: Name | None = None


class GetStandings(Request, frozen=True):
    """Trading state, PnL, exposure and margin of every account and strategy."""


class GetStatus(Request, frozen=True):
    """Trading state and signs of life of every process."""


class GetInstruments(Request, frozen=True):
    """The instruments of this session."""


class Subscribe(Request, frozen=True):
    """Add topics to what this connection is told."""

    topics: Annotated[tuple[Topic, ...], Meta(min_length=1, max_length=8)]


class Unsubscribe(Request, frozen=True):
    """Take topics away; all of them when none is named."""

    topics: Annotated[tuple[Topic, ...], Meta(max_length=8)] = ()


AnyRequest: TypeAlias = (
    Hello
    | Ping
    | PlaceOrder
    | PlaceBracket
    | PlaceOco
    | ReplaceOrder
    | AmendOrder
    | StartAlgorithm
    | AmendAlgorithm
    | PauseAlgorithm
    | ResumeAlgorithm
    | CancelOrder
    | CancelAll
    | SetTradingState
    | Kill
    | GetOrder
    | GetOrders
    | GetFills
    | GetAlgorithms
    | GetProgress
    | GetPositions
    | GetStandings
    | GetStatus
    | GetInstruments
    | Subscribe
    | Unsubscribe
)
