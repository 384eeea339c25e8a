"""What a client can ask for: one function each, as a conversation that either client drives over its socket."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, TypeAlias

from rpc.entities import (
    UNKNOWN,
    Fill,
    InstrumentInfo,
    Order,
    OrderTypeName,
    Position,
    Scope,
    Side,
    TimeInForceName,
    Topic,
    TradingStateName,
)
from rpc.messages import (
    AmendOrder,
    AnyRequest,
    CancelAll,
    CancelAllReply,
    CancelOrder,
    Fills,
    GetFills,
    GetInstruments,
    GetOrder,
    GetOrders,
    GetPositions,
    GetStatus,
    Instruments,
    OrderReply,
    Orders,
    Ping,
    PlaceOrder,
    Pong,
    Positions,
    RpcCode,
    SetTradingState,
    Status,
    Subscribe,
    Subscribed,
    TradingStateReply,
    Unsubscribe,
)
from rpc.protocol import Call, Conversation, OutcomeUnknownError, Protocol, RpcError, RpcTimeoutError, expect

Number: TypeAlias = str | Decimal | int
"""An exact number: decimal text, a Decimal or an int. A float is not: 0.1 + 0.2 is not 0.3 there."""


_CAME_TOO_LATE: Final = frozenset({RpcCode.REQUEST_EXPIRED, "COMMAND_TOO_LATE"})
"""Codes of requests that surely had no effect, because they came after their time."""


def decimal_text(what: str, value: Number) -> str:
    """``value`` as plain decimal text.

    Raises
    ------
    TypeError
        For a float, or anything else that is not exact.
    """
    if isinstance(value, bool) or not isinstance(value, str | Decimal | int):
        raise TypeError(f"{what} {value!r} is a {type(value).__name__}: give exact decimal text, such as '0.1'")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def place(
    protocol: Protocol,
    symbol: str,
    side: Side,
    qty: Number,
    price: Number | None = None,
    *,
    order_type: OrderTypeName | None = None,
    time_in_force: TimeInForceName | None = None,
    post_only: bool = False,
    reduce_only: bool = False,
    client_order_id: str | None = None,
    timeout: float | None = None,
    retries: int = 0,
) -> Conversation[Order]:
    """Place an order and wait until the core has taken it.

    Parameters
    ----------
    qty, price : str, Decimal or int
        Exact; without a price it is a market order.
    time_in_force : {"gtc", "ioc", "fok"}, optional
        Default: gtc with a price, ioc without.
    client_order_id : str, optional
        Makes the order unique; made up when none is given.
    timeout : float, optional
        For each try, s.
    retries : int
        How often to send the same id again when no answer comes.

    Raises
    ------
    RpcError
        When the order is refused; ``code`` says why.
    OutcomeUnknownError
        When no try was answered: it has the ``client_order_id`` to place again with.
    """
    own_id = secrets.token_hex(10) if client_order_id is None else client_order_id
    seconds = protocol.timeout if timeout is None else timeout
    text = decimal_text("qty", qty)
    price_text = None if price is None else decimal_text("price", price)
    order: Order | None = None
    for attempt in range(retries + 1):
        request = PlaceOrder(
            request_id=0,
            client_order_id=own_id,
            symbol=symbol,
            side=side,
            qty=text,
            price=price_text,
            order_type=order_type or ("market" if price is None else "limit"),
            time_in_force=time_in_force,
            post_only=post_only,
            reduce_only=reduce_only,
            expires_ts=_expires(seconds),
        )
        try:
            reply = expect((yield Call(request, seconds)), OrderReply)
        except RpcTimeoutError:
            continue
        except RpcError as error:
            if error.code not in _CAME_TOO_LATE or attempt == retries:
                raise
            continue
        order = reply.order
        if reply.outcome != UNKNOWN:
            return order
    raise OutcomeUnknownError(
        f"order {own_id!r} was not answered: place it again with this client_order_id, or ask for its state",
        own_id,
        order,
    )


def amend(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    price: Number | None = None,
    qty: Number | None = None,
    timeout: float | None = None,
) -> Conversation[Order]:
    """Ask for another price or total quantity of an own order, named by one of its ids; returns it as it then stands.

    The exchange's answer follows as an event. Raises as ``place`` does.
    """
    seconds = protocol.timeout if timeout is None else timeout
    request = AmendOrder(
        request_id=0,
        client_order_id=client_order_id,
        order_id=order_id,
        price=None if price is None else decimal_text("price", price),
        qty=None if qty is None else decimal_text("qty", qty),
        expires_ts=_expires(seconds),
    )
    return _answered(expect((yield Call(request, seconds)), OrderReply), "amend")


def cancel(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    timeout: float | None = None,
) -> Conversation[Order]:
    """Ask for the cancel of an own order, named by one of its ids; returns it as it then stands."""
    request = CancelOrder(request_id=0, client_order_id=client_order_id, order_id=order_id)
    return _answered(expect((yield _call(protocol, request, timeout)), OrderReply), "cancel")


def _answered(reply: OrderReply, what: str) -> Order:
    if reply.outcome == UNKNOWN:
        order = reply.order
        raise OutcomeUnknownError(
            f"the {what} of order {order.order_id} was not answered: ask for its state, or send it again",
            order.client_order_id,
            order,
        )
    return reply.order


def cancel_all(
    protocol: Protocol, symbol: str | None = None, *, scope: Scope = "own", timeout: float | None = None
) -> Conversation[int]:
    """Ask for the cancel of every open order of this client, or of the account; returns how many cancels were sent."""
    request = CancelAll(request_id=0, symbol=symbol, scope=scope)
    reply = expect((yield _call(protocol, request, timeout)), CancelAllReply)
    if reply.outcome == UNKNOWN:
        raise OutcomeUnknownError("the cancels were not all answered: read the open orders, or send it again")
    return reply.cancels


def set_trading_state(
    protocol: Protocol, state: TradingStateName, *, timeout: float | None = None
) -> Conversation[str]:
    """Set what the account may do; returns the state that it has now."""
    request = SetTradingState(request_id=0, state=state)
    reply = expect((yield _call(protocol, request, timeout)), TradingStateReply)
    if reply.outcome == UNKNOWN:
        raise OutcomeUnknownError(f"trading state {state} was not answered: read the status, or send it again")
    return reply.state


def order(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    timeout: float | None = None,
) -> Conversation[Order]:
    """An own order as it stands, named by one of its ids; its state is ``unknown`` when the core has not answered."""
    request = GetOrder(request_id=0, client_order_id=client_order_id, order_id=order_id)
    return expect((yield _call(protocol, request, timeout)), OrderReply).order


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
        page = expect((yield _call(protocol, request, timeout)), Orders)
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
        page = expect((yield _call(protocol, request, timeout)), Fills)
        found += page.fills
        if not page.more:
            return found
        last = page.fills[-1]


def positions(protocol: Protocol, *, timeout: float | None = None) -> Conversation[list[Position]]:
    """The account's positions."""
    return list(expect((yield _call(protocol, GetPositions(request_id=0), timeout)), Positions).positions)


