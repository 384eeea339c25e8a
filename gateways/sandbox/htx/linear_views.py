"""Orders, fills, positions and balances of USDT-margined contracts as the exchange writes them.

Sources: the sections named at each function, and recorded answers and messages. Nearly everything is text.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from gateways.sandbox.accounts import Account, Fill, Ledger, Order, Status
from gateways.sandbox.conditionals import Conditional, Conditionals, Source
from gateways.sandbox.engine.records import OperationFlag
from gateways.sandbox.exchange import Exchange
from oms.decimals import cash_text
from oms.instruments import Instrument
from oms.records import OrderType, TimeInForce

Json = dict[str, Any]

SIDES: Final = {"buy": 1, "sell": -1}
SIDE_NAMES: Final = {side: name for name, side in SIDES.items()}
TIMES: Final = {"gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}
TIME_NAMES: Final = {time: name for name, time in TIMES.items()}

SELF_TRADES: Final = {
    "cancel_taker": OperationFlag.EXPIRE_TAKER,
    "cancel_maker": OperationFlag.EXPIRE_MAKER,
    "cancel_both": OperationFlag.EXPIRE_BOTH,
}
SELF_TRADE_NAMES: Final = {flag: name for name, flag in SELF_TRADES.items()}

BY_CLIENT: Final = "Limit order cancelation by the client"
BY_SYSTEM: Final = "Order cancelation by system"
NO_MATCH: Final = "Order cancelation due to no matching orders"
SELF_TRADE: Final = " Self trading prevention"
TIMED_OUT: Final = "Order cancelation due to API timeout"
"""Values of ``cancel_reason`` ("Subscribe to match order data")."""

ALGO_TYPES: Final = {"trigger": "trigger", "sl": "tpsl", "tp": "tpsl"}
"""``type`` of an algo order that is there, and the ``order_source`` of the order that it becomes."""
STOPS: Final = {"sl": 1, "tp": -1}
"""+1: a buy triggers at its price or above, a sell at it or below; -1 the other way round."""
TRIGGER_PRICES: Final = {"last": Source.LAST, "market": Source.MARK}
"""``trigger_price_type`` ("Place Order": the mark price is called ``market``)."""
TRIGGER_PRICE_NAMES: Final = {source: name for name, source in TRIGGER_PRICES.items()}
FIRST_ALGO_ID: Final = 1_512_871_666_505_511_000
FIRST_ALGO_ROW: Final = 160_027_000
"""Ids of algo orders, and of their rows, are of this size behind their numbers (recorded)."""

FIRST_FILL_ID: Final = 1_513_834_754_679_549_965
"""Query ids of fills are of this size, and in their order."""
FIRST_BILL_ID: Final = 2_194_774_775
NO_STOPS: Final = {
    "tp_trigger_price": "",
    "tp_order_price": "",
    "tp_type": "0",
    "tp_trigger_price_type": "",
    "sl_trigger_price": "",
    "sl_order_price": "",
    "sl_type": "0",
    "sl_trigger_price_type": "",
}

FUNDING_INCOME, FUNDING_EXPENSE = "30", "31"
FUNDING_KIND: Final = "FUNDING_FEE"
"""How a payment of funding is booked in ``Account.incomes``."""


def trimmed(text: str) -> str:
    """Plain decimal text without trailing zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def type_of(order: Order) -> str:
    """``type``."""
    if order.order_type is OrderType.MARKET:
        return "market"
    return "post_only" if order.is_post_only else "limit"


def state_of(order: Order) -> str:
    """``state``."""
    if order.status in (Status.NEW, Status.PARTIALLY_FILLED, Status.FILLED):
        return str(order.status.value).lower()
    return "partially_canceled" if order.filled_qty else "canceled"


