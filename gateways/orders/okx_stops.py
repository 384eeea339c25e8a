"""OKX: stops that stand there are algo orders of type ``conditional``, with endpoints of their own.

Sources: OKX v5, "Place algo order", "Cancel algo order", "Algo order details", "Algo order list". There is a channel of
them for another address; what becomes of a stop otherwise than by a request of ours, and but for its firing, is seen
at a reconciliation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateways.orders.ids import number_of
from gateways.orders.known import SPOT, Order
from gateways.orders.okx_words import BASE, SIDE_OF, SIDES
from gateways.orders.venue import CommandError
from gateways.orders.views import OrderView, Standing, StopTerms
from oms.instruments import Instrument
from oms.records import OrderFlag, OrderType, Reason, TimeInForce, Trigger, TriggerSource

NS_PER_MS: Final = 1_000_000

CONDITIONAL: Final = "conditional"
AT_MARKET: Final = "-1"
"""A price of the order that a stop becomes: at the market."""

PREFIXES: Final = {Trigger.STOP: "sl", Trigger.TAKE_PROFIT: "tp"}
WATCHED: Final = {TriggerSource.LAST: "last", TriggerSource.MARK: "mark", TriggerSource.INDEX: "index"}
WATCHED_OF: Final = {name: source for source, name in WATCHED.items()}
STANDINGS: Final = {
    "live": Standing.OPEN,
    "pause": Standing.OPEN,
    "effective": Standing.OPEN,
    "partially_effective": Standing.OPEN,
    "canceled": Standing.CANCELLED,
    "order_failed": Standing.EXPIRED,
}
"""Of an algo order; what an effective one has become says the rest itself."""


def check_stop(order: Order) -> None:
    """Raise ``CommandError`` for a stop that cannot be asked for."""
    if order.stop is None or order.stop.trigger_source not in WATCHED:
        raise CommandError("okx fires stops by its last, mark or index price", Reason.NO_STOPS_AT_EXCHANGE)
    is_limit = order.order_type is OrderType.LIMIT
    if order.flags & OrderFlag.POST_ONLY or (is_limit and order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)):
        raise CommandError(
            "a stop at okx becomes a plain limit order, or one at the market", Reason.NO_STOPS_AT_EXCHANGE
        )


def stop_terms(order: Order, trade_mode: str) -> dict[str, Any]:
    """A new algo order, as a request says it."""
    assert order.stop is not None
    instrument, prefix = order.instrument, PREFIXES[order.stop.trigger]
    request: dict[str, Any] = {
        "instId": instrument.symbol,
        "tdMode": trade_mode,
        "side": SIDES[order.side],
        "ordType": CONDITIONAL,
        "sz": instrument.qty_from_lots(order.qty),
        "algoClOrdId": order.client_id,
        f"{prefix}TriggerPx": instrument.px_from_ticks(order.stop.trigger_px),
        f"{prefix}TriggerPxType": WATCHED[order.stop.trigger_source],
        f"{prefix}OrdPx": instrument.px_from_ticks(order.px) if order.order_type is OrderType.LIMIT else AT_MARKET,
    }
    if order.flags & OrderFlag.REDUCE_ONLY:
        request["reduceOnly"] = True
    return request


def stop_name(order: Order) -> dict[str, str]:
    """The algo order of a query: by the exchange's id, or by the client's where that is all that is known."""
    return {"algoId": str(order.stop_id)} if order.stop_id else {"algoClOrdId": order.client_id}


def stop_view(instruments: Mapping[str, Instrument], row: Mapping[str, Any]) -> OrderView | None:
    """A row of "Algo order list"; None for one of another instrument, or of a kind that is not kept here.

    Among these is a buy of spot at the market for so much of the quote currency, which it is where ``tgtCcy`` does not
    say otherwise: how much it will buy is not known.
    """
    instrument = instruments.get(row["instId"])
    named = [trigger for trigger, prefix in PREFIXES.items() if row.get(f"{prefix}TriggerPx")]
    if instrument is None or row["ordType"] != CONDITIONAL or len(named) != 1 or not row["sz"]:
        return None
    (trigger,) = named
    prefix = PREFIXES[trigger]
    px = row[f"{prefix}OrdPx"]
    side = SIDE_OF[row["side"]]
    if instrument.kind == SPOT and side > 0 and px == AT_MARKET and row.get("tgtCcy") != BASE:
        return None
    standing = STANDINGS[row["state"]]
    became = row["ordId"] if row["state"] in ("effective", "partially_effective") else ""
    is_reducing = row["reduceOnly"] in ("true", True)
    return OrderView(
        instrument.id,
        row["algoClOrdId"],
        number_of(row["algoId"], "algoId"),
        side,
        OrderType.MARKET if px == AT_MARKET else OrderType.LIMIT,
        TimeInForce.GTC,
        OrderFlag.AT_EXCHANGE | (OrderFlag.REDUCE_ONLY if is_reducing else OrderFlag(0)),
        standing,
        Reason.EXCHANGE_REFUSED if standing is Standing.EXPIRED else Reason.NONE,
        0 if px == AT_MARKET else instrument.px_to_ticks(px),
        instrument.qty_to_lots(row["sz"]),
        0,
        int(row["uTime"]) * NS_PER_MS,
        StopTerms(
            trigger,
            instrument.px_to_ticks(row[f"{prefix}TriggerPx"]),
            WATCHED_OF.get(row.get(f"{prefix}TriggerPxType", ""), TriggerSource.LAST),
        ),
        number_of(became, "ordId") if became else 0,
    )