def instruments(protocol: Protocol, *, timeout: float | None = None) -> Conversation[list[InstrumentInfo]]:
    """The instruments of the session."""
    return list(expect((yield _call(protocol, GetInstruments(request_id=0), timeout)), Instruments).instruments)


def status(protocol: Protocol, *, timeout: float | None = None) -> Conversation[Status]:
    """Trading state, and signs of life of every process."""
    return expect((yield _call(protocol, GetStatus(request_id=0), timeout)), Status)


def ping(protocol: Protocol, *, timeout: float | None = None) -> Conversation[int]:
    """The server's wall clock, ns."""
    return expect((yield _call(protocol, Ping(request_id=0), timeout)), Pong).ts


def subscribe(protocol: Protocol, topics: Iterable[Topic], *, timeout: float | None = None) -> Conversation[None]:
    """Be told of more topics; ``events`` gives what comes."""
    request = Subscribe(request_id=0, topics=tuple(topics))
    protocol.subscribed(expect((yield _call(protocol, request, timeout)), Subscribed))


def unsubscribe(
    protocol: Protocol, topics: Iterable[Topic] = (), *, timeout: float | None = None
) -> Conversation[None]:
    """Be told of fewer topics, of nothing when none is named."""
    request = Unsubscribe(request_id=0, topics=tuple(topics))
    protocol.subscribed(expect((yield _call(protocol, request, timeout)), Subscribed))


def _call(protocol: Protocol, request: AnyRequest, timeout: float | None) -> Call:
    return Call(request, protocol.timeout if timeout is None else timeout)


def _expires(seconds: float) -> int:
    """Wall clock, ns, at which nobody waits for the reply any more."""
    return time.time_ns() + int(seconds * 1e9)
