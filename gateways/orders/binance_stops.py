"""Conditional orders of Binance's futures, which go to endpoints of their own: requests, answers and messages.

Sources: Binance, USDⓈ-M Futures, "New Algo Order", "Cancel Algo Order", "Cancel All Algo Open Orders", "Query Algo
Order", "Current All Algo Open Orders", "Event: Algo Order Update"; COIN-M Futures has the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateways.orders.binance_words import (
    SIDE_OF,
    SIDES,
    STOP_STANDINGS,
    STOP_TYPE_OF,
    STOP_TYPES,
    TIME_IN_FORCE_OF,
    TIMES_IN_FORCE,
    WATCHED,
    WATCHED_OF,
)
from gateways.orders.ids import number_of
from gateways.orders.known import Order
from gateways.orders.venue import CommandError
from gateways.orders.views import OrderView, Standing, StopTerms
from oms.instruments import Instrument
from oms.records import OrderFlag, OrderType, Reason, TimeInForce, Trigger, TriggerSource

NS_PER_MS: Final = 1_000_000
_IN_EVENTS: Final = {
    "symbol": "s",
    "clientAlgoId": "caid",
    "algoId": "aid",
    "orderType": "o",
    "side": "S",
    "timeInForce": "f",
    "quantity": "q",
    "algoStatus": "X",
    "actualOrderId": "ai",
    "triggerPrice": "tp",
    "price": "p",
    "workingType": "wt",
    "closePosition": "cp",
    "reduceOnly": "R",
}
"""What an event calls the fields of an answer."""


def check_stop(order: Order) -> None:
    """Raise ``CommandError`` for a stop that cannot be asked for."""
    stop = order.stop
    if stop is None or stop.trigger_source not in WATCHED:
        raise CommandError(
            "the exchange fires stops by its last or its mark price: choose one of them, or have the core hold it",
            Reason.NO_STOPS_AT_EXCHANGE,
        )
    if order.flags & OrderFlag.POST_ONLY:
        raise CommandError("a stop that stands at the exchange cannot be post-only", Reason.NO_STOPS_AT_EXCHANGE)


def stop_terms(order: Order) -> dict[str, str]:
    """A new conditional order, as a request says it."""
    assert order.stop is not None
    instrument = order.instrument
    request = {
        "algoType": "CONDITIONAL",
        "symbol": instrument.symbol,
        "side": SIDES[order.side],
        "type": STOP_TYPES[order.stop.trigger, order.order_type],
        "quantity": instrument.qty_from_lots(order.qty),
        "triggerPrice": instrument.px_from_ticks(order.stop.trigger_px),
        "workingType": WATCHED[order.stop.trigger_source],
        "clientAlgoId": order.client_id,
    }
    if order.order_type is OrderType.LIMIT:
        request["price"] = instrument.px_from_ticks(order.px)
        request["timeInForce"] = TIMES_IN_FORCE[order.time_in_force]
    if order.flags & OrderFlag.REDUCE_ONLY:
        request["reduceOnly"] = "true"
    return request


def stop_name(order: Order) -> dict[str, str]:
    """The conditional order of a request: by the exchange's id, or by the client's where that is all that is known."""
    if order.stop_id:
        return {"algoId": str(order.stop_id)}
    return {"clientAlgoId": order.client_id}


def ended(order: Order, answer: Any) -> OrderView | None:
    """What the answer to a cancel comes to, which names the ids alone; None: it does not say that it was done."""
    if not isinstance(answer, dict) or str(answer.get("code")) != "200":
        return None
    return OrderView(
        order.instrument.id,
        order.client_id,
        number_of(answer["algoId"], "algoId"),
        order.side,
        order.order_type,
        order.time_in_force,
        order.flags,
        Standing.CANCELLED,
        Reason.NONE,
        order.px,
        order.qty,
        0,
        order.heard_ts,
        order.stop or NO_TERMS,
    )


NO_TERMS: Final = StopTerms(Trigger.STOP, 0, TriggerSource.LAST)
"""Of a stop from before, whose terms are not asked about."""


def stop_view(instruments: Mapping[str, Instrument], row: Mapping[str, Any], ts_ms: int) -> OrderView | None:
    """A conditional order of an answer; None for one of another instrument, or of a kind that is not kept here."""
    instrument = instruments.get(row["symbol"])
    kind = STOP_TYPE_OF.get(row["orderType"])
    if instrument is None or kind is None or row["closePosition"] is True:
        return None
    trigger, order_type = kind
    standing = STOP_STANDINGS[row["algoStatus"]]
    became = row["actualOrderId"]
    flags = OrderFlag.AT_EXCHANGE | (OrderFlag.REDUCE_ONLY if row["reduceOnly"] is True else OrderFlag(0))
    is_refused = standing is Standing.EXPIRED
    return OrderView(
        instrument.id,
        row["clientAlgoId"],
        number_of(row["algoId"], "algoId"),
        SIDE_OF[row["side"]],
        order_type,
        TIME_IN_FORCE_OF.get(row["timeInForce"], TimeInForce.GTC),
        flags,
        standing,
        Reason.EXCHANGE_REFUSED if is_refused else Reason.NONE,
        instrument.px_to_ticks(row["price"]) if order_type is OrderType.LIMIT else 0,
        instrument.qty_to_lots(row["quantity"]),
        0,
        ts_ms * NS_PER_MS,
        StopTerms(trigger, instrument.px_to_ticks(row["triggerPrice"]), WATCHED_OF[row["workingType"]]),
        number_of(became, "actualOrderId") if became and standing is Standing.OPEN else 0,
    )


def stop_event(instruments: Mapping[str, Instrument], message: Mapping[str, Any]) -> OrderView | None:
    """The same of an ALGO_UPDATE."""
    details = message["o"]
    row = {name: details.get(short, "") for name, short in _IN_EVENTS.items()}
    return stop_view(instruments, row, int(message["T"]))
