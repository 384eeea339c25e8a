"""Orders by request (OKX v5, "Order Book Trading / Trade"); the titles below are of its sections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateways.sandbox.accounts import Order, Status
from gateways.sandbox.exchange import Event, Refusal, RefusedError, What
from gateways.sandbox.okx.contract import MOST_AT_MARKET, Json
from gateways.sandbox.okx.errors import ApiError, Error
from gateways.sandbox.okx.parameters import Parameters, check_price
from gateways.sandbox.okx.views import FOK_UNFILLED, POST_ONLY_TAKES, SELF_TRADES, SIDES, TIMED_OUT
from oms.records import CASH_SCALE, OrderType, TimeInForce

if TYPE_CHECKING:
    from gateways.sandbox.okx.venue import Call, Venue

MOST_IN_BATCH: Final = 20
LEAST_COUNTDOWN_S, MOST_COUNTDOWN_S = 10, 120

TYPES: Final = {
    "market": (OrderType.MARKET, TimeInForce.IOC),
    "limit": (OrderType.LIMIT, TimeInForce.GTC),
    "post_only": (OrderType.LIMIT, TimeInForce.GTC),
    "fok": (OrderType.LIMIT, TimeInForce.FOK),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC),
}
"""``ordType``; ``optimal_limit_ioc`` is as ``market``."""

STILLBORN: Final = {Refusal.WOULD_TAKE: POST_ONLY_TAKES, Refusal.NOT_FILLED_AT_ONCE: FOK_UNFILLED}
"""What the exchange accepts and cancels at once, with its ``cancelSource`` ("WS / Order channel")."""

REFUSALS: Final = {
    Refusal.MARGIN: Error.NO_MARGIN,
    Refusal.REDUCE_ONLY: Error.REDUCE_ONLY,
    Refusal.NOT_OPEN: Error.NOT_CANCELLED,
    Refusal.IMPOSSIBLE: Error.BAD_MODE,
    Refusal.WOULD_TAKE: Error.AMENDED_POST_ONLY,
    Refusal.NOT_FILLED_AT_ONCE: Error.BAD_PARAMETER,
}

ALL_TYPES: Final = {**TYPES, "optimal_limit_ioc": TYPES["market"]}
BASE: Final = "base_ccy"
"""``tgtCcy`` of a quantity that is one of the base currency."""

ENDED: Final = ("canceled", "filled", "mmp_canceled")


def place(venue: Venue, call: Call) -> list[Json]:
    """ "Place order", and "Place multiple orders": each is taken or refused by itself."""
    return _each(venue, call, _place, ("tag", "ts"))


def cancel(venue: Venue, call: Call) -> list[Json]:
    """ "Cancel order", and "Cancel multiple orders"."""
    return _each(venue, call, _cancel, ("ts",))


def amend(venue: Venue, call: Call) -> list[Json]:
    """ "Amend order", and "Amend multiple orders": the answer says that it was asked, the order channel what came of
    it."""
    return _each(venue, call, _amend, ("reqId", "ts"))


def query(venue: Venue, call: Call) -> list[Json]:
    """ "Order details": an order that was cancelled before it filled anything is known for two hours."""
    given = call.only
    given.instrument()
    if "ordId" not in given and "clOrdId" not in given:
        raise ApiError(Error.EITHER_ID)
    order = _find(venue, call, given)
    if order is None:
        raise ApiError(Error.NO_ORDER)
    return [venue.views.order(order)]


def pending(venue: Venue, call: Call) -> list[Json]:
    """ "Order List": newest first, by ``ordId`` as a page's end."""
    given = call.only
    rows = [venue.views.order(order) for order in call.owner.open_orders.values()] if given.is_of_type() else []
    wanted = given.get("ordType")
    rows = [row for row in rows if not wanted or row["ordType"] in wanted.split(",")]
    return page(given, [row for row in rows if given.get("state", row["state"]) == row["state"]], "ordId")


