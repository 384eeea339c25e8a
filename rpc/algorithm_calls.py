"""The conversations about algorithms: start, amend, pause, resume, and how far they are."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

from rpc.entities import AlgorithmInfo, Order, PositionSide, Progress, Scope, Side, TimeInForceName
from rpc.messages import Algorithms, OrderReply, ProgressReply
from rpc.placements import Number, answered, call_for, decimal_text, expires, place_until_answered, text_of
from rpc.protocol import Call, Conversation, Protocol, expect
from rpc.requests import (
    AmendAlgorithm,
    AnyRequest,
    GetAlgorithms,
    GetProgress,
    PauseAlgorithm,
    ResumeAlgorithm,
    StartAlgorithm,
)


def start_algorithm(
    protocol: Protocol,
    algorithm: str,
    symbol: str,
    side: Side,
    qty: Number,
    price: Number | None = None,
    *,
    parameters: Mapping[str, float | str] | None = None,
    venues: Iterable[str] = (),
    time_in_force: TimeInForceName | None = None,
    good_till_ts: int = 0,
    reduce_only: bool = False,
    account: str | None = None,
    position_side: PositionSide | None = None,
    client_order_id: str | None = None,
    timeout: float | None = None,
    retries: int = 0,
) -> Conversation[Order]:
    """Have an algorithm work an order, and wait until the core has taken it. It is cancelled as any order is.

    Parameters
    ----------
    algorithm : str
        One of ``algorithms``.
    qty, price : str, Decimal or int
        The target; the worst price of a child order, None: any.
    parameters : mapping of str to float or str, optional
        What is not given is as the algorithm declares it.
    venues : iterable of str
        Other instruments in which it may trade.
    time_in_force : {"gtc", "gtd", "day"}, optional
        Default: gtc.
    good_till_ts : int
        gtd: when the order ends, ns since the epoch.
    account : str, optional
        Default: the session's own.
    client_order_id : str, optional
        Makes the order unique; made up when none is given.
    retries : int
        How often to send the same id again when no answer comes.

    Raises
    ------
    RpcError
        When it is refused; ``code`` says why.
    OutcomeUnknownError
        When no try was answered: it has the ``client_order_id`` to start it again with.
    """
    own_id = secrets.token_hex(10) if client_order_id is None else client_order_id
    target, limit, others = decimal_text("qty", qty), text_of("price", price), tuple(venues)

    def request(expires_ts: int) -> AnyRequest:
        return StartAlgorithm(
            request_id=0,
            client_order_id=own_id,
            algorithm=algorithm,
            symbol=symbol,
            side=side,
            qty=target,
            price=limit,
            parameters=dict(parameters or {}),
            venues=others,
            account=account,
            time_in_force=time_in_force,
            good_till_ts=good_till_ts,
            reduce_only=reduce_only,
            position_side=position_side,
            expires_ts=expires_ts,
        )

    reply = yield from place_until_answered(protocol, request, OrderReply, own_id, timeout, retries)
    return reply.order


def amend_algorithm(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    price: Number | None = None,
    qty: Number | None = None,
    parameters: Mapping[str, float | str] | None = None,
    timeout: float | None = None,
) -> Conversation[Order]:
    """Change the target, the limit price or some parameters of an own order that an algorithm works, named by one of
    its ids; returns it as it then stands. Raises as ``start_algorithm`` does."""
    seconds = protocol.timeout if timeout is None else timeout
    request = AmendAlgorithm(
        request_id=0,
        client_order_id=client_order_id,
        order_id=order_id,
        price=text_of("price", price),
        qty=text_of("qty", qty),
        parameters=dict(parameters or {}),
        expires_ts=expires(seconds),
    )
    return answered(expect((yield Call(request, seconds)), OrderReply), "amend")


def pause(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    timeout: float | None = None,
) -> Conversation[Order]:
    """Have an own order rest that an algorithm works: its open children are cancelled, and there are no new ones."""
    request = PauseAlgorithm(request_id=0, client_order_id=client_order_id, order_id=order_id)
    return answered(expect((yield call_for(protocol, request, timeout)), OrderReply), "pause")


def resume(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    timeout: float | None = None,
) -> Conversation[Order]:
    """Let a paused order go on."""
    seconds = protocol.timeout if timeout is None else timeout
    request = ResumeAlgorithm(
        request_id=0, client_order_id=client_order_id, order_id=order_id, expires_ts=expires(seconds)
    )
    return answered(expect((yield Call(request, seconds)), OrderReply), "resume")


def algorithms(protocol: Protocol, *, timeout: float | None = None) -> Conversation[list[AlgorithmInfo]]:
    """The execution algorithms of the session, with their parameters."""
    return list(expect((yield call_for(protocol, GetAlgorithms(request_id=0), timeout)), Algorithms).algorithms)


def progress(
    protocol: Protocol,
    *,
    client_order_id: str | None = None,
    order_id: int | None = None,
    timeout: float | None = None,
) -> Conversation[Progress]:
    """How far an algorithm has worked an own order, named by one of its ids; also once it is done."""
    request = GetProgress(request_id=0, client_order_id=client_order_id, order_id=order_id)
    (found,) = expect((yield call_for(protocol, request, timeout)), ProgressReply).progress
    return found


def all_progress(
    protocol: Protocol, *, open_only: bool = True, scope: Scope = "own", timeout: float | None = None
) -> Conversation[list[Progress]]:
    """How far algorithms have worked own orders, or the account's, newest first; all pages."""
    found: list[Progress] = []
    cursor: int | None = None
    while True:
        request = GetProgress(request_id=0, open_only=open_only, scope=scope, cursor=cursor)
        page = expect((yield call_for(protocol, request, timeout)), ProgressReply)
        found += page.progress
        cursor = page.cursor
        if cursor is None:
            return found
