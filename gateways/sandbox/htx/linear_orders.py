"""Orders of USDT-margined contracts by request; the titles below are of the documentation's sections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.sandbox.accounts import Order, Status
from gateways.sandbox.exchange import Event, Refusal, RefusedError, What
from gateways.sandbox.htx.errors import ApiError, Error
from gateways.sandbox.htx.front import Call
from gateways.sandbox.htx.linear_views import BY_SYSTEM, NO_MATCH, SELF_TRADES, SIDES, TIMED_OUT, TIMES, Json
from gateways.sandbox.htx.parameters import Parameters, check_price
from oms.records import OrderType, TimeInForce

if TYPE_CHECKING:
    from gateways.sandbox.htx.linear_venue import LinearVenue

MOST_NEW, MOST_CANCELS = 20, 10
"""Orders of one request."""
LEAST_COUNTDOWN_MS: Final = 5_000
TYPES: Final = {"market": OrderType.MARKET, "limit": OrderType.LIMIT, "post_only": OrderType.LIMIT}
STILLBORN: Final = {Refusal.WOULD_TAKE: BY_SYSTEM, Refusal.NOT_FILLED_AT_ONCE: NO_MATCH}
"""What the exchange accepts and cancels at once, with its ``cancel_reason``."""
SWITCH: Final = {"0": False, "1": True}
FLAGS: Final = {"0": False, "1": True, "false": False, "true": True}
SUCCESS: Final = {"code": 200, "message": "Success"}


def place(venue: LinearVenue, call: Call) -> Json:
    """ "Place Order"."""
    return venue.views.named(_place(venue, call, call.given))


def place_batch(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Place Multiple Orders": each is taken or refused by itself."""
    if len(call.rows) > MOST_NEW:
        raise ApiError(Error.BATCH_TOO_LONG)
    answers = []
    for given in call.rows:
        try:
            answers.append({**SUCCESS, **venue.views.named(_place(venue, call, given))})
        except RefusedError as refused:
            answers.append(_refused(given, ApiError(venue.refusals[refused.refusal])))
        except ApiError as error:
            answers.append(_refused(given, error))
    return answers


def cancel(venue: LinearVenue, call: Call) -> Json:
    """ "Cancel Order"."""
    call.given.contract()
    order = _find(venue, call, call.given, Error.NO_ORDER_TO_CANCEL)
    if order.status is Status.FILLED:
        raise ApiError(Error.EXECUTED)
    if not order.status.is_open:
        raise ApiError(Error.CANCELLED)
    venue.exchange.cancel(order)
    return venue.views.named(order)