def history(venue: Venue, call: Call) -> list[Json]:
    """ "Order history": those that have ended."""
    given = call.only
    orders = [each for each in venue.exchange.orders.values() if each.account is call.owner]
    rows = [venue.views.order(order) for order in orders] if given.is_of_type() else []
    return page(given, [row for row in rows if row["state"] in ENDED], "ordId")


def fills(venue: Venue, call: Call) -> list[Json]:
    """ "Transaction details": newest first, by ``billId`` as a page's end."""
    given = call.only
    rows = [venue.views.fill(*each) for each in enumerate(call.owner.fills)] if given.is_of_type() else []
    begin_ms, end_ms = given.whole("begin", 0), given.whole("end", 2**62)
    rows = [row for row in rows if given.get("ordId", row["ordId"]) == row["ordId"]]
    return page(given, [row for row in rows if begin_ms <= int(row["ts"]) <= end_ms], "billId")


def countdown(venue: Venue, call: Call) -> list[Json]:
    """ "Cancel All After": without another call in time all the account's orders are cancelled; 0 ends that."""
    seconds = call.only.whole("timeOut")
    if seconds and not LEAST_COUNTDOWN_S <= seconds <= MOST_COUNTDOWN_S:
        raise ApiError(Error.BAD_PARAMETER, "timeOut")
    account = call.owner

    def expire() -> None:
        for order in list(account.open_orders.values()):
            venue.views.cancel_sources[order.order_id] = TIMED_OUT
            venue.exchange.cancel(order)

    venue.timers.set(("countdown", account.number), seconds * 1000, expire)
    now_ms = venue.clock.now_ms
    return [{"triggerTime": str(now_ms + seconds * 1000) if seconds else "0", "tag": "", "ts": str(now_ms)}]


def page(given: Parameters, rows: list[Json], key: str) -> list[Json]:
    """Rows newest first: older than ``after``, newer than ``before``, so many."""
    after, before = given.whole("after", 2**63 - 1), given.whole("before", 0)
    found = [row for row in rows if before < int(row[key]) < after]
    return sorted(found, key=lambda row: int(row[key]), reverse=True)[: given.limit()]


def check_mode(venue: Venue, given: Parameters) -> None:
    """Net mode and cross margin only; a spot order has no margin."""
    if given.get("posSide", "net") != "net":
        raise ApiError(Error.BAD_PARAMETER, "posSide")
    if given.text("tdMode") != venue.contract.trade_mode:
        raise ApiError(Error.BAD_PARAMETER, "tdMode")


def refusal_of(venue: Venue, refused: RefusedError) -> ApiError:
    """The exchange's error for a refusal of what is behind it."""
    error = REFUSALS[refused.refusal]
    if venue.contract.is_spot and error is Error.NO_MARGIN:
        error = Error.NO_BALANCE
    return ApiError(error, venue.contract.currency)


def check_spot_at_market(venue: Venue, given: Parameters, side: int, qty: int) -> None:
    """A market order of spot: quantities in the quote currency, which are meant of a buy where nothing is said, are not
    offered, and said so; what it is worth has an end."""
    if given.get("tgtCcy", "quote_ccy" if side > 0 else BASE) != BASE:
        raise ApiError(Error.BAD_PARAMETER, "tgtCcy")
    if venue.exchange.ledger.notional(venue.exchange.mark_px, qty) > MOST_AT_MARKET * CASH_SCALE:
        raise ApiError(Error.TOO_MUCH_AT_MARKET, f"{MOST_AT_MARKET} USDT")


def _place(venue: Venue, call: Call, given: Parameters) -> Order:
    order = _read(venue, call, given)
    try:
        venue.exchange.place(order)
    except RefusedError as refused:
        if refused.refusal not in STILLBORN:
            raise
        order.status = Status.CANCELED
        venue.views.cancel_sources[order.order_id] = STILLBORN[refused.refusal]
        venue.exchange.orders[order.order_id] = order
        venue.exchange.newest[order.account.number, order.client_order_id] = order
        venue.tell(Event(What.CANCELED, order, None, venue.clock.now_ms))
    return order


