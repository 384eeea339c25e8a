"""Binance spot: orders, fills and balances as it writes them, numbers as text with eight decimals.

Sources: Binance, Spot API, the pages named at each method.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from gateways.sandbox.accounts import Account, Fill, Order
from gateways.sandbox.binance.views import SIDE_NAMES, Json, cash, fixed, self_trade_name
from gateways.sandbox.conditionals import Conditional, Waiting
from gateways.sandbox.exchange import Event, What
from gateways.sandbox.spot_ledger import SpotLedger
from oms.decimals import Grid
from oms.instruments import Instrument
from oms.records import OrderType

DECIMALS: Final = 8
EXECUTIONS: Final = {
    What.NEW: "NEW",
    What.TRADE: "TRADE",
    What.AMENDED: "REPLACED",
    What.CANCELED: "CANCELED",
    What.EXPIRED: "EXPIRED",
}
"""Execution types ("Enums"; of an amend, "Order Amend Keep Priority")."""

NO_LIST: Final = {"orderListId": -1}


class SpotViews:
    """Writes what belongs to one instrument."""

    def __init__(self, instrument: Instrument, ledger: SpotLedger) -> None:
        self.instrument = instrument
        self.ledger = ledger
        self._tick = Fraction(instrument.tick)
        self._lot = Fraction(instrument.lot)
        self._px_grid = Grid(Decimal(instrument.tick), DECIMALS)
        self._qty_grid = Grid(Decimal(instrument.lot), DECIMALS)
        self._executions = 0

    def px(self, ticks: int) -> str:
        """A price."""
        return self._px_grid.text(ticks)

    def qty(self, lots: int) -> str:
        """A quantity."""
        return self._qty_grid.text(lots)

    def quote(self, tick_lots: int) -> str:
        """A cost in the quote currency."""
        return fixed(tick_lots * self._tick * self._lot, DECIMALS)

    def new_order(self, order: Order, fills: list[Fill] | None = None) -> Json:
        """ "New order", RESULT; with its fills FULL."""
        view = {
            "symbol": self.instrument.symbol,
            "orderId": order.order_id,
            **NO_LIST,
            "clientOrderId": order.client_order_id,
            "transactTime": order.updated_ms,
            **self._terms(order),
            "workingTime": order.created_ms,
            "selfTradePreventionMode": self_trade_name(order),
        }
        if fills is not None:
            view["fills"] = [
                {
                    "price": self.px(fill.px),
                    "qty": self.qty(fill.qty),
                    "commission": cash(fill.fee),
                    "commissionAsset": self.ledger.fee_currency(order.side),
                    "tradeId": fill.trade_id,
                }
                for fill in fills
            ]
        return view

    def acknowledged(self, order: Order | Conditional) -> Json:
        """ "New order", ACK."""
        return {
            "symbol": self.instrument.symbol,
            "orderId": order.order_id,
            **NO_LIST,
            "clientOrderId": order.client_id if isinstance(order, Conditional) else order.client_order_id,
            "transactTime": order.updated_ms,
        }

    def cancelled(self, order: Order | Conditional) -> Json:
        """ "Cancel order": the client's id is that of the cancel."""
        return {
            "symbol": self.instrument.symbol,
            "origClientOrderId": order.client_id if isinstance(order, Conditional) else order.client_order_id,
            "orderId": order.order_id,
            **NO_LIST,
            "clientOrderId": cancel_id(order.order_id),
            "transactTime": order.updated_ms,
            **(self._waiting_terms(order) if isinstance(order, Conditional) else self._terms(order)),
            "selfTradePreventionMode": "NONE" if isinstance(order, Conditional) else self_trade_name(order),
        }

    def amended(self, order: Order, was_called: str) -> Json:
        """ "Order Amend Keep Priority"."""
        terms = self._terms(order)
        self._executions += 1
        shown = {
            "symbol": self.instrument.symbol,
            "orderId": order.order_id,
            **NO_LIST,
            "origClientOrderId": was_called,
            "clientOrderId": order.client_order_id,
            "price": terms["price"],
            "qty": terms["origQty"],
            "executedQty": terms["executedQty"],
            "preventedQty": self.qty(0),
            "quoteOrderQty": self.qty(0),
            "cumulativeQuoteQty": terms["cummulativeQuoteQty"],
            "status": terms["status"],
            "timeInForce": terms["timeInForce"],
            "type": terms["type"],
            "side": terms["side"],
            "workingTime": order.created_ms,
            "selfTradePreventionMode": self_trade_name(order),
        }
        return {"transactTime": order.updated_ms, "executionId": self._executions, "amendedOrder": shown}

    def order(self, order: Order | Conditional) -> Json:
        """ "Query order"."""
        is_waiting = isinstance(order, Conditional)
        return {
            "symbol": self.instrument.symbol,
            "orderId": order.order_id,
            **NO_LIST,
            "clientOrderId": order.client_id if isinstance(order, Conditional) else order.client_order_id,
            **(self._waiting_terms(order) if isinstance(order, Conditional) else self._terms(order)),
            "stopPrice": self.px(order.trigger_px if isinstance(order, Conditional) else 0),
            "icebergQty": self.qty(0),
            "time": order.created_ms,
            "updateTime": order.updated_ms,
            "isWorking": not is_waiting,
            "workingTime": -1 if is_waiting else order.created_ms,
            "selfTradePreventionMode": "NONE" if isinstance(order, Conditional) else self_trade_name(order),
        }

    def trade(self, fill: Fill) -> Json:
        """ "Account trade list"."""
        side = fill.order.side
        return {
            "symbol": self.instrument.symbol,
            "id": fill.trade_id,
            "orderId": fill.order.order_id,
            **NO_LIST,
            "price": self.px(fill.px),
            "qty": self.qty(fill.qty),
            "quoteQty": self.quote(fill.px * fill.qty),
            "commission": cash(fill.fee),
            "commissionAsset": self.ledger.fee_currency(side),
            "time": fill.ts_ms,
            "isBuyer": side > 0,
            "isMaker": fill.is_maker,
            "isBestMatch": True,
        }

    def account(self, account: Account) -> Json:
        """ "Account information"."""
        rates = {True: self.instrument.maker_fee_rate, False: self.instrument.taker_fee_rate}
        maker, taker = (f"{float(rates[is_maker]):.8f}" for is_maker in (True, False))
        return {
            "makerCommission": round(float(maker) * 10_000),
            "takerCommission": round(float(taker) * 10_000),
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {"maker": maker, "taker": taker, "buyer": "0.00000000", "seller": "0.00000000"},
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": account.wallet_ms,
            "accountType": "SPOT",
            "balances": [
                {"asset": name, "free": cash(balance.free), "locked": cash(balance.locked)}
                for name, balance in self.ledger.balances(account).items()
            ],
            "permissions": ["SPOT"],
            "uid": 1 + account.number,
        }

    def account_position(self, account: Account, ts_ms: int) -> Json:
        """outboundAccountPosition ("Account Update")."""
        balances = [
            {"a": name, "f": cash(balance.free), "l": cash(balance.locked)}
            for name, balance in self.ledger.balances(account).items()
        ]
        return {"e": "outboundAccountPosition", "E": ts_ms, "u": ts_ms, "B": balances}

    def order_update(self, event: Event, was_called: str = "") -> Json:
        """executionReport ("Order Update"); a cancel has an id of its own, and names the order's in ``C``."""
        order, fill = event.order, event.fill
        is_cancel = event.what is What.CANCELED
        report = self._report(EXECUTIONS[event.what], event.ts_ms, self._terms(order), order.order_id, order.created_ms)
        report["c"] = cancel_id(order.order_id) if is_cancel else order.client_order_id
        report["C"] = order.client_order_id if is_cancel else was_called
        report["w"] = order.status.is_open and order.order_type is OrderType.LIMIT
        report["W"] = order.created_ms
        report["V"] = self_trade_name(order)
        if fill is not None:
            report |= {
                "l": self.qty(fill.qty),
                "L": self.px(fill.px),
                "n": cash(fill.fee),
                "N": self.ledger.fee_currency(order.side),
                "t": fill.trade_id,
                "m": fill.is_maker,
                "Y": self.quote(fill.px * fill.qty),
            }
        return report

    def waiting_update(self, conditional: Conditional) -> Json:
        """The same of an order that waits for a price."""
        is_new = conditional.state is Waiting.NEW
        terms = self._waiting_terms(conditional)
        execution = {Waiting.NEW: "NEW", Waiting.CANCELED: "CANCELED"}.get(conditional.state, "EXPIRED")
        report = self._report(execution, conditional.updated_ms, terms, conditional.order_id, conditional.created_ms)
        report["c"] = conditional.client_id if execution != "CANCELED" else cancel_id(conditional.order_id)
        report["C"] = conditional.client_id if execution == "CANCELED" else ""
        report["P"] = self.px(conditional.trigger_px)
        report["r"] = "NONE" if is_new or not conditional.failure else "INSUFFICIENT_BALANCES"
        return report

    def _report(self, execution: str, ts_ms: int, terms: Json, order_id: int, created_ms: int) -> Json:
        self._executions += 1
        return {
            "e": "executionReport",
            "E": ts_ms,
            "s": self.instrument.symbol,
            "c": "",
            "S": terms["side"],
            "o": terms["type"],
            "f": terms["timeInForce"],
            "q": terms["origQty"],
            "p": terms["price"],
            "P": self.px(0),
            "F": self.qty(0),
            "g": -1,
            "C": "",
            "x": execution,
            "X": terms["status"],
            "r": "NONE",
            "i": order_id,
            "l": self.qty(0),
            "z": terms["executedQty"],
            "L": self.px(0),
            "n": "0",
            "N": None,
            "T": ts_ms,
            "t": -1,
            "I": self._executions,
            "w": False,
            "m": False,
            "M": False,
            "O": created_ms,
            "Z": terms["cummulativeQuoteQty"],
            "Y": self.qty(0),
            "Q": self.qty(0),
            "V": "NONE",
        }

    def _terms(self, order: Order) -> Json:
        return {
            "price": self.px(order.px),
            "origQty": self.qty(order.qty),
            "executedQty": self.qty(order.filled_qty),
            "origQuoteOrderQty": self.qty(0),
            "cummulativeQuoteQty": self.quote(order.filled_cost),
            "status": order.status.value,
            "timeInForce": "GTC" if order.order_type is OrderType.MARKET else order.time_in_force.name,
            "type": "LIMIT_MAKER" if order.is_post_only else order.order_type.name,
            "side": SIDE_NAMES[order.side],
        }

    def _waiting_terms(self, conditional: Conditional) -> Json:
        status = {Waiting.NEW: "NEW", Waiting.CANCELED: "CANCELED", Waiting.REJECTED: "EXPIRED"}
        return {
            "price": self.px(conditional.px),
            "origQty": self.qty(conditional.qty),
            "executedQty": self.qty(0),
            "origQuoteOrderQty": self.qty(0),
            "cummulativeQuoteQty": self.qty(0),
            "status": status.get(conditional.state, "NEW"),
            "timeInForce": conditional.time_in_force.name,
            "type": conditional.kind,
            "side": SIDE_NAMES[conditional.side],
        }


def cancel_id(order_id: int) -> str:
    """The client's id of the cancel of an order, where the client gives none."""
    return f"cancel-{order_id}"