def cancel_all(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Cancel All Orders", of a contract, or of all."""
    call.given.contract(optional=True)
    orders = list(call.account.open_orders.values())
    if not orders:
        raise ApiError(Error.NOTHING_TO_CANCEL)
    for order in orders:
        venue.exchange.cancel(order)
    return [{**SUCCESS, **venue.views.named(order)} for order in orders]


def cancel_batch(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Cancel Multiple Orders": each by itself."""
    call.given.contract()
    name = "order_id" if "order_id" in call.given else "client_order_id"
    ids = call.given.given.get(name)
    if not isinstance(ids, list):
        raise ApiError(Error.MISSING_PARAMETER, name)
    if len(ids) > MOST_CANCELS:
        raise ApiError(Error.BATCH_TOO_LONG)
    answers = []
    for each in ids:
        one = Parameters({"contract_code": venue.instrument.symbol, name: each}, venue.instrument)
        try:
            answers.append({**SUCCESS, **cancel(venue, call._replace(given=one))})
        except ApiError as error:
            answers.append({"code": error.code, "message": error.text, name: str(each)})
    return answers


def query(venue: LinearVenue, call: Call) -> Json:
    """ "Get Order Info"."""
    call.given.contract()
    return venue.views.order(_find(venue, call, call.given, Error.NO_ORDER))


def opens(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Get Current Orders"."""
    call.given.contract(optional=True)
    return page(call.given, [venue.views.order(order) for order in call.account.open_orders.values()])


def history(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Get Order History": those that have ended."""
    call.given.contract()
    ended = [
        order for order in venue.exchange.orders.values() if order.account is call.account and not order.status.is_open
    ]
    return page(call.given, within(call.given, [venue.views.order(order) for order in ended]))


def details(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Get Execution Details (last 3 days)"."""
    call.given.contract(optional=True)
    rows = [venue.views.fill(*each) for each in enumerate(call.account.fills)]
    rows = [row for row in rows if call.given.get("order_id", row["order_id"]) == row["order_id"]]
    return page(call.given, within(call.given, rows))


def cancel_after(venue: LinearVenue, call: Call) -> Json:
    """ "Automatic Order Cancellation": without another call in time all the account's orders are cancelled."""
    is_on = call.given.choice("on_off", SWITCH)
    after_ms = call.given.whole("time_out", LEAST_COUNTDOWN_MS) if is_on else 0
    if is_on and after_ms < LEAST_COUNTDOWN_MS:
        raise ApiError(Error.BAD_PARAMETER, "time_out")
    account = call.account

    def expire() -> None:
        with venue.acting():
            for order in list(account.open_orders.values()):
                venue.views.cancel_reasons[order.order_id] = TIMED_OUT
                venue.exchange.cancel(order)

    venue.timers.set(("countdown", account.number), after_ms, expire)
    now_ms = venue.clock.now_ms
    return {"current_time": str(now_ms), "trigger_time": str(now_ms + after_ms) if is_on else ""}


def page(given: Parameters, rows: list[Json]) -> list[Json]:
    """Rows newest first: those after an id of their own, towards older ones (``prev``) or newer ones (``next``)."""
    towards = given.choice("direct", {"prev": -1, "next": 1}, default=-1)
    rows = sorted(rows, key=lambda row: int(row["id"]), reverse=True)
    if "from" in given:
        start = given.whole("from", least=1)
        rows = [row for row in rows if (int(row["id"]) - start) * towards > 0]
    most = given.limit()
    return rows[-most:] if towards > 0 and "from" in given else rows[:most]


def within(given: Parameters, rows: list[Json]) -> list[Json]:
    """Rows of a time."""
    start_ms, end_ms = given.whole("start_time", 0), given.whole("end_time", 2**62)
    return [row for row in rows if start_ms <= int(row["created_time"]) <= end_ms]


def _place(venue: LinearVenue, call: Call, given: Parameters) -> Order:
    order = _read(venue, call, given)
    try:
        venue.exchange.place(order)
    except RefusedError as refused:
        if refused.refusal not in STILLBORN:
            raise
        order.status = Status.CANCELED
        venue.views.cancel_reasons[order.order_id] = STILLBORN[refused.refusal]
        venue.exchange.orders[order.order_id] = order
        venue.exchange.newest[order.account.number, order.client_order_id] = order
        venue.tell([Event(What.CANCELED, order, None, venue.clock.now_ms)])
    return order


def _read(venue: LinearVenue, call: Call, given: Parameters) -> Order:
    """A new order, with the exchange's checks in front of the matching engine."""
    given.contract()
    given.choice("margin_mode", {"cross": "cross"})
    given.choice("position_side", {"both": "both"}, default="both")
    side = given.choice("side", SIDES)
    order_type = given.choice("type", TYPES)
    is_post_only = given.get("type") == "post_only"
    time_in_force = given.choice("time_in_force", TIMES, default=TimeInForce.GTC)
    qty = given.volume()
    px = given.px() if order_type is OrderType.LIMIT else 0
    client_id = given.client_id()
    account = call.account
    if px:
        check_price(venue.instrument, side, px, venue.exchange.mark_px)
    namesake = venue.exchange.newest.get((account.number, client_id))
    if client_id and namesake is not None and namesake.status.is_open:
        raise ApiError(Error.DUPLICATE)
    return Order(
        account,
        client_id,
        side,
        order_type,
        time_in_force if px else TimeInForce.IOC,
        qty,
        px,
        is_post_only=is_post_only,
        is_reduce_only=given.choice("reduce_only", FLAGS, default=False),
        self_trade=given.choice("self_match_prevent", SELF_TRADES, default=SELF_TRADES["cancel_taker"]),
    )


def _find(venue: LinearVenue, call: Call, given: Parameters, missing: Error) -> Order:
    """The order that is meant: by its id, or else by the client's, which is valid until the order has ended (news of
    2025-05-08, "HTX to Launch V5 API Interfaces for USDT-M Futures Multi-Assets Collateral Mode")."""
    if "order_id" in given:
        order = venue.exchange.orders.get(given.whole("order_id"))
    elif "client_order_id" in given:
        order = venue.exchange.newest.get((call.account.number, given.client_id()))
        if order is not None and not order.status.is_open:
            order = None
    else:
        raise ApiError(Error.MISSING_PARAMETER, "order_id")
    if order is None or order.account is not call.account:
        raise ApiError(missing)
    return order


def _refused(given: Parameters, error: ApiError) -> Json:
    return {
        "code": error.code,
        "message": error.text,
        "order_id": None,
        "client_order_id": given.get("client_order_id") or None,
    }
