"""What a client can ask for: one function each, as a conversation that either client drives over its socket."""

from __future__ import annotations

from collections.abc import Iterable

from rpc.entities import (
    UNKNOWN,
    Fill,
    InstrumentInfo,
    Order,
    Position,
    Scope,
    Standing,
    Topic,
    TradingStateName,
    TrailUnitName,
)
from rpc.messages import (
    CancelAllReply,
    Fills,
    Instruments,
    KillReply,
    OrderReply,
    Orders,
    Pong,
    Positions,
    Standings,
    Status,
    Subscribed,
    TradingStateReply,
)
from rpc.placements import Number, answered, call_for, expires, text_of
from rpc.protocol import Call, Conversation, OutcomeUnknownError, Protocol, expect
from rpc.requests import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    GetFills,
    GetInstruments,
    GetOrder,
    GetOrders,
    GetPositions,
    GetStandings,
    GetStatus,
    Kill,
    Ping,
    SetTradingState,
    Subscribe,
    Unsubscribe,
)


def amend(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    price: Number | None = None,
    qty: Number | None = None,
    trigger_price: Number | None = None,
    trail_by: Number | None = None,
    trail_unit: TrailUnitName | None = None,
    timeout: float | None = None,
) -> Conversation[Order]:
    """Ask for another price or total quantity of an own order, named by one of its ids; returns it as it then stands.

    An order that the core still holds can get another trigger price or trailing distance too, a stop at the exchange
    another trigger price.
    The exchange's answer follows as an event. Raises as ``place`` does.
    """
    seconds = protocol.timeout if timeout is None else timeout
    request = AmendOrder(
        request_id=0,
        client_order_id=client_order_id,
        order_id=order_id,
        price=text_of("price", price),
        qty=text_of("qty", qty),
        trigger_price=text_of("trigger_price", trigger_price),
        trail_by=text_of("trail_by", trail_by),
        trail_unit=trail_unit,
        expires_ts=expires(seconds),
    )
    return answered(expect((yield Call(request, seconds)), OrderReply), "amend")


def cancel(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    timeout: float | None = None,
) -> Conversation[Order]:
    """Ask for the cancel of an own order, named by one of its ids; returns it as it then stands."""
    request = CancelOrder(request_id=0, client_order_id=client_order_id, order_id=order_id)
    return answered(expect((yield call_for(protocol, request, timeout)), OrderReply), "cancel")


def cancel_all(
    protocol: Protocol,
    symbol: str | None = None,
    *,
    scope: Scope = "own",
    account: str | None = None,
    strategy: str | None = None,
    timeout: float | None = None,
) -> Conversation[int]:
    """Ask for the cancel of every open order of this client, or with scope ``account`` of everyone.

    ``symbol``, ``account`` and ``strategy`` narrow it. Returns how many cancels were sent, orders in the core's keeping
    included.
    """
    request = CancelAll(request_id=0, symbol=symbol, scope=scope, account=account, strategy=strategy)
    reply = expect((yield call_for(protocol, request, timeout)), CancelAllReply)
    if reply.outcome == UNKNOWN:
        raise OutcomeUnknownError("the cancels were not all answered: read the open orders, or send it again")
    return reply.cancels


def set_trading_state(
    protocol: Protocol,
    state: TradingStateName,
    *,
    account: str | None = None,
    strategy: str | None = None,
    timeout: float | None = None,
) -> Conversation[str]:
    """Set what an account or a strategy may do, every account where none is named; returns its state now."""
    request = SetTradingState(request_id=0, state=state, account=account, strategy=strategy)
    reply = expect((yield call_for(protocol, request, timeout)), TradingStateReply)
    if reply.outcome == UNKNOWN:
        raise OutcomeUnknownError(f"trading state {state} was not answered: read the status, or send it again")
    return reply.state


