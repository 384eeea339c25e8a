"""The conversations that place orders: alone, as a bracket, as a group, in another's stead."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, TypeAlias, TypeVar

from msgspec.structs import asdict

from rpc.entities import (
    UNKNOWN,
    ContingencyName,
    Order,
    OrderTypeName,
    PositionSide,
    Side,
    TimeInForceName,
    TrailUnitName,
    TriggerBy,
)
from rpc.messages import GroupReply, OrderReply, RpcCode
from rpc.protocol import Call, Conversation, OutcomeUnknownError, Protocol, RpcError, RpcTimeoutError, expect
from rpc.requests import AnyRequest, OrderTerms, PlaceBracket, PlaceOco, PlaceOrder, ReplaceOrder

Number: TypeAlias = str | Decimal | int
"""An exact number: decimal text, a Decimal or an int. A float is not: 0.1 + 0.2 is not 0.3 there."""


Placed = TypeVar("Placed", OrderReply, GroupReply)

_CAME_TOO_LATE: Final = frozenset({RpcCode.REQUEST_EXPIRED, "COMMAND_TOO_LATE"})
"""Codes of requests that surely had no effect, because they came after their time."""


def decimal_text(what: str, value: Number) -> str:
    """``value`` as plain decimal text.

    Raises
    ------
    TypeError
        For a float, or anything else that is not exact.
    """
    if type(value) is str:
        return value
    if isinstance(value, bool) or not isinstance(value, str | Decimal | int):
        raise TypeError(f"{what} {value!r} is a {type(value).__name__}: give exact decimal text, such as '0.1'")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def terms(
    symbol: str,
    side: Side,
    qty: Number,
    price: Number | None = None,
    *,
    order_type: OrderTypeName | None = None,
    time_in_force: TimeInForceName | None = None,
    good_till_ts: int = 0,
    post_only: bool = False,
    reduce_only: bool = False,
    at_exchange: bool = False,
    display_qty: Number | None = None,
    account: str | None = None,
    position_side: PositionSide | None = None,
    trigger_price: Number | None = None,
    trigger_by: TriggerBy | None = None,
    trail_by: Number | None = None,
    trail_unit: TrailUnitName | None = None,
    contingency: ContingencyName | None = None,
    parent_client_order_id: str | None = None,
    parent_order_id: int | None = None,
    client_order_id: str | None = None,
) -> OrderTerms:
    """An order as it is asked for; ``bracket`` and ``oco`` take such.

    Parameters
    ----------
    qty, price, display_qty, trigger_price, trail_by : str, Decimal or int
        Exact.
    order_type : str, optional
        One of ``OrderTypeName``. Default: limit with a price and market without.
    time_in_force : {"gtc", "ioc", "fok", "gtd", "day"}, optional
        Default: ioc for a market order, gtc for any other.
    good_till_ts : int
        gtd: when the order expires, ns since the epoch.
    account : str, optional
        Default: the session's own.
    position_side : {"long", "short"}, optional
        The position that the order is about: required of an account in hedging mode.
    at_exchange : bool
        Have a stop or take-profit stand at the exchange until its trigger, where the core's end does not concern it.
    trigger_by : {"last", "mark", "index", "bid_ask"}, optional
        The price that the trigger watches. Default: last.
    trail_unit : {"price", "basis_points", "ticks"}, optional
        Default: price.
    contingency : {"oto", "oco", "replace"}, optional
        How the order hangs on its parent, an own order named by one of its ids.
    client_order_id : str, optional
        Makes the order unique; made up when none is given.
    """
    return OrderTerms(
        client_order_id=secrets.token_hex(10) if client_order_id is None else client_order_id,
        symbol=symbol,
        side=side,
        qty=decimal_text("qty", qty),
        price=text_of("price", price),
        account=account,
        order_type=order_type or ("market" if price is None else "limit"),
        time_in_force=time_in_force,
        good_till_ts=good_till_ts,
        post_only=post_only,
        reduce_only=reduce_only,
        at_exchange=at_exchange,
        display_qty=text_of("display_qty", display_qty),
        position_side=position_side,
        trigger_price=text_of("trigger_price", trigger_price),
        trigger_by=trigger_by,
        trail_by=text_of("trail_by", trail_by),
        trail_unit=trail_unit,
        contingency=contingency,
        parent_client_order_id=parent_client_order_id,
        parent_order_id=parent_order_id,
    )


def place(
    protocol: Protocol,
    symbol: str,
    side: Side,
    qty: Number,
    price: Number | None = None,
    *,
    order_type: OrderTypeName | None = None,
    time_in_force: TimeInForceName | None = None,
    good_till_ts: int = 0,
    post_only: bool = False,
    reduce_only: bool = False,
    at_exchange: bool = False,
    display_qty: Number | None = None,
    account: str | None = None,
    position_side: PositionSide | None = None,
    trigger_price: Number | None = None,
    trigger_by: TriggerBy | None = None,
    trail_by: Number | None = None,
    trail_unit: TrailUnitName | None = None,
    contingency: ContingencyName | None = None,
    parent_client_order_id: str | None = None,
    parent_order_id: int | None = None,
    client_order_id: str | None = None,
    timeout: float | None = None,
    retries: int = 0,
) -> Conversation[Order]:
    """Place an order and wait until the core has taken it.

    Parameters
    ----------
    symbol, side, qty, ... : see ``terms``
        What is asked for.
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
    asked = terms(
        symbol,
        side,
        qty,
        price,
        order_type=order_type,
        time_in_force=time_in_force,
        good_till_ts=good_till_ts,
        post_only=post_only,
        reduce_only=reduce_only,
        at_exchange=at_exchange,
        display_qty=display_qty,
        account=account,
        position_side=position_side,
        trigger_price=trigger_price,
        trigger_by=trigger_by,
        trail_by=trail_by,
        trail_unit=trail_unit,
        contingency=contingency,
        parent_client_order_id=parent_client_order_id,
        parent_order_id=parent_order_id,
        client_order_id=client_order_id,
    )
    fields = asdict(asked)

    def request(expires_ts: int) -> AnyRequest:
        return PlaceOrder(request_id=0, expires_ts=expires_ts, **fields)

    reply = yield from place_until_answered(protocol, request, OrderReply, asked.client_order_id, timeout, retries)
    return reply.order