def _read(venue: Venue, call: Call, given: Parameters) -> Order:
    """A new order, with the exchange's checks in front of the matching engine."""
    given.instrument()
    check_mode(venue, given)
    side = given.choice("side", SIDES)
    order_type, time_in_force = given.choice("ordType", ALL_TYPES)
    is_limit = order_type is OrderType.LIMIT
    qty = given.sz(at_market=not is_limit)
    px = given.px() if is_limit else 0
    client_id = given.client_id()
    account = call.owner
    if is_limit:
        check_price(venue.contract, side, px, venue.exchange.mark_px)
    elif venue.contract.is_spot:
        check_spot_at_market(venue, given, side, qty)
    if client_id and (account.number, client_id) in venue.exchange.newest:
        raise ApiError(Error.DUPLICATE)
    return Order(
        account,
        client_id,
        side,
        order_type,
        time_in_force,
        qty,
        px,
        is_post_only=given.get("ordType") == "post_only",
        is_reduce_only=given.flag("reduceOnly") and not venue.contract.is_spot,
        self_trade=given.choice("stpMode", SELF_TRADES, default=SELF_TRADES["cancel_maker"]),
    )


def _cancel(venue: Venue, call: Call, given: Parameters) -> Order:
    given.instrument()
    if "ordId" not in given and "clOrdId" not in given:
        raise ApiError(Error.EITHER_TO_CANCEL)
    order = _find(venue, call, given)
    if order is None or not order.status.is_open:
        raise ApiError(Error.NOT_CANCELLED)
    venue.exchange.cancel(order)
    return order


def _amend(venue: Venue, call: Call, given: Parameters) -> Order:
    """What is left out stays; ``newSz`` is the quantity in all, what has filled included."""
    given.instrument()
    if "ordId" not in given and "clOrdId" not in given:
        raise ApiError(Error.EITHER_TO_CANCEL)
    order = _find(venue, call, given)
    if order is None or not order.status.is_open:
        raise ApiError(Error.NO_ORDER_TO_AMEND)
    if "newPx" not in given and "newSz" not in given:
        raise ApiError(Error.NOTHING_TO_AMEND)
    if order.order_type is not OrderType.LIMIT:
        raise ApiError(Error.NOT_AMENDABLE)
    px = given.px("newPx") if "newPx" in given else order.px
    qty = given.sz("newSz") if "newSz" in given else order.qty
    check_price(venue.contract, order.side, px, venue.exchange.mark_px)
    with venue.amending(order, given.client_id("reqId")):
        venue.exchange.amend(order, px, qty)
    return order


def _find(venue: Venue, call: Call, given: Parameters) -> Order | None:
    """The order that is meant: by its id, or else by the client's."""
    account = call.owner
    if "ordId" in given:
        order = venue.exchange.orders.get(given.whole("ordId"))
    else:
        order = venue.exchange.newest.get((account.number, given.client_id()))
    return order if order is not None and order.account is account else None


def _each(
    venue: Venue, call: Call, act: Callable[[Venue, Call, Parameters], Order], more: tuple[str, ...]
) -> list[Json]:
    """Do something with each row of a request: its answer says what each came to."""
    if len(call.rows) > MOST_IN_BATCH:
        raise ApiError(Error.BATCH_TOO_LONG, MOST_IN_BATCH)
    answers = []
    for given in call.rows:
        answer = {"clOrdId": given.get("clOrdId"), "ordId": given.get("ordId"), "sCode": "0", "sMsg": ""}
        answer |= {"tag": given.get("tag"), "reqId": given.get("reqId"), "ts": str(venue.clock.now_ms)}
        try:
            try:
                order = act(venue, call, given)
            except RefusedError as refused:
                raise refusal_of(venue, refused) from None
            answer |= {"clOrdId": order.client_order_id, "ordId": str(order.order_id)}
        except ApiError as error:
            answer |= {"sCode": error.code, "sMsg": error.text}
        dropped = {"tag", "reqId", "ts"} - set(more)
        answers.append({name: value for name, value in answer.items() if name not in dropped})
    return answers