def kill(
    protocol: Protocol, *, account: str | None = None, flatten: bool = False, timeout: float | None = None
) -> Conversation[None]:
    """The kill switch: halt an account, or every one, cancel its orders, and with ``flatten`` close its positions.

    It returns when the accounts are halted; the cancels follow by themselves.
    """
    request = Kill(request_id=0, account=account, flatten=flatten)
    if expect((yield call_for(protocol, request, timeout)), KillReply).outcome == UNKNOWN:
        raise OutcomeUnknownError("the kill switch was not answered: read the status, or send it again")


def order(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    timeout: float | None = None,
) -> Conversation[Order]:
    """An own order as it stands, named by one of its ids; its state is ``unknown`` when the core has not answered."""
    request = GetOrder(request_id=0, client_order_id=client_order_id, order_id=order_id)
    return expect((yield call_for(protocol, request, timeout)), OrderReply).order


def orders(
    protocol: Protocol,
    *,
    open_only: bool = True,
    symbol: str | None = None,
    scope: Scope = "own",
    timeout: float | None = None,
) -> Conversation[list[Order]]:
    """Own orders, or the account's, newest first; all pages."""
    found: list[Order] = []
    cursor: int | None = None
    while True:
        request = GetOrders(request_id=0, open_only=open_only, symbol=symbol, scope=scope, cursor=cursor)
        page = expect((yield call_for(protocol, request, timeout)), Orders)
        found += page.orders
        cursor = page.cursor
        if cursor is None:
            return found


def fills(
    protocol: Protocol, *, after: Fill | None = None, scope: Scope = "own", timeout: float | None = None
) -> Conversation[list[Fill]]:
    """Own fills, or the account's, oldest first, those after ``after``: what a gap in the events may have hidden."""
    found: list[Fill] = []
    last = after
    while True:
        request = (
            GetFills(request_id=0, scope=scope)
            if last is None
            else GetFills(request_id=0, scope=scope, after_session=last.session, after_seq=last.seq)
        )
        page = expect((yield call_for(protocol, request, timeout)), Fills)
        found += page.fills
        if not page.more:
            return found
        last = page.fills[-1]


def positions(
    protocol: Protocol, *, account: str | None = None, strategy: str | None = None, timeout: float | None = None
) -> Conversation[list[Position]]:
    """Positions of accounts and strategies, or of one of them."""
    request = GetPositions(request_id=0, account=account, strategy=strategy)
    return list(expect((yield call_for(protocol, request, timeout)), Positions).positions)


def standings(protocol: Protocol, *, timeout: float | None = None) -> Conversation[list[Standing]]:
    """Trading state, PnL, exposure and margin of every account and every strategy, accounts first."""
    return list(expect((yield call_for(protocol, GetStandings(request_id=0), timeout)), Standings).standings)


def instruments(protocol: Protocol, *, timeout: float | None = None) -> Conversation[list[InstrumentInfo]]:
    """The instruments of the session."""
    return list(expect((yield call_for(protocol, GetInstruments(request_id=0), timeout)), Instruments).instruments)


def status(protocol: Protocol, *, timeout: float | None = None) -> Conversation[Status]:
    """Trading state, and signs of life of every process."""
    return expect((yield call_for(protocol, GetStatus(request_id=0), timeout)), Status)


def ping(protocol: Protocol, *, timeout: float | None = None) -> Conversation[int]:
    """The server's wall clock, ns."""
    return expect((yield call_for(protocol, Ping(request_id=0), timeout)), Pong).ts


def subscribe(protocol: Protocol, topics: Iterable[Topic], *, timeout: float | None = None) -> Conversation[None]:
    """Be told of more topics; ``events`` gives what comes."""
    request = Subscribe(request_id=0, topics=tuple(topics))
    protocol.subscribed(expect((yield call_for(protocol, request, timeout)), Subscribed))


def unsubscribe(
    protocol: Protocol, topics: Iterable[Topic] = (), *, timeout: float | None = None
) -> Conversation[None]:
    """Be told of fewer topics, of nothing when none is named."""
    request = Unsubscribe(request_id=0, topics=tuple(topics))
    protocol.subscribed(expect((yield call_for(protocol, request, timeout)), Subscribed))
