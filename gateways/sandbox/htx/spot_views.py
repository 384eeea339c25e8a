"""Orders, fills and balances of spot as the exchange writes them.

Sources: the sections named at each function, and recorded answers and messages.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.sandbox.accounts import Account, Fill, Order, Status
from gateways.sandbox.conditionals import Conditional, Waiting
from gateways.sandbox.exchange import Event, Exchange, What
from gateways.sandbox.htx.linear_views import SIDE_NAMES, trimmed
from gateways.sandbox.spot_ledger import SpotLedger
from oms.decimals import cash_text
from oms.instruments import Instrument
from oms.records import OrderType, TimeInForce

Json = dict[str, Any]

FIRST_ACCOUNT_ID: Final = 1_528_640
FIRST_FILL_ID: Final = 313_288_753_120_940
"""Ids of match results are of this size, and in their order."""
SOURCE: Final = "spot-api"

STATES: Final = {Status.NEW: "submitted", Status.PARTIALLY_FILLED: "partial-filled", Status.FILLED: "filled"}
TIME_KINDS: Final = {TimeInForce.IOC: "ioc", TimeInForce.FOK: "limit-fok", TimeInForce.GTC: "limit"}


ALGO_STATES: Final = {
    Waiting.NEW: "created",
    Waiting.CANCELED: "canceled",
    Waiting.REJECTED: "rejected",
    Waiting.EXPIRED: "rejected",
}
"""``orderStatus`` of a conditional order; any other: it has become an order."""


def account_id_of(account: Account) -> int:
    """An account's number there."""
    return FIRST_ACCOUNT_ID + account.number


def type_of(order: Order) -> str:
    """``type``: side and kind."""
    if order.order_type is OrderType.MARKET:
        kind = "market"
    else:
        kind = "limit-maker" if order.is_post_only else TIME_KINDS[order.time_in_force]
    return f"{SIDE_NAMES[order.side]}-{kind}"


def state_of(order: Order) -> str:
    """``state``."""
    return STATES.get(order.status) or ("partial-canceled" if order.filled_qty else "canceled")