class Views:
    """Writes what belongs to one contract.

    Attributes
    ----------
    cancel_reasons : dict of str by order id
        Why an order was cancelled, where its state does not tell.
    """

    def __init__(self, exchange: Exchange[Ledger], conditionals: Conditionals) -> None:
        self.exchange = exchange
        self._conditionals = conditionals
        self.instrument: Instrument = exchange.instrument
        self.cancel_reasons: dict[int, str] = {}
        self._tick = Fraction(self.instrument.tick)

    def px(self, ticks: int) -> str:
        """A price; 0 at the market."""
        return trimmed(self.instrument.px_from_ticks(ticks)) if ticks else "0"

    def average(self, ticks: Fraction) -> str:
        """A price on no grid."""
        value = ticks * self._tick
        return trimmed(f"{Decimal(value.numerator) / Decimal(value.denominator):.18f}") if value else "0"

    def volume(self, lots: int) -> str:
        """Contracts."""
        return trimmed(self.instrument.qty_from_lots(lots))

    def turnover(self, tick_lots: int) -> str:
        """Execution amount times face value times price."""
        return cash_text(self.exchange.ledger.value(tick_lots))

    def named(self, order: Order) -> Json:
        """The ids of an order: without one of the client's own the exchange's stands for it (recorded)."""
        order_id = str(order.order_id)
        return {"order_id": order_id, "client_order_id": order.client_order_id or order_id}

    def source(self, order: Order) -> str:
        """``order_source``."""
        algo = self._conditionals.all.get(order.of_conditional)
        return ALGO_TYPES[algo.kind] if algo is not None else "api"

    def algo_named(self, algo: Conditional) -> Json:
        """The ids of an algo order (recorded)."""
        return {"algo_id": str(FIRST_ALGO_ID + algo.algo_id), "algo_client_order_id": algo.client_id or None}

    def algo(self, algo: Conditional) -> Json:
        """A row of "Query Open Algo Orders", as recorded ones are."""
        is_stop = algo.kind in STOPS
        prefix = f"{algo.kind}_" if is_stop else ""
        terms: Json = {
            f"{prefix}trigger_price": self.px(algo.trigger_px),
            f"{prefix}trigger_price_type": TRIGGER_PRICE_NAMES[algo.source],
        }
        if is_stop:
            terms |= {
                f"{prefix}order_price": self.px(algo.px),
                f"{prefix}type": "limit" if algo.px else "market",
            }
        else:
            terms |= {"price": self.px(algo.px), "reduce_only": algo.is_reduce_only}
        return {
            "id": str(FIRST_ALGO_ROW + algo.algo_id),
            "volume": self.volume(algo.qty),
            "type": algo.kind,
            "state": "active",
            "side": SIDE_NAMES[algo.side],
            **self.algo_named(algo),
            "contract_code": self.instrument.symbol,
            "position_side": "both",
            "margin_mode": "cross",
            "created_time": str(algo.created_ms),
            "updated_time": str(algo.updated_ms),
            "order_source": "api",
            **terms,
        }

    def order_event(self, order: Order, state: str, filled_qty: int, filled_cost: int) -> Json:
        """What "Subscribe to order data" says of an order that has filled so much."""
        fills = [fill for fill in order.account.fills if fill.order is order] if filled_qty else []
        told = _first_fills(fills, filled_qty)
        is_cancelled = state.endswith("canceled")
        return {
            "side": SIDE_NAMES[order.side],
            "type": type_of(order),
            "price": self.px(order.px),
            "volume": self.volume(order.qty),
            "state": state,
            "profit": cash_text(sum(fill.realized_pnl for fill in told)),
            "contract_code": self.instrument.symbol,
            "position_side": "both",
            "price_match": None,
            **self.named(order),
            "margin_mode": "cross",
            "lever_rate": order.account.leverage,
            "order_source": self.source(order),
            "reduce_only": order.is_reduce_only,
            "time_in_force": TIME_NAMES[order.time_in_force],
            "trade_avg_price": self.average(Fraction(filled_cost, filled_qty)) if filled_qty else "0",
            "trade_volume": self.volume(filled_qty),
            "trade_turnover": self.turnover(filled_cost),
            "fee_currency": self.instrument.settlement if told else None,
            "fee": cash_text(sum(fill.fee for fill in told)),
            **NO_STOPS,
            "contract_type": "swap",
            "cancel_reason": self.cancel_reason(order) if is_cancelled else "",
            "created_time": str(order.created_ms),
            "updated_time": str(order.updated_ms),
            "self_match_prevent": SELF_TRADE_NAMES[order.self_trade],
            "amend_origin_volume": "",
            "amend_source": "",
            "amend_result": "",
            "cancel_volume": self.volume(order.left if is_cancelled else 0),
        }

    def order(self, order: Order) -> Json:
        """A row of "Get Current Orders", "Get Order Info" and "Get Order History"."""
        row = self.order_event(order, state_of(order), order.filled_qty, order.filled_cost)
        for name in ("amend_origin_volume", "amend_source", "amend_result", "cancel_volume"):
            del row[name]
        more = {"id": row["order_id"], "price_protect": False, "cancel_reason": row["cancel_reason"] or None}
        return {**row, "fee_currency": row["fee_currency"] or "", **more}

    def cancel_reason(self, order: Order) -> str:
        """``cancel_reason`` of an order that was cancelled."""
        known = self.cancel_reasons.get(order.order_id)
        if known is not None:
            return known
        if order.status is Status.EXPIRED_IN_MATCH:
            return SELF_TRADE
        if order.status is Status.CANCELED:
            return BY_CLIENT
        if order.order_type is OrderType.MARKET or order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            return NO_MATCH
        return BY_SYSTEM

    def fill(self, number: int, fill: Fill) -> Json:
        """A row of "Get Execution Details (last 3 days)"; ``number`` counts the account's fills from 0."""
        order = fill.order
        return {
            "id": str(FIRST_FILL_ID + number),
            "contract_code": self.instrument.symbol,
            "order_id": str(order.order_id),
            "trade_id": str(fill.trade_id),
            "side": SIDE_NAMES[order.side],
            "position_side": "both",
            "order_type": "1",
            "margin_mode": "cross",
            "type": type_of(order),
            "role": "MAKER" if fill.is_maker else "TAKER",
            "trade_price": self.px(fill.px),
            "trade_volume": self.volume(fill.qty),
            "trade_turnover": self.turnover(fill.px * fill.qty),
            "created_time": str(fill.ts_ms),
            "updated_time": str(fill.ts_ms),
            "order_source": "api",
            "fee_currency": self.instrument.settlement,
            "trade_fee": cash_text(fill.fee),
            "deduction_price": "",
            "profit": cash_text(fill.realized_pnl),
            "contract_type": "swap",
        }

    def trade_event(self, fill: Fill) -> Json:
        """What the topic ``trade`` says of a fill: not what it cost (recorded)."""
        return {
            "direction": SIDE_NAMES[fill.order.side],
            "id": f"{fill.trade_id}-{fill.order.order_id}-1",
            "contract_code": self.instrument.symbol,
            "contract_type": "swap",
            **self.named(fill.order),
            "trade_id": str(fill.trade_id),
            "position_side": "both",
            "trade_volume": self.volume(fill.qty),
            "trade_price": self.px(fill.px),
            "trade_turnover": self.turnover(fill.px * fill.qty),
            "role": "maker" if fill.is_maker else "taker",
            "created_time": str(fill.ts_ms),
            "updated_time": str(fill.ts_ms),
        }

    def position(self, account: Account) -> Json:
        """A row of "Get Current Position"; there is no liquidation, and so no price of it."""
        ledger, mark_px = self.exchange.ledger, self.exchange.mark_px
        margin = ledger.position_margin(account, mark_px)
        profit = ledger.unrealized_pnl(account, mark_px)
        volume = self.volume(abs(account.qty))
        return {
            "contract_code": self.instrument.symbol,
            "position_side": "both",
            "direction": SIDE_NAMES[1 if account.qty >= 0 else -1],
            "margin_mode": "cross",
            "open_avg_price": self.average(ledger.entry_px(account)),
            "volume": volume,
            "available": volume,
            "lever_rate": account.leverage,
            "adl_risk_percent": 1,
            "liquidation_price": "",
            "margin": cash_text(margin),
            "initial_margin": cash_text(margin),
            "maintenance_margin": cash_text(ledger.maintenance_margin(account, mark_px)),
            "profit_unreal": cash_text(profit),
            "profit_rate": trimmed(f"{Decimal(profit) / margin:.4f}") if margin else "0",
            "margin_rate": "0",
            "mark_price": self.average(mark_px),
            "last_price": self.px(self.exchange.last_px),
            "margin_currency": self.instrument.settlement,
            "contract_type": "swap",
            "created_time": str(account.updated_ms),
            "updated_time": str(account.updated_ms),
        }

    def balance(self, account: Account) -> Json:
        """ "Get Account Balance": an equity has what is not realized yet."""
        ledger, mark_px = self.exchange.ledger, self.exchange.mark_px
        profit = ledger.unrealized_pnl(account, mark_px)
        equity = cash_text(account.wallet + profit)
        available = cash_text(ledger.available(account, mark_px))
        margins = {
            "initial_margin": cash_text(ledger.initial_margin(account, mark_px)),
            "maintenance_margin": cash_text(ledger.maintenance_margin(account, mark_px)),
            "maintenance_margin_rate": "0",
            "profit_unreal": cash_text(profit),
            "available_margin": available,
            "voucher_value": "0",
            "created_time": str(account.wallet_ms),
            "updated_time": str(account.wallet_ms),
        }
        detail = {
            "currency": self.instrument.settlement,
            "equity": equity,
            "available": available,
            **margins,
            "initial_margin_rate": "0",
            "voucher": "0",
            "withdraw_available": available,
            "isolated_equity": "0",
            "isolated_profit_unreal": "0",
        }
        return {"state": "normal", "equity": equity, "details": [detail], **margins}

    def bills(self, account: Account) -> list[Json]:
        """Rows of "Query Financial Records", of payments of funding, oldest first."""
        return [
            {
                "id": str(FIRST_BILL_ID + number),
                "type": FUNDING_INCOME if income.amount > 0 else FUNDING_EXPENSE,
                "currency": self.instrument.settlement,
                "amount": cash_text(income.amount),
                "contract_code": self.instrument.symbol,
                "margin_mode": "cross",
                "created_time": str(income.ts_ms),
            }
            for number, income in enumerate(account.incomes)
            if income.kind == FUNDING_KIND
        ]


def _first_fills(fills: list[Fill], qty: int) -> list[Fill]:
    """An order's fills, as many as come to a quantity."""
    found = []
    for fill in fills:
        if qty <= 0:
            break
        found.append(fill)
        qty -= fill.qty
    return found