def bracket(
    protocol: Protocol,
    entry: OrderTerms,
    take_profit: OrderTerms,
    stop: OrderTerms,
    *,
    timeout: float | None = None,
    retries: int = 0,
) -> Conversation[tuple[Order, ...]]:
    """Place an entry, its target and its stop (see ``terms``), and wait until the core has taken all three.

    The two exits are held until the entry fills; from then on what one of them fills the other is reduced by. When one
    of the three is refused the others are cancelled. Raises as ``place`` does.
    """

    def request(expires_ts: int) -> AnyRequest:
        return PlaceBracket(request_id=0, entry=entry, take_profit=take_profit, stop=stop, expires_ts=expires_ts)

    reply = yield from place_until_answered(protocol, request, GroupReply, entry.client_order_id, timeout, retries)
    return reply.orders


def oco(
    protocol: Protocol, *orders: OrderTerms, timeout: float | None = None, retries: int = 0
) -> Conversation[tuple[Order, ...]]:
    """Place two to eight orders (see ``terms``) of which one cancels the others; as ``bracket``."""

    def request(expires_ts: int) -> AnyRequest:
        return PlaceOco(request_id=0, orders=orders, expires_ts=expires_ts)

    reply = yield from place_until_answered(protocol, request, GroupReply, orders[0].client_order_id, timeout, retries)
    return reply.orders


def replace(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    new_client_order_id: str | None = None,
    price: Number | None = None,
    qty: Number | None = None,
    trigger_price: Number | None = None,
    timeout: float | None = None,
    retries: int = 0,
) -> Conversation[Order]:
    """Cancel an own order, named by one of its ids, and place another in its stead for what it has not filled.

    What is not given is as it was; ``qty`` is the total, what the first one has filled included. Returns the new order,
    which leaves once the cancel is certain. Raises as ``place`` does.
    """
    own_id = secrets.token_hex(10) if new_client_order_id is None else new_client_order_id
    texts = {name: text_of(name, value) for name, value in _given(price=price, qty=qty, trigger_price=trigger_price)}

    def request(expires_ts: int) -> AnyRequest:
        return ReplaceOrder(
            request_id=0,
            new_client_order_id=own_id,
            client_order_id=client_order_id,
            order_id=order_id,
            expires_ts=expires_ts,
            **texts,
        )

    reply = yield from place_until_answered(protocol, request, OrderReply, own_id, timeout, retries)
    return reply.order


def _given(**values: Number | None) -> Iterable[tuple[str, Number | None]]:
    return values.items()


def text_of(what: str, value: Number | None) -> str | None:
    return None if value is None else decimal_text(what, value)


def place_until_answered(
    protocol: Protocol,
    request: Callable[[int], AnyRequest],
    kind: type[Placed],
    own_id: str,
    timeout: float | None,
    retries: int,
) -> Conversation[Placed]:
    """Ask for new orders, and ask again while no answer comes, which is safe."""
    seconds = protocol.timeout if timeout is None else timeout
    order: Order | None = None
    for attempt in range(retries + 1):
        try:
            reply = expect((yield Call(request(expires(seconds)), seconds)), kind)
        except RpcTimeoutError:
            continue
        except RpcError as error:
            if error.code not in _CAME_TOO_LATE or attempt == retries:
                raise
            continue
        if reply.outcome != UNKNOWN:
            return reply
        order = reply.order if isinstance(reply, OrderReply) else reply.orders[0]
    raise OutcomeUnknownError(
        f"order {own_id!r} was not answered: place it again with this client_order_id, or ask for its state",
        own_id,
        order,
    )


def answered(reply: OrderReply, what: str) -> Order:
    """The order of a reply; raises ``OutcomeUnknownError`` where the core has not answered."""
    if reply.outcome == UNKNOWN:
        order = reply.order
        raise OutcomeUnknownError(
            f"the {what} of order {order.order_id} was not answered: ask for its state, or send it again",
            order.client_order_id,
            order,
        )
    return reply.order


def call_for(protocol: Protocol, request: AnyRequest, timeout: float | None) -> Call:
    return Call(request, protocol.timeout if timeout is None else timeout)


def expires(seconds: float) -> int:
    """Wall clock, ns, at which nobody waits for the reply any more."""
    return time.time_ns() + int(seconds * 1e9)