class SpotViews:
    """Writes what belongs to one symbol.

    Attributes
    ----------
    costs : dict of str by order id
        Of buys at the market, what they were asked to spend.
    """

    def __init__(self, exchange: Exchange[SpotLedger]) -> None:
        self.exchange = exchange
        self.instrument: Instrument = exchange.instrument
        self.costs: dict[int, str] = {}

    def px(self, ticks: int) -> str:
        """A price; 0 at the market."""
        return trimmed(self.instrument.px_from_ticks(ticks)) if ticks else "0"

    def qty(self, lots: int) -> str:
        """A quantity."""
        return trimmed(self.instrument.qty_from_lots(lots))

    def cost(self, tick_lots: int) -> str:
        """So many tick-lots in the quote currency."""
        return cash_text(self.exchange.ledger.value(tick_lots))

    def order(self, order: Order) -> Json:
        """A row of "Get the Order Detail of an Order"."""
        ended_ms = 0 if order.status.is_open else order.updated_ms
        return {
            "id": order.order_id,
            "symbol": self.instrument.symbol,
            "account-id": account_id_of(order.account),
            "client-order-id": order.client_order_id,
            "amount": self.costs.get(order.order_id, self.qty(order.qty)),
            "price": self.px(order.px),
            "created-at": order.created_ms,
            "updated-at": order.updated_ms,
            "type": type_of(order),
            "field-amount": self.qty(order.filled_qty),
            "field-cash-amount": self.cost(order.filled_cost),
            "field-fees": cash_text(sum(fill.fee for fill in order.account.fills if fill.order is order)),
            "finished-at": ended_ms,
            "source": SOURCE,
            "state": state_of(order),
            "canceled-at": ended_ms if state_of(order).endswith("canceled") else 0,
        }

    def stop(self, stop: Conditional) -> Json:
        """The same of an order that waits for its stop price."""
        return {
            "id": stop.order_id,
            "symbol": self.instrument.symbol,
            "account-id": account_id_of(stop.account),
            "client-order-id": stop.client_id,
            "amount": self.qty(stop.qty),
            "price": self.px(stop.px),
            "created-at": stop.created_ms,
            "updated-at": stop.updated_ms,
            "type": f"{SIDE_NAMES[stop.side]}-{stop.kind}",
            "field-amount": "0",
            "field-cash-amount": "0",
            "field-fees": "0",
            "finished-at": 0,
            "source": SOURCE,
            "state": "created",
            "canceled-at": 0,
            "stop-price": self.px(stop.trigger_px),
            "operator": "gte" if stop.rises > 0 else "lte",
        }

    def any_order(self, order: Order | Conditional) -> Json:
        """Of either."""
        return self.stop(order) if isinstance(order, Conditional) else self.order(order)

    def open_order(self, order: Order | Conditional) -> Json:
        """A row of "Get All Open Orders", which says ``filled`` where the other says ``field``."""
        return {name.replace("field-", "filled-"): value for name, value in self.any_order(order).items()}

    def algo(self, algo: Conditional) -> Json:
        """A row of "Query open conditional orders (before triggering)"."""
        row = {
            "lastActTime": algo.updated_ms,
            "orderOrigTime": algo.created_ms,
            "symbol": self.instrument.symbol,
            "source": "api",
            "clientOrderId": algo.client_id,
            "orderSide": SIDE_NAMES[algo.side],
            "orderType": "limit" if algo.px else "market",
            "orderSize": self.qty(algo.qty),
            "accountId": account_id_of(algo.account),
            "timeInForce": algo.time_in_force.name.lower(),
            "stopPrice": self.px(algo.trigger_px),
            "orderStatus": ALGO_STATES.get(algo.state, "triggered"),
        }
        if algo.px:
            row["orderPrice"] = self.px(algo.px)
        if algo.order is not None:
            row |= {"orderId": str(algo.order.order_id), "orderCreateTime": algo.triggered_ms}
        return row

    def algo_event(self, algo: Conditional) -> Json:
        """What "Subscribe Order Updates" says of a conditional order that ends without becoming one."""
        said = {
            "orderSide": SIDE_NAMES[algo.side],
            "lastActTime": algo.updated_ms,
            "clientOrderId": algo.client_id,
            "orderStatus": ALGO_STATES[algo.state],
            "symbol": self.instrument.symbol,
        }
        if algo.state is Waiting.CANCELED:
            return {**said, "eventType": "deletion"}
        return {**said, "eventType": "trigger", "errCode": 2002, "errMessage": algo.failure}

    def fill(self, number: int, fill: Fill) -> Json:
        """A row of "Search Match Results"; ``number`` counts the account's fills from 0."""
        order = fill.order
        return {
            "symbol": self.instrument.symbol,
            "fee-currency": self.exchange.ledger.fee_currency(order.side).lower(),
            "source": SOURCE,
            "price": self.px(fill.px),
            "created-at": fill.ts_ms,
            "role": "maker" if fill.is_maker else "taker",
            "order-id": order.order_id,
            "match-id": fill.trade_id,
            "trade-id": fill.trade_id,
            "filled-amount": self.qty(fill.qty),
            "filled-fees": cash_text(fill.fee),
            "filled-points": "0",
            "fee-deduct-currency": "",
            "fee-deduct-state": "done",
            "id": FIRST_FILL_ID + number,
            "type": type_of(order),
        }

    def balances(self, account: Account) -> list[Json]:
        """The ``list`` of "Get Account Balance of a Specific Account"."""
        return [
            {"currency": currency.lower(), "type": kind, "balance": cash_text(amount), "seq-num": "1"}
            for currency, balance in self.exchange.ledger.balances(account).items()
            for kind, amount in (("trade", balance.free), ("frozen", balance.locked))
        ]

    def order_event(self, event: Event, filled_qty: int) -> Json:
        """What "Subscribe Order Updates" says; of a trade what the order had filled with it."""
        order, fill = event.order, event.fill
        row: Json = {
            "orderSource": SOURCE,
            "accountId": account_id_of(order.account),
            "orderPrice": self.px(order.px),
            "orderSize": self.qty(order.qty),
            "symbol": self.instrument.symbol,
            "type": type_of(order),
            "orderId": order.order_id,
            "clientOrderId": order.client_order_id,
        }
        if event.what is What.NEW:
            return {**row, "eventType": "creation", "orderStatus": "submitted", "orderCreateTime": order.created_ms}
        progress = {"execAmt": self.qty(filled_qty), "remainAmt": self.qty(order.qty - filled_qty)}
        if fill is None:
            ended = {"lastActTime": event.ts_ms, "canceledSource": "", "canceledSourceDesc": ""}
            return {**row, **progress, **ended, "eventType": "cancellation", "orderStatus": state_of(order)}
        return {
            **row,
            **progress,
            "eventType": "trade",
            "orderStatus": "filled" if filled_qty == order.qty else "partial-filled",
            "tradePrice": self.px(fill.px),
            "tradeVolume": self.qty(fill.qty),
            "tradeTime": fill.ts_ms,
            "aggressor": not fill.is_maker,
            "tradeId": fill.trade_id,
        }

    def clearing_event(self, fill: Fill) -> Json:
        """What "Subscribe Trade Details & Order Cancellation post Clearing" says of a trade."""
        order = fill.order
        return {
            "eventType": "trade",
            "symbol": self.instrument.symbol,
            "orderId": order.order_id,
            "clientOrderId": order.client_order_id,
            "orderSide": SIDE_NAMES[order.side],
            "orderType": type_of(order),
            "accountId": account_id_of(order.account),
            "source": SOURCE,
            "orderPrice": self.px(order.px),
            "orderSize": self.qty(order.qty),
            "orderCreateTime": order.created_ms,
            "orderStatus": state_of(order),
            "feeCurrency": self.exchange.ledger.fee_currency(order.side).lower(),
            "tradePrice": self.px(fill.px),
            "tradeVolume": self.qty(fill.qty),
            "aggressor": not fill.is_maker,
            "tradeId": fill.trade_id,
            "tradeTime": fill.ts_ms,
            "transactFee": cash_text(fill.fee),
            "feeDeduct": "0",
            "feeDeductType": "",
        }
